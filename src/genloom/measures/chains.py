"""Columns predicted from one another: ridge regressions in a chain, and trees that start from what simple methods fill in.

Van Buuren & Groothuis-Oudshoorn 2011 (MICE), with the prediction in place of a draw; with trees, Stekhoven & Bühlmann 2012
(missForest), whose many rounds from the mean are two here: one of small forests from a good start, one of the best trees.
"""

# n rows, D columns, W numbers that cells become

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from genloom.measures.fillers import TAIL, Filler, Guesses, Mean, Neighbours
from genloom.nn.cells import Cells
from genloom.shapes.columns import Bits, Column, Numbers, Places

Line = tuple[Numbers, Numbers]  # slopes `[W]` or `[W, levels]`, and offset
ROUNDS = 10  # of ridge
SMALL, TREES, STEPS = 12, 40, 60  # trees of a first forest, of a last one, and of a boosted sum
LEAVES = 50_000  # numbers in the leaves of a tree for categories
CELLS = 500_000  # from which trees learn: they take some hundred bytes for each
FEW, MANY = 1000, 8000  # rows below which boosted trees are small; from which on a leaf of a forest holds two of them
FEATURES = 25  # columns nearest to a target, by correlation, that its trees look at
LEVELS = 10  # categories above which trees are not boosted, since each takes trees of its own


@contextmanager
def small_fits() -> Iterator[None]:
    """Fit many small predictors: threads would wait for each other more than they work; no warning for rare categories."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def in_order(x: Numbers, mask: Bits) -> list[int]:
    """Return the columns that can be predicted, those with the fewest holes first."""
    varied = [len(np.unique(x[mask[:, d], d])) > 1 for d in range(x.shape[1])]
    return [int(d) for d in np.argsort((~mask).sum(0), kind="stable") if varied[d] and x.shape[1] > 1]


class Ridge(Filler):
    """Each column in turn by a ridge regression on all others, ten rounds; of categories, one on each one's indicator."""

    def __init__(self, rows: int = 20_000, seed: int = 0) -> None:
        self.rows, self.seed = rows, seed

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        self.columns, self.mean, self.cells = columns, Mean(), Cells(columns)
        self.mean.fit(x, mask, columns)
        rows = np.random.default_rng(self.seed).permutation(len(x))[: self.rows]
        x, mask = x[rows], mask[rows]
        filled = self.mean.guess(x, mask, ~mask)
        self.order = in_order(x, mask)
        self.steps: list[dict[int, Line]] = []
        with small_fits():
            for _ in range(ROUNDS):
                self.steps.append({})
                for d in self.order:
                    self.steps[-1][d] = self.predictor(filled.best, x, mask[:, d], d)
                    self.predict(filled, ~mask[:, d], d, self.steps[-1][d])

    def predictor(self, filled: Numbers, x: Numbers, known: Bits, d: int) -> Line:
        """Return slopes and offset of what predicts a column, fitted on the rows `[n]` that know it."""
        from sklearn.linear_model import BayesianRidge
        from sklearn.linear_model import Ridge as Plain

        inputs, levels = self.inputs(filled[known], d), self.columns[d].levels
        if levels:
            found = Plain().fit(inputs, np.eye(levels)[x[known, d].astype(int)])
        else:
            found = BayesianRidge().fit(inputs, x[known, d])
        return found.coef_.T, found.intercept_

    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        found = self.mean.guess(x, mask, wanted)
        for step in self.steps:
            for d, predictor in step.items():
                self.predict(found, ~mask[:, d], d, predictor)
        return found

    def predict(self, found: Guesses, rows: Bits, d: int, line: Line) -> None:
        """Replace the guesses of one column in place."""
        if not rows.any():
            return
        said = self.inputs(found.best[rows], d) @ line[0] + line[1]
        if self.columns[d].levels:
            chances = np.clip(said, 0.001, 1)
            found.choose(rows, d, chances / chances.sum(1, keepdims=True))
        else:
            found.best[rows, d] = said

    def inputs(self, filled: Numbers, d: int) -> Numbers:
        """Return what a column is predicted from: the others as numbers `[n, W]`, categories one-hot."""
        w = self.cells.spread(torch.as_tensor(filled)).numpy()
        return w[:, (self.cells.owner != d).numpy()]


class Start(Filler):
    """Where trees start from: the mean of ridge and neighbours, improved by a sweep of small forests.

    Args:
        rows: most rows that forests and all that starts here learn from.
        effort: 0 to 1, the share of its trees that there is time for.
    """

    def __init__(self, ridge: Ridge, near: Neighbours, rows: int = 20_000, seed: int = 0, effort: float = 1.0) -> None:
        self.ridge, self.near, self.rows, self.seed, self.effort = ridge, near, rows, seed, effort
        self.last: tuple[Any, ...] = ()

    @classmethod
    def alone(cls, seed: int = 0) -> Start:
        """Return a start with simple methods of its own."""
        return cls(Ridge(seed=seed), Neighbours(seed=seed), seed=seed)

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        self.columns = columns
        for simple in (self.ridge, self.near):
            if not hasattr(simple, "columns"):
                simple.fit(x, mask, columns)
        most = min(self.rows, CELLS // x.shape[1] + 1)
        rows = np.random.default_rng(self.seed).permutation(len(x))[:most]
        self.x, self.mask = x[rows], mask[rows]
        self.order = in_order(self.x, self.mask)
        self.filled = self.simple(self.x, self.mask)
        self.inputs = {d: nearest(self.filled, d) for d in self.order}
        self.forests: dict[int, Any] = {}
        with small_fits():
            for d in self.order:
                known = self.mask[:, d]
                inputs = self.filled[:, self.inputs[d]]
                leaves = LEAVES // max(1, columns[d].levels)
                forest = extra_trees(columns[d], max(3, round(SMALL * self.effort)), self.seed, 2, leaves)
                self.forests[d] = forest.fit(inputs[known], self.x[known, d])
                if not known.all():
                    self.filled[~known, d] = forest.predict(inputs[~known])

    def simple(self, x: Numbers, mask: Bits) -> Numbers:
        """Return codes `[n, D]` filled with the mean of both simple methods' guesses."""
        one, two = (simple.guess(x, mask, ~mask) for simple in (self.ridge, self.near))
        filled = (one.best + two.best) / 2
        for d in one.chances:
            filled[:, d] = (one.chances[d] + two.chances[d]).argmax(1)
        return filled

    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        return Guesses.begin(self.fill(x, mask), self.columns)

    def fill(self, x: Numbers, mask: Bits) -> Numbers:
        """Return codes `[n, D]` filled; those of the last call, where it was about the very same rows."""
        if not (self.last and self.last[0] is x and self.last[1] is mask):
            filled = self.simple(x, mask)
            for d, forest in self.forests.items():
                rows = ~mask[:, d]
                if rows.any():
                    filled[rows, d] = forest.predict(filled[rows][:, self.inputs[d]])
            self.last = (x, mask, filled)
        return np.array(self.last[2])


def nearest(filled: Numbers, d: int) -> list[int]:
    """Return the columns that a column is predicted from: those that correlate most with it, in their order."""
    others = [j for j in range(filled.shape[1]) if j != d]
    centred = filled - filled.mean(0)
    size = np.sqrt((centred**2).sum(0)) + 1e-12
    linked = np.abs(centred.T @ centred[:, d]) / size
    return sorted(sorted(others, key=lambda j: -linked[j])[:FEATURES])


def extra_trees(column: Column, trees: int, seed: int, leaf: int, leaves: int | None) -> Any:
    """Return a forest of extremely randomised trees (Geurts et al. 2006), not yet fitted, which tries half of the inputs."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    if column.levels:
        return ExtraTreesClassifier(
            trees, min_samples_leaf=max(leaf, 2), max_features=0.5, max_leaf_nodes=leaves, random_state=seed
        )
    return ExtraTreesRegressor(trees, min_samples_leaf=leaf, max_features=0.5, random_state=seed)


class Swept(Filler):
    """One sweep on from a start: each column predicted from the others as the start fills them in."""

    def __init__(self, start: Start | None = None, seed: int = 0, effort: float = 1.0) -> None:
        self.start, self.seed, self.effort = start or Start.alone(seed), seed, effort

    @abstractmethod
    def learner(self, column: Column, n: int) -> Any:
        """Return what predicts a column from n rows, not yet fitted; None where it is better left as it is."""

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        start = self.start
        if not hasattr(start, "forests"):
            start.fit(x, mask, columns)
        self.columns, self.learners = columns, dict[int, Any]()
        with small_fits():
            for d in start.order:
                known = start.mask[:, d]
                if (learner := self.learner(columns[d], int(known.sum()))) is not None:
                    self.learners[d] = learner.fit(start.filled[known][:, start.inputs[d]], start.x[known, d])

    def guess(self, x: Numbers, mask: Bits, wanted: Bits) -> Guesses:
        filled = self.start.fill(x, mask)
        found = Guesses.begin(filled.copy(), self.columns)
        for d, learner in self.learners.items():
            rows = np.flatnonzero(wanted[:, d])
            if not len(rows):
                continue
            inputs = filled[rows][:, self.start.inputs[d]]
            if levels := self.columns[d].levels:
                chances = np.full((len(rows), levels), 1e-3)
                chances[:, learner.classes_.astype(int)] += learner.predict_proba(inputs)
                found.choose(rows, d, chances / chances.sum(1, keepdims=True))
            else:
                self.predict(found, rows, d, learner, inputs)
        return found

    @abstractmethod
    def predict(self, found: Guesses, rows: Places, d: int, learner: Any, inputs: Numbers) -> None:
        """Replace the guesses of one column's numbers in place."""


class Trees(Swept):
    """Extremely randomised trees with leaves of one row, so that the trees' answers are a sample of what may be.

    Their quantiles are then about those of Meinshausen 2006 (quantile regression forests).
    """

    def learner(self, column: Column, n: int) -> Any:
        trees, leaf = max(5, round(TREES * self.effort)), 1 if n < MANY else 2
        return extra_trees(column, trees, self.seed, leaf, LEAVES // max(1, column.levels))

    def predict(self, found: Guesses, rows: Places, d: int, learner: Any, inputs: Numbers) -> None:
        single = np.ascontiguousarray(inputs, np.float32)
        for start in range(0, len(rows), 20_000):
            part = slice(start, start + 20_000)
            said = np.stack([tree.predict(single[part], check_input=False) for tree in learner.estimators_])
            low, high = np.quantile(said, [TAIL, 1 - TAIL], axis=0)
            found.spread(rows[part], d, said.mean(0), low, high)


class Boosted(Swept):
    """Boosted trees on binned numbers (Friedman 2001; Ke et al. 2017), with half of the inputs tried at each split."""

    def learner(self, column: Column, n: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        if column.levels > LEVELS or n < 20:
            return None
        kind = HistGradientBoostingClassifier if column.levels else HistGradientBoostingRegressor
        steps = round(STEPS * self.effort * (0.4 if column.levels else 1))  # a classifier takes trees a category
        few = n < FEW
        return kind(
            learning_rate=0.13,
            max_iter=max(steps, 10),
            max_features=0.5,
            max_leaf_nodes=15 if few else 31,
            max_bins=63 if few else 255,
            min_samples_leaf=5,
            early_stopping=False,
            random_state=self.seed,
        )

    def predict(self, found: Guesses, rows: Places, d: int, learner: Any, inputs: Numbers) -> None:
        found.best[rows, d] = learner.predict(inputs)
