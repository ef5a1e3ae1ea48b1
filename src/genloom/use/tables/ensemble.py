"""All methods that may fill a table, learnt from the same cells; what several need is learnt once."""

# n rows, D columns

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from genloom.measures.chains import CELLS, SMALL, STEPS, TREES, Boosted, Ridge, Start, Trees, extra_trees
from genloom.measures.fillers import Filler, Guesses, Mean, Neighbours
from genloom.shapes.columns import Bits, Column, Numbers

SWEPT = ("trees", "boosted")
PROBE, SHARE, LEAST = 3, 0.5, 0.08  # trees that are timed; of the time left, for growing; effort below which not to begin


class Ensemble:
    """Simple methods and trees by name.

    Args:
        names: of the methods to learn.
        rows: most rows that chains learn from.
        effort: 0 to 1, the share of trees that there is time for.
    """

    def __init__(self, names: Collection[str], rows: int, seed: int, effort: float = 1.0) -> None:
        ridge, near = Ridge(rows, seed), Neighbours(seed=seed)
        start = Start(ridge, near, rows, seed, effort)
        every: dict[str, Filler] = {
            "mean": Mean(),
            "knn": near,
            "ridge": ridge,
            "trees": Trees(start, seed, effort),
            "boosted": Boosted(start, seed, effort),
        }
        self.fillers = {name: filler for name, filler in every.items() if name in names}

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column], say: Callable[[str], None]) -> None:
        """Learn from codes `[n, D]` and the mask of those known."""
        for name, filler in self.fillers.items():
            say(name)
            filler.fit(x, mask, columns)

    def guesses(self, names: Collection[str], x: Numbers, mask: Bits, wanted: Bits) -> dict[str, Guesses]:
        """Return what each of some methods holds of wanted cells of rows `[n, D]`."""
        return {name: self.fillers[name].guess(x, mask, wanted) for name in names}


def affordable(x: Numbers, mask: Bits, columns: Sequence[Column], seconds: float) -> float:
    """Return the share of its trees that a chain can grow twice within a time, at most 1; 0 where that is next to none.

    A small forest for the fullest column tells how long trees take.
    """
    if seconds == float("inf"):
        return 1.0
    d, began = int(mask.sum(0).argmax()), time.monotonic()
    known = np.flatnonzero(mask[:, d])[: CELLS // x.shape[1] + 1]
    extra_trees(replace(columns[d], categories=()), PROBE, 0, 2, None).fit(x[known], x[known, d])
    chain = (time.monotonic() - began) * len(columns) * (SMALL + TREES + STEPS / 2) / PROBE
    effort = SHARE * seconds / (2 * chain + 1e-9)
    return min(effort, 1.0) if effort > LEAST else 0.0
