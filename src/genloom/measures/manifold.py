"""Precision, recall, density and coverage: does each sample lie where real examples do, and the other way round.

Kynkäänniemi et al. 2019 (arXiv 1904.06991) with k = 3; Naeem et al. 2020 (arXiv 2002.09797) with k = 5.
A set's manifold is the union of balls around its points, each reaching to the point's k-th neighbour.
"""

# n fake, m real examples, D features

from __future__ import annotations

import torch
from torch import Tensor

from genloom.measures.distances import square_distances
from genloom.measures.figure import Figure, mean_figure, share_figure

BLOCK = 256  # rows of a distance matrix held at once


def manifold_figures(fake: Tensor, real: Tensor, radii: Tensor | None = None) -> dict[str, Figure]:
    """Return precision, recall, density and coverage of features `[n, D]` against `[m, D]`.

    The intervals are those of the counted examples, with the other set's manifold held fixed.

    Args:
        radii: `neighbour_squares(real, 5)` of as many real examples as there are fake ones, where it is known.
    """
    size = min(len(fake), len(real))  # balls shrink as points become more: equal counts keep the two sides alike
    fake, real = fake[:size], real[:size]
    radii_real = neighbour_squares(real, 5) if radii is None or len(radii) != size else radii
    radii_fake = neighbour_squares(fake, 3)
    inside_real = torch.zeros(size, dtype=torch.bool)  # of each fake: within some real ball, k = 3
    inside_fake = torch.zeros(size, dtype=torch.bool)  # of each real: within some fake ball, k = 3
    balls = torch.zeros(size)  # of each fake: real balls around it, k = 5
    covered = torch.zeros(size, dtype=torch.bool)  # of each real: a fake within its ball, k = 5
    for rows in torch.arange(size).split(BLOCK):
        gap = square_distances(fake[rows], real)  # [rows, m]
        inside_real[rows] = any_of(gap <= radii_real[:, 2], 1)
        inside_fake |= any_of(gap <= radii_fake[rows, 2, None], 0)
        close = gap <= radii_real[:, 4]
        balls[rows] = close.float().sum(1)
        covered |= any_of(close, 0)
    k3, k5 = (f"k={k}, {size} of each" for k in (3, 5))
    return {
        "precision": share_figure(inside_real, k3),
        "recall": share_figure(inside_fake, k3),
        "density": mean_figure(balls / 5, k5, "higher"),
        "coverage": share_figure(covered, k5),
    }


def any_of(hits: Tensor, dim: int) -> Tensor:
    """Return whether any along a dimension of `hits` is true; bytes have a maximum long before bools have an any."""
    return hits.view(torch.uint8).amax(dim).bool()


def neighbour_squares(x: Tensor, k: int) -> Tensor:
    """Return the squared distances `[n, k]` of features `[n, D]` to their k nearest others, rising."""
    parts = []
    for rows in torch.arange(len(x)).split(BLOCK):
        gap = square_distances(x[rows], x)
        gap[torch.arange(len(rows)), rows] = float("inf")  # not itself, even where rounding leaves it a distance
        parts.append(gap.topk(min(k, len(x) - 1), largest=False).values)
    return torch.cat(parts)
