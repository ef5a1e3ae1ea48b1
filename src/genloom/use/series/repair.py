"""Repair of a record: its missing cells filled in so that it goes on as it usually does, and by simple ways beside that.

The self-test makes gaps where cells are known, each a copy of a real gap at another time: as long, in the same columns.
Every method fills them; each column is then filled by the one that did best. Rows that a file lacks are not made.
"""

# n rows of the table, N places of the grid, T rows of a window, D columns

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from genloom.core.random import Noise, mix, signed, undisturbed
from genloom.data.options import SeriesOptions
from genloom.data.series.dataset import SeriesData
from genloom.data.series.record import Record, read_record
from genloom.data.tables.base import Cells
from genloom.data.tables.files import find_table
from genloom.data.tables.load import bounded
from genloom.errors import InputError
from genloom.files import replaced
from genloom.measures.chains import Ridge, Trees
from genloom.measures.fillers import Filler
from genloom.measures.holes import column_errors
from genloom.models.series.rtsgan import EACH, RTSGAN
from genloom.shapes.columns import Bits, Column, Numbers, Places
from genloom.use.tables.files import kind_of, plain_stem, suffixes

METHODS = ("line", "last value", "ridge", "trees", "rtsgan")
WINDOW, LEAST_WINDOW, NUMBERS = 48, 4, 160  # rows of a window, and numbers: as many as components are taken of them
TESTED, MOST_GAPS, TRIES = 0.15, 1000, 40  # share of a column's cells that is hidden at most, gaps, and places tried for one
ROWS = 20_000  # that tables' methods learn from
NINE_IN_TEN = 0.9
LOG = ("row", "column", "value", "low", "high", "method")


@dataclass
class SeriesRepair:
    """What a repair of a record did.

    Attributes:
        errors: of each method on hidden cells `[D]`: of numbers over the column's spread, of categories the wrong share.
        chosen: the method of each column, a line where nothing could be tested.
        reach: of each column, within which of the best guess nine in ten of the hidden numbers lay, in its units;
            not-a-number where nothing could be tested.
        hidden, filled: cells by column; `left`, why others are left as they are.
    """

    source: str
    rows: int
    columns: tuple[Column, ...]
    errors: dict[str, Numbers] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    reach: Numbers = field(default_factory=lambda: np.zeros(0))
    hidden: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)


def repair_record(
    source: str,
    out: str,
    options: SeriesOptions,
    draws: int = 0,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> SeriesRepair:
    """Fill the missing cells of a record in a file: written whole to `out`, with a log, and drawn versions where asked for.

    Raises:
        InputError: the record cannot be read or is too short to learn from, or a file cannot be written.
    """
    table, target = find_table(source), Path(out).expanduser()
    drawn = [target.with_name(f"{plain_stem(target)}.draw{i + 1}{''.join(suffixes(target))}") for i in range(draws)]
    log = target.with_name(f"{plain_stem(target)}.repairs.csv")
    if any(path.exists() and path.samefile(table.path) for path in (target, log, *drawn)):
        raise InputError(f"{source} would be written over by -o {out}, and is to stay as it is: name another file")
    if kind_of(target) != kind_of(table.path):
        raise InputError(f"{source} is {kind_of(table.path)}: name a file of the same kind after -o, not {target.name}")
    say("reading the record")
    record = read_record(pd.concat(list(bounded(table.chunks(), source))), options, source)
    outcome = SeriesRepair(source, len(record.place), record.columns)
    keys = (record.index.time, record.index.group)
    outcome.left = {e.name: e.why for e in record.layout.fields if e.column is None and e.name not in keys}
    if not gaps_of(record):
        with replaced(target) as part:
            shutil.copyfile(table.path, part)
        outcome.written = [str(target)]
        return outcome
    filler = RecordFiller(record, options.window, seed)
    say("self-test: gaps where cells are known")
    filler.test(outcome, say)
    say("filling in")
    best, versions = filler.fill(outcome, draws)
    with replaced(log) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(LOG)

        def fill(frame: pd.DataFrame, first: int) -> Iterator[Cells]:
            places = record.place[first : first + len(frame)]
            yield cells_of(record, best, frame, places, outcome, writer, first)
            for version in versions:
                yield cells_of(record, version, frame, places)

        table.rewrite([target, *drawn], fill)
    outcome.written = [str(target), str(log), *map(str, drawn)]
    return outcome


def cells_of(
    record: Record,
    values: Numbers,
    frame: pd.DataFrame,
    places: Places,
    outcome: SeriesRepair | None = None,
    writer: Any = None,
    first: int = 0,
) -> Cells:
    """Return what to put into the missing cells of some rows, and write the log where there is an outcome to note it in."""
    known, found = record.layout.known(frame), {}
    learnt = [each for each in record.layout.fields if each.column is not None]
    for d, each in enumerate(learnt):
        holes = ~known[each.name] & np.isfinite(values[places, d])
        if not holes.any():
            continue
        column = record.columns[d]
        held = column.held(values[places[holes], d])
        cells = each.say(held)
        found[each.name] = (holes, cells)
        if outcome is not None:
            outcome.filled[each.name] = outcome.filled.get(each.name, 0) + len(cells)
            reach = outcome.reach[d]
            shown = [["", ""]] * len(cells)
            if not column.levels and reach == reach:
                shown = [[f"{max(v - reach, column.low):.6g}", f"{min(v + reach, column.high):.6g}"] for v in held]
            for row, cell, ends in zip(np.flatnonzero(holes) + first + 1, cells, shown, strict=True):
                writer.writerow([int(row), each.name, cell, *ends, outcome.chosen[d]])
    return found


class RecordFiller:
    """Fills the unknown cells of a record in several ways.

    Args:
        window: rows of a window of the mixture; None takes as many as have 160 numbers, from 4 to 48, or a sixth of a
            usual stretch.
    """

    def __init__(self, record: Record, window: int | None, seed: int) -> None:
        sizes = np.bincount(record.stretch)
        usual = int(np.median(np.repeat(sizes, sizes))) // 6
        self.record, self.seed = record, seed
        wide = sum(max(1, column.levels) for column in record.columns)
        self.window = window or max(LEAST_WINDOW, min(WINDOW, usual, NUMBERS // wide))
        self.steps = np.array([column.levels > 0 for column in record.columns])

    def test(self, outcome: SeriesRepair, say: Callable[[str], None]) -> None:
        """Hide cells as real gaps lie, let every method fill them, and note which does best for each column."""
        record = self.record
        hidden = like_gaps(record, self.seed)
        outcome.hidden = {column.name: int(hidden[:, d].sum()) for d, column in enumerate(record.columns)}
        mask = record.mask & ~hidden
        filled = {name: self.by(name, mask, say) for name in METHODS}
        outcome.errors = {name: column_errors(x, record.codes, hidden, record.columns) for name, x in filled.items()}
        outcome.reach = np.full(len(record.columns), np.nan)
        for d, column in enumerate(record.columns):
            errors = {name: outcome.errors[name][d] for name in METHODS}
            tested = outcome.hidden[column.name] > 0
            outcome.chosen.append(min(errors, key=lambda name: errors[name]) if tested else "line")
            if tested and not column.levels:
                off = np.abs(filled[outcome.chosen[d]][hidden[:, d], d] - record.codes[hidden[:, d], d])
                outcome.reach[d] = float(np.quantile(off, NINE_IN_TEN)) * column.scale

    def fill(self, outcome: SeriesRepair, draws: int) -> tuple[Numbers, list[Numbers]]:
        """Return the record filled, each column by its method `[N, D]`, and so many drawn versions."""
        best = self.record.codes.copy()
        for name in sorted(set(outcome.chosen)):
            columns = [d for d, chosen in enumerate(outcome.chosen) if chosen == name]
            best[:, columns] = self.by(name, self.record.mask)[:, columns]
        versions = self.mixed(self.record.mask, draws)[1] if draws else []
        for values in (best, *versions):
            values[self.record.mask] = self.record.codes[self.record.mask]
        return best, versions

    def by(self, name: str, mask: Bits, say: Callable[[str], None] = lambda text: None) -> Numbers:
        """Return the record `[N, D]` with the cells outside of a mask filled by one method."""
        say(f"filling by {name}")
        if name == "rtsgan":
            return self.mixed(mask, 0)[0]
        if name in ("line", "last value"):
            return simple(self.record, mask, self.steps if name == "line" else np.ones_like(self.steps))
        filler: Filler = Ridge(seed=self.seed) if name == "ridge" else Trees(seed=self.seed)
        rows = np.flatnonzero(mask.any(1))
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(int)]
        x = np.where(mask, self.record.codes, 0.0)
        filler.fit(x[rows], mask[rows], self.record.columns)
        wanted = (~mask).any(1)
        x[wanted] = filler.fill(x[wanted], mask[wanted])
        return x

    def mixed(self, mask: Bits, draws: int) -> tuple[Numbers, list[Numbers]]:
        """Return the record filled by the mixture of usual windows, which learns from the cells of the mask, and draws."""
        record = replace(self.record, mask=mask, codes=np.where(mask, self.record.codes, 0.0))
        data = SeriesData.of(record, self.window, "the record")
        numbers = self.window * sum(max(1, column.levels) for column in data.shape.columns)
        hyper = replace(RTSGAN.Hyper.modern(), components=max(1, min(numbers, len(data) // EACH, NUMBERS)), gaussians=1)
        with undisturbed():  # by first weights of a generator that is not asked
            model = RTSGAN(hyper, data.shape)
        model.study(data, lambda name, make: make())
        model.eval()
        # One way a row: the best guess, then draws. What was filled is known to the windows after it, so that all goes on.
        ways = np.repeat(simple(record, mask, self.steps)[None], 1 + draws, 0)
        known = mask.copy()
        for start, final in self.windows():
            part = slice(start, start + self.window)
            if known[start:final].all():
                continue
            x = torch.as_tensor(np.where(known[part], ways[:, part], 0.0), dtype=torch.float32)
            noise = Noise(torch.arange(1 + draws) + signed(mix(self.seed, start)))
            best, drawn = model.fill(x, torch.as_tensor(known[part]).expand(x.shape), 1, noise)
            found = torch.cat([best[:1], drawn[0, 1:]]).double().numpy()
            rows = slice(start, final)
            ways[:, rows] = np.where(known[rows], ways[:, rows], found[:, : final - start])
            known[rows] = True
        return ways[0], list(ways[1:])

    def windows(self) -> Iterator[tuple[int, int]]:
        """Yield where windows begin, and up to where what they fill in stands: each goes on from the one before."""
        ahead = self.window - self.window // 4  # what lies behind is filled in with more after it in sight
        for begin, end in stretches_of(self.record):
            if end - begin < self.window:
                continue
            for start in range(begin, end - self.window, max(1, self.window // 2)):
                yield start, start + ahead
            yield end - self.window, end


def stretches_of(record: Record) -> list[tuple[int, int]]:
    """Return where stretches begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[-1], record.stretch, [-1]])))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def simple(record: Record, mask: Bits, steps: Bits) -> Numbers:
    """Return the record with unknown cells on a line between the known ones before and after; columns of `steps` stay."""
    found = np.where(mask, record.codes, np.nan)
    out = np.empty_like(found)
    for begin, end in stretches_of(record):
        part = pd.DataFrame(found[begin:end])
        for d in part.columns:
            line = part[d] if steps[d] else part[d].interpolate("linear", limit_area="inside")
            out[begin:end, d] = line.ffill().bfill().to_numpy()
    return np.nan_to_num(out)


def like_gaps(record: Record, seed: int) -> Bits:
    """Return known cells to hide `[N, D]`: copies of the record's own gaps at other times, shorter where none is as free.

    Where there are none, gaps of one row to a dozen in one column.
    """
    random = np.random.default_rng((seed, 0x676170))
    gaps, (n, d) = gaps_of(record), record.mask.shape
    hidden, most = np.zeros_like(record.mask), np.maximum(TESTED * record.mask.sum(0), 1)
    for _ in range(MOST_GAPS):
        length, columns = gaps[random.integers(len(gaps))] if gaps else (int(random.integers(1, 13)), one_of(d, random))
        part = None
        while part is None and length:
            begins = random.integers(max(n - length + 1, 1), size=TRIES)
            free = (slice(int(b), int(b) + length) for b in begins if b + length <= n)
            part = next((p for p in free if hideable(record, hidden, p, columns)), None)
            length //= 1 if part else 2
        if part and (hidden[:, columns].sum(0) + length <= np.maximum(most[columns], length)).all():
            hidden[part, columns] = True
    return hidden


def one_of(d: int, random: np.random.Generator) -> Bits:
    """Return a mask of one of so many columns."""
    return np.arange(d) == random.integers(d)


def hideable(record: Record, hidden: Bits, part: slice, columns: Bits) -> bool:
    """Whether the cells of some rows and columns are known, not hidden yet, and of one stretch."""
    one = record.stretch[part.start] == record.stretch[part.stop - 1]
    return bool(one and (record.mask & ~hidden)[part][:, columns].all())


def gaps_of(record: Record) -> list[tuple[int, Bits]]:
    """Return the lengths and columns of gaps: rows of the table that follow each other and lack the same columns."""
    mask, there = record.mask, np.bincount(record.place, minlength=len(record.mask)) > 0
    change = np.flatnonzero((np.diff(mask, axis=0)).any(1) | (np.diff(record.stretch) != 0) | np.diff(there)) + 1
    edges = np.concatenate([[0], change, [len(mask)]])
    return [(int(b - a), ~mask[a]) for a, b in pairwise(edges) if there[a] and not mask[a].all()]
