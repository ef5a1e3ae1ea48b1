"""Tables from whatever a person named: read, their columns studied, coded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from genloom.data.options import Options as AnyOptions
from genloom.data.options import TableOptions
from genloom.data.source import Source
from genloom.data.tables.database import is_address
from genloom.data.tables.dataset import TableData
from genloom.errors import InputError
from genloom.reading import refuse_large
from genloom.shapes.base import Shape
from genloom.shapes.table import TableShape

if TYPE_CHECKING:
    import pandas as pd

CELL = 60  # bytes that a cell takes as text
TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")


def bounded(chunks: Iterable[pd.DataFrame], name: str, cell: int = CELL) -> Iterator[pd.DataFrame]:
    """Yield the parts of a table; InputError once they are more than is held in memory, at so many bytes a cell at least."""
    held = 0
    for frame in chunks:
        few = frame.head(50)
        held += max(cell * frame.size, int(few.memory_usage(deep=True).sum()) * len(frame) // max(len(few), 1))
        refuse_large(held, f"{name}, more than {held // cell:,} cells of it,")
        yield frame


class TableSource(Source):
    """A table in a CSV or Parquet file, or of a database."""

    Options: ClassVar[type[AnyOptions]] = TableOptions
    options: TableOptions

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        return is_address(name) or name.lower().endswith(TABLE_SUFFIXES)

    def shape(self) -> TableShape:
        """Return what the columns are; all rows are read for it."""
        return self.data.shape

    def load(self, shape: Shape | None = None) -> TableData:
        """Return the columns that models learn, coded."""
        return self.data

    @cached_property
    def data(self) -> TableData:
        """The coded table.

        Raises:
            InputError: it is no table, or none of its columns can be learnt.
        """
        import numpy as np
        import pandas as pd

        from genloom.data.tables.files import rows_of_table
        from genloom.data.tables.layout import Layout, missing_words

        frame = pd.concat(list(bounded(rows_of_table(self.name), self.name)))
        layout = Layout.study(frame, self.options.kind, missing_words(self.options.missing, self.options.known))
        if not layout.learnt:
            raise InputError(
                f"{self.name} has no column to learn from: "
                + "; ".join(f"{field.name!r}: {field.why}" for field in layout.fields)
            )
        codes = layout.encode(frame, layout.known(frame))
        data = TableData.of(codes, np.isfinite(codes), layout.learnt, self.name)
        data.notes += [f"{field.name} is left out: {field.why}" for field in layout.fields if field.column is None]
        return data
