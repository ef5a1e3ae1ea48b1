"""Records from whatever a person named: a table, a folder with a file a run, or the built-in plant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from genloom.data.options import Options as AnyOptions
from genloom.data.options import RecordOptions, SeriesOptions
from genloom.data.series.dataset import HELD
from genloom.data.tables.database import is_address
from genloom.data.tables.load import TABLE_SUFFIXES, TableSource, bounded
from genloom.errors import InputError
from genloom.reading import kind_of, named
from genloom.shapes.base import Shape
from genloom.shapes.series import SeriesShape

if TYPE_CHECKING:
    import pandas as pd

    from genloom.data.series.dataset import SeriesData
    from genloom.data.series.record import Record

BUILTIN = "plant"
USUAL = 60  # rows of a window, where nobody says how many; less where runs are shorter than three of them
CELL = 30  # bytes that a cell takes as text, and coded
OWN = tuple(name for name in vars(RecordOptions)["__annotations__"])


class SeriesSource(TableSource):
    """A record: rows in the order of time, of one run or of many."""

    wanted: ClassVar = (
        "a table with a column of times, a folder with such a file for each run, a table of a database such as "
        "sqlite:///plant.db#readings, or `plant`"
    )
    Options: ClassVar[type[AnyOptions]] = SeriesOptions
    options: SeriesOptions

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        return bool(given.keys() & set(OWN)) or (name == BUILTIN and not Path(name).exists()) or holds_tables(name)

    def shape(self) -> SeriesShape:  # type: ignore[override]
        """Return what a window is; all rows are read for it."""
        return self.data.shape

    def load(self, shape: Shape | None = None) -> SeriesData:  # type: ignore[override]
        """Return the windows."""
        return self.data

    @cached_property
    def record(self) -> Record:
        """The rows on a grid of even steps; InputError where there is no such record."""
        from genloom.data.series.record import read_record

        frame, options = rows_of(self.name, self.options)
        return read_record(frame, options, self.name)

    @cached_property
    def data(self) -> SeriesData:  # type: ignore[override]
        """The windows of the record."""
        from genloom.data.series.dataset import SeriesData

        record, index = self.record, self.record.index
        data = SeriesData.of(record, self.options.window or usual_window(record), self.name, self.options.condition)
        runs = f", {len(index.runs):,} runs by {index.group}" if index.group else ""
        data.notes.insert(0, f"rows by {index.time}{runs}" if index.time else f"rows as they follow each other{runs}")
        left = [each for each in record.layout.fields if each.column is None and each.name not in (index.time, index.group)]
        data.notes += [f"{each.name} is left out: {each.why}" for each in left]
        return data


def usual_window(record: Record) -> int:
    """Return the rows of a window where nobody says how many: 60, but a third of the stretch that a usual row is of.

    Where the ends of stretches are held out, for there are few runs, it is a sixth: a window must fit there.
    """
    sizes = np.bincount(record.stretch)
    share = 3 if len(record.index.runs) >= HELD else 6
    return min(USUAL, max(2, int(np.median(np.repeat(sizes, sizes))) // share))


def holds_tables(name: str) -> bool:
    """Whether a folder holds tables and nothing else."""
    if kind_of(named(name)) != "folder":
        return False
    files = [path.name.lower() for path in named(name).iterdir() if not path.name.startswith(".")]
    return bool(files) and all(each.endswith(TABLE_SUFFIXES) for each in files)


def compact(chunks: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield parts of a table with text held as Arrow does: a tenth of the memory that text of Python's takes."""
    import pandas as pd

    for frame in chunks:
        yield frame.apply(lambda cells: cells.astype(pd.StringDtype("pyarrow")) if is_plain_text(cells) else cells)


def is_plain_text(cells: pd.Series) -> bool:
    """Whether a column holds Python's text and nothing else."""
    return cells.dtype == object and all(isinstance(cell, str) for cell in cells)


def rows_of(name: str, options: SeriesOptions) -> tuple[pd.DataFrame, SeriesOptions]:
    """Return the rows of a table, of a folder with a file a run, or of the built-in plant, and what is said of them.

    Raises:
        InputError: there is no table, or files of a folder have other columns than the first.
    """
    import pandas as pd

    from genloom.data.series.plant import plant
    from genloom.data.tables.files import find_table, rows_of_table

    if name == BUILTIN and not Path(name).exists():
        return plant(), options
    if is_address(name) or kind_of(named(name)) != "folder":
        return pd.concat(list(bounded(compact(rows_of_table(name)), name, CELL))), options
    files = sorted(path for path in named(name).iterdir() if path.name.lower().endswith(TABLE_SUFFIXES))
    if not files:
        raise InputError(f"{name} holds no {' or '.join(TABLE_SUFFIXES)} file: a folder of runs has one for each")
    frames = [pd.concat(list(bounded(compact(find_table(path).chunks()), str(path), CELL))) for path in files]
    columns = [list(map(str, frame.columns)) for frame in frames]
    for path, own in zip(files, columns, strict=True):
        if odd := set(own) ^ set(columns[0]):
            raise InputError(f"{path} and {files[0]} differ in the column {sorted(odd)[0]!r}: runs have the same columns")
    if options.group is not None:  # a column of the files says it, or nothing does
        return pd.concat(frames, ignore_index=True), options
    group = next(each for each in ("run", "file", "run file") if each not in columns[0])
    for path, frame in zip(files, frames, strict=True):
        frame.insert(0, group, path.name)
    return pd.concat(frames, ignore_index=True), replace(options, group=group)
