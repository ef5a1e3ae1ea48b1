"""Fixed random features: they need no labels, no network from elsewhere and no training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.random import generator as make_generator

FEATURES = 256


class RandomFeatures:
    """Fixed random features of examples `[n, ...]`: two random convolutions for pictures, one random map for the rest."""

    def __init__(self, x: Tensor) -> None:
        generator = make_generator("random features")
        self.pictures = x.ndim == 4
        if self.pictures:
            self.first = orthogonal(32, x.shape[1] * 16, generator).view(32, x.shape[1], 4, 4)
            self.second = orthogonal(64, 32 * 16, generator).view(64, 32, 4, 4)
            width = self.maps(x[:1]).flatten(1).shape[1]
        else:
            width = x.flatten(1).shape[1]
        self.last = torch.randn(FEATURES, width, generator=generator) / width**0.5
        raw = self.raw(x)
        self.mean, self.scale = raw.mean(0), raw.std(0).clamp_min(1e-6)

    def maps(self, x: Tensor) -> Tensor:
        """Two strided random convolutions, pooled to 4x4; pictures smaller than 4x4 are padded to it."""
        x = F.pad(x, (0, max(0, 4 - x.shape[3]), 0, max(0, 4 - x.shape[2])))
        h = F.leaky_relu(F.conv2d(x * 2 - 1, self.first, stride=2, padding=1), 0.2)
        return F.adaptive_avg_pool2d(F.leaky_relu(F.conv2d(h, self.second, stride=2, padding=1), 0.2), 4)

    def raw(self, x: Tensor) -> Tensor:
        return F.linear((self.maps(x) if self.pictures else x).flatten(1), self.last)

    def __call__(self, x: Tensor) -> Tensor:
        """Return features `[n, FEATURES]`, standardised by the real examples."""
        return (self.raw(x) - self.mean) / self.scale


def orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix with orthogonal rows or columns."""
    matrix = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    q, _ = torch.linalg.qr(matrix)
    return q if rows >= columns else q.T
