"""Columns of a table: what kind of values each holds, and how they are coded as numbers for a model.

A cell is one number: a numeric or date value less the column's mean, over its scale; or the index of
a category. What is missing is said by a mask beside it, never by a value.
"""

# n rows, D columns

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["numeric", "integer", "categorical", "boolean", "date"]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Bits = np.ndarray[Any, np.dtype[np.bool_]]
Places = np.ndarray[Any, np.dtype[np.int64]]
WEEK, YEAR = 7 * 86400.0, 365.2425 * 86400.0
GRID = 50  # different values up to which filled-in ones are taken from those that were seen


@dataclass(frozen=True)
class Column:
    """A column that a model learns.

    Attributes:
        name: its heading.
        kind: what its values are; dates are seconds since 1970.
        mean, scale: of the known values: numbers are coded as (value - mean) / scale.
        low, high: the least and the greatest known value; nothing outside of them is ever filled in.
        step: values are whole multiples of it, 0 for any.
        grid: the known values, where they are few; filled-in ones are taken from these.
        categories: of a categorical or boolean column, the values that codes 0, 1, ... stand for.
    """

    name: str
    kind: Kind = "numeric"
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    grid: tuple[float, ...] = ()
    categories: tuple[Any, ...] = ()

    @property
    def levels(self) -> int:
        """How many categories there are, 0 for a column of numbers."""
        return len(self.categories)

    @classmethod
    def of_numbers(cls, name: str, values: Numbers, kind: Kind = "numeric", step: float = 0.0) -> Column:
        """Study the known values `[n]` of a column of numbers; without any it has mean 0 and scale 1."""
        if not len(values):
            return cls(name, kind)
        grid = np.unique(values[:100_000])
        if len(grid) > GRID or len(grid) * 5 > len(values):
            grid = grid[:0]
        scale = float(values.std())
        low, high = float(values.min()), float(values.max())
        whole = bool((values == np.round(values)).all())
        small = 0.0 if whole else 1e-9 * max(abs(low), abs(high), 1e-300)  # a spread that rounding alone would give
        return cls(
            name, kind, float(values.mean()), scale if scale > small else 1.0, low, high, step, tuple(map(float, grid))
        )

    def code(self, values: Numbers) -> Numbers:
        """Return the codes `[n]` of plain numbers `[n]`, or of category indices as they are."""
        return values if self.categories else (values - self.mean) / self.scale

    def plain(self, codes: Numbers) -> Numbers:
        """Return the plain numbers `[n]` of codes, within the known range but on no grid: best for squared error."""
        if self.categories:
            return np.clip(np.round(codes), 0, self.levels - 1)
        return np.clip(codes * self.scale + self.mean, self.low, self.high)

    def held(self, codes: Numbers) -> Numbers:
        """Return the plain numbers or category indices `[n]` of codes as this column could hold them."""
        return self.plain(codes) if self.categories else self.snapped(self.plain(codes))

    def snapped(self, values: Numbers) -> Numbers:
        """Return numbers `[n]` as the nearest that this column could hold."""
        if self.grid:
            grid = np.asarray(self.grid)
            place = np.searchsorted((grid[1:] + grid[:-1]) / 2, values)
            return grid[place]
        if self.step:
            return np.clip(np.round(values / self.step) * self.step, self.low, self.high)
        return values
