"""Encoders and decoders of pictures: fully connected, and convolutional with residual blocks."""

# B batch, C channels, F features, H height, W width

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import full_precision

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "softplus": nn.Softplus, "relu": nn.ReLU}


def stack(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Return linear layers of these widths, each but the last followed by the activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class Residual(nn.Module):
    """`[B, F, H, W]` plus two 3x3 convolutions of it, each after group norm and SiLU."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(min(8, features), features) for _ in range(2))
        last = nn.Conv2d(features, features, 3, padding=1)
        nn.init.zeros_(last.weight)  # the block begins as nothing
        self.convs = nn.ModuleList([nn.Conv2d(features, features, 3, padding=1), last])

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(F.silu(norm(h)))
        return x + h


class ConvEncoder(nn.Module):
    """x `[B, C, H, W]` to `[B, outputs]`: two halvings, a residual block at each size."""

    def __init__(self, channels: int, size: tuple[int, int], features: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, features, 3, padding=1)
        self.blocks = nn.ModuleList(Residual(f) for f in (features, 2 * features, 2 * features))
        self.downs = nn.ModuleList(nn.Conv2d(a, 2 * features, 3, 2, 1) for a in (features, 2 * features))
        height, width = quarter(size)
        self.out = nn.Linear(2 * features * height * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks[0](self.first(x))
        for down, block in zip(self.downs, list(self.blocks)[1:], strict=True):
            h = block(down(h))
        return self.out(F.silu(h).flatten(1))


class ConvDecoder(nn.Module):
    """z `[B, z]` to `[B, outputs, H, W]`: two doublings to the size of the picture, a residual block at each."""

    def __init__(self, z: int, size: tuple[int, int], features: int, outputs: int) -> None:
        super().__init__()
        self.small, self.middle, self.size = quarter(size), half(size), size
        self.project = nn.Linear(z, 2 * features * self.small[0] * self.small[1])
        self.blocks = nn.ModuleList(Residual(f) for f in (2 * features, 2 * features, features))
        self.ups = nn.ModuleList(nn.Conv2d(2 * features, b, 3, padding=1) for b in (2 * features, features))
        self.out = nn.Conv2d(features, outputs, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.blocks[0](self.project(z).unflatten(1, (-1, *self.small)))
        for up, block, size in zip(self.ups, list(self.blocks)[1:], (self.middle, self.size), strict=True):
            h = block(up(F.interpolate(h, size, mode="nearest")))
        with full_precision(h):
            return self.out(F.silu(h.float()))


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


def reparameterised(mu: Tensor, logvar: Tensor) -> Tensor:
    """Draw z = mu + sigma * noise, so that gradients reach both."""
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
