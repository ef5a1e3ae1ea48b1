"""Parquet files, read and written some rows at a time; types and metadata are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd

from genloom.data.tables.base import CHUNK, Fill, Table, refuse_wide
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import parsing, refuse_large
from genloom.shapes.columns import Bits

FIRST, AT_ONCE = 64, 1 << 27  # rows that are looked at first; bytes that are held at once


@dataclass
class ParquetTable(Table):
    """A Parquet file; types and metadata of its schema are kept."""

    path: Path

    def file(self) -> Any:
        """Open the file.

        Raises:
            InputError: it is no Parquet file, or cut short.
        """
        import pyarrow.parquet

        with parsing(self.path, "Parquet", ": is it whole?"):
            file = pyarrow.parquet.ParquetFile(self.path)
        refuse_wide(len(file.schema_arrow), self.path)
        return file

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Yield record batches, each with the number of its first row."""
        first = 0
        batches = self.file().iter_batches(self.rows_at_once())
        while batch := self.next_of(batches):
            if batch.num_rows:
                yield first, batch
                first += batch.num_rows
        if first == 0:
            raise InputError(f"{self.path} has no row")

    def rows_at_once(self) -> int:
        """Return how many rows to hold at once: fewer where cells are large, whatever they take on the disk."""
        first = self.next_of(self.file().iter_batches(FIRST))
        each = first.nbytes / first.num_rows if first is not None and first.num_rows else 1
        refuse_large(int(each), f"a row of {self.path}")
        return int(min(max(AT_ONCE / max(each, 1), 1), CHUNK))

    def next_of(self, batches: Iterator[Any]) -> Any:
        """Return the next record batch, or None.

        Raises:
            InputError: it cannot be read.
        """
        with parsing(self.path, "Parquet", ": is it whole?"):
            return next(batches, None)

    def chunks(self) -> Iterator[pd.DataFrame]:
        for first, batch in self.batches():
            yield frame_of(batch, first, self.path)

    def rewrite(self, outs: Sequence[Path], fill: Fill) -> None:
        import pyarrow.parquet

        file = self.file()
        schema, groups = file.schema_arrow, file.metadata.num_row_groups
        packed = file.metadata.row_group(0).column(0).compression if groups else "SNAPPY"
        packed = "NONE" if packed == "UNCOMPRESSED" else packed
        with ExitStack() as stack:
            parts = [stack.enter_context(replaced(out)) for out in outs]
            writers = [
                stack.enter_context(pyarrow.parquet.ParquetWriter(part, schema, compression=packed)) for part in parts
            ]
            for first, batch in self.batches():
                for writer, way in zip(writers, fill(frame_of(batch, first, self.path), first), strict=True):
                    writer.write_batch(reduce(self.with_cells, way.items(), batch))

    def with_cells(self, batch: Any, part: tuple[str, tuple[Bits, Sequence[Any]]]) -> Any:
        """Return a record batch with some cells of a column replaced; InputError where its type cannot hold them."""
        with parsing(self.path, "Parquet", f": --kind.{part[0]} passed leaves that column as it is"):
            return with_cells(batch, part)


def with_cells(batch: Any, part: tuple[str, tuple[Bits, Sequence[Any]]]) -> Any:
    """Return a record batch with some cells of a column replaced."""
    import pyarrow

    name, (chosen, cells) = part
    place = batch.schema.names.index(name)
    field = batch.schema.field(place)
    if pyarrow.types.is_dictionary(field.type):  # made anew, its categories would lose their order
        return batch.set_column(place, field, with_codes(batch.column(place), field.type, chosen, cells))
    values = batch.column(place).to_pylist()
    for i, cell in zip(chosen.nonzero()[0], cells, strict=True):
        values[i] = for_arrow(cell, field.type)
    return batch.set_column(place, field, pyarrow.array(values, field.type))


def with_codes(column: Any, kind: Any, chosen: Bits, cells: Sequence[Any]) -> Any:
    """Return a dictionary array with some cells replaced; what this part's dictionary lacks comes after the rest."""
    import pyarrow

    values, codes = column.dictionary.to_pylist(), column.indices.to_pylist()
    places = {value: i for i, value in enumerate(values)}
    for i, cell in zip(chosen.nonzero()[0], cells, strict=True):
        if cell not in places:
            places[cell] = len(values)
            values.append(cell)
        codes[i] = places[cell]
    return pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(codes, kind.index_type), pyarrow.array(values, kind.value_type), ordered=kind.ordered
    )


def frame_of(batch: Any, first: int, path: Path) -> pd.DataFrame:
    """Return a record batch as a DataFrame whose index counts on from `first`; whole numbers stay whole beside holes."""
    import pyarrow

    whole = {
        pyarrow.int8(): pd.Int8Dtype(),
        pyarrow.int16(): pd.Int16Dtype(),
        pyarrow.int32(): pd.Int32Dtype(),
        pyarrow.int64(): pd.Int64Dtype(),
        pyarrow.bool_(): pd.BooleanDtype(),
    }
    with parsing(path, "Parquet", ": is it whole?"):  # what pandas wrote beside the schema may be damaged
        frame = batch.to_pandas(types_mapper=whole.get)
    frame.index = range(first, first + len(frame))
    return frame


def for_arrow(cell: Any, kind: Any) -> Any:
    """Return a cell as an Arrow type takes it."""
    import pyarrow.types as types

    if types.is_decimal(kind):
        return Decimal(str(cell)).quantize(Decimal(1).scaleb(-kind.scale), context=Context(prec=kind.precision))
    if types.is_floating(kind):
        return float(cell)  # whole numbers, too, of which the largest are no whole number of Arrow's
    return cell.date() if types.is_date(kind) and isinstance(cell, datetime) else cell
