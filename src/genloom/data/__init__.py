"""Sources of data: what a person names becomes a data set with a shape. Knows `Shape` and nothing above it."""

from genloom.data.source import Options, load, load_pictures

__all__ = ["Options", "load", "load_pictures"]
