"""What a repair found out about a column, and what it fills in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genloom.core.random import mix
from genloom.data.tables.layout import Field, Layout
from genloom.errors import InputError
from genloom.shapes.columns import Bits, Numbers, Places

MOST_SAID, LEAST_SAID = 10, 0.005  # categories whose probabilities are written, and the least that is


@dataclass(frozen=True)
class Tested:
    """How a method, or the blend that fills, did on one column in the self-test.

    Attributes:
        error: of numbers relative to the column's deviation; of categories the wrong share.
        cells: how many it is taken from.
        low, high: of the blend, between which the error of the cells that are filled in lies, nine times in ten.
    """

    error: float = float("nan")
    cells: int = 0
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fix:
    """The filled cells of one column.

    Attributes:
        rows: which rows `[n]`.
        cells: the new cells, of the person's kind.
        values: the same as plain numbers or category indices.
        low, high: ends of the 90 % intervals as plain numbers, equal to the value for categories.
        chances: of a column of categories, the probability of each `[r, K]`, in the order of `field.column.categories`.
        certain: 0 to 1: 1 where nothing is open, 0 where the interval is as wide as the column, or a category a guess.
        doubts: why a cell is not to be trusted, or "".
    """

    field: Field
    method: str
    rows: Bits
    cells: list[Any]
    values: Numbers
    low: Numbers
    high: Numbers
    certain: Numbers
    doubts: list[str]
    chances: Numbers | None = None

    def probabilities(self, i: int) -> str:
        """Return the likeliest categories of one cell with their probabilities, as in `blue 0.71; red 0.24`, or ""."""
        if self.chances is None or self.field.column is None:
            return ""
        likeliest = [k for k in np.argsort(-self.chances[i], kind="stable")[:MOST_SAID] if self.chances[i, k] >= LEAST_SAID]
        return "; ".join(f"{self.field.column.categories[k]} {self.chances[i, k]:.2f}" for k in likeliest)


def stream_seed(seed: int, number: int) -> int:
    """Return the seed of the intervals (0) or of a drawn version (1, 2, ...)."""
    return mix(seed, number)


def row_numbers(frame: pd.DataFrame) -> Places:
    """Return the number of each row in its table, where the index counts; else its place among these."""
    index = frame.index
    return np.asarray(index, np.int64) if isinstance(index, pd.RangeIndex) else np.arange(len(frame))


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
        zeros,
        ["the column's only value"] * n,
    )


def refuse_useless(layout: Layout, missing: Mapping[str, int]) -> None:
    """Raise InputError where holes are in columns alone that nothing can be said about."""
    holes = [field for field in layout.fields if missing[field.name]]
    if holes and not any(field.role in ("learnt", "constant") for field in holes):
        reasons = "; ".join(f"{field.name!r}: {field.why}" for field in holes)
        raise InputError(f"no missing cell of this table can be filled in ({reasons})")
