"""Follow a record while it grows, a file or a table of a database, and tell alarms as they begin and end."""

from __future__ import annotations

import io
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genloom.data.options import SeriesOptions
from genloom.data.series.applied import as_record
from genloom.data.tables import database
from genloom.data.tables.csv import CsvTable
from genloom.data.tables.files import find_table
from genloom.errors import InputError
from genloom.use.series.card import instant, reasons
from genloom.use.series.deviation import TOGETHER, Deviation, Watch, scored_places

HELD = 4  # windows of rows that are kept to score the next ones by
STEP = 50_000  # rows scored at once
Alarm = dict[str, Any]


class Growing(ABC):
    """What grows."""

    name: str

    @abstractmethod
    def new(self) -> pd.DataFrame | None:
        """Return the rows that have come since the last call, or None; InputError where it no longer grows but shrinks."""


class GrowingFile(Growing):
    """A .csv file that whole lines are appended to; a line that has no end yet is not read."""

    def __init__(self, name: str) -> None:
        table = find_table(name)
        if not isinstance(table, CsvTable) or Path(name).suffix.lower() not in (".csv", ".tsv"):
            raise InputError(f"--follow reads a .csv file that grows, or a table of a database, and {name} is neither")
        self.name, self.table, self.read, self.started = name, table, 0, False

    def new(self) -> pd.DataFrame | None:
        path = self.table.path
        try:
            size = path.stat().st_size
            if size < self.read:
                raise InputError(
                    f"{self.name} has become shorter, {size:,} bytes where {self.read:,} were read: rows that were scored "
                    "are gone; follow the new file anew"
                )
            with path.open("rb") as file:
                file.seek(self.read)
                data = file.read(size - self.read)
        except OSError as error:
            raise InputError(
                f"{self.name} can no longer be read ({error.strerror}): follow it anew once it is there"
            ) from None
        data = data[: data.rfind(b"\n") + 1]
        self.read += len(data)
        text = data.decode(self.table.encoding, "replace")
        if not self.started:
            heading, _, text = text.partition("\n")
            self.started = bool(heading)
        if not text.strip():
            return None
        names = self.table.names
        form = {"sep": self.table.delimiter, "names": names, "dtype": str, "keep_default_na": False, "index_col": False}
        try:
            return pd.read_csv(io.StringIO(text), **form)
        except pd.errors.ParserError as error:
            raise InputError(f"{self.name}: a line that was appended is no row of {len(names)} fields ({error})") from None


class GrowingTable(Growing):
    """A table of a database that rows are added to, read in the order of the time column."""

    def __init__(self, url: str, table: str, time_column: str) -> None:
        self.name, self.engine = table, database.engine_of(url)
        with database.told(url):
            self.table = database.find_table(self.engine, table)
        if time_column not in self.table.c:
            raise InputError(f"{table} has no column {time_column!r}, by which the run knows when a row is")
        self.time, self.last, self.count = self.table.c[time_column], None, 0
        self.held: set[tuple[Any, ...]] = set()  # rows of the last time that were read: others may come with the same

    def new(self) -> pd.DataFrame | None:
        import sqlalchemy as sql

        with database.told(self.name), self.engine.connect() as connection:
            count = connection.execute(sql.select(sql.func.count()).select_from(self.table)).scalar_one()
            if count < self.count:
                raise InputError(f"{self.name} has lost rows, {count:,} where {self.count:,} were: follow it anew")
            time = database.raw(self.time) if self.engine.dialect.name == "sqlite" else self.time
            wanted = database.raw_cells(self.engine, self.table).order_by(time)
            found = connection.execute(wanted if self.last is None else wanted.where(time >= self.last))
            rows = [row for row in found if tuple(row) not in self.held]
        self.count = count
        if not rows:
            return None
        self.last = rows[-1]._mapping[self.time.name]
        latest = {tuple(row) for row in rows if row._mapping[self.time.name] == self.last}
        self.held = latest if rows[0]._mapping[self.time.name] != self.last else self.held | latest
        return pd.DataFrame([dict(row._mapping) for row in rows])


def growing(name: str, watch: Watch) -> Growing:
    """Return what a person names as something that grows; InputError where it is nothing of the kind."""
    if database.is_address(name):
        return GrowingTable(*database.named_table(name), watch.shape.time)
    return GrowingFile(name)


def alarms_of(
    watch: Watch, source: Growing, every: float = 2.0, waiting: Callable[[float], Any] = time.sleep
) -> Iterator[Alarm]:
    """Yield an alarm when it begins and when it has ended, row by row as they come; does not end by itself.

    Args:
        waiting: called between looks; it may raise StopIteration, to end.
    """
    if not 0.01 <= every <= 86400:
        raise InputError(f"--every takes seconds from .01 to 86,400, got {every:g}")
    follower = Follower(watch, source.name)
    yield {"following": source.name, "rate": watch.bars.rate}
    while True:
        rows = source.new()
        if rows is not None:
            for begin in range(0, len(rows), STEP):
                yield from follower.take_what_can_be(rows.iloc[begin : begin + STEP])
        try:
            waiting(every)
        except StopIteration:
            return


class Follower:
    """Scores rows as they come, by those before them."""

    def __init__(self, watch: Watch, name: str) -> None:
        self.watch, self.name = watch, name
        self.tail = pd.DataFrame()
        self.dropped = 0  # rows before the tail
        self.calm: dict[str, int] = {}  # rows since the last one that was unusual, of runs that are alarmed
        self.options = SeriesOptions.of(dict(watch.loaded))

    def take_what_can_be(self, rows: pd.DataFrame) -> Iterator[Alarm]:
        """Score new rows as `take` does; tell of those that cannot be read, and leave them out."""
        tail = self.tail
        try:
            found = list(self.take(rows))
        except InputError as error:
            self.tail = tail
            if len(rows) == 1:
                yield {"alarm": "row left out", "why": str(error)}
                return
            for half in (rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]):
                yield from self.take_what_can_be(half)
            return
        yield from found

    def take(self, rows: pd.DataFrame) -> Iterator[Alarm]:
        """Score new rows, and yield what begins or ends with them."""
        window, new = self.watch.shape.window, len(self.tail)
        self.tail = pd.concat([self.tail, rows], ignore_index=True)
        if len(self.tail) <= 1:
            return
        record = as_record(self.tail, self.options, self.watch.shape, self.name)
        fresh = record.place[new:]
        if np.isin(scored_places(record, self.watch.shape), fresh).any():
            found = self.watch.score_record(record, self.name, int(fresh.min()))
            for row, place in enumerate(fresh, new):
                if np.isfinite(found.scores[place]):
                    yield from self.step(found, int(place), row)
        gone = max(0, len(self.tail) - max(window + 1, HELD * window * max(1, len(record.index.runs))))
        self.tail, self.dropped = self.tail.iloc[gone:].reset_index(drop=True), self.dropped + gone

    def step(self, found: Deviation, place: int, row: int) -> Iterator[Alarm]:
        """Yield what begins or ends with one row."""
        record, unusual = found.record, bool(found.scores[place] > 1)
        run = record.index.runs[record.run[place]]
        time = instant(record, place) if record.index.time else f"row {self.dropped + row + 1:,}"
        at: Alarm = {"time": time, "score": round(float(found.scores[place]), 3)}
        if record.index.group:
            at["run"] = run
        if unusual and run not in self.calm:
            told = list(reasons(found, place, place + 1)) or ["no tag by itself: how they go together"]
            tags = [found.columns[d].name for d, _ in found.blame(place, place + 1)]
            yield {"alarm": "begins", **at, "tags": tags, "look_at": told}
        if unusual:
            self.calm[run] = 0
        elif run in self.calm:
            self.calm[run] += 1
            if self.calm[run] > TOGETHER:
                del self.calm[run]
                yield {"alarm": "ended", **at}
