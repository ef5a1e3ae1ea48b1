"""Sources of data: what a person names becomes a data set with a shape. Knows shapes and nothing above them."""

from genloom.data.options import PictureOptions, TableOptions
from genloom.data.source import find_source, load

__all__ = ["PictureOptions", "TableOptions", "find_source", "load"]
