"""CSV files, read and written some rows at a time; every byte that is not touched is kept."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genloom.data.tables.base import CHUNK, Cells, Fill, Table, refuse_wide
from genloom.data.tables.records import LONGEST, Record, agreement, quoted, split_lines, unquoted
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import found

DELIMITERS = ",;\t|"

LOOK = 1 << 16  # bytes that are looked at at once; from the first of them the delimiter is found out


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
        found(path, "table")
        with readable(path), opened(path, "rb") as file:
            start = file.read(LOOK)
        encoding = text_encoding(path)
        lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", start.decode(encoding, "replace"))
        if not lines or not lines[0].strip():
            raise InputError(
                f"{path} begins with an empty line: a table's first line names its columns"
                if lines
                else f"{path} is empty: a table begins with a line of headings"
            )
        # Where no mark stands in the heading there is a single column, of numbers with commas perhaps.
        marks = [mark for mark in DELIMITERS if mark in lines[0]] or [
            mark for mark in DELIMITERS if not any(mark in line for line in lines)
        ]
        delimiter = max(marks or ",", key=lambda mark: agreement(lines[:50], mark))
        table = cls(path, delimiter, encoding, [])
        heading = next(table.records())
        names = [unquoted(field).strip() for field in heading.fields]
        # pandas, where nobody names the columns, calls them 0, 1, 2 ...
        if all(is_number(field) for field in heading.fields) and names != [str(i) for i in range(max(2, len(names)))]:
            raise InputError(
                f"{path} begins with numbers: its first line must name the columns, in quotes where the names are numbers"
            )
        refuse_wide(len(names), path)
        # Spreadsheets leave columns without a heading behind the last one.
        table.names = [name or f"column {i + 1}" for i, name in enumerate(names)]
        return table

    def records(self) -> Iterator[Record]:
        """Yield the heading and the rows, raw.

        Raises:
            InputError: the file is cut short, is no text, or a quote is never closed.
        """
        last: Record | None = None
        with readable(self.path), io.TextIOWrapper(opened(self.path, "rb"), encoding=self.encoding, newline="") as file:
            for record in split_lines(lines_of(file, self.path), self.delimiter):
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
                raise InputError(
                    f"{self.path}: row {i:,} has {len(record.fields)} fields where the heading has "
                    f"{len(self.names)}; mend that line"
                )
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


def lines_of(file: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Yield the lines of a file; InputError for one that no table has: it would be held whole."""
    while line := file.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise InputError(f"{path} is no table: it has a line of more than {LONGEST:,} letters")
        yield line


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
                raise InputError(f"{path} is no table: it holds bytes that no text has; save it as UTF-8 where it is text")
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
