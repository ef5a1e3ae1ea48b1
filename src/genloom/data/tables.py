"""Tables in files, read and written some rows at a time: CSV, of which every untouched byte is kept, and Parquet."""

# n rows

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd

from genloom.columns import TABLE_SUFFIXES, Bits
from genloom.data.records import Record, agreement, quoted, split_lines, unquoted
from genloom.errors import InputError

CHUNK = 50_000  # rows held at once
DELIMITERS = ",;\t|"
LOOK = 1 << 16  # bytes that are looked at at once; from the first of them the delimiter is found out
Cells = Mapping[str, tuple[Bits, Sequence[Any]]]  # by column, which rows to replace, and the cells to put there
Fill = Callable[[pd.DataFrame, int], Iterator[Cells]]


class Table(ABC):
    """A table in a file.

    Attributes:
        path: where it is.
    """

    path: Path

    @abstractmethod
    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield the rows in order, some thousands at a time; the index counts on from 0."""

    @abstractmethod
    def rewrite(self, outs: Sequence[Path], fill: Fill) -> None:
        """Write the table several times, each time with the same cells replaced by others, in one pass.

        Args:
            fill: given some rows and the number of the first, yields what to replace for each of the outputs.
        """


def find_table(source: str | os.PathLike[str]) -> Table:
    """Return the table at a path.

    Raises:
        InputError: there is none, or it is no table.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"no table at {source}: no such file")
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        raise InputError(f"{source} is no table: a {', '.join(TABLE_SUFFIXES)} file is, or the address of a database")
    if path.is_dir():
        raise InputError(f"{source} is a folder: name the file of a table in it")
    return ParquetTable(path) if path.suffix.lower() in (".parquet", ".pq") else CsvTable.open(path)


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give a temporary name beside `out`, and move it there if all goes well: a file is whole or not there.

    Raises:
        InputError: it cannot be written.
    """
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
        os.close(handle)
        part = Path(name)
        yield part
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; nothing was written") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


# -- CSV -------------------------------------------------------------------------------------------


@dataclass
class CsvTable(Table):
    """A text file with a heading, one row a line.

    Attributes:
        delimiter: what stands between fields.
        encoding: utf-8, or latin-1 where it is not.
        names: the headings.
    """

    path: Path
    delimiter: str
    encoding: str
    names: list[str]

    @classmethod
    def open(cls, path: Path) -> CsvTable:
        """Find out which delimiter and headings it has, from its first lines, and which encoding, from all of it.

        Raises:
            InputError: it is no text, is cut short, or has no heading.
        """
        with readable(path), opened(path, "rb") as file:
            start = file.read(LOOK)
        encoding = text_encoding(path)
        lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", start.decode(encoding, "replace"))
        if not lines or not lines[0].strip():
            raise InputError(f"{path} begins with an empty line: a table's first line names its columns" if lines else
                             f"{path} is empty: a table begins with a line of headings")  # fmt: skip
        # Where no mark stands in the heading there is a single column, of numbers with commas perhaps.
        marks = [mark for mark in DELIMITERS if mark in lines[0]] or [
            mark for mark in DELIMITERS if not any(mark in line for line in lines)
        ]
        delimiter = max(marks or ",", key=lambda mark: agreement(lines[:50], mark))
        table = cls(path, delimiter, encoding, [])
        heading = next(table.records())
        table.names = [unquoted(field).strip() for field in heading.fields]
        if all(is_number(name) for name in table.names):
            raise InputError(f"{path} begins with numbers: its first line must name the columns")
        return table

    def records(self) -> Iterator[Record]:
        """Yield the heading and the rows, raw.

        Raises:
            InputError: the file is cut short, is no text, or a quote is never closed.
        """
        last: Record | None = None
        with readable(self.path), io.TextIOWrapper(opened(self.path, "rb"), encoding=self.encoding, newline="") as file:
            for record in split_lines(file, self.delimiter):
                if not record.whole:
                    raise InputError(f"{self.path}: a quote is opened and never closed: {record.fields[-1][:40]!r}")
                if record.fields == [""] and last and len(last.fields) > 1:  # an empty line; with one column, a missing cell
                    last.end += record.end
                    continue
                if last:
                    yield last
                last = record
        if last:
            yield last

    def rows(self) -> Iterator[tuple[int, list[Record]]]:
        """Yield rows some thousands at a time, each time with the number of the first.

        Raises:
            InputError: a row has more or fewer fields than the heading.
        """
        held: list[Record] = []
        first = 0
        for i, record in enumerate(self.records()):
            if i == 0:
                continue
            if len(record.fields) != len(self.names):
                raise InputError(f"{self.path}: row {i:,} has {len(record.fields)} fields where the heading has "
                                 f"{len(self.names)}; mend that line")  # fmt: skip
            held.append(record)
            if len(held) == CHUNK:
                yield first, held
                first, held = first + len(held), []
        if held:
            yield first, held
        elif first == 0:
            raise InputError(f"{self.path} has headings but no row")

    def frame(self, first: int, rows: list[Record]) -> pd.DataFrame:
        """Return rows as text."""
        columns = zip(*(record.fields for record in rows), strict=True)
        cells = {i: [unquoted(field) for field in column] for i, column in enumerate(columns)}
        frame = pd.DataFrame(cells, index=range(first, first + len(rows)), dtype=object)
        frame.columns = pd.Index(self.names)
        return frame

    def chunks(self) -> Iterator[pd.DataFrame]:
        for first, rows in self.rows():
            yield self.frame(first, rows)

    def rewrite(self, outs: Sequence[Path], fill: Fill) -> None:
        with ExitStack() as stack:
            files = [stack.enter_context(self.writer(out)) for out in outs]
            heading = next(self.records())
            for file in files:
                file.write(self.delimiter.join(heading.fields) + (heading.end or "\n"))
            for first, rows in self.rows():
                for file, way in zip(files, fill(self.frame(first, rows), first), strict=True):
                    self.put(rows, way)
                    file.write("".join(self.delimiter.join(record.fields) + record.end for record in rows))

    @contextmanager
    def writer(self, out: Path) -> Iterator[io.TextIOWrapper]:
        """Open a file of text to write."""
        with replaced(out) as part, opened(part, "wb", out.name.lower().endswith(".gz")) as raw:
            file = io.TextIOWrapper(raw, encoding=self.encoding, newline="")
            yield file
            file.flush()
            file.detach()

    def put(self, rows: list[Record], way: Cells) -> None:
        """Put cells into their rows."""
        for name, (chosen, cells) in way.items():
            column = self.names.index(name)
            for i, cell in zip(chosen.nonzero()[0], cells, strict=True):
                rows[i].fields[column] = quoted(str(cell), self.delimiter)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading into one sentence."""
    try:
        yield
    except (EOFError, zlib.error):
        raise InputError(f"{path} is cut short: its compressed data ends early") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def opened(path: Path, mode: str, packed: bool | None = None) -> Any:
    """Open a file of bytes, packed by gzip or not."""
    packed = path.name.lower().endswith(".gz") if packed is None else packed
    # Without a time of its own, the same table packs to the same bytes.
    return gzip.GzipFile(path, mode, mtime=0) if packed else path.open(mode)


def text_encoding(path: Path) -> str:
    """Return utf-8 where a file is that to its end, latin-1 where it is not; a mark at the very start stays where it is.

    Raises:
        InputError: it is no text, or cut short.
    """
    decoder, start, decoded = codecs.getincrementaldecoder("utf-8")(), b"", True
    with readable(path), opened(path, "rb") as file:
        while block := file.read(LOOK):
            if b"\0" in block:
                raise InputError(f"{path} is no table: it holds bytes that no text has")
            start = start or block[:3]
            decoded = decoded and decodes(decoder, block)
    if not (decoded and decodes(decoder, b"", True)):
        return "latin-1"
    return "utf-8-sig" if start == codecs.BOM_UTF8 else "utf-8"


def decodes(decoder: codecs.IncrementalDecoder, block: bytes, final: bool = False) -> bool:
    """Whether bytes go on as text."""
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def is_number(text: str) -> bool:
    """Whether text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- Parquet ---------------------------------------------------------------------------------------


@dataclass
class ParquetTable(Table):
    """A Parquet file; types and metadata of its schema are kept."""

    path: Path

    def file(self) -> Any:
        """Open the file.

        Raises:
            InputError: it is no Parquet file, or cut short.
        """
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self.path} is no Parquet file, or cut short ({str(error).split('.')[0]})") from None

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Yield record batches, each with the number of its first row."""
        first = 0
        batches = self.file().iter_batches(CHUNK)
        while batch := self.next_of(batches):
            if batch.num_rows:
                yield first, batch
                first += batch.num_rows
        if first == 0:
            raise InputError(f"{self.path} has no row")

    def next_of(self, batches: Iterator[Any]) -> Any:
        """Return the next record batch, or None.

        Raises:
            InputError: it cannot be read.
        """
        import pyarrow

        try:
            return next(batches, None)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self.path} is damaged ({str(error).split('.')[0]})") from None

    def chunks(self) -> Iterator[pd.DataFrame]:
        for first, batch in self.batches():
            yield frame_of(batch, first)

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
                for writer, way in zip(writers, fill(frame_of(batch, first), first), strict=True):
                    writer.write_batch(reduce(with_cells, way.items(), batch))


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


def frame_of(batch: Any, first: int) -> pd.DataFrame:
    """Return a record batch as a DataFrame whose index counts on from `first`; whole numbers stay whole beside holes."""
    import pyarrow

    whole = {pyarrow.int8(): pd.Int8Dtype(), pyarrow.int16(): pd.Int16Dtype(), pyarrow.int32(): pd.Int32Dtype(),
             pyarrow.int64(): pd.Int64Dtype(), pyarrow.bool_(): pd.BooleanDtype()}  # fmt: skip
    frame = batch.to_pandas(types_mapper=whole.get)
    frame.index = range(first, first + len(frame))
    return frame


def for_arrow(cell: Any, kind: Any) -> Any:
    """Return a cell as an Arrow type takes it."""
    import pyarrow.types as types

    if types.is_decimal(kind):
        return Decimal(str(cell)).quantize(Decimal(1).scaleb(-kind.scale), context=Context(prec=kind.precision))
    return cell.date() if types.is_date(kind) and isinstance(cell, datetime) else cell
