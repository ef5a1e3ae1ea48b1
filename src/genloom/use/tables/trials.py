"""The self-test of a repair: known cells are hidden, and every method says what it holds of them."""

# n rows, D columns, M methods

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from genloom.measures.fillers import Guesses
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.use.tables.blend import Trial

HIDDEN = 0.1  # known cells that are hidden at a time
TESTED = 20_000  # rows on which it is done
WANTED, FOLDS, WIDE = 400, 3, 124  # hidden cells a column to aim at, by so many rounds at most, fewer for many columns
PARTS = 4  # in which hidden cells are asked for, the others given, so that rows are about as full as they really are
LEAST = 10  # known cells below which a column is not tested


class SelfTest:
    """Hides known cells in rounds, and collects what methods say of them.

    Args:
        x: codes `[n, D]`; mask: those known `[n, D]`.
    """

    def __init__(self, x: Numbers, mask: Bits, columns: Sequence[Column], seed: int) -> None:
        self.x, self.mask, self.columns, self.seed = x, mask, columns, seed
        self.kept: dict[str, list[list[Trial]]] = {}

    def folds(self) -> int:
        """Return how many rounds give each column enough cells."""
        known = float(np.median(self.mask.sum(0).clip(1, TESTED)))
        return max(1, min(math.ceil(WANTED / (HIDDEN * known)), FOLDS, WIDE // len(self.columns)))

    def hidden(self, fold: int) -> Bits:
        """Return the known cells `[n, D]` that a round hides; no two rounds hide the same."""
        generator = np.random.default_rng((self.seed, 1))
        hidden: Bits = np.zeros_like(self.mask)
        tested = np.sort(generator.permutation(len(self.mask))[:TESTED])
        for d in range(self.mask.shape[1]):
            known = generator.permutation(tested[self.mask[tested, d]])
            if len(known) >= LEAST:
                first, last = (round(HIDDEN * len(known) * end) for end in (fold, fold + 1))
                hidden[known[first:last], d] = True
        return hidden

    def ask(self, guess: Callable[[Numbers, Bits, Bits], dict[str, Guesses]], hidden: Bits) -> None:
        """Note what methods say of hidden cells, given all others; `guess` takes codes, mask and wanted cells `[r, D]`."""
        part = np.random.default_rng((self.seed, 3)).integers(0, PARTS, hidden.shape)
        found: dict[str, list[list[Trial]]] = {}
        for i in range(PARTS):
            cells = hidden & (part == i)
            rows = cells.any(1)
            if not rows.any():
                continue
            x, wanted = self.x[rows], cells[rows]
            for name, guesses in guess(np.where(wanted, 0, x), self.mask[rows] & ~wanted, wanted).items():
                found.setdefault(name, []).append(self.trials_of(guesses, x, wanted))
        for name, parts in found.items():
            self.kept.setdefault(name, []).extend(parts)

    def trials_of(self, guesses: Guesses, x: Numbers, wanted: Bits) -> list[Trial]:
        """Return one method's trial of each column."""
        found = []
        for d in range(len(self.columns)):
            rows = np.flatnonzero(wanted[:, d])
            best, low, high = (values[None, rows, d] for values in (guesses.best, guesses.low, guesses.high))
            chances = guesses.chances[d][None, rows] if d in guesses.chances else None
            found.append(Trial(x[rows, d], best, low, high, chances))
        return found

    def trials(self, names: Sequence[str]) -> list[Trial]:
        """Return the trial of each column, by methods in this order."""
        return [self.trial(names, d) for d in range(len(self.columns))]

    def trial(self, names: Sequence[str], d: int) -> Trial:
        """Return the trial of one column."""
        levels = self.columns[d].levels
        every = [[part[d] for part in self.kept.get(name, [])] for name in names]
        if not every[0]:
            none = np.zeros((len(names), 0))
            return Trial(none[0], none, none, none, np.zeros((len(names), 0, levels)) if levels else None)
        truth = np.concatenate([trial.truth for trial in every[0]])
        best, low, high = (
            np.concatenate([np.concatenate([getattr(trial, what) for trial in parts], 1) for parts in every])
            for what in ("best", "low", "high")
        )
        chances = [np.concatenate([trial.chances for trial in parts], 1) for parts in every] if levels else None
        return Trial(truth, best, low, high, np.concatenate(chances) if chances else None)
