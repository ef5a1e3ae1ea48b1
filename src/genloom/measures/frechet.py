"""Fréchet distance between two sets of features: that of the Gaussians with their means and covariances.

Heusel et al. 2017 (arXiv 1706.08500), eq. (6). Quotable only with the name of the features beside it.
"""

# n, m examples, D features

from __future__ import annotations

import torch
from torch import Tensor

from genloom.measures.figure import Figure, around, half_error


def fid(fake: Tensor, real: Tensor, protocol: str) -> Figure:
    """Return the Fréchet distance of features `[n, D]` to `[m, D]`, its interval from repeated halves of both."""
    repeats = 10 if fake.shape[1] <= 512 else 4  # the root of a wide covariance takes seconds
    error = half_error(lambda i, j: frechet_distance(fake[i], real[j]), (len(fake), len(real)), repeats)
    return around(frechet_distance(fake, real), error, len(fake), f"{protocol}, {len(real)} real")


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean `[D]` and covariance `[D, D]` of features `[n, D]`, in float64, without a float64 copy of them all."""
    mean = features.mean(0, dtype=torch.float64)
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for part in features.split(4096):
        centred = part.double() - mean
        total += centred.T @ centred
    return mean, total / (len(features) - 1)


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Return |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) of features `[n, D]` and `[m, D]`."""
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(y)
    root = square_root(cov_x)
    # C_x C_y and the symmetric root C_y root have the same eigenvalues, and those of the latter are safely real.
    cross = torch.linalg.eigvalsh(root @ cov_y @ root).clamp_min(0).sqrt().sum()
    return float((mean_x - mean_y).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross)


def square_root(matrix: Tensor) -> Tensor:
    """Return the root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
