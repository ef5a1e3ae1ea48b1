"""How well holes are filled: error on known cells that were hidden, and how often intervals hold the truth."""

# n rows, D columns

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genloom.core.capabilities import Imputes
from genloom.core.dataset import Dataset
from genloom.core.model import Model
from genloom.shapes.columns import Bits, Column, Numbers

ROWS = 5000


class HeldOut:
    """The light judge of imputation: the error of cells held out, relative to the mean's; 1 is no better than the mean."""

    def __init__(self, x: torch.Tensor, mask: torch.Tensor, held: torch.Tensor, columns: Sequence[Column]) -> None:
        rows = held.any(1).nonzero()[:, 0]
        rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), ROWS)).long()]  # from all over the table
        self.x, self.mask, self.held, self.columns = x[rows], (mask & ~held)[rows], held[rows].cpu().numpy(), columns

    @classmethod
    def for_data(cls, data: Dataset) -> HeldOut | None:
        """Return a judge for a table of which cells are held out, else None."""
        held = getattr(data, "held", None)
        if held is None or not held.any():
            return None
        return cls(data.x, data.mask, held, data.shape.columns)  # type: ignore[attr-defined]

    def __call__(self, model: Model) -> tuple[str, float]:
        """Return the measure's name and its value for the model as it is now; lower is better."""
        assert isinstance(model, Imputes)
        filled = model.impute(self.x, self.mask).float().cpu().numpy()
        errors = cell_errors(filled, self.x.cpu().numpy(), self.columns)[self.held]
        return "error[held-out cells]", float(errors.mean() ** 0.5)


def cell_errors(filled: Numbers, x: Numbers, columns: Sequence[Column]) -> Numbers:
    """Return the error `[n, D]` of each cell: the square of a number's, 0 or 1 of a category."""
    errors = (filled - x) ** 2
    chosen = [d for d, column in enumerate(columns) if column.levels]
    errors[:, chosen] = filled[:, chosen] != x[:, chosen]
    return errors


def column_errors(filled: Numbers, x: Numbers, cells: Bits, columns: Sequence[Column]) -> Numbers:
    """Return the error `[D]` of each column on chosen cells, not-a-number where none is chosen.

    Of numbers, the root of the mean square over the column's deviation; of categories, the share that is wrong.
    """
    errors = cell_errors(filled, x, columns)
    counts = cells.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(cells, errors, 0).sum(0) / counts
    levels = np.array([column.levels > 0 for column in columns], bool)
    return np.where(levels, mean, np.sqrt(mean))


def covered(low: Numbers, high: Numbers, x: Numbers, cells: Bits) -> float:
    """Return the share of chosen cells whose truth lies in its interval, ends included."""
    slack = 1e-6 * (1 + np.abs(x))
    inside = (x >= low - slack) & (x <= high + slack)
    return float(inside[cells].mean()) if cells.any() else float("nan")
