"""Repairing a table: study its columns, test every method on known cells, fill each column by what did best there."""

# n rows, D columns that methods learn

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from genloom.columns import Bits, Column, Numbers
from genloom.data.layout import Field, Layout
from genloom.errors import InputError
from genloom.measures.holes import cell_errors, column_errors, covered
from genloom.tools.fillers import Chained, Filler, Mean, Neighbours
from genloom.tools.network import Network
from genloom.trainer import Report

Method = Literal["auto", "gain", "mean", "knn", "ridge", "trees"]
METHODS: tuple[str, ...] = ("gain", "mean", "knn", "ridge", "trees")
HIDDEN = 0.1  # known cells that the self-test hides
TESTED = 20_000  # rows on which it does
ENOUGH = 50  # hidden cells of a column from which on it chooses its method for itself
LEAST = 10  # known cells below which there is no self-test
NORMAL = 3.29  # deviations that hold nine in ten values of a normal column
VAGUE = 0.8  # an interval as wide as this share of that, or of the column's whole range, says little
UNSURE = 0.5  # share of draws for a category below which it is hardly more than a guess
SPARSE = 0.75  # share of missing cells from which a row says little about itself


@dataclass(frozen=True)
class Settings:
    """What a person may say about a repair.

    Attributes:
        method: one for all columns, or `auto`: the one that did best in the self-test, column by column.
        minutes: most minutes to train, or None for as long as the table's size suggests.
        kinds, missing: as `Layout.study` takes them.
        keys: columns that name rows.
        seed: all randomness follows from it.
    """

    method: Method = "auto"
    minutes: float | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    keys: Sequence[str] = ()
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class Tested:
    """How one method did on one column in the self-test.

    Attributes:
        error: of numbers relative to the column's deviation, 1 being no better than the mean; of categories the wrong share.
        reach: half the width that holds nine in ten of the errors, in codes.
        cells: how many were hidden.
    """

    error: float
    reach: float
    cells: int


@dataclass(frozen=True)
class Fix:
    """The filled cells of one column.

    Attributes:
        rows: which rows `[n]`.
        cells: the new cells, of the person's kind.
        values: the same as plain numbers or category indices.
        low, high: ends of the 90 % intervals as plain numbers, equal to the value for categories.
        share: of draws that agree with a category; 1 for numbers.
        doubts: why a cell is not to be trusted, or "".
    """

    field: Field
    method: str
    rows: Bits
    cells: list[Any]
    values: Numbers
    low: Numbers
    high: Numbers
    share: Numbers
    doubts: list[str]


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

    def fit(self, frame: pd.DataFrame) -> None:
        """Study and learn from rows.

        Raises:
            InputError: a column cannot be understood.
        """
        settings = self.settings
        self.layout = Layout.study(frame, settings.kinds, settings.missing, settings.keys)
        if not self.columns:
            return
        x, mask = self.coded(frame)
        hidden = self.hide(mask)
        names = (
            METHODS
            if settings.method == "auto"
            else (settings.method, *(name for name in METHODS if name != settings.method))
        )
        for name in names:
            self.fillers[name] = self.built(name)
            self.fillers[name].fit(x, mask & ~hidden, self.columns)
            if hidden.any():
                self.test(name, x, mask, hidden)
        self.choose(hidden)  # the hidden cells are not learnt from later either; they do help to fill their rows

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
        return {"mean": Mean(), "knn": Neighbours(seed=settings.seed), "ridge": Chained(False, TESTED, settings.seed),
                "trees": Chained(True, TESTED, settings.seed)}[name]  # fmt: skip

    # -- the self-test -----------------------------------------------------------------------------

    def hide(self, mask: Bits) -> Bits:
        """Return the known cells `[n, D]` that the self-test hides."""
        generator = np.random.default_rng(self.settings.seed + 1)
        hidden: Bits = np.zeros_like(mask)
        tested = np.sort(generator.permutation(len(mask))[:TESTED])
        for d in range(mask.shape[1]):
            known = tested[mask[tested, d]]
            if len(known) >= LEAST:
                hidden[generator.permutation(known)[: round(HIDDEN * len(known))], d] = True
        return hidden

    def test(self, name: str, x: Numbers, mask: Bits, hidden: Bits) -> None:
        """Note how a method does on the hidden cells."""
        rows = hidden.any(1)
        x, cells, shown = x[rows], hidden[rows], (mask & ~hidden)[rows]
        filler = self.fillers[name]
        if isinstance(filler, Network):
            filled, low, high, _ = filler.interval(x, shown, self.settings.seed)
            numbers = cells & np.array([not column.levels for column in self.columns])
            self.coverage = covered(low, high, x, numbers) if numbers.any() else None
        else:
            filled = filler.fill(x, shown)
        errors = column_errors(filled, x, cells, self.columns)
        distance = np.sqrt(cell_errors(filled, x, self.columns))
        self.tests[name] = {
            column.name: Tested(float(errors[d]), reach(distance[cells[:, d], d]), int(cells[:, d].sum()))
            for d, column in enumerate(self.columns)
        }

    def choose(self, hidden: Bits) -> None:
        """Choose the method of each column: its own best where it had enough cells, else the best of all columns."""
        forced = self.settings.method != "auto"
        overall = {name: float(np.nanmean([tested.error for tested in tests.values()]))
                   for name, tests in self.tests.items() if any(tested.cells for tested in tests.values())}  # fmt: skip
        best = min(overall, key=overall.__getitem__) if overall else "mean"
        for d, column in enumerate(self.columns):
            mine = {name: tests[column.name].error for name, tests in self.tests.items()}
            enough = hidden[:, d].sum() >= ENOUGH
            self.chosen[column.name] = (
                self.settings.method if forced else min(mine, key=mine.__getitem__) if enough else best
            )

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
        filled = self.filled(x[rows], mask[rows])
        sparse: Bits = np.array((~mask[rows]).mean(1) >= SPARSE, dtype=bool)
        fields = [field for field in self.layout.fields if field.column is not None]
        for d, learnt in enumerate(fields):
            if holes[:, d].any():
                fixes.append(self.column_fix(learnt, d, ~known[learnt.name], rows, filled, sparse))
        return [fix for fix in fixes if fix.rows.any()]

    def filled(self, x: Numbers, mask: Bits) -> dict[str, tuple[Numbers, Numbers, Numbers, Numbers]]:
        """Return guess, ends of the interval and share `[n, D]` by each method that is wanted."""
        found = {}
        for name in set(self.chosen.values()):
            filler = self.fillers[name]
            if isinstance(filler, Network):
                found[name] = filler.interval(x, mask, self.settings.seed)
                continue
            best = filler.fill(x, mask)
            tests = [self.tests.get(name, {}).get(column.name, Tested(np.nan, np.nan, 0)) for column in self.columns]
            reaches = np.array(
                [0.0 if column.levels else test.reach for column, test in zip(self.columns, tests, strict=True)]
            )
            share = np.array([1 - test.error if column.levels else 1.0
                              for column, test in zip(self.columns, tests, strict=True)])  # fmt: skip
            found[name] = best, best - reaches, best + reaches, np.broadcast_to(share, best.shape)
        return found

    def column_fix(self, field: Field, d: int, holes: Bits, rows: Bits,
                   filled: Mapping[str, tuple[Numbers, Numbers, Numbers, Numbers]], sparse: Bits) -> Fix:  # fmt: skip
        """Return the fix of one learnt column."""
        column, method = field.column, self.chosen[field.name]
        assert column is not None
        within = holes[rows]
        best, low, high, share = (part[within, d] for part in filled[method])
        low, high = np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
        values = column.plain(best)
        if column.levels:
            low = high = values
            vague = ~(share >= UNSURE)  # of a method that was not tested the share is not known
        else:
            values = column.snapped(values)
            vague = high - low >= VAGUE * NORMAL
            low, high = column.plain(low), column.plain(high)
            vague |= high - low >= VAGUE * (column.high - column.low)
        doubts = ["most of the row is missing" if empty else "any usual value is as likely" if unclear else ""
                  for empty, unclear in zip(sparse[within], vague, strict=True)]  # fmt: skip
        return Fix(field, method, holes, field.say(values), values, low, high, share, doubts)

    def draws(self, frame: pd.DataFrame, n: int) -> list[dict[str, tuple[Bits, list[Any]]]]:
        """Return n ways to fill rows in by GAIN's draws, each as cells by column."""
        known = self.layout.known(frame)
        constants = [constant_fix(field, ~known[field.name]) for field in self.layout.fields if field.role == "constant"]
        always = {fix.field.name: (fix.rows, fix.cells) for fix in constants}
        if not self.columns:
            return [dict(always) for _ in range(n)]
        network = self.fillers["gain"]
        assert isinstance(network, Network)
        x, mask = self.coded(frame)
        ways = []
        for codes in network.draw(x, mask, n, self.settings.seed + 2):
            way = dict(always)
            for d, learnt in enumerate(f for f in self.layout.fields if f.column is not None):
                holes, column = ~known[learnt.name], learnt.column
                assert column is not None
                values = column.plain(codes[holes, d])
                way[learnt.name] = holes, learnt.say(values if column.levels else column.snapped(values))
            ways.append(way)
        return ways


def reach(distances: Numbers) -> float:
    """Return the distance within which nine in ten of a column's errors lie, not-a-number for too few."""
    return float(np.quantile(distances, 0.9)) if len(distances) >= LEAST else float("nan")


def constant_fix(field: Field, holes: Bits) -> Fix:
    """Return the fix of a column with one known value: that value, which is all there is to go by."""
    n = int(holes.sum())
    zeros = np.zeros(n)
    return Fix(
        field,
        "its only value",
        holes,
        [field.value] * n,
        zeros,
        zeros,
        zeros,
        zeros + np.nan,
        ["the column's only value"] * n,
    )


def refuse_useless(layout: Layout, missing: Mapping[str, int]) -> None:
    """Raise InputError where holes are in columns alone that nothing can be said about."""
    holes = [field for field in layout.fields if missing[field.name]]
    if holes and not any(field.role in ("learnt", "constant") for field in holes):
        reasons = "; ".join(f"{field.name!r}: {field.why}" for field in holes)
        raise InputError(f"no missing cell of this table can be filled in ({reasons})")
