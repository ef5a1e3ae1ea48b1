"""Repairing a table: study its columns, test every method on known cells, fill each column by the blend that did best."""

# n rows, D columns that methods learn, M methods

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genloom.data.tables.layout import Field, Layout
from genloom.errors import InputError
from genloom.measures.fillers import Guesses
from genloom.measures.holes import cell_errors
from genloom.shapes.columns import Bits, Column, Numbers, Places
from genloom.train.plan import Report
from genloom.use.tables.blend import Blend, Trial, blend, find_ends, find_powers, find_weights, promise, raised
from genloom.use.tables.ensemble import SWEPT, Ensemble, affordable
from genloom.use.tables.fixes import Fix, Tested, constant_fix, refuse_useless, row_numbers, stream_seed
from genloom.use.tables.network import Diverged, Network
from genloom.use.tables.settings import METHODS, Settings
from genloom.use.tables.trials import SelfTest

LEARNT = 20_000  # rows that chains learn from
USUAL = 3.29  # deviations that hold nine in ten values of a normal column
UNSURE, GUESSED = 0.2, 0.5  # certainty below which a number, or a category, is doubted
SPARSE = 0.75  # share of missing cells from which a row says little about itself
LENT = 0.3  # weight of the trees' spread beside that of their guess
WIDE, CHAINED = 400, ("ridge", "trees", "boosted")  # columns from which chains, which would take days, are left out
WORTH = 20.0  # seconds to spare from which GAIN is tried, where they are counted
FEW, MANY, BRIEF = 2000, 40_000, 600  # cells between which it is tried where they are not, and the rounds it then plays


class Repairer:
    """Learns from a table with holes, then fills holes of it or of others like it.

    Attributes:
        layout: what the columns are.
        tests: by method, then by column.
        promised: by column, how the blend did that fills it.
        weights: of each of `names` in each learnt column `[M, D]`.
        coverage: share of the self-test's numbers that 90 % intervals held, or None.
    """

    layout: Layout

    def __init__(self, settings: Settings, say: Callable[[str], None] | None = None) -> None:
        self.settings, self.say = settings, say or (lambda text: None)
        self.tests: dict[str, dict[str, Tested]] = {}
        self.promised: dict[str, Tested] = {}
        self.names: list[str] = []
        self.network: Network | None = None
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
        self.x, self.mask = self.coded(frame)
        holes = [missing[c.name] if missing else int((~self.mask[:, d]).sum()) for d, c in enumerate(self.columns)]
        slow = CHAINED if len(self.columns) > WIDE else ()
        self.names = [name for name in METHODS if name != "gain" and (name not in slow or name == settings.method)]
        self.effort = affordable(self.x, self.mask, self.columns, settings.left())
        if not self.effort and settings.method == "auto":
            self.names = [name for name in self.names if name not in SWEPT]
        test = SelfTest(self.x, self.mask, self.columns, settings.seed)
        cost = self.test(test, sum(holes))
        again = settings.left() > 1.5 * cost
        self.choose(test, holes, again and settings.method not in ("mean", "gain"))
        if again:
            self.learn(self.mask, "learning again from all known cells")

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that methods learn."""
        return self.layout.learnt

    def coded(self, frame: pd.DataFrame) -> tuple[Numbers, Bits]:
        """Return codes `[n, D]`, 0 where missing, and the mask `[n, D]` of those that a method can use."""
        codes = self.layout.encode(frame, self.layout.known(frame))
        mask = np.isfinite(codes)
        return np.where(mask, codes, 0.0), mask

    # -- learning ----------------------------------------------------------------------------------

    def learn(self, mask: Bits, stage: str) -> None:
        """Learn from the cells of a mask `[n, D]` by every method that is called for, but GAIN."""
        self.ensemble = Ensemble(self.used(), LEARNT, self.settings.seed, self.effort or 0.1)
        self.ensemble.fit(self.x, mask, self.columns, lambda name: self.say(f"{stage}: {name}"))

    def used(self) -> list[str]:
        """Return the methods that have a part in some column; all, while none is chosen."""
        if not hasattr(self, "weights"):
            return self.names
        return [name for name, weights in zip(self.names, self.spread(self.weights), strict=True) if weights.any()]

    def spread(self, weights: Numbers) -> Numbers:
        """Return weights `[M, ...]` for the spread of what may be: trees, which see it best, always have a part in it."""
        weights = weights.copy()
        if self.settings.method == "auto" and "trees" in self.names:
            weights[self.names.index("trees")] += LENT
        return weights

    def trained(self, mask: Bits, seconds: float | None, rounds: int | None = None) -> Network:
        """Return GAIN, trained on the cells of a mask `[n, D]`, for so many seconds or rounds at most."""
        settings = self.settings
        network = Network(
            rounds=rounds, seconds=seconds, seed=settings.seed, threads=settings.threads, watch=self.watch, exact=False
        )
        network.fit(self.x, mask, self.columns)
        return network

    def watch(self, report: Report, examples: int) -> None:
        """Say now and then how far GAIN is."""
        self.say(f"training GAIN: {10 * (10 * report.examples // max(examples, 1)):d} %")

    # -- the self-test -----------------------------------------------------------------------------

    def test(self, test: SelfTest, holes: int) -> float:
        """Let all methods fill hidden cells; return the seconds that learning and filling would still take."""
        settings, folds = self.settings, 1 if self.settings.method == "gain" else test.folds()
        every: list[Bits] = []
        for fold in range(folds):
            began, hidden = time.monotonic(), test.hidden(fold)
            every.append(hidden)
            self.learn(self.mask & ~hidden, f"self-test {fold + 1} of {folds}")
            learnt = time.monotonic() - began
            test.ask(lambda x, mask, wanted: self.ensemble.guesses(self.names, x, mask, wanted), hidden)
            filling = (time.monotonic() - began - learnt) * holes / max(int(hidden.sum()), 1)
            spare = settings.left() - 1.5 * (learnt + filling)
            if spare < learnt + filling:
                break
        if self.worth_gain(spare):
            self.try_gain(test, every, spare)
        return learnt + filling

    def worth_gain(self, spare: float) -> bool:
        """Whether GAIN is to be tried: asked for, or with time to spare, or on a table that is neither tiny nor large."""
        if self.settings.method != "auto" or self.effort < 1:
            return self.settings.method == "gain"
        return spare > WORTH if self.settings.minutes is not None else FEW <= self.x.size < MANY

    def try_gain(self, test: SelfTest, every: list[Bits], spare: float) -> None:
        """Train GAIN once, on what no round of the self-test hid, and let it fill the cells of every round."""
        wanted, limited = self.settings.method == "gain", self.settings.minutes is not None
        seconds = max(0.8 * spare, 1.0) if limited else None
        rounds = None if wanted or limited else BRIEF
        try:
            self.network = network = self.trained(self.mask & ~np.logical_or.reduce(every), seconds, rounds)
        except Diverged as error:
            if wanted:
                raise InputError(f"{error}; --method trees does without") from None
            return
        self.names.append("gain")
        for hidden in every:
            test.ask(lambda x, mask, cells: {"gain": network.guess(x, mask, cells, self.settings.seed)}, hidden)

    def choose(self, test: SelfTest, holes: list[int], again: bool) -> None:
        """Find weights, intervals and the error to promise; of each half of the hidden cells by the other half's weights."""
        trials = test.trials(self.names)
        self.note(trials)
        halves = [np.arange(len(trial.truth)) % 2 == 0 for trial in trials]
        order = [np.random.default_rng((self.settings.seed, 4, d)).permutation(len(half)) for d, half in enumerate(halves)]
        halves = [half[places] for half, places in zip(halves, order, strict=True)]
        self.weights = self.weighed(trials)
        blends, truths = [], []
        for which in (True, False):
            mine = [trial.of(half == which) for trial, half in zip(trials, halves, strict=True)]
            others = self.weighed([trial.of(half != which) for trial, half in zip(trials, halves, strict=True)])
            blends.append([trial.blended(others[:, d], self.spread(others[:, d])) for d, trial in enumerate(mine)])
            truths.append([trial.truth for trial in mine])
        self.coverage = self.covered(blends, truths)
        both = [joined(one, two) for one, two in zip(*blends, strict=True)]
        truth = [np.concatenate(pair) for pair in zip(*truths, strict=True)]
        self.ends = find_ends(both, truth)
        self.powers = find_powers(both, truth)
        for d, column in enumerate(self.columns):
            squares = self.squares(d, both[d].best, truth[d])
            if len(squares):
                error, low, high = promise(squares, holes[d], column.levels, again)
                self.promised[column.name] = Tested(error, len(squares), low, high)
            else:
                self.promised[column.name] = Tested()

    def weighed(self, trials: list[Trial]) -> Numbers:
        """Return the weights `[M, D]`: those of the one method that was asked for, or the best."""
        if self.settings.method == "auto":
            return find_weights(trials, self.names.index("mean"))
        one = np.eye(len(self.names))[self.names.index(self.settings.method)]
        return np.repeat(one[:, None], len(trials), 1)

    def covered(self, blends: list[list[Blend]], truths: list[list[Numbers]]) -> float | None:
        """Return the share of hidden numbers within intervals that the other half of the cells set."""
        inside: list[Any] = []
        for mine, other in ((0, 1), (1, 0)):
            ends = find_ends(blends[other], truths[other])
            for d, column in enumerate(self.columns):
                if not column.levels:
                    low, high = ends[d].around(blends[mine][d])
                    inside += ((truths[mine][d] >= low - 1e-6) & (truths[mine][d] <= high + 1e-6)).tolist()
        return float(np.mean(inside)) if inside else None

    def note(self, trials: list[Trial]) -> None:
        """Note how each method did, as it would write the cells."""
        for m, name in enumerate(self.names):
            self.tests[name] = {}
            for d, (column, trial) in enumerate(zip(self.columns, trials, strict=True)):
                squares = self.squares(d, trial.best[m], trial.truth)
                mean = float(squares.mean()) if len(squares) else float("nan")
                self.tests[name][column.name] = Tested(mean if column.levels else mean**0.5, len(squares))

    def squares(self, d: int, best: Numbers, truth: Numbers) -> Numbers:
        """Return the squared errors `[c]` of one column's cells, as they would be written; 0 or 1 for categories."""
        column = self.columns[d]
        written = column.code(column.held(best))
        return cell_errors(written[:, None], truth[:, None], [column])[:, 0]

    def methods(self, name: str) -> list[str]:
        """Return the methods that fill a column, the weightiest first."""
        weights = self.weights[:, [column.name for column in self.columns].index(name)]
        return [self.names[m] for m in np.argsort(-weights, kind="stable") if weights[m] > 0]

    def covering(self) -> str:
        """Say in a sentence how often intervals held the truth, or "" where there was nothing to test."""
        return "" if self.coverage is None else f"The 90 % intervals held {self.coverage:.0%} of the hidden numbers."

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
        guesses = self.guesses(x[rows], mask[rows], row_numbers(frame)[rows])
        sparse: Bits = np.array((~mask[rows]).mean(1) >= SPARSE, dtype=bool)
        fields = [field for field in self.layout.fields if field.column is not None]
        for d, learnt in enumerate(fields):
            if holes[:, d].any():
                within = np.flatnonzero(holes[rows, d])
                fixes.append(self.column_fix(learnt, d, holes[:, d], self.blended(guesses, within, d), sparse[within]))
        return [fix for fix in fixes if fix.rows.any()]

    def guesses(self, x: Numbers, mask: Bits, numbers: Places) -> dict[str, Guesses]:
        """Return what each method that fills a column holds of the missing cells of rows `[n, D]`.

        `numbers` `[n]` are those of the rows in their table: a row's noise is its own, whatever part it comes in.
        """
        found = {}
        for name in self.used():
            wanted = ~mask & (self.spread(self.weights)[self.names.index(name)] > 0)
            if name == "gain":
                assert self.network is not None
                found[name] = self.network.guess(x, mask, wanted, stream_seed(self.settings.seed, 0), numbers)
            else:
                found |= self.ensemble.guesses([name], x, mask, wanted)
        return found

    def blended(self, guesses: Mapping[str, Guesses], rows: Places, d: int) -> Blend:
        """Return the blend of guesses for some cells of one column."""
        places = [self.names.index(name) for name in guesses]
        weights, spread = self.weights[places, d], self.spread(self.weights)[places, d]
        best, low, high = (
            np.stack([getattr(guess, what)[rows, d] for guess in guesses.values()]) for what in ("best", "low", "high")
        )
        chances = None
        if self.columns[d].levels:
            chances = np.stack([guess.chances[d][rows] for guess in guesses.values()])
        return blend(weights, spread, best, low, high, chances)

    def column_fix(self, field: Field, d: int, holes: Bits, found: Blend, sparse: Bits) -> Fix:
        """Return the fix of one learnt column, given the blend for its holes and which of those rows are nearly empty."""
        column = self.columns[d]
        values = column.held(found.best)
        chances = None
        if found.chances is not None:
            chances = raised(found.chances, self.powers[d])
            share, low, high = chances.max(1), values, values
            certain = (share - 1 / column.levels) / (1 - 1 / column.levels) if column.levels > 1 else share
            doubted, why = certain < GUESSED, "little more than a guess among its categories"
        else:
            low, high = self.ends[d].around(found)
            open_ = (high - low) / USUAL
            low, high = np.minimum(column.plain(low), values), np.maximum(column.plain(high), values)
            open_ = np.maximum(open_, (high - low) / max(column.high - column.low, 1e-300))
            certain = np.clip(1 - open_, 0, 1)
            doubted, why = certain < UNSURE, "the interval is about as wide as the column's usual values"
        if not self.promised[field.name].cells:
            doubted, why = np.ones(len(values), bool), "too few known cells to test any method on"
        doubts = [
            "most of the row is missing" if empty else why if d else "" for empty, d in zip(sparse, doubted, strict=True)
        ]
        return Fix(
            field, "+".join(self.methods(field.name)), holes, field.say(values), values, low, high, certain, doubts, chances
        )

    def drawing(self) -> Network | None:
        """Return the net that draws, trained when it is first asked for, or None where nothing is learnt.

        Raises:
            InputError: it could not be trained.
        """
        if self.columns and (self.network is None or self.network.rounds):
            seconds = None if self.settings.minutes is None else max(self.settings.left() / 2, 1.0)
            try:
                self.network = self.trained(self.mask, seconds)
            except Diverged:
                raise InputError("draws are GAIN's, which could not be trained on this table: leave --draws away") from None
        return self.network

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


def joined(one: Blend, two: Blend) -> Blend:
    """Return two blends of cells of one column as one."""
    chances = None if one.chances is None or two.chances is None else np.concatenate([one.chances, two.chances])
    best, below, above = (
        np.concatenate([getattr(part, what) for part in (one, two)]) for what in ("best", "below", "above")
    )
    return Blend(best, below, above, chances)
