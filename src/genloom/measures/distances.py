"""Squared distances between all of two sets, by one matrix product."""

# n, m examples, D features

from __future__ import annotations

import torch
from torch import Tensor


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x - y|^2 `[n, m]` of `[n, D]` and `[m, D]`; rounding may leave an equal pair a little below or above zero."""
    square = torch.addmm(y.square().sum(1)[None], x, y.T, alpha=-2)
    return square.add_(x.square().sum(1)[:, None])
