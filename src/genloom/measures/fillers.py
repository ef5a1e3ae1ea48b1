"""Simple ways to fill the holes of a coded table: what a generative model has to beat.

All take codes as `columns` defines them: standardised numbers, and indices of categories.
"""

# n rows, D columns, W numbers that cells become

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from genloom.nn.cells import Cells
from genloom.shapes.columns import Bits, Column, Numbers, Places

DONORS = 10_000  # rows that neighbours are looked for among
TAIL = 0.05  # of what may be, beyond either end of a 90 % interval
NORMAL = 1.645  # deviations from a normal law's mean to that end


@dataclass
class Guesses:
    """What a method holds of the cells of rows.

    Attributes:
        best: codes `[n, D]`: known cells as they are, a guess in every other.
        low, high: codes `[n, D]` between which nine in ten of the values lie that it holds possible; not-a-number
            where it has no opinion of the row's own.
        chances: by place of a column of categories, the probability `[n, levels]` of each.
    """

    best: Numbers
    low: Numbers
    high: Numbers
    chances: dict[int, Numbers] = field(default_factory=dict)

    @classmethod
    def begin(cls, filled: Numbers, columns: Sequence[Column]) -> Guesses:
        """Return guesses without an opinion, to be replaced cell by cell: the filled codes, certain of each category."""
        unknown = np.full(filled.shape, np.nan)
        chances = {d: np.eye(c.levels)[filled[:, d].astype(int)] for d, c in enumerate(columns) if c.levels}
        return cls(filled, unknown, unknown.copy(), chances)

    def choose(self, rows: Bits | Places, d: int, chances: Numbers) -> None:
        """Set the probabilities `[rows, levels]` of one column's cells, and guess the likeliest."""
        self.chances[d][rows] = chances
        self.best[rows, d] = chances.argmax(1)

    def spread(self, rows: Bits | Places, d: int, best: Numbers, low: Numbers, high: Numbers) -> None:
        """Set guesses and ends `[rows]` of one column's numbers."""
        self.best[rows, d], self.low[rows, d], self.high[rows, d] = best, low, high


class Filler(ABC):
    """Learns from rows with holes, and fills the holes of rows."""

    @abstractmethod
    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        """Learn from codes `[n, D]` and the mask `[n, D]` of those known."""

    @abstractmethod
    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        """Return what it holds of rows `[n, D]`; of missing cells that are not wanted the guess may be a poor one."""

    def fill(self, x: Numbers, mask: Bits) -> Numbers:
        """Return codes `[n, D]` with a guess in every cell outside of the mask, known ones as they are."""
        return self.guess(x, mask, ~mask).best


class Mean(Filler):
    """The column's mean, or its most frequent category."""

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        known = [x[mask[:, d], d] for d in range(len(columns))]
        self.columns = columns
        self.usual = np.array([typical(values, column) for values, column in zip(known, columns, strict=True)])
        self.shares = {d: shares(known[d], column.levels) for d, column in enumerate(columns) if column.levels}

    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        found = Guesses.begin(np.where(mask, x, self.usual), self.columns)
        for d, share in self.shares.items():
            found.chances[d][~mask[:, d]] = share
        return found


def shares(known: Numbers, levels: int) -> Numbers:
    """Return the share `[levels]` of each category among known codes, none at 0, as if each had been seen once more."""
    counts = np.bincount(known.astype(int), minlength=levels) + 1.0
    share: Numbers = counts / counts.sum()
    return share


def typical(known: Numbers, column: Column) -> float:
    """Return the mean, or the most frequent category, of known codes; 0 where there are none."""
    if not len(known):
        return 0.0
    return float(np.bincount(known.astype(int)).argmax() if column.levels else known.mean())


class Neighbours(Filler):
    """The mean, or the vote, of the ten nearest rows that know the cell, nearer ones counting more.

    Distances are over the cells that both rows know, scaled up for those that either does not, as scikit-learn's
    `nan_euclidean_distances` has it; a category that differs counts like a number that differs by one deviation.
    """

    def __init__(self, k: int = 10, seed: int = 0) -> None:
        self.k, self.seed = k, seed

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        self.columns, self.cells, self.mean = columns, Cells(columns), Mean()
        self.mean.fit(x, mask, columns)
        rows = np.random.default_rng(self.seed).permutation(len(x))[:DONORS]
        self.x, self.mask, self.w = x[rows], mask[rows], self.spread(x[rows], mask[rows])

    def spread(self, x: Numbers, mask: Bits) -> torch.Tensor:
        """Return cells as numbers `[n, W]`, zero where unknown; a differing category is at distance one."""
        w = self.cells.spread(torch.as_tensor(np.where(mask, x, 0)), torch.as_tensor(mask).double())
        w[:, len(self.cells.numbers) :] *= 0.5**0.5
        return w.float()

    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        found = self.mean.guess(x, mask, wanted)
        asked = np.flatnonzero(wanted.any(1))
        for start in range(0, len(asked), 1000):
            self.guess_part(x, mask, wanted, asked[start : start + 1000], found)
        return found

    def guess_part(self, x: Numbers, mask: Bits, wanted: Bits, part: Places, found: Guesses) -> None:
        """Replace the guesses for wanted cells of some rows in place."""
        near = self.nearness(x[part], mask[part])
        for d in np.flatnonzero(wanted[part].any(0)).tolist():
            mine, known = np.flatnonzero(wanted[part, d]), torch.as_tensor(self.mask[:, d])
            if not known.any():
                continue
            value, place = near[mine][:, known].topk(min(self.k, int(known.sum())), largest=False)
            weight = (1 / value.clamp_min(1e-12)).nan_to_num(0, 0, 0).numpy().astype(float)
            usable = weight.sum(1) > 0
            weight = weight[usable] / weight[usable].sum(1, keepdims=True)
            values, rows = self.x[self.mask[:, d], d][place.numpy()[usable]], part[mine[usable]]
            if levels := self.columns[d].levels:
                votes = np.stack([(weight * (values == level)).sum(1) for level in range(levels)], 1)
                found.choose(rows, d, votes)
            else:
                best = (weight * values).sum(1)
                reach = NORMAL * np.sqrt((weight * (values - best[:, None]) ** 2).sum(1))
                found.spread(rows, d, best, best - reach, best + reach)

    def nearness(self, x: Numbers, mask: Bits) -> torch.Tensor:
        """Return the distance `[n, donors]` of rows to donors, infinite where they know no cell in common."""
        w, m = self.spread(x, mask), torch.as_tensor(mask).float()
        owner = self.cells.owner
        wide, donors = m[:, owner], torch.as_tensor(self.mask).float()
        square = w.square() @ donors[:, owner].T + wide @ self.w.square().T - 2 * w @ self.w.T
        common = m @ donors.T
        distance = (square.clamp_min(0) * x.shape[1] / common).sqrt()
        return torch.where(common > 0, distance, float("inf"))
