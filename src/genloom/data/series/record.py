"""Rows in the order of time: which column says when, which run a row is of, how far apart rows are, where there are gaps.

Rows are laid onto a grid of even steps, run by run. Places of the grid without a row are unknown; where many follow each
other, the stretch ends and another begins, so that nothing is learnt across a gap.
"""

# n rows, N places of the grid, D columns that a model learns

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from genloom.data.options import SeriesOptions
from genloom.data.series.stamps import column_dates, read_stamps
from genloom.data.tables.database import is_address
from genloom.data.tables.layout import Layout, known_cells, missing_words
from genloom.errors import InputError, nearest
from genloom.reading import refuse_large
from genloom.shapes.columns import Bits, Column, Numbers, Places

TIMES = ("time", "timestamp", "datetime", "date", "ts", "stamp", "seconds", "zeit", "datum")
GROUPS = ("run", "batch", "campaign", "cycle", "experiment")
IN_ROWS, NO_GROUP = "row", "none"  # of --time: rows follow each other at even steps; of --group: all rows are of one run
LEAST_RUN = 10  # rows of a run, on average, where nobody says that a column names runs
LONG_GAP = 20  # steps without a row from which on a stretch ends
UNEVEN = 0.05  # of a step, by which a stamp may miss its place before that is worth a note
BACK = 0.2  # of the rows, from which on a column that goes back says no time
MOST_STEPS = 2**53  # that a run may be long


@dataclass(frozen=True)
class TimeIndex:
    """When rows are, and what run each is of.

    Attributes:
        seconds: of each row `[n]`; of a date, since 1970.
        run: the number of each row's run `[n]`; `runs`, their names.
        time, group: the columns that say so, None where no column does.
    """

    seconds: Numbers
    run: Places
    runs: tuple[str, ...]
    time: str | None
    group: str | None

    @cached_property
    def rows_of_runs(self) -> list[Places]:
        """The places of each run's rows, in their order."""
        order = np.argsort(self.run, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.run, minlength=len(self.runs)))[:-1])

    @cached_property
    def out_of_order(self) -> list[tuple[int, str]]:
        """Rows whose stamp is before that of the row above in their run, or the same, and which of the two."""
        found = []
        for rows in self.rows_of_runs:
            steps = np.diff(self.seconds[rows])
            found += [(int(rows[i + 1]), "before" if steps[i] < 0 else "the same as") for i in np.flatnonzero(steps <= 0)]
        return sorted(found)

    @property
    def reversed(self) -> bool:
        """Whether rows run from the newest to the oldest."""
        return sum(said == "before" for _, said in self.out_of_order) > 0.9 * (len(self.seconds) - len(self.runs))

    @property
    def usual_step(self) -> float:
        """The usual seconds from row to row."""
        steps = np.concatenate([np.diff(self.seconds[rows]) for rows in self.rows_of_runs])
        return float(np.round(np.median(steps), 6))  # a date since 1970 is a number good to a quarter of a microsecond


@dataclass
class Record:
    """A record on a grid of even steps.

    Attributes:
        codes: of the columns that models learn `[N, D]`, 0 where unknown; `mask [N, D]`, what is known.
        seconds: of each place `[N]`; `run [N]`, of which run; `stretch [N]`, of which stretch without a long gap.
        step: seconds from place to place.
        layout: what each column of the person's table is.
        index: when its rows were; `place`, that of each row on the grid `[n]`.
        notes: what a person should know of how it was read.
    """

    codes: Numbers
    mask: Bits
    seconds: Numbers
    run: Places
    stretch: Places
    step: float
    layout: Layout
    index: TimeIndex
    place: Places
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that models learn."""
        return self.layout.learnt


def read_record(frame: pd.DataFrame, options: SeriesOptions, name: str) -> Record:
    """Return a table's rows as a record.

    Args:
        name: of the table, for sentences.

    Raises:
        InputError: no column says when, two could; stamps go back, come twice, or are missing; nothing is left to learn.
    """
    frame, index = in_time(frame, options, name)
    return on_grid(frame, options, index, name)


def in_time(frame: pd.DataFrame, options: SeriesOptions, name: str) -> tuple[pd.DataFrame, TimeIndex]:
    """Return rows and when they are; those of a database, which have no order of their own, sorted.

    Raises:
        InputError: as `read_record` has it.
    """
    sortable = is_address(name)
    index = time_index(frame, options, name, sortable)
    if sortable and index.out_of_order:
        frame = frame.iloc[np.lexsort((index.seconds, index.run))].reset_index(drop=True)
        index = time_index(frame, options, name)
    refuse_out_of_order(index, name)
    return frame, index


# -- when rows are ---------------------------------------------------------------------------------


def time_index(frame: pd.DataFrame, options: SeriesOptions, name: str, any_order: bool = False) -> TimeIndex:
    """Return when each row is, and which run it is of.

    Args:
        any_order: whether most rows may lie before the one above them.

    Raises:
        InputError: no column says when, two could, or a stamp is missing or cannot be read.
    """
    if len(frame) < 2:
        raise InputError(f"{name} has no run of more than one row")
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    words = missing_words(options.missing, options.known)
    run, runs, group = runs_of(frame, options, words, name)
    time = time_column(frame, options, group, words, name)
    if time is None:
        index = TimeIndex(np.zeros(len(frame)), run, runs, None, group)
        for rows in index.rows_of_runs:
            index.seconds[rows] = np.arange(len(rows)) * (options.step or 1.0)
        return index
    known = known_cells(frame[time], words)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        rest = "the rows from there on are empty: cut them off" if not known[row:].any() else "leave that row out"
        raise InputError(f"{name}: the time in row {row + 1:,} is missing; {rest}")
    index = TimeIndex(read_stamps(time, frame[time], options.kind.get(time)), run, runs, time, group)
    back = sum(said == "before" for _, said in index.out_of_order)
    if back > BACK * len(frame) and not index.reversed and not any_order:
        raise InputError(
            f"{name}: {time} goes back in {back:,} of {len(frame):,} rows, so it says no time, unless rows are of several "
            "runs: name the column of times by --time, that of runs by --group"
        )
    return index


def runs_of(
    frame: pd.DataFrame, options: SeriesOptions, words: frozenset[str], name: str
) -> tuple[Places, tuple[str, ...], str | None]:
    """Return the run of each row `[n]`, their names, and the column that says so."""
    names = list(frame.columns)
    if options.group == NO_GROUP and NO_GROUP not in names:
        group = None
    elif options.group is not None:
        group = chosen(options.group, names, "group")
    else:
        group = next((each for each in names if each.lower() in GROUPS and names_runs(frame[each])), None)
    if group is None:
        return np.zeros(len(frame), np.int64), (name,), None
    known = known_cells(frame[group], words)
    if not known.all():
        raise InputError(f"{name}: row {int(np.flatnonzero(~known)[0]) + 1:,} names no {group}")
    codes, runs = pd.factorize(frame[group])
    if len(runs) == len(frame):
        raise InputError(f"{name}: {group} is another in every row, so it names no runs: say --group NAME, or --group none")
    return codes.astype(np.int64), tuple(map(str, runs)), group


def names_runs(cells: pd.Series) -> bool:
    """Whether rows of one value lie together, and are many: else a column called `run` says whether something runs."""
    codes, values = pd.factorize(cells)
    turns = int((np.diff(codes) != 0).sum()) + 1
    return turns == len(values) and len(cells) >= LEAST_RUN * max(len(values), 1)


def chosen(said: str, names: Sequence[str], flag: str) -> str:
    """Return a column that a person named; InputError where there is none."""
    if said not in names:
        raise InputError(f"--{flag} names no column: there is no {said!r}{nearest(said, names)}")
    return said


def time_column(
    frame: pd.DataFrame, options: SeriesOptions, group: str | None, words: frozenset[str], name: str
) -> str | None:
    """Return the column that says when, or None where a person says that rows follow each other at even steps."""
    names = [column for column in frame.columns if column != group]
    if options.time == IN_ROWS and IN_ROWS not in names:
        return None
    if options.time is not None:
        return chosen(options.time, names, "time")
    called = sorted((column for column in names if column.lower() in TIMES), key=lambda each: TIMES.index(each.lower()))
    called = called or [column for column in names if column_dates(frame[column], words)]
    if [column.lower() for column in called] == ["time", "date"]:
        raise InputError(f"{name} has its dates in {called[1]} and the time of day in {called[0]}: make one column of both")
    if len(called) == 1:
        return called[0]
    if called:
        raise InputError(f"{name}: {' or '.join(called)} may say when a row is: say --time {called[0]}")
    raise InputError(f"{name} has no column that says when a row is: say --time NAME, or --time row for rows at even steps")


def refuse_out_of_order(index: TimeIndex, name: str) -> None:
    """Raise InputError where stamps of a run go back or come twice."""
    if index.out_of_order and index.reversed:
        raise InputError(f"{name} has its newest row first: sort the rows by {index.time}")
    for row, said in index.out_of_order:
        of = f" of run {index.runs[index.run[row]]}" if index.group else ""
        raise InputError(
            f"{name}: the time in row {row + 1:,}{of} is {said} that of the row above it: sort the rows, leave one of the "
            "two out, or name the column of the run with --group"
        )


# -- onto the grid ---------------------------------------------------------------------------------


def layout_of(frame: pd.DataFrame, options: SeriesOptions, index: TimeIndex, name: str) -> Layout:
    """Return what each column is; those of the time and of the run, and other dates, are no tags.

    Raises:
        InputError: no tag is left.
    """
    keys = [column for column in (index.time, index.group) if column is not None]
    layout = Layout.study(frame, options.kind, missing_words(options.missing, options.known), keys)
    fields = [
        replace(each, role="passed", why="dates", column=None) if each.column and each.column.kind == "date" else each
        for each in layout.fields
    ]
    layout = replace(layout, fields=tuple(fields))
    if not layout.learnt:
        left = "; ".join(f"{each.name!r}: {each.why}" for each in fields if each.name not in keys)
        raise InputError(f"{name} has no tag to learn from: {left}")
    return layout


def on_grid(
    frame: pd.DataFrame, options: SeriesOptions, index: TimeIndex, name: str, layout: Layout | None = None
) -> Record:
    """Lay rows onto a grid of even steps; numbers that fall onto one place are averaged, of categories the last stays.

    Args:
        layout: what the columns are, where that is known; else it is found out.

    Raises:
        InputError: there is no tag, the step makes no sense, or the grid would take too much memory.
    """
    layout, step = layout or layout_of(frame, options, index, name), options.step or index.usual_step
    exact = [(index.seconds[rows] - index.seconds[rows[0]]) / step for rows in index.rows_of_runs]
    if max(float(each[-1]) for each in exact) > MOST_STEPS:
        raise InputError(f"a step of {step:g} s is too small for {name}: its usual step is {index.usual_step:g} s")
    places = [np.round(each).astype(np.int64) for each in exact]
    parts = [np.split(np.arange(len(each)), np.flatnonzero(np.diff(each) > LONG_GAP) + 1) for each in places]
    ends = [[(each[part[0]], each[part[-1]]) for part in own] for each, own in zip(places, parts, strict=True)]
    counts = [[int(last - first) + 1 for first, last in own] for own in ends]
    if options.step and sum(map(len, parts)) > len(frame) / 2:
        raise InputError(f"--step {step:g} is far below the usual step of {name}, {index.usual_step:g} s")
    refuse_large(17 * len(layout.learnt) * sum(map(sum, counts)), f"{name} at even steps of {step:g} s")
    codes, numbers = layout.encode(frame, layout.known(frame)), np.array([not each.categories for each in layout.learnt])
    found: list[tuple[Numbers, Numbers, int]] = []
    on_it, begun = np.zeros(len(frame), np.int64), 0
    for number, rows in enumerate(index.rows_of_runs):
        for part, count in zip(parts[number], counts[number], strict=True):
            place = places[number][part]
            begins = index.seconds[rows[0]] + step * place[0]
            values = laid(codes[rows[part]], place - place[0], count, numbers)
            on_it[rows[part]] = begun + place - place[0]
            begun += count
            found.append((values, begins + step * np.arange(count), number))
    whole = np.concatenate([values for values, _, _ in found])
    sizes = [len(values) for values, _, _ in found]
    mask, run = np.isfinite(whole), np.repeat([number for _, _, number in found], sizes)
    moved = sum(int((np.abs(a - b) > UNEVEN).sum()) for a, b in zip(exact, places, strict=True))
    shared = sum(int((np.diff(each) == 0).sum()) for each in places)
    seconds, stretch = np.concatenate([each for _, each, _ in found]), np.repeat(np.arange(len(sizes)), sizes)
    notes = grid_notes(mask, moved, shared, len(frame), step)
    return Record(np.where(mask, whole, 0), mask, seconds, run, stretch, step, layout, index, on_it, notes)


def grid_notes(mask: Bits, moved: int, shared: int, rows: int, step: float) -> list[str]:
    """Say what was done to bring rows onto even steps."""
    notes = []
    if moved:
        notes.append(f"{moved:,} of {rows:,} rows do not lie at even steps of {step:g} s: moved to the nearest")
    if shared:
        notes.append(f"{shared:,} rows share a step of {step:g} s with another: averaged (--step takes a smaller one)")
    if empty := int((~mask.any(1)).sum()):
        notes.append(f"{empty:,} places of the grid have no row, and are unknown")
    return notes


def laid(codes: Numbers, place: Places, count: int, numbers: Bits) -> Numbers:
    """Return rows `[m, D]` at their places of `count`, not-a-number elsewhere."""
    out = np.full((count, codes.shape[1]), np.nan)
    out[place] = codes  # of rows that share a place the last stays
    if (np.diff(place) > 0).all():
        return out
    known = np.isfinite(codes)
    sums, counts = np.zeros_like(out), np.zeros_like(out)
    np.add.at(sums, place, np.where(known, codes, 0))
    np.add.at(counts, place, known)
    with np.errstate(invalid="ignore"):
        out[:, numbers] = (sums / counts)[:, numbers]
    return out
