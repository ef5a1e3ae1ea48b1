"""How well holes are filled: error on known cells that were hidden, and how often intervals hold the truth."""

# n rows, D columns

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genloom.core.capabilities import Imputes
from genloom.core.dataset import Dataset
from genloom.core.model import Model
from genloom.measures.figure import Figure, around, half_error, mean_figure, share_figure
from genloom.shapes.columns import Bits, Column, Numbers

ROWS = 5000
LEAST_ROWS, FOREST_ROWS = 50, 5000  # below which a figure says nothing; on which the forest learns and is asked


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


# -- figures for the judge -------------------------------------------------------------------------


def hole_figures(
    best: Numbers, drawn: Numbers | None, x: Numbers, mask: Bits, held: Bits, columns: Sequence[Column], seed: int = 0
) -> dict[str, Figure]:
    """Return how well held cells of rows are filled in.

    Args:
        best: guesses `[n, D]`.
        drawn: ways to fill the same rows `[draws, n, D]`, or None where there is only the guess.
        x: true codes `[n, D]`; mask: cells that the filler saw; held: known cells that it did not.
    """
    numbers = held & np.array([not column.levels for column in columns])
    choices = held & ~numbers
    errors = cell_errors(best, x, columns)
    found: dict[str, Figure] = {}
    if numbers.any():
        found["error of numbers"] = root_mean(errors[numbers], "relative to the column's spread, held-out cells")
    if choices.any():
        found["wrong categories"] = share_figure(torch.as_tensor(errors[choices] > 0), "held-out cells", "lower")
    if drawn is not None and numbers.any():
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        slack = 1e-6 * (1 + np.abs(x))
        inside = ((x >= low - slack) & (x <= high + slack))[numbers]
        found["held by 90 % intervals"] = share_figure(torch.as_tensor(inside), f"{len(drawn)} draws", "nearer")
    one = best if drawn is None else drawn[0]
    found |= correlation_figure(one, x, mask | held, held, columns)
    return found | told_apart(
        np.where(held, one, x), x, mask | held, columns, seed, "one draw" if drawn is not None else "guess"
    )


def root_mean(squares: Numbers, protocol: str) -> Figure:
    """Return the root of a mean of squares, with the interval of the mean."""
    mean = mean_figure(torch.as_tensor(squares), protocol)
    value, low, high = (max(end, 0.0) ** 0.5 for end in (mean.value, mean.low, mean.high))
    return Figure(value, low, high, mean.n, protocol, "lower")


def correlation_figure(filled: Numbers, x: Numbers, known: Bits, held: Bits, columns: Sequence[Column]) -> dict[str, Figure]:
    """Return by how much the correlations of numbers change where held cells are replaced by filled ones."""
    numbers = [d for d, column in enumerate(columns) if not column.levels and known[:, d].sum() > 2]
    rows = known[:, numbers].all(1)
    if len(numbers) < 2 or rows.sum() < LEAST_ROWS:
        return {}
    true, made = x[rows][:, numbers], np.where(held, filled, x)[rows][:, numbers]

    def change(i: torch.Tensor, j: torch.Tensor) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = np.corrcoef(true[i].T) - np.corrcoef(made[i].T)
        upper = np.abs(gap[np.triu_indices(len(numbers), 1)])
        return float(np.nanmean(upper)) if np.isfinite(upper).any() else 0.0

    every = torch.arange(len(true))
    error = half_error(change, (len(true), len(true)))
    return {
        "change of correlations": around(change(every, every), error, len(true), "rows known throughout, absolute, mean")
    }


def told_apart(made: Numbers, x: Numbers, known: Bits, columns: Sequence[Column], seed: int, what: str) -> dict[str, Figure]:
    """Return how often a forest tells rows with filled cells from the same rows with the true ones; half is chance.

    Learnt on one half of the rows, asked about the other; a row and its counterpart are always on the same side.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    n = min(len(x), FOREST_ROWS)
    if n < LEAST_ROWS:
        return {}
    order = np.random.default_rng((seed, 5)).permutation(len(x))[:n]
    true, false = (np.where(known[order], values[order], -9.0) for values in (x, made))  # what is missing is so in both
    half = n // 2
    forest = ExtraTreesClassifier(100, min_samples_leaf=5, random_state=seed % 2**31)
    labels = np.repeat([1, 0], half)
    forest.fit(np.concatenate([true[:half], false[:half]]), labels)
    asked = np.concatenate([true[half:], false[half:]])
    right = forest.predict(asked) == np.repeat([1, 0], n - half)
    return {"told apart by a forest": share_figure(torch.as_tensor(right), f"{what}, {n} rows, half is chance", "lower")}
