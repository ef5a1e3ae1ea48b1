"""How much to believe each method in each column, how far the blend's intervals reach, and what error to promise.

All of it is decided on known cells that were hidden from the methods.
"""

# M methods, c hidden cells of a column, n rows, K categories

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from genloom.measures.fillers import TAIL
from genloom.shapes.columns import Bits, Numbers

PRIOR = 60  # cells that what held in all columns counts for, beside a column's own
FEW = 100  # hidden cells of a column below which all columns together say how far its intervals reach
WORST = 3.0  # times the error of a column's best method, beyond which a method is as bad as can be
CLEAR = 0.03  # weight below which a method is left out
FLOORS = (0.05, 0.3, 1.0, 3.0, 30.0)  # of a column's error: what a row's own spread is added to
POWERS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)  # that probabilities may be raised to
SURE = 1.645  # deviations to either side that hold nine in ten
# The scatter of squared errors, which few cells show too small, times this held nine in ten true errors of other tables;
# and methods that learn from all known cells in the end err by so much less than those that were tested.
WIDER, LATER = 1.45, 0.05


@dataclass
class Trial:
    """What all methods said of the hidden cells of one column.

    Attributes:
        truth: codes `[c]`.
        best: guesses `[M, c]`; low, high: ends `[M, c]`, not-a-number where a method gives none.
        chances: of a column of categories `[M, c, K]`.
    """

    truth: Numbers
    best: Numbers
    low: Numbers
    high: Numbers
    chances: Numbers | None = None

    @property
    def errors(self) -> Numbers:
        """What is off `[M, c, 1 or K]`: of numbers the guess, of categories the probability of each."""
        if self.chances is None:
            return (self.best - self.truth)[:, :, None]
        each: Numbers = self.chances - np.eye(self.chances.shape[2])[self.truth.astype(int)]
        return each

    def of(self, cells: Bits) -> Trial:
        """Return the trial of some of its cells `[c]`."""
        chances = None if self.chances is None else self.chances[:, cells]
        return Trial(self.truth[cells], self.best[:, cells], self.low[:, cells], self.high[:, cells], chances)

    def blended(self, weights: Numbers, spread: Numbers) -> Blend:
        """Return what the methods say together; `weights` and `spread` as `blend` takes them."""
        return blend(weights, spread, self.best, self.low, self.high, self.chances)


@dataclass
class Blend:
    """A weighted mean of guesses for cells of one column.

    Attributes:
        best: codes `[c]`; below, above: the spread `[c]` that the row itself suggests, to either side.
        chances: `[c, K]` of categories.
    """

    best: Numbers
    below: Numbers
    above: Numbers
    chances: Numbers | None = None


def blend(weights: Numbers, spread: Numbers, best: Numbers, low: Numbers, high: Numbers, chances: Numbers | None) -> Blend:
    """Return the weighted mean of guesses `[M, c]`, of their spreads and of their probabilities `[M, c, K]`.

    Args:
        weights: of guesses and probabilities `[M]`; spread: of spreads `[M]`, among the methods that have one.
    """
    if chances is not None:
        mixed = np.tensordot(weights, chances, 1)
        return Blend(mixed.argmax(1).astype(float), np.zeros(len(mixed)), np.zeros(len(mixed)), mixed)
    mean = weights @ best
    say = np.isfinite(low) & (spread[:, None] > 0)
    share = np.where(say, spread[:, None], 0)
    total = np.maximum(share.sum(0), 1e-12)
    below = (share * np.where(say, np.maximum(best - low, 0), 0)).sum(0) / total
    above = (share * np.where(say, np.maximum(high - best, 0), 0)).sum(0) / total
    return Blend(mean, below, above)


# -- weights ---------------------------------------------------------------------------------------


def least(products: Numbers) -> Numbers:
    """Return weights `[M]`, none below 0, of sum 1, for which w' A w is least, given A `[M, M]`.

    Of every choice of methods the best weights are known (A w is constant among them); the best valid one is the answer.
    """
    m = len(products)
    products = products + np.eye(m) * (1e-9 * np.trace(products) + 1e-30)
    best, found = np.inf, np.eye(m)[0]
    for size in range(1, m + 1):
        for some in map(list, combinations(range(m), size)):
            part = products[np.ix_(some, some)]
            w = np.linalg.solve(part, np.ones(size))
            if ((w < 0).any() and (w > 0).any()) or not np.isfinite(w).all():
                continue
            w = w / w.sum()
            if (value := float(w @ part @ w)) < best:
                best, found = value, np.zeros(m)
                found[some] = w
    return found


def find_weights(trials: Sequence[Trial], usual: int) -> Numbers:
    """Return the weights `[M, D]` of methods in columns, shrunk towards what held in all of them.

    Args:
        trials: of each column, which may have no cell.
        usual: the place of the method to take where no column has a cell, the mean.

    Errors are in units of those of the column's best method. A column's own cells count for as many as their squared
    errors are worth: where a few large ones make the sum, for few.
    """
    m = len(trials[0].best)
    own, counts = [np.zeros((m, m)) for _ in trials], np.zeros(len(trials))
    for d, trial in enumerate(trials):
        if not len(trial.truth):
            continue
        errors = trial.errors
        size = (errors**2).sum((0, 2))
        products = np.einsum("mck,lck->ml", errors, errors) / len(size)
        if size.any():
            own[d] = products / max(np.diag(products).min(), 1e-4 * np.trace(products))
            counts[d] = min(3 * size.sum() ** 2 / (size**2).sum(), len(size))
    if not counts.any():
        return np.repeat(np.eye(m)[usual][:, None], len(trials), 1)
    share = np.sqrt(counts) / np.sqrt(counts).sum()
    pooled = np.sum([each * tamed(products) for each, products in zip(share, own, strict=True)], 0)
    return np.stack([clear(least(c * products + PRIOR * pooled)) for c, products in zip(counts, own, strict=True)], 1)


def tamed(products: Numbers) -> Numbers:
    """Return products `[M, M]` of errors, none more than some times the best one, so that none decides for all."""
    scale = np.minimum(1, WORST / np.sqrt(np.maximum(np.diag(products), 1e-12)))
    each: Numbers = products * scale[:, None] * scale
    return each


def clear(weights: Numbers) -> Numbers:
    """Return weights `[M]` without the smallest ones, which cost time and change nothing."""
    weights = np.where(weights < CLEAR, 0, weights)
    return weights / weights.sum()


# -- intervals -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ends:
    """How far a column's 90 % intervals reach: multiples of a spread that mixes the row's own with the column's.

    Attributes:
        floor: what is the column's, in codes.
        down, up: the multiples.
    """

    floor: float = 1.0
    down: float = SURE
    up: float = SURE

    def spread(self, blend: Blend) -> tuple[Numbers, Numbers]:
        """Return the spread `[c]` to either side, in codes."""
        return np.hypot(self.floor, blend.below), np.hypot(self.floor, blend.above)

    def around(self, blend: Blend) -> tuple[Numbers, Numbers]:
        """Return the ends `[c]` of intervals, in codes."""
        below, above = self.spread(blend)
        return blend.best - self.down * below, blend.best + self.up * above


def find_ends(blends: Sequence[Blend], truths: Sequence[Numbers]) -> list[Ends]:
    """Return each column's ends, given what the blend said of its hidden cells, and the truth.

    Conformal prediction (Vovk et al. 2005) of either end by itself, as Romano et al. 2019 have it: a twentieth of the
    cells lies beyond each, so that skewed columns have skewed intervals. Of several mixtures of spreads that one is
    taken whose intervals have the best score (Gneiting & Raftery 2007, section 6.2).
    """
    floors = [
        max(float(np.sqrt(np.mean((b.best - t) ** 2))), 1e-9) if len(t) else 1.0 for b, t in zip(blends, truths, strict=True)
    ]
    numbers = [d for d, blend in enumerate(blends) if blend.chances is None and len(truths[d])]
    tried = {d: [ends_of(blends[d], truths[d], share * floors[d]) for share in FLOORS] for d in numbers}
    scores = {d: np.array([score(ends, blends[d], truths[d]) for ends in tried[d]]) / floors[d] for d in numbers}
    place = int(np.sum([scores[d] for d in numbers], 0).argmin()) if numbers else 0
    common = pooled_ends(blends, truths, floors, FLOORS[place], numbers)
    found = [Ends(common.floor * floor, common.down, common.up) for floor in floors]
    for d in numbers:
        if len(truths[d]) >= FEW:
            found[d] = tried[d][int(scores[d].argmin())]
    return found


def ends_of(blend: Blend, truth: Numbers, floor: float) -> Ends:
    """Return the ends that hold nine in ten of a column's hidden cells, with one mixture of spreads."""
    down, up = needed(blend, truth, floor)
    return Ends(floor, edge(down), edge(up))


def pooled_ends(
    blends: Sequence[Blend], truths: Sequence[Numbers], floors: Sequence[float], share: float, columns: Sequence[int]
) -> Ends:
    """Return the ends that hold nine in ten of some columns' hidden cells together, their floor in units of the error."""
    each = [needed(blends[d], truths[d], share * floors[d]) for d in columns]
    down, up = (np.concatenate([pair[side] for pair in each] or [np.zeros(0)]) for side in (0, 1))
    return Ends(share, edge(down), edge(up))


def needed(blend: Blend, truth: Numbers, floor: float) -> tuple[Numbers, Numbers]:
    """Return the multiples `[c]` of the spread to either side that would just hold the truth."""
    below, above = Ends(floor).spread(blend)
    return (blend.best - truth) / below, (truth - blend.best) / above


def edge(needed: Numbers) -> float:
    """Return the multiple that all but a twentieth need at most, by the rule that holds for the next one too."""
    if len(needed) < 20:
        return SURE
    return float(np.clip(np.quantile(needed, min(1.0, (1 - TAIL) * (1 + 1 / len(needed)))), 0.0, 50.0))


def score(ends: Ends, blend: Blend, truth: Numbers) -> float:
    """Return the mean interval score of 90 % intervals: width, and twenty times what lies beyond."""
    low, high = ends.around(blend)
    beyond = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return float(np.mean(high - low + beyond / TAIL))


def find_powers(blends: Sequence[Blend], truths: Sequence[Numbers]) -> list[float]:
    """Return for each column the power of probabilities with the least cross-entropy on hidden cells.

    Above 1 where they are too timid, below where too bold; of all columns together where one has few cells.
    """
    losses = [losses_of(b, t) for b, t in zip(blends, truths, strict=True)]
    common = np.sum([np.zeros(len(POWERS)), *losses], 0)
    common[POWERS.index(1.0)] -= 1e-9  # without a cell, they stay
    chosen = [own if len(t) >= FEW else common for own, t in zip(losses, truths, strict=True)]
    return [POWERS[int(loss.argmin())] for loss in chosen]


def losses_of(blend: Blend, truth: Numbers) -> Numbers:
    """Return the cross-entropy of probabilities raised to each power; zeros for a column of numbers."""
    if blend.chances is None:
        return np.zeros(len(POWERS))
    told = truth.astype(int)
    return np.array([-np.log(raised(blend.chances, power)[np.arange(len(told)), told]).sum() for power in POWERS])


def raised(chances: Numbers, power: float) -> Numbers:
    """Return probabilities `[c, K]` raised to a power, of sum 1 again."""
    high: Numbers = np.maximum(chances, 1e-6) ** power
    return high / high.sum(1, keepdims=True)


# -- promises --------------------------------------------------------------------------------------


def promise(squares: Numbers, holes: int, levels: int, again: bool = True) -> tuple[float, float, float]:
    """Return the error to expect in a column's holes, and the ends of its 90 % interval.

    Args:
        squares: of hidden cells `[c]`, the squared error, or 0 and 1 for right and wrong.
        holes: how many cells are filled in: the fewer, the more their own error scatters.
        again: whether methods that gain by it learn again from all known cells.
    """
    c = len(squares)
    mean = float(squares.mean())
    share = 1 / c + 1 / max(holes, 1)
    if levels:
        held = (squares.sum() + 1) / (c + 2)
        reach = WIDER * SURE * float(np.sqrt(held * (1 - held) * share))
        return mean, max(mean - reach, 0.0), min(mean + reach, 1.0)
    if mean <= 0:
        return 0.0, 0.0, 0.0
    cells = 3 * float(squares.sum() ** 2 / (squares**2).sum())  # that the sum is worth
    reach = WIDER * SURE * float(np.sqrt((squares.var() / mean**2) * share)) * (1 + 2 / max(cells, 2.0)) / 2
    error = float(mean**0.5 * np.exp(-LATER if again else 0.0))
    return error, error * float(np.exp(-reach)), error * float(np.exp(reach))
