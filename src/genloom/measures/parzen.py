"""Parzen-window log-likelihood of samples, by the protocol of Goodfellow et al. 2014, section 5.

A mixture of isotropic Gaussians, one at each of 10,000 samples; its width sigma is chosen on the
first 1,000 validation examples; the figure is the mean over the test examples, in nats, with its
standard error. Examples lie in [0, 1]: another range shifts the figure.
"""

# n samples, m examples, D numbers in an example

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMAS = tuple(float(s) for s in torch.logspace(-1, 0, 10, dtype=torch.float64))


@dataclass(frozen=True)
class Parzen:
    """The figure in nats, its standard error over the test examples, and the sigma that was chosen."""

    nats: float
    error: float
    sigma: float


def log_density(x: Tensor, samples: Tensor, sigma: float, block: int = 500) -> Tensor:
    """Return log p(x) `[m]` in float64 under Gaussians of width `sigma` at each of `samples [n, D]`."""
    return densities(x, samples, (sigma,), block)[0]


def densities(x: Tensor, samples: Tensor, sigmas: tuple[float, ...], block: int = 500) -> Tensor:
    """Return log p(x) `[sigmas, m]` for several widths from one pass over the distances."""
    n, width = samples.shape
    centre = samples.mean(0)  # nearer to zero the squared distances lose less to rounding
    samples = samples - centre
    square = samples.square().sum(1)
    rows = []
    for part in (x - centre).split(block):
        further = torch.addmm(
            square[None], part, samples.T, alpha=-2
        )  # squared distances, but for the examples' own squares
        least = further.amin(1, keepdim=True)
        further -= least
        nearest = (least[:, 0].double() + part.double().square().sum(1)).clamp_min(0)
        sums = torch.stack([(further * (-0.5 / s**2)).exp_().sum(1).double() for s in sigmas])
        rows.append(sums.log() - torch.stack([nearest / (2 * s**2) for s in sigmas]))
    shift = torch.tensor([math.log(n) + width * math.log(s * math.sqrt(2 * math.pi)) for s in sigmas], dtype=torch.float64)
    return torch.cat(rows, 1) - shift[:, None]


def choose_sigma(validation: Tensor, samples: Tensor, sigmas: tuple[float, ...] = SIGMAS) -> tuple[float, float]:
    """Return the width with the highest mean log density on validation examples, and that mean."""
    means = densities(validation.flatten(1), samples.flatten(1), sigmas).mean(1)
    best = int(means.argmax())
    return sigmas[best], float(means[best])


def parzen(samples: Tensor, validation: Tensor, test: Tensor) -> Parzen:
    """Return the Parzen figure of samples `[n, ...]`; sigma is chosen on the first 1,000 of `validation`."""
    sigma, _ = choose_sigma(validation[:1000], samples)
    nats = log_density(test.flatten(1), samples.flatten(1), sigma)
    return Parzen(float(nats.mean()), float(nats.std() / math.sqrt(len(nats))), sigma)
