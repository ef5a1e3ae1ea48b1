"""K-means: a few rows that stand for many. Lloyd 1982; begun with rows drawn at random."""

# n rows, D features, m clusters

from __future__ import annotations

import torch
from torch import Tensor

SPAN = 8192  # rows compared at once


def medoids(x: Tensor, m: int, rounds: int = 100, seed: int = 0) -> Tensor:
    """Return the places `[m]`, rising, of the rows nearest to the centres of m clusters of `x [n, D]`; all where n is m.

    Fewer where two centres have the same nearest row.
    """
    if m >= len(x):
        return torch.arange(len(x))
    drawn = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:m]
    centres, owners = x[drawn].float(), torch.empty(0)
    squares = torch.cat([rows.float().square().sum(1) for rows in x.split(SPAN)])
    for _ in range(rounds):
        before, (owners, gaps) = owners, nearest(x, centres)
        if torch.equal(owners, before):
            break
        sums = torch.zeros_like(centres)
        for rows, own in zip(x.split(SPAN), owners.split(SPAN), strict=True):
            sums.index_add_(0, own, rows.float())
        counts = torch.bincount(owners, minlength=m)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        if empty := int((counts == 0).sum()):  # equal rows were drawn: begin again where rows are farthest from a centre
            far = (gaps + squares).topk(empty).indices
            centres[(counts == 0)[:, 0]] = x[far].float()
    owners, gaps = nearest(x, centres)
    order = torch.argsort(gaps + squares, stable=True)
    order = order[torch.argsort(owners[order], stable=True)]  # by cluster, and in it by distance
    first = torch.cat([torch.tensor([True]), owners[order][1:] != owners[order][:-1]])
    return order[first].sort().values


def nearest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest centre `[n]` of each row, and its squared distance less the row's own square `[n]`."""
    squares = centres.square().sum(1)
    found = [(squares - 2 * rows.float() @ centres.T).min(1) for rows in x.split(SPAN)]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])
