"""How far points lie from real ones: the energy distance, and the Wasserstein distance of each axis."""

# n, m points, D axes

from __future__ import annotations

import torch
from torch import Tensor

from genloom.measures.figure import Figure, around, half_error

MOST = 2000  # points of which all pairs are taken
AXES = 4  # that have a figure of their own


def point_figures(fake: Tensor, real: Tensor) -> dict[str, Figure]:
    """Return the distances of points `[n, D]` to `[m, D]`, with intervals by halves."""
    fake, real = fake[:MOST], real[:MOST]
    sizes, protocol = (len(fake), len(real)), f"{len(fake)} points against {len(real)}"
    error = half_error(lambda i, j: energy_distance(fake[i], real[j]), sizes)
    found = {"energy distance": around(energy_distance(fake, real), error, len(fake), protocol)}
    for d in range(min(real.shape[1], AXES)):
        a, b = fake[:, d], real[:, d]
        error = half_error(lambda i, j, a=a, b=b: wasserstein(a[i], b[j]), sizes)  # type: ignore[misc]
        found[f"Wasserstein, axis {d}"] = around(wasserstein(a, b), error, len(fake), protocol)
    return found


def energy_distance(x: Tensor, y: Tensor) -> float:
    """Return 2 E|x - y| - E|x - x'| - E|y - y'| of points `[n, D]` and `[m, D]`, unbiased (Szekely & Rizzo 2013)."""
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(y, y).sum() / (m * (m - 1))
    return float(2 * torch.cdist(x, y).mean() - within)


def wasserstein(x: Tensor, y: Tensor) -> float:
    """Return the mean distance of sorted numbers `[n]` to `[m]`, the longer ones thinned to the shorter ones' count."""
    n = min(len(x), len(y))
    quantiles = (torch.arange(n) + 0.5) / n
    return float((torch.quantile(x, quantiles) - torch.quantile(y, quantiles)).abs().mean())
