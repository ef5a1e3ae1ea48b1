"""Kernel distance between two sets of features (Binkowski et al. 2018, arXiv 1801.01401), unbiased at every size."""

# n, m examples, D features

from __future__ import annotations

import math

import torch
from torch import Tensor

from genloom.measures.figure import WIDTH, Figure, around

BLOCK = 1000  # examples a block, as in the paper


def kid(fake: Tensor, real: Tensor, protocol: str) -> Figure:
    """Return the mean kernel distance over disjoint blocks of features `[n, D]` and `[m, D]`.

    The paper draws its blocks of 1,000 with overlap; disjoint ones have the same mean and an honest scatter.
    """
    least = min(len(fake), len(real))
    blocks = max(least // BLOCK, 4)
    size = least // blocks
    values = torch.tensor(
        [kernel_distance(fake[i * size : (i + 1) * size], real[i * size : (i + 1) * size]) for i in range(blocks)],
        dtype=torch.float64,
    )
    from scipy.special import stdtrit

    few = float(stdtrit(blocks - 1, 0.975)) / WIDTH  # four blocks know their own scatter badly
    error = few * float(values.std() / math.sqrt(blocks))
    return around(float(values.mean()), error, len(fake), f"{protocol}, {blocks} blocks of {size}")


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Unbiased squared MMD of features `[n, D]` and `[m, D]` with the kernel (x.y / D + 1)^3."""
    n, m, width = len(x), len(y), x.shape[1]
    x, y = x.double(), y.double()  # cubes of large features leave few digits in float32
    xx, yy, xy = ((a @ (b.T / width)).add_(1).pow_(3) for a, b in ((x, x), (y, y), (x, y)))
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * xy.mean())
