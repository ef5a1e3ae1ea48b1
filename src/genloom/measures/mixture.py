"""A baseline that anyone can fit in seconds: principal components of the pictures and a mixture of Gaussians.

A model that does not beat it has learnt nothing that needs a network.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

COMPONENTS, GAUSSIANS = 64, 20
EXAMPLES, ROUNDS = 10_000, 10


def mixture_samples(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """Fit the mixture to pictures `[m, C, H, W]` in [0, 1] and draw `n` `[n, C, H, W]`. Needs scikit-learn."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    flat = x[:EXAMPLES].flatten(1)
    width = min(COMPONENTS, flat.shape[1], len(flat) - 1)
    mean, directions = principal_directions(flat, width)
    codes = (flat - mean) @ directions
    mixture = GaussianMixture(min(GAUSSIANS, max(1, len(flat) // 50)), reg_covar=1e-4, random_state=seed, max_iter=ROUNDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its FID has settled by then
        mixture.fit(codes.numpy())
    mixture.weights_ = (weights := mixture.weights_.astype(np.float64)) / weights.sum()  # numpy asks that of a draw
    drawn = mixture.sample(n)[0]
    np.random.default_rng(seed).shuffle(drawn)  # scikit-learn returns them component by component
    z = torch.from_numpy(drawn).float()
    return (z @ directions.T + mean).clamp(0, 1).view(n, *x.shape[1:])


def principal_directions(flat: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the mean `[D]` and the directions `[D, width]` of greatest variance of examples `[m, D]`."""
    mean = flat.mean(0)
    centred = flat - mean
    if flat.shape[1] <= len(flat):
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        return mean, vectors.flip(1)[:, :width].contiguous()
    values, vectors = torch.linalg.eigh(centred @ centred.T)  # fewer examples than pixels: the smaller matrix
    directions = centred.T @ vectors.flip(1)[:, :width]
    return mean, directions / values.flip(0)[:width].clamp_min(1e-12).sqrt()
