"""Simple ways to fill the holes of a coded table: what a generative model has to beat.

All take codes as `columns` defines them: standardised numbers, and indices of categories.
"""

# n rows, D columns, W numbers that cells become

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from genloom.nn.cells import Cells
from genloom.shapes.columns import Bits, Column, Numbers

DONORS = 10_000  # rows that neighbours are looked for among
TREES = 30
LEAVES = 50_000  # numbers in the leaves of a tree for categories
CELLS = 500_000  # from which a chain learns: trees take some hundred bytes for each
FEATURES = 20  # columns nearest to a target, by correlation, that its trees look at


class Filler(ABC):
    """Learns from rows with holes, and fills the holes of rows."""

    @abstractmethod
    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        """Learn from codes `[n, D]` and the mask `[n, D]` of those known."""

    @abstractmethod
    def fill(self, x: Numbers, mask: Bits, wanted: Sequence[int] | None = None) -> Numbers:
        """Return codes `[n, D]` with a guess in every cell outside of the mask, known ones as they are.

        Of columns that are not wanted, where some are named, the guess may be a poor one.
        """


class Mean(Filler):
    """The column's mean, or its most frequent category."""

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        usual = [typical(x[mask[:, d], d], column) for d, column in enumerate(columns)]
        self.usual = np.array(usual)

    def fill(self, x: Numbers, mask: Bits, wanted: Sequence[int] | None = None) -> Numbers:
        return np.where(mask, x, self.usual)


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

    def fill(self, x: Numbers, mask: Bits, wanted: Sequence[int] | None = None) -> Numbers:
        out = self.mean.fill(x, mask)
        for start in range(0, len(x), 1000):
            part = slice(start, start + 1000)
            self.fill_part(x[part], mask[part], out[part], range(x.shape[1]) if wanted is None else wanted)
        return out

    def fill_part(self, x: Numbers, mask: Bits, out: Numbers, wanted: Sequence[int]) -> None:
        """Fill wanted columns of some rows of `out` in place."""
        near = self.nearness(x, mask)
        for d in wanted:
            rows = np.flatnonzero(~mask[:, d])
            known = torch.as_tensor(self.mask[:, d])
            if not len(rows) or not known.any():
                continue
            value, place = near[rows][:, known].topk(min(self.k, int(known.sum())), largest=False)
            weight = (1 / value.clamp_min(1e-12)).nan_to_num(0, 0, 0).numpy()
            found = self.x[self.mask[:, d], d][place.numpy()]
            usable = weight.sum(1) > 0
            if levels := self.columns[d].levels:
                votes = np.stack([(weight * (found == level)).sum(1) for level in range(levels)], 1)
                guess = votes.argmax(1).astype(float)
            else:
                guess = (weight * found).sum(1) / np.maximum(weight.sum(1), 1e-30)
            out[rows[usable], d] = guess[usable]

    def nearness(self, x: Numbers, mask: Bits) -> torch.Tensor:
        """Return the distance `[n, donors]` of rows to donors, infinite where they know no cell in common."""
        w, m = self.spread(x, mask), torch.as_tensor(mask).float()
        owner = self.cells.owner
        wide, donors = m[:, owner], torch.as_tensor(self.mask).float()
        square = w.square() @ donors[:, owner].T + wide @ self.w.square().T - 2 * w @ self.w.T
        common = m @ donors.T
        distance = (square.clamp_min(0) * x.shape[1] / common).sqrt()
        return torch.where(common > 0, distance, float("inf"))


class Chained(Filler):
    """Each column in turn predicted from all others, holes filled by the last guess; three rounds for trees, ten for ridge.

    Van Buuren & Groothuis-Oudshoorn 2011 (MICE) with the prediction in place of a draw; with trees, Stekhoven &
    Bühlmann 2012 (missForest) with extremely randomised ones.
    """

    def __init__(self, trees: bool, rows: int = 20_000, seed: int = 0) -> None:
        self.trees, self.rows, self.seed = trees, rows, seed
        self.rounds = 3 if trees else 10

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        # Many small fits: threads would wait for each other more than they work. No warning for each rare category.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self.learn(x, mask, columns)

    def learn(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        """Fit each round's predictors, filling in as they come."""
        self.columns, self.mean, self.cells = columns, Mean(), Cells(columns)
        self.mean.fit(x, mask, columns)
        rows = np.random.default_rng(self.seed).permutation(len(x))[: min(self.rows, CELLS // x.shape[1] + 1)]
        x, mask = x[rows], mask[rows]
        others = x.shape[1] > 1  # a single column is left to its mean
        self.order = [int(d) for d in np.argsort((~mask).sum(0), kind="stable") if mask[:, d].sum() > 1 and others]
        filled = self.mean.fill(x, mask)
        self.near = {d: self.nearest(filled, d) for d in self.order}
        self.steps: list[dict[int, Any]] = []
        for _ in range(self.rounds):
            self.steps.append({})
            for d in self.order:
                known = mask[:, d]
                predictor = self.predictor(d, len(np.unique(x[known, d])))
                predictor.fit(self.inputs(filled, d)[known], x[known, d])
                self.predict(filled, mask, d, predictor)
                self.steps[-1][d] = predictor
            if self.trees:  # they take much memory; the last alone, used to good guesses, would be lost among first ones
                del self.steps[1:-1]

    def fill(self, x: Numbers, mask: Bits, wanted: Sequence[int] | None = None) -> Numbers:
        out = self.mean.fill(x, mask)
        for i in range(self.rounds):
            for d, predictor in self.steps[min(i, len(self.steps) - 1)].items():
                self.predict(out, mask, d, predictor)
        return out

    def predict(self, filled: Numbers, mask: Bits, d: int, predictor: Any) -> None:
        """Replace the guesses of one column in place."""
        rows = ~mask[:, d]
        if rows.any():
            filled[rows, d] = predictor.predict(self.inputs(filled[rows], d))

    def nearest(self, filled: Numbers, d: int) -> list[int]:
        """Return the columns that a column is predicted from: for trees, those that correlate most with it."""
        others = [j for j in range(filled.shape[1]) if j != d]
        if not self.trees or len(others) <= FEATURES:
            return others
        centred = filled - filled.mean(0)
        size = np.sqrt((centred**2).sum(0)) + 1e-12
        linked = np.abs(centred.T @ centred[:, d]) / size
        return sorted(others, key=lambda j: -linked[j])[:FEATURES]

    def inputs(self, filled: Numbers, d: int) -> Numbers:
        """Return what a column is predicted from: codes for trees, numbers `[n, W]` with one-hot categories for ridge."""
        if self.trees:
            return filled[:, self.near[d]]
        w = self.cells.spread(torch.as_tensor(filled)).numpy()
        return w[:, (self.cells.owner != d).numpy()]

    def predictor(self, d: int, different: int) -> Any:
        """Return what predicts a column, not yet fitted."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
        from sklearn.linear_model import BayesianRidge, RidgeClassifier

        classes = self.columns[d].levels and different > 1
        if self.trees:
            if not classes:
                return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=self.seed)
            leaves = LEAVES // self.columns[d].levels  # each leaf holds a number for every category
            return ExtraTreesClassifier(TREES, min_samples_leaf=2, max_leaf_nodes=leaves, random_state=self.seed)
        return RidgeClassifier() if classes else BayesianRidge()
