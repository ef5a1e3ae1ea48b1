"""Encoders and decoders of pictures: fully connected, and convolutional with residual blocks."""

# B batch, C channels, F features, H height, W width

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.random import Noise
from genloom.nn.dense import Chain, full_precision

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "softplus": nn.Softplus, "relu": nn.ReLU}


def stack(widths: Sequence[int], activation: str) -> Chain:
    """Return linear layers of these widths, each but the last followed by the activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return Chain(*layers[:-1])


class Residual(nn.Module):
    """`[B, F, H, W]` plus two 3x3 convolutions of it, each after a SiLU; begins as nothing, so that no norm is needed."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first, self.last = (nn.Conv2d(features, features, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(F.silu(self.first(F.silu(x))))


class ConvEncoder(nn.Module):
    """x `[B, C, H, W]` to `[B, outputs]`: four pixels to one, residual blocks, a halving, residual blocks.

    Nothing is computed at the full size, where convolutions of few channels are slow and add little.
    """

    def __init__(self, channels: int, size: tuple[int, int], features: int, outputs: int) -> None:
        super().__init__()
        self.small, self.middle = quarter(size), half(size)
        self.first = nn.Conv2d(4 * channels, features, 3, padding=1)
        self.wide = nn.Sequential(Residual(features), Residual(features))
        self.down = nn.Conv2d(features, 2 * features, 3, 2, 1)
        self.narrow = nn.Sequential(Residual(2 * features), Residual(2 * features))
        self.out = nn.Linear(2 * features * self.small[0] * self.small[1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, width % 2, 0, height % 2))
        h = self.narrow(self.down(self.wide(self.first(F.pixel_unshuffle(x, 2)))))
        return self.out(F.silu(h).flatten(1))


class ConvDecoder(nn.Module):
    """z `[B, z]` to `[B, outputs, H, W]`: the encoder backwards."""

    def __init__(self, z: int, size: tuple[int, int], features: int, outputs: int) -> None:
        super().__init__()
        self.small, self.middle, self.size = quarter(size), half(size), size
        self.project = nn.Linear(z, 2 * features * self.small[0] * self.small[1])
        self.narrow = nn.Sequential(Residual(2 * features), Residual(2 * features))
        self.up = nn.Conv2d(2 * features, features, 3, padding=1)
        self.wide = nn.Sequential(Residual(features), Residual(features))
        self.out = nn.Conv2d(features, 4 * outputs, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.narrow(self.project(z).unflatten(1, (-1, *self.small)))
        h = self.wide(self.up(F.interpolate(h, self.middle, mode="nearest")))
        with full_precision(h):
            x = F.pixel_shuffle(self.out(F.silu(h.float())), 2)
        return x[:, :, : self.size[0], : self.size[1]]


def half(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size halved, rounded up, as a convolution of stride 2 does."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def quarter(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size halved twice."""
    return half(half(size))


def gaussian(h: Tensor) -> tuple[Tensor, Tensor]:
    """Split `[B, 2 z]` into mean and log-variance `[B, z]` in fp32, the latter kept within [-10, 10]."""
    mu, logvar = h.float().chunk(2, 1)
    return mu, logvar.clamp(-10, 10)


def reparameterised(mu: Tensor, logvar: Tensor, noise: Noise | None = None) -> Tensor:
    """Draw z = mu + sigma * noise, so that gradients reach both; without noise of the examples, from torch's generator."""
    drawn = torch.randn_like(mu) if noise is None else noise.normal(mu.shape[1], device=mu.device)
    return mu + torch.exp(0.5 * logvar) * drawn
