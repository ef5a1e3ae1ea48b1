"""Records from whatever a person named: a table, a folder with a file a run, or the built-in plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from genloom.data.options import Options as AnyOptions
from genloom.data.options import RecordOptions, SeriesOptions
from genloom.data.series.dataset import HELD
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
OWN = tuple(name for name in vars(RecordOptions)["__annotations__"])


class SeriesSource(TableSource):
    """A record: rows in the order of time, of one run or of many."""

    wanted: ClassVar = "a table with a column of times, a folder with such a file for each run, or `plant`"
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


def rows_of(name: str, options: SeriesOptions) -> tuple[pd.DataFrame, SeriesOptions]:
    """Return the rows of a table, of a folder with a file a run, or of the built-in plant, and what is said of them.

    Raises:
        InputError: there is no table, or files of a folder have other columns than the first.
    """
    import pandas as pd

    from genloom.data.series.plant import plant
    from genloom.data.tables.files import find_table

    if name == BUILTIN and not Path(name).exists():
        return plant(), options
    if kind_of(named(name)) != "folder":
        return pd.concat(list(bounded(find_table(name).chunks(), name))), options
    files = sorted(path for path in named(name).iterdir() if path.name.lower().endswith(TABLE_SUFFIXES))
    if not files:
        raise InputError(f"{name} holds no {' or '.join(TABLE_SUFFIXES)} file: a folder of runs has one for each")
    frames = [pd.concat(list(bounded(find_table(path).chunks(), str(path)))) for path in files]
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
