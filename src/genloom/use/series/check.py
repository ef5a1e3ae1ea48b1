"""The doctor of records: when rows are, where gaps are, what each tag does, and what looks wrong with it; and a plot."""

# n rows, N places of the grid

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genloom.data.options import SeriesOptions
from genloom.data.series.plant import plant
from genloom.data.series.record import LONG_GAP, Record, disorder, layout_of, on_grid, usual_step, wind
from genloom.data.tables.files import find_table
from genloom.data.tables.load import TABLE_SUFFIXES, bounded
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import kind_of, named
from genloom.shapes.columns import Column, Numbers
from genloom.use.report.plot import figure

BUILTIN, IN_FOLDER = "plant", "run"
STUCK, STUCK_TIMES = 30, 20  # rows, and times the usual, that a value must stay before a sensor counts as stuck
DIFFERENT = 50  # values from which on a tag is measured, not set
BLOCKS, JUMP = 40, 100.0  # parts of a record, and by how many times one may differ from the one before
TREND, DRIFT = 0.9, 3.0  # share of the parts' spread that a line explains; how many times the spread within it goes
SHOWN, WIDE = 24, 1500  # tags that are drawn, and places of the drawing along time


@dataclass
class Findings:
    """What the doctor found.

    Attributes:
        lines: sentences on the whole.
        tags: of each column a model would learn: its name, what it is, how much is known, its range, and what looks wrong.
        record: the rows on a grid of even steps.
    """

    record: Record
    lines: list[str] = field(default_factory=list)
    tags: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    stuck: dict[str, tuple[int, int]] = field(default_factory=dict)


def frame_of(name: str) -> pd.DataFrame:
    """Return the rows of a table in a file, of a folder with a file a run, or of the built-in plant.

    Raises:
        InputError: there is no table, or files of a folder have other columns than the first.
    """
    if name == BUILTIN:
        return plant()
    if kind_of(named(name)) != "folder":
        return pd.concat(list(bounded(find_table(name).chunks(), name)))
    files = sorted(path for path in named(name).iterdir() if path.name.lower().endswith(TABLE_SUFFIXES))
    if not files:
        raise InputError(f"{name} holds no {' or '.join(TABLE_SUFFIXES)} file: a folder of runs has one for each")
    frames = [pd.concat(list(bounded(find_table(path).chunks(), str(path)))) for path in files]
    names = [set(map(str, frame.columns)) for frame in frames]
    for path, frame, own in zip(files, frames, names, strict=True):
        if odd := own ^ names[0]:
            raise InputError(f"{path} and {files[0]} differ in the column {sorted(odd)[0]!r}: runs have the same columns")
        frame.insert(0, IN_FOLDER, path.name.split(".")[0])
    return pd.concat(frames, ignore_index=True)


def check_record(name: str, options: SeriesOptions) -> Findings:
    """Look at a record and say what was found; rows out of order are named, and put in order.

    Raises:
        InputError: there is no such table, no column says when rows are, or there is no tag.
    """
    frame = frame_of(name)
    clockwork = wind(frame, options, name)
    wrong = disorder(clockwork)
    if wrong:
        order = np.lexsort((clockwork.seconds, clockwork.run))
        frame = frame.iloc[order].reset_index(drop=True)
        clockwork = wind(frame, options, name)
        twice = [row for row, _, _ in disorder(clockwork)]
        frame = frame.drop(index=twice).reset_index(drop=True)
        clockwork = wind(frame, options, name)
    layout = layout_of(frame, options, clockwork)
    if not layout.learnt:
        raise InputError(f"{name} has no tag to learn from")
    step = options.step or usual_step(clockwork, name)
    record = on_grid(layout.encode(frame, layout.known(frame)), clockwork, step, layout)
    found = Findings(record)
    found.lines = [*overview(name, len(frame), record), *disordered(wrong), *record.notes, *gaps(record), *fixed(record)]
    found.lines += [
        f"{each.name} is left out: {each.why}"
        for each in layout.fields
        if each.column is None and each.name not in (clockwork.time, clockwork.group)
    ]
    for d, column in enumerate(record.columns):
        found.tags.append(describe_tag(found, column, d))
    return found


def overview(name: str, rows: int, record: Record) -> Iterator[str]:
    """Say how long the record is."""
    runs = f" of {len(record.runs):,} runs" if record.clockwork.group else ""
    every = f"one every {record.step:g} s" if record.clockwork.time else "which follow each other at even steps"
    ends = [record.seconds.min(), record.seconds.max()]
    if record.clockwork.time and ends[0] > 1e8:
        when = " to ".join(str(pd.Timestamp(round(end), unit="s")) for end in ends)
        every += f", from {when}"
    yield f"{name}: {rows:,} rows{runs}, {every}"


def disordered(wrong: list[tuple[int, str, str]]) -> Iterator[str]:
    """Say which stamps go back or come twice."""
    for said in ("before", "the same as"):
        rows = [row for row, what, _ in wrong if what == said]
        if rows:
            first = ", ".join(f"{row + 1:,}" for row in rows[:3])
            yield f"the time of {len(rows):,} rows is {said} that of the row above (rows {first}): `fit` refuses that"


def gaps(record: Record) -> Iterator[str]:
    """Say where the record has long gaps."""
    turns = np.flatnonzero((np.diff(record.stretch) != 0) & (np.diff(record.run) == 0))
    if not len(turns):
        return
    spans = record.seconds[turns + 1] - record.seconds[turns]
    longest = turns[int(spans.argmax())]
    yield (
        f"{len(turns):,} gaps of more than {LONG_GAP} steps, across which nothing is learnt; the longest, of "
        f"{spans.max():,.0f} s, begins at {stamp(record, longest)}"
    )


def stamp(record: Record, place: int) -> str:
    """Return when a place of the grid is, as a person reads it."""
    seconds = record.seconds[place]
    when = str(pd.Timestamp(round(seconds), unit="s")) if seconds > 1e8 else f"{seconds:g} s"
    return f"{when} of run {record.runs[record.run[place]]}" if record.clockwork.group else when


def fixed(record: Record) -> Iterator[str]:
    """Name the columns that stay the same within every run: what a run was made with, not what happened in it."""
    if len(record.runs) < 2:
        return
    names = []
    for d, column in enumerate(record.columns):
        known = record.mask[:, d]
        values = pd.Series(record.codes[known, d]).groupby(record.run[known])
        if (values.nunique() <= 1).all():
            names.append(column.name)
    if names:
        yield f"the same within every run: {', '.join(names)}"


# -- one tag ---------------------------------------------------------------------------------------


def describe_tag(found: Findings, column: Column, d: int) -> tuple[str, str, str, str, str]:
    """Return what a tag is, how much of it is known, its range, and what looks wrong."""
    record = found.record
    known = record.mask[:, d]
    share = f"{known.mean():.1%}" if known.mean() < 1 else "all"
    if column.categories:
        counts = np.bincount(record.codes[known, d].astype(int), minlength=column.levels)
        order = np.argsort(-counts)[:5]
        shown = ", ".join(f"{column.categories[i]} {counts[i] / counts.sum():.0%}" for i in order)
        return column.name, f"mode of {column.levels}", share, shown, ""
    values = record.codes[:, d] * column.scale + column.mean
    middle = np.median(values[known])
    remarks = list(remarks_on(found, column, np.where(known, values, np.nan)))
    return column.name, column.kind, share, f"{column.low:g} to {column.high:g}, mostly {middle:.4g}", "; ".join(remarks)


def remarks_on(found: Findings, column: Column, values: Numbers) -> Iterator[str]:
    """Say what looks wrong with a tag of numbers `[N]`, not-a-number where unknown."""
    record = found.record
    known = np.isfinite(values)
    missing = ~known
    tail = int(np.argmax(known[::-1]))
    if tail > LONG_GAP:
        yield f"unknown in the last {tail:,} rows"
    if missing.sum() > tail and missing.any() and (worst := longest_stay(missing.astype(float), missing))[1] > LONG_GAP:
        yield f"unknown for {worst[1]:,} rows from {stamp(record, worst[0])}"
    if len(np.unique(values[known])) > DIFFERENT:
        begins, count, usual = *longest_stay(values, known), usual_stay(values, known)
        if count >= max(STUCK, STUCK_TIMES * usual):
            found.stuck[column.name] = (begins, begins + count)
            yield f"stuck for {count:,} rows from {stamp(record, begins)}"
    if jump := jumped(values):
        yield f"{'grows' if jump[1] > 1 else 'falls'} to {jump[1]:.4g} times at {stamp(record, jump[0])}: another unit?"
    elif len(record.runs) == 1 and (drift := drifted(values)):
        yield f"drifts by {drift:+.4g} over the record"


def stays(values: Numbers, known: Any) -> tuple[Any, Any]:
    """Return where stretches of one value begin and how long they are, of known values alone."""
    change = np.flatnonzero(np.diff(values) != 0) + 1  # not-a-number differs from everything
    begins = np.concatenate([[0], change])
    lengths = np.diff(np.concatenate([begins, [len(values)]]))
    return begins[known[begins]], lengths[known[begins]]


def longest_stay(values: Numbers, known: Any) -> tuple[int, int]:
    """Return where the longest stretch of one value begins, and how long it is."""
    begins, lengths = stays(values, known)
    i = int(lengths.argmax())
    return int(begins[i]), int(lengths[i])


def usual_stay(values: Numbers, known: Any) -> float:
    """Return the median length of stretches of one value."""
    return float(np.median(stays(values, known)[1]))


def parts_of(values: Numbers) -> list[Numbers]:
    """Return the known values of the parts of a record, in their order, of parts with enough."""
    return [part[np.isfinite(part)] for part in np.array_split(values, BLOCKS)]


def jumped(values: Numbers) -> tuple[int, float] | None:
    """Return where a tag suddenly is many times what it was, and how many; None where it never is."""
    places = np.array_split(np.arange(len(values)), BLOCKS)
    middles = [float(np.median(np.abs(part))) if len(part) else np.nan for part in parts_of(values)]
    for i, (before, after) in enumerate(pairwise(middles)):
        if before > 0 and after > 0 and not 1 / JUMP < after / before < JUMP:
            both = np.concatenate([places[i], places[i + 1]])
            cut = np.sqrt(before * after)
            later = np.abs(values[both]) > cut if after > before else np.abs(values[both]) < cut
            return int(both[int(np.argmax(later))]), after / before
    return None


def drifted(values: Numbers) -> float | None:
    """Return by how much a tag goes one way over the record, where a line tells it; else None."""
    parts = [part for part in parts_of(values) if len(part)]
    if len(parts) < BLOCKS // 2:
        return None
    means, x = np.array([part.mean() for part in parts]), np.arange(len(parts))
    if means.std() == 0:
        return None
    slope = float(np.polyfit(x, means, 1)[0])
    told = float(np.corrcoef(x, means)[0, 1]) ** 2
    within = float(np.median([part.std() for part in parts]))
    change = slope * (len(parts) - 1)
    return change if told > TREND and abs(change) > DRIFT * within else None


# -- the plot --------------------------------------------------------------------------------------


def plot_record(found: Findings, path: Path) -> None:
    """Draw every tag over the record, one below the other: least to greatest of each place, modes as steps."""
    record, columns = found.record, found.record.columns[:SHOWN]
    page, axes = figure(1, [0.9] * len(columns), width=11.0)
    n = len(record.codes)
    edges = np.linspace(0, n, min(WIDE, n) + 1).astype(int)
    turns = np.flatnonzero(np.diff(record.run)) + 1
    for d, (column, ax) in enumerate(zip(columns, axes[:, 0], strict=True)):
        known = record.mask[:, d]
        values = np.where(known, column.plain(record.codes[:, d]), np.nan)
        if column.categories:
            ax.step(np.arange(n), values, where="post", linewidth=0.8, color="tab:purple")
            ax.set_yticks(range(min(column.levels, 8)), [str(name)[:12] for name in column.categories[:8]])
        else:
            low = np.fmin.reduceat(values, edges[:-1])
            high = np.fmax.reduceat(values, edges[:-1])
            ax.fill_between(edges[:-1], low, high, linewidth=0.6, color="tab:blue")
        for turn in turns if len(turns) <= 100 else ():
            ax.axvline(turn, color="0.85", linewidth=0.6, zorder=0)
        if column.name in found.stuck:
            ax.axvspan(*found.stuck[column.name], color="tab:red", alpha=0.25, linewidth=0)
        for begin, end in unknown(known):
            ax.axvspan(begin, end, color="0.8", linewidth=0, zorder=0)
        ax.set_ylabel(column.name[:18], rotation=0, ha="right", va="center")
        ax.set_xlim(0, n)
        ax.tick_params(labelbottom=d == len(columns) - 1)
    ticks = np.linspace(0, n - 1, 6).astype(int)
    axes[-1, 0].set_xticks(ticks, [stamp(record, int(tick)) for tick in ticks])
    with replaced(path) as part:
        page.savefig(part)


def unknown(known: Any) -> Iterator[tuple[int, int]]:
    """Yield where long stretches of unknown values begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    yield from ((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > LONG_GAP)
