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
from genloom.data.series.load import rows_of
from genloom.data.series.record import LONG_GAP, Record, TimeIndex, on_grid, time_index
from genloom.files import replaced
from genloom.shapes.columns import Bits, Column, Numbers, Places
from genloom.shapes.series import SINCE_1970
from genloom.use.report.plot import figure

FLAT, FLAT_TIMES = 30, 20  # rows, and times the usual, that a value must stay before a sensor counts as stuck
DIFFERENT = 10  # values from which on a tag is measured, not set
BLOCKS = 40  # parts of a record
UNITS, CLOSE = (60.0, 100.0, 1000.0, 3600.0, 1e6), 0.1  # by which units differ, and how closely a change must be as much
FAR = 20.0  # times the spread of the middle half
MENDED = {"before": "put in order", "the same as": "left out"}
TREND, DRIFT = 0.9, 3.0  # share of the parts' spread that a line explains; how many times the spread within it goes
SHOWN, WIDE = 24, 1500  # tags that are drawn, and places of the drawing along time


@dataclass
class Findings:
    """What the doctor found.

    Attributes:
        record: the rows on a grid of even steps.
        lines: sentences on the whole.
        tags: of each column a model would learn: its name, what it is, how much is known, its range, and what looks wrong.
        flat: by tag, the stretches in which its sensor seems stuck, as places of the grid.
    """

    record: Record
    lines: list[str] = field(default_factory=list)
    tags: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    flat: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def check_record(name: str, options: SeriesOptions) -> Findings:
    """Look at a record and say what was found; rows out of order are named, and put in order.

    Raises:
        InputError: there is no such table, no column says when rows are, or there is no tag.
    """
    frame, options = rows_of(name, options)
    index, wrong = time_index(frame, options, name), []
    if index.out_of_order:
        wrong = list(out_of_order(index))
        frame = frame.iloc[np.lexsort((index.seconds, index.run))].reset_index(drop=True)
        index = time_index(frame, options, name)
        frame = frame.drop(index=[row for row, _ in index.out_of_order]).reset_index(drop=True)
        index = time_index(frame, options, name)
    record = on_grid(frame, options, index, name)
    found = Findings(record, [*overview(name, len(frame), record), *wrong, *record.notes, *gaps(record), *fixed(record)])
    found.lines += [
        f"{each.name} is left out: {each.why}"
        for each in record.layout.fields
        if each.column is None and each.name not in (index.time, index.group)
    ]
    found.tags = [describe_tag(found, column, d) for d, column in enumerate(record.columns)]
    return found


def overview(name: str, rows: int, record: Record) -> Iterator[str]:
    """Say how long the record is."""
    index = record.index
    runs = f" of {counted(len(index.runs), 'run')} by {index.group}" if index.group else ""
    every = f"one every {record.step:g} s" if index.time else "which follow each other at even steps"
    if index.time and record.seconds.max() > SINCE_1970:
        every += f", from {date_of(record.seconds.min())} to {date_of(record.seconds.max())}"
    yield f"{name}: {counted(rows, 'row')}{runs}, {every}"


def counted(count: int, what: str) -> str:
    """Return how many there are, in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def date_of(seconds: float) -> str:
    """Return a date as a person reads it."""
    return str(pd.Timestamp(round(seconds), unit="s"))


def out_of_order(index: TimeIndex) -> Iterator[str]:
    """Say which stamps go back or come twice."""
    if index.reversed:
        yield "the newest row comes first: turned round here"
        return
    for said in ("before", "the same as"):
        rows = [row for row, what in index.out_of_order if what == said]
        if rows:
            first = ", ".join(f"{row + 1:,}" for row in rows[:3])
            there = f"row {first}" if len(rows) == 1 else f"{len(rows):,} rows ({first}{', ...' if len(rows) > 3 else ''})"
            yield f"the time of {there} is {said} that of the row above: {MENDED[said]} here"


def gaps(record: Record) -> Iterator[str]:
    """Say where the record has long gaps."""
    turns = gaps_of(record)
    if not len(turns):
        return
    spans = record.seconds[turns + 1] - record.seconds[turns]
    longest = turns[int(spans.argmax())]
    yield (
        f"{counted(len(turns), 'gap')} of more than {LONG_GAP} steps, which end a stretch; the longest, of "
        f"{spans.max():,.0f} s, begins at {stamp(record, longest)}"
    )


def gaps_of(record: Record) -> Places:
    """Return the last places before long gaps within runs."""
    return np.flatnonzero((np.diff(record.stretch) != 0) & (np.diff(record.run) == 0))


def stamp(record: Record, place: int) -> str:
    """Return when a place of the grid is, as a person reads it."""
    seconds = float(record.seconds[place])
    when = date_of(seconds) if seconds > SINCE_1970 else f"{seconds:g} s"
    return f"{when} of run {record.index.runs[record.run[place]]}" if record.index.group else when


def fixed(record: Record) -> Iterator[str]:
    """Name the columns that stay the same within every run: what a run was made with, not what happened in it."""
    if len(record.index.runs) < 2:
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
    share = f"{min(known.mean(), 0.999):.1%}" if not known.all() else "all"
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
    tail = int(np.argmax(known[::-1]))
    if tail > LONG_GAP:
        yield f"unknown in the last {tail:,} rows"
    begins, lengths = stretches((~known).astype(float), ~known, record.stretch)
    if len(lengths) and lengths.max() > max(LONG_GAP, tail):
        yield f"unknown for {lengths.max():,} rows from {stamp(record, int(begins[lengths.argmax()]))}"
    begins, lengths = stretches(values, known, record.stretch)
    flat = lengths >= max(FLAT, FLAT_TIMES * float(np.median(lengths)))
    if flat.any() and len(np.unique(values[known])) > DIFFERENT:
        found.flat[column.name] = [(int(a), int(a + n)) for a, n in zip(begins[flat], lengths[flat], strict=True)]
        longest = int((lengths * flat).argmax())
        more = f", and {counted(int(flat.sum()) - 1, 'more time')}" if flat.sum() > 1 else ""
        yield f"stuck for {lengths[longest]:,} rows from {stamp(record, begins[longest])}{more}"
    if odd := stand_in(values[known]):
        yield f"{odd[0]:g} stands far from all else in {odd[1]:,} rows: say --missing {odd[0]:g} if it means nothing"
    elif change := rescaled(values):
        way = "grows" if change[1] > 1 else "falls"
        yield f"{way} to {change[1]:.4g} times at {stamp(record, change[0])}: another unit?"
    elif len(record.index.runs) == 1 and (drift := drifted(values)):
        yield f"drifts by {drift:+.4g} over the record"


def stretches(values: Numbers, chosen: Bits, stretch: Places) -> tuple[Places, Places]:
    """Return where stretches of one value begin and how long they are, of chosen places alone; none goes across a gap."""
    change = np.flatnonzero((np.diff(values) != 0) | (np.diff(stretch) != 0)) + 1  # not-a-number differs from everything
    begins = np.concatenate([[0], change])
    lengths = np.diff(np.concatenate([begins, [len(values)]]))
    return begins[chosen[begins]], lengths[chosen[begins]]


def stand_in(known: Numbers) -> tuple[float, int] | None:
    """Return a value that comes often and far from all others, and how often: a mark for what is unknown, perhaps."""
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    far = known[np.abs(known - middle) > FAR * max(high - low, 1e-12 * max(abs(middle), 1.0))]
    if not 3 <= len(far) <= 0.2 * len(known) or high <= low:
        return None
    values, counts = np.unique(far, return_counts=True)
    return (float(values[counts.argmax()]), int(counts.max())) if counts.max() > 0.9 * len(far) else None


def parts_of(values: Numbers) -> list[Numbers]:
    """Return the known values of the parts of a record, in their order."""
    return [part[np.isfinite(part)] for part in np.array_split(values, BLOCKS)]


def rescaled(values: Numbers) -> tuple[int, float] | None:
    """Return where a tag is suddenly as much more or less as another unit makes it, and how many times; else None."""
    places = np.array_split(np.arange(len(values)), BLOCKS)
    middles = [float(np.median(np.abs(part))) if len(part) else np.nan for part in parts_of(values)]
    least = 1e-6 * float(np.nanmax(np.abs(values)))
    for i, (before, after) in enumerate(pairwise(middles)):
        if not min(before, after) > least:
            continue
        ratio = max(after / before, before / after)
        if any(abs(ratio / unit - 1) < CLOSE for unit in UNITS):
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
    turns, jumps = np.flatnonzero(np.diff(record.run)) + 1, gaps_of(record) + 1
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
        for begin, end in found.flat.get(column.name, ()):
            ax.axvspan(begin, end, color="tab:red", alpha=0.25, linewidth=0)
        for jump in jumps if len(jumps) <= 100 else ():
            ax.axvline(jump, color="tab:orange", linewidth=0.8, linestyle=":")
        for begin, end in unknown(known):
            ax.axvspan(begin, end, color="0.8", linewidth=0, zorder=0)
        ax.set_ylabel(column.name[:18], rotation=0, ha="right", va="center")
        ax.set_xlim(0, n)
        ax.tick_params(labelbottom=d == len(columns) - 1)
    ticks = np.linspace(0, n - 1, 6).astype(int)
    axes[-1, 0].set_xticks(ticks, [stamp(record, int(tick)) for tick in ticks])
    more = len(record.columns) - len(columns)
    page.suptitle(
        f"red: stuck; grey: unknown; dotted: a gap{f'; {more} more tags are not drawn' if more else ''}", fontsize=8
    )
    with replaced(path) as part:
        page.savefig(part)


def unknown(known: Any) -> Iterator[tuple[int, int]]:
    """Yield where long stretches of unknown values begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    yield from ((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > LONG_GAP)
