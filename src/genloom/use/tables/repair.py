"""Repairing a table: study its columns, test every method on known cells, fill each column by what did best there."""

# n rows, D columns that methods learn

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genloom.data.tables.layout import Field, Layout
from genloom.errors import InputError
from genloom.measures.fillers import Chained, Filler, Mean, Neighbours
from genloom.measures.holes import cell_errors, column_errors, covered
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.train.plan import Report
from genloom.use.tables.fixes import LEAST, Fix, Tested, constant_fix, reach, refuse_useless, row_numbers, stream_seed
from genloom.use.tables.network import Diverged, Indices, Network
from genloom.use.tables.settings import METHODS, Settings

HIDDEN = 0.1  # known cells that the self-test hides
TESTED = 20_000  # rows on which it does
ENOUGH = 25  # choosing cells of a column from which on it chooses its method for itself
NORMAL = 3.29  # deviations that hold nine in ten values of a normal column
VAGUE = 0.8  # an interval as wide as this share of that, or of the column's whole range, says little
WORST = 2.0  # error beyond which a method is as bad as can be, so that one odd column does not decide for all
SPARSE = 0.75  # share of missing cells from which a row says little about itself


class Repairer:
    """Learns from a table with holes, then fills holes of it or of others like it.

    Attributes:
        layout: what the columns are.
        tests: by method, then by column.
        chosen: the method of each learnt column.
        coverage: share of the self-test's cells of numbers that GAIN's 90 % intervals held, or None.
    """

    layout: Layout

    def __init__(self, settings: Settings, watch: Callable[[Report, int], None] | None = None) -> None:
        self.settings, self.watch = settings, watch
        self.tests: dict[str, dict[str, Tested]] = {}
        self.chosen: dict[str, str] = {}
        self.fillers: dict[str, Filler] = {}
        self.coverage: float | None = None

    def fit(self, frame: pd.DataFrame, missing: Mapping[str, int] | None = None) -> None:
        """Study and learn from rows.

        Args:
            missing: how many cells are to be filled in, by column, if that is known.

        Raises:
            InputError: a column cannot be understood, or none with missing cells can be filled in.
        """
        settings = self.settings
        self.layout = Layout.study(frame, settings.kinds, settings.words(), settings.keys)
        if missing:
            refuse_useless(self.layout, missing)
        if not self.columns:
            return
        x, mask = self.coded(frame)
        hidden = self.hide(mask)
        # Some hidden cells choose, the others tell the errors: the least of five errors flatters.
        choosing = hidden & (np.random.default_rng((settings.seed, 3)).random(hidden.shape) < 0.5)
        for name in METHODS:
            filler = self.built(name)
            try:
                filler.fit(x, mask & ~hidden, self.columns)
            except Diverged as error:
                if settings.method == name:
                    raise InputError(f"{error}; --method trees does without") from None
                self.tests[name] = {column.name: Tested() for column in self.columns}
                continue
            self.fillers[name] = filler
            self.test(name, x, mask & ~hidden, hidden, choosing)
        self.choose(choosing)  # the hidden cells are not learnt from later either; they do help to fill their rows

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that methods learn."""
        return self.layout.learnt

    def coded(self, frame: pd.DataFrame) -> tuple[Numbers, Bits]:
        """Return codes `[n, D]`, 0 where missing, and the mask `[n, D]` of those that a method can use."""
        codes = self.layout.encode(frame, self.layout.known(frame))
        mask = np.isfinite(codes)
        return np.where(mask, codes, 0.0), mask

    def built(self, name: str) -> Filler:
        """Return a method, not yet fitted."""
        settings = self.settings
        seconds = None if settings.minutes is None else 60 * settings.minutes
        if name == "gain":
            return Network(seconds=seconds, seed=settings.seed, threads=settings.threads, watch=self.watch, exact=False)
        return {
            "mean": Mean(),
            "knn": Neighbours(seed=settings.seed),
            "ridge": Chained(False, TESTED, settings.seed),
            "trees": Chained(True, TESTED, settings.seed),
        }[name]

    # -- the self-test -----------------------------------------------------------------------------

    def hide(self, mask: Bits) -> Bits:
        """Return the known cells `[n, D]` that the self-test hides."""
        generator = np.random.default_rng((self.settings.seed, 1))
        hidden: Bits = np.zeros_like(mask)
        tested = np.sort(generator.permutation(len(mask))[:TESTED])
        for d in range(mask.shape[1]):
            known = tested[mask[tested, d]]
            if len(known) >= LEAST:
                hidden[generator.permutation(known)[: round(HIDDEN * len(known))], d] = True
        return hidden

    def test(self, name: str, x: Numbers, shown: Bits, hidden: Bits, choosing: Bits) -> None:
        """Note how a method, given the cells shown, does on the hidden ones, as it would write them."""
        self.tests[name] = {column.name: Tested() for column in self.columns}
        rows = hidden.any(1)
        if not rows.any():
            return
        x, shown, hidden, choosing = x[rows], shown[rows], hidden[rows], choosing[rows]
        filler = self.fillers[name]
        if isinstance(filler, Network):
            filled, low, high, _ = filler.interval(x, shown, self.settings.seed)
            numbers = hidden & np.array([not column.levels for column in self.columns])
            self.coverage = covered(low, high, x, numbers) if numbers.any() else None
        else:
            filled = filler.fill(x, shown)
        filled = np.stack([column.code(column.held(filled[:, d])) for d, column in enumerate(self.columns)], 1)
        told = column_errors(filled, x, hidden & ~choosing, self.columns)
        chose = column_errors(filled, x, choosing, self.columns)
        distance = np.sqrt(cell_errors(filled, x, self.columns))
        for d, column in enumerate(self.columns):
            cells = hidden[:, d]
            self.tests[name][column.name] = Tested(
                float(told[d]), reach(distance[cells, d]), int((cells & ~choosing[:, d]).sum()), float(chose[d])
            )

    def choose(self, choosing: Bits) -> None:
        """Choose the method of each column: its own best where it had enough cells, else the best of all columns."""
        errors = {
            name: np.array([tests[column.name].choosing for column in self.columns])
            for name, tests in self.tests.items()
            if name in self.fillers
        }
        overall = {
            name: float(np.nanmean(np.minimum(each, WORST))) for name, each in errors.items() if np.isfinite(each).any()
        }
        best = min(overall, key=overall.__getitem__) if overall else "mean"
        for d, column in enumerate(self.columns):
            own = min(errors, key=lambda name: errors[name][d]) if choosing[:, d].sum() >= ENOUGH else best
            self.chosen[column.name] = own if self.settings.method == "auto" else self.settings.method

    def covering(self) -> str:
        """Say in a sentence how often GAIN's intervals held the truth, or "" where there was nothing to test."""
        network = self.fillers.get("gain")
        if self.coverage is None or not isinstance(network, Network):
            return ""
        loose = "" if network.calibrated else ", which so few cells could not calibrate,"
        return f"GAIN's 90 % intervals{loose} held {self.coverage:.0%} of the hidden numbers."

    # -- filling -----------------------------------------------------------------------------------

    def fix(self, frame: pd.DataFrame) -> list[Fix]:
        """Return what to fill in for the holes of rows `[n]`, column by column.

        Raises:
            InputError: a known cell is not of its column's kind.
        """
        known = self.layout.known(frame)
        fixes = [constant_fix(field, ~known[field.name]) for field in self.layout.fields if field.role == "constant"]
        holes = np.array([~known[column.name] for column in self.columns]).T
        if not self.columns or not holes.any():
            return [fix for fix in fixes if fix.rows.any()]
        x, mask = self.coded(frame)
        rows: Bits = np.asarray(holes.any(1))
        filled = self.filled(x[rows], mask[rows], row_numbers(frame)[rows])
        sparse: Bits = np.array((~mask[rows]).mean(1) >= SPARSE, dtype=bool)
        fields = [field for field in self.layout.fields if field.column is not None]
        for d, learnt in enumerate(fields):
            if holes[:, d].any():
                fixes.append(self.column_fix(learnt, d, ~known[learnt.name], rows, filled, sparse))
        return [fix for fix in fixes if fix.rows.any()]

    def filled(self, x: Numbers, mask: Bits, numbers: Indices) -> Numbers:
        """Return guess, ends of the interval and share `[4, n, D]` of missing cells, by each column's method.

        `numbers` `[n]` are those of the rows in their table: a row's noise is its own, whatever part it comes in.
        """
        found = np.full((4, *x.shape), np.nan)
        for name in dict.fromkeys(self.chosen.values()):
            wanted = [d for d, column in enumerate(self.columns) if self.chosen[column.name] == name]
            rows = np.flatnonzero(~mask[:, wanted].all(1))
            if len(rows):
                guesses = self.guesses(name, x[rows], mask[rows], wanted, numbers[rows])
                found[:, rows[:, None], wanted] = guesses[:, :, wanted]
        return found

    def guesses(self, name: str, x: Numbers, mask: Bits, wanted: Sequence[int], numbers: Indices) -> Numbers:
        """Return guess, ends of the interval and share `[4, n, D]` by one method."""
        filler = self.fillers[name]
        if isinstance(filler, Network):
            return np.stack(filler.interval(x, mask, stream_seed(self.settings.seed, 0), numbers))
        best = filler.fill(x, mask, wanted)
        tests = [self.tests[name][column.name] for column in self.columns]
        reach = np.array([0.0 if c.levels else test.reach for c, test in zip(self.columns, tests, strict=True)])
        share = np.array([1 - test.error if c.levels else 1.0 for c, test in zip(self.columns, tests, strict=True)])
        return np.stack([best, best - reach, best + reach, np.broadcast_to(share, best.shape)])

    def column_fix(self, field: Field, d: int, holes: Bits, rows: Bits, filled: Numbers, sparse: Bits) -> Fix:
        """Return the fix of one learnt column."""
        column, method = field.column, self.chosen[field.name]
        assert column is not None
        within = holes[rows]
        best, low, high, share = filled[:, within, d]
        low, high = np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
        values = column.held(best)
        if column.levels:
            low = high = values
            vague = ~(share >= (1 + 1 / column.levels) / 2)  # nearer to a guess than to certainty, or not known
            unclear = "little more than a guess among its categories"
        else:
            unclear = "the interval is about as wide as the column's usual values"
            vague = high - low >= VAGUE * NORMAL
            low, high = np.minimum(column.plain(low), values), np.maximum(column.plain(high), values)
            vague |= high - low >= VAGUE * (column.high - column.low)
        idle = self.idle(column)
        doubts = [
            "most of the row is missing" if empty else unclear if wide else idle
            for empty, wide in zip(sparse[within], vague, strict=True)
        ]
        return Fix(field, method, holes, field.say(values), values, low, high, share, doubts)

    def idle(self, column: Column) -> str:
        """Return a doubt about all cells of a column whose method did no better than the mean, or ""."""
        mine, mean = self.tests[self.chosen[column.name]][column.name], self.tests["mean"][column.name]
        return "other columns tell nothing about this one" if mine.cells >= LEAST and mine.error >= mean.error else ""

    def drawing(self) -> Network | None:
        """Return the net that draws, or None where nothing is learnt.

        Raises:
            InputError: it could not be trained.
        """
        network = self.fillers.get("gain")
        if self.columns and not isinstance(network, Network):
            raise InputError("draws are GAIN's, which could not be trained on this table: leave --draws away")
        return network if isinstance(network, Network) else None

    def draws(self, frame: pd.DataFrame, n: int) -> Iterator[dict[str, tuple[Bits, list[Any]]]]:
        """Yield n ways to fill rows in by GAIN's draws, each as cells by column.

        Raises:
            InputError: GAIN could not be trained.
        """
        if not n:
            return
        known = self.layout.known(frame)
        constants = [constant_fix(field, ~known[field.name]) for field in self.layout.fields if field.role == "constant"]
        always = {fix.field.name: (fix.rows, fix.cells) for fix in constants}
        learnt = [(field, field.column, ~known[field.name]) for field in self.layout.fields if field.column is not None]
        rows = np.logical_or.reduce([*(holes for *_, holes in learnt), np.zeros(len(frame), bool)])
        network = self.drawing()
        x, mask = self.coded(frame)
        numbers = row_numbers(frame)[rows]
        for i in range(n):
            if network is not None:
                x[rows] = network.draw(x[rows], mask[rows], 1, stream_seed(self.settings.seed, i + 1), numbers)[0]
            yield always | {
                field.name: (holes, field.say(column.held(x[holes, d])))
                for d, (field, column, holes) in enumerate(learnt)
                if holes.any()
            }
