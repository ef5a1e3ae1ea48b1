"""A figure with its interval: what every measure returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from genloom.core.random import generator
from genloom.errors import InputError

Better = Literal["lower", "higher", "nearer"]  # "nearer": to the figure of real examples
WIDTH = 1.96  # standard errors to either side: 95 % where errors are normal


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval.

    Attributes:
        n: examples judged.
        protocol: what else the value depends on; figures of unlike protocol are never put in one column.
        better: which way is better.
    """

    value: float
    low: float
    high: float
    n: int
    protocol: str
    better: Better = "lower"

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def to_json(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in asdict(self).items()}


def around(value: float, error: float, n: int, protocol: str, better: Better = "lower") -> Figure:
    """Return a figure from a value and its standard error."""
    return Figure(value, value - WIDTH * error, value + WIDTH * error, n, protocol, better)


def mean_figure(values: Tensor, protocol: str, better: Better = "lower") -> Figure:
    """Return the mean of a score per example `[n]`, with the interval of a mean."""
    values = values.double()
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else float("nan")
    return around(float(values.mean()), error, len(values), protocol, better)


def share_figure(hits: Tensor, protocol: str, better: Better = "higher") -> Figure:
    """Return the share of hits `[n]`, with Wilson's interval, which stays within 0 and 1."""
    n, share = len(hits), float(hits.double().mean())
    centre = (share + WIDTH**2 / (2 * n)) / (1 + WIDTH**2 / n)
    reach = WIDTH / (1 + WIDTH**2 / n) * math.sqrt(share * (1 - share) / n + WIDTH**2 / (4 * n * n))
    low, high = (round(min(max(edge, 0.0), 1.0), 12) for edge in (centre - reach, centre + reach))  # 1e-19 is 0
    return Figure(share, low, high, n, protocol, better)


def half_error(measure: Callable[[Tensor, Tensor], float], sizes: tuple[int, int], repeats: int = 10) -> float:
    """Estimate the standard error of a measure of two sets of these sizes by repeated halves.

    `measure` takes the indices of a half of either set. Values on random halves scatter as much as
    values on whole fresh sets would: a half has twice the variance, of which being a part of the same set
    takes half away. The bias of a half is the same in all, so it does not enter.
    """
    values = []
    for repeat in range(repeats):
        halving = generator("halves", repeat)
        halves = [torch.randperm(n, generator=halving)[: n // 2] for n in sizes]
        values.append(measure(halves[0], halves[1]))
    return float(torch.tensor(values, dtype=torch.float64).std())


def one_protocol(name: str, figures: Sequence[Figure]) -> str:
    """Return the protocol that the figures of a column share.

    Raises:
        InputError: they do not share one; the message names two.
    """
    protocols = sorted({figure.protocol for figure in figures})
    if len(protocols) > 1:
        raise InputError(f"figures of {name} cannot stand in one column: {protocols[0]!r} is not {protocols[1]!r}")
    return protocols[0]
