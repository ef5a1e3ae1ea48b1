"""Rows in the order of time: which column says when, which run a row is of, how far apart rows are, where there are gaps.

Rows are laid onto a grid of even steps, run by run. Places of the grid without a row are unknown; where many follow each
other, the stretch ends and another begins, so that nothing is learnt across a gap.
"""

# n rows, N places of the grid, D columns that a model learns

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from genloom.data.options import SeriesOptions
from genloom.data.tables.layout import Layout, known_cells, missing_words, study_column
from genloom.errors import InputError, nearest
from genloom.shapes.columns import Bits, Column, Numbers, Places

TIMES = ("time", "timestamp", "datetime", "date", "t", "ts", "stamp", "seconds", "zeit", "datum")
GROUPS = ("run", "batch", "campaign", "unit", "cycle", "experiment")
IN_ROWS = "row"  # of --time: rows follow each other at even steps
LONG_GAP = 20  # steps without a row from which on a stretch ends
BACK = 0.2  # of the rows, from which on a column that goes back says no time
UNEVEN = 0.05  # of a step, by which a stamp may miss its place before that is worth a note


@dataclass(frozen=True)
class Clockwork:
    """When rows are, and what each is a row of.

    Attributes:
        seconds: of each row `[n]`; of a date, since 1970.
        runs: the name of each run, and `run [n]`, which of them a row is of.
        time, group: the columns that say so, None where no column does.
    """

    seconds: Numbers
    run: Places
    runs: tuple[str, ...]
    time: str | None
    group: str | None

    @property
    def groups(self) -> Iterator[tuple[int, Places]]:
        """Yield each run's number and the places of its rows, in their order."""
        for number in range(len(self.runs)):
            yield number, np.flatnonzero(self.run == number)


@dataclass
class Record:
    """A record on a grid of even steps.

    Attributes:
        codes: of the columns that models learn `[N, D]`, 0 where unknown; `mask [N, D]`, what is known.
        seconds: of each place `[N]`; `run [N]`, of which run; `stretch [N]`, of which stretch without a long gap.
        runs: names of the runs.
        step: seconds from place to place.
        layout: what each column of the person's table is.
        notes: what a person should know of how it was read.
    """

    codes: Numbers
    mask: Bits
    seconds: Numbers
    run: Places
    stretch: Places
    runs: tuple[str, ...]
    step: float
    layout: Layout
    clockwork: Clockwork
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
    clockwork = wind(frame, options, name)
    refuse_disorder(clockwork, name)
    layout = layout_of(frame, options, clockwork)
    if not layout.learnt:
        raise InputError(
            f"{name} has no tag to learn from: " + "; ".join(f"{each.name!r}: {each.why}" for each in layout.fields)
        )
    step = options.step or usual_step(clockwork, name)
    return on_grid(layout.encode(frame, layout.known(frame)), clockwork, step, layout)


def layout_of(frame: pd.DataFrame, options: SeriesOptions, clockwork: Clockwork) -> Layout:
    """Return what each column is; that of the time and that of the run are no tags."""
    keys = [column for column in (clockwork.time, clockwork.group) if column is not None]
    return Layout.study(frame, options.kind, missing_words(options.missing, options.known), keys)


# -- when rows are ---------------------------------------------------------------------------------


def wind(frame: pd.DataFrame, options: SeriesOptions, name: str) -> Clockwork:
    """Return when each row is, and which run it is of.

    Raises:
        InputError: no column says when, two could, or a stamp is missing or cannot be read.
    """
    if len(frame) < 2:
        raise InputError(f"{name} has no run of more than one row")
    names = [str(column) for column in frame.columns]
    group = chosen(options.group, names, "group") or next((known for known in names if known.lower() in GROUPS), None)
    time = time_column(frame, options, names, group, name)
    if time is None:
        seconds = np.zeros(len(frame))
    else:
        cells = frame[time]
        known = known_cells(cells, missing_words(options.missing, options.known))
        if not known.all():
            row = int(np.flatnonzero(~known)[0])
            rest = "the rows from there on are empty: cut them off" if not known[row:].any() else "leave that row out"
            raise InputError(f"{name}: the time in row {row + 1:,} is missing; {rest}")
        seconds = read_times(time, cells, known, options.kind.get(time))
    if group is None:
        return in_time(Clockwork(seconds, np.zeros(len(frame), np.int64), (name,), time, None), name)
    codes, runs = pd.factorize(frame[group])
    if (codes < 0).any():
        raise InputError(f"{name}: row {int(np.flatnonzero(codes < 0)[0]) + 1:,} names no {group}")
    return in_time(Clockwork(seconds, codes.astype(np.int64), tuple(map(str, runs)), time, group), name)


def in_time(clockwork: Clockwork, name: str) -> Clockwork:
    """Return when rows are, counted from 0 on where no column says it.

    Raises:
        InputError: so many rows go back that the column says no time.
    """
    back = 0
    for _, rows in clockwork.groups:
        if clockwork.time is None:
            clockwork.seconds[rows] = np.arange(len(rows))
        back += int((np.diff(clockwork.seconds[rows]) < 0).sum())
    if back > BACK * len(clockwork.seconds):
        raise InputError(
            f"{name}: {clockwork.time} goes back in {back:,} of {len(clockwork.seconds):,} rows, so it says no time, unless "
            "rows are of several runs: name the column of times by --time, that of runs by --group"
        )
    return clockwork


def chosen(said: str | None, names: Sequence[str], flag: str) -> str | None:
    """Return a column that a person named; InputError where there is none."""
    if said is not None and said not in names:
        raise InputError(f"--{flag} names no column: there is no {said!r}{nearest(said, names)}")
    return said


def time_column(
    frame: pd.DataFrame, options: SeriesOptions, names: Sequence[str], group: str | None, name: str
) -> str | None:
    """Return the column that says when, or None where a person says that rows follow each other at even steps."""
    if options.time == IN_ROWS and IN_ROWS not in names:
        return None
    if options.time is not None:
        return chosen(options.time, names, "time")
    called = [column for column in names if column.lower() in TIMES and column != group]
    if not called:
        words = missing_words(options.missing, options.known)
        called = [column for column in names if column != group and is_dates(frame[column], words)]
    if len(called) == 1:
        return called[0]
    if called:
        raise InputError(f"{name}: {' or '.join(called)} may say when a row is: say --time {called[0]}")
    raise InputError(f"{name} has no column that says when a row is: say --time NAME, or --time row for rows at even steps")


def is_dates(cells: pd.Series, missing: frozenset[str]) -> bool:
    """Whether a column holds dates."""
    try:
        found = study_column("", cells, known_cells(cells, missing), None)
    except InputError:
        return False
    return found.column is not None and found.column.kind == "date"


def read_times(time: str, cells: pd.Series, known: Bits, said: str | None) -> Numbers:
    """Return the stamps of rows as seconds: dates, or numbers as they are."""
    if pd.api.types.is_numeric_dtype(cells.dtype) and said is None:
        return cells.to_numpy(float)
    try:
        found = study_column(time, cells, known, said)
    except InputError as error:
        raise InputError(f"{error}".replace("--kind.", "--time says when; --kind.")) from None
    if found.role == "constant":
        raise InputError(f"column {time!r}, which is to say when a row is, says the same in all of them")
    if found.column is None and found.why.startswith("an identifier"):
        return found.numbers(cells)
    if found.column is None or found.column.categories:
        raise InputError(
            f"column {time!r} is to say when a row is, and holds {found.why or 'words'}: name another by --time"
        )
    return found.read(cells, known)


def disorder(clockwork: Clockwork) -> list[tuple[int, str, str]]:
    """Return rows whose stamp is before that of the row above in their run, or the same: the row, which, and of what run."""
    found = []
    for number, rows in clockwork.groups:
        steps = np.diff(clockwork.seconds[rows])
        of = f" of run {clockwork.runs[number]}" if clockwork.group else ""
        found += [(int(rows[i + 1]), "before" if steps[i] < 0 else "the same as", of) for i in np.flatnonzero(steps <= 0)]
    return sorted(found)


def refuse_disorder(clockwork: Clockwork, name: str) -> None:
    """Raise InputError where stamps of a run go back or come twice."""
    for row, said, of in disorder(clockwork):
        raise InputError(
            f"{name}: the time in row {row + 1:,}{of} is {said} that of the row above it: sort the rows, leave one of the "
            "two out, or name the column of the run with --group"
        )


def usual_step(clockwork: Clockwork, name: str) -> float:
    """Return the usual seconds from row to row."""
    steps = np.concatenate([np.diff(clockwork.seconds[rows]) for _, rows in clockwork.groups])
    if not len(steps):
        raise InputError(f"{name} has no run of more than one row")
    return float(np.median(steps))


# -- onto the grid ---------------------------------------------------------------------------------


def on_grid(codes: Numbers, clockwork: Clockwork, step: float, layout: Layout) -> Record:
    """Lay rows onto a grid of even steps; numbers that fall onto one place are averaged, of categories the last stays."""
    parts: dict[str, list[np.ndarray]] = {"codes": [], "seconds": [], "run": [], "stretch": []}
    shared = moved = stretches = 0
    numbers = np.array([not column.categories for column in layout.learnt])
    for number, rows in clockwork.groups:
        exact = (clockwork.seconds[rows] - clockwork.seconds[rows[0]]) / step
        place = np.round(exact).astype(np.int64)
        moved += int((np.abs(exact - place) > UNEVEN).sum())
        shared += int((np.diff(place) == 0).sum())
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(place) > LONG_GAP) + 1):
            first, count = place[part[0]], int(place[part[-1]] - place[part[0]]) + 1
            parts["codes"].append(laid(codes[rows[part]], place[part] - first, count, numbers))
            parts["seconds"].append(clockwork.seconds[rows[0]] + step * (first + np.arange(count)))
            parts["run"].append(np.full(count, number))
            parts["stretch"].append(np.full(count, stretches))
            stretches += 1
    whole = {key: np.concatenate(values) for key, values in parts.items()}
    mask = np.isfinite(whole["codes"])
    notes = []
    if moved:
        notes.append(f"{moved:,} of {len(codes):,} rows do not lie at even steps of {step:g} s: moved to the nearest")
    if shared:
        notes.append(f"{shared:,} rows share a step of {step:g} s with another: averaged (--step takes a smaller one)")
    if (empty := int((~mask.any(1)).sum())) and len(mask):
        notes.append(f"{empty:,} places of the grid have no row, and are unknown")
    codes = np.where(mask, whole["codes"], 0)
    rest = clockwork.runs, step, layout, clockwork, notes
    return Record(codes, mask, whole["seconds"], whole["run"], whole["stretch"], *rest)


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
