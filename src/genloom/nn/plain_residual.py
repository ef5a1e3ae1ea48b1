"""Residual nets without norms for both players of a GAN. Huang et al. 2024 (arXiv 2501.05441), section 4 and its code.

Every block widens by a 1x1 convolution, convolves 3x3 in groups of 16 channels and narrows again; its last layer starts at
zero, so that nets begin as the line straight through. Sizes are doubled and halved by a smooth filter.
"""

# B batch, C channels, z latent width

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import full_precision

SMALLEST, GROUP, WIDENING, BLOCKS = 4, 16, 2, 2  # side; channels of a group; times; blocks of a size
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))


def drawn(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Return a layer with weights from N(0, gain / sqrt(inputs))."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


def conv(inputs: int, outputs: int, kernel: int = 1, groups: int = 1, gain: float = 1.0) -> nn.Module:
    """Return a convolution without a bias that keeps the size."""
    return drawn(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), gain)


class Rectified(nn.Module):
    """A bias and a leaky rectifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], SLOPE)


def groups_of(channels: int) -> int:
    """Return into how many groups of 16 channels, or of the next more that divide them, channels are cut."""
    return next((count for count in range(channels // GROUP, 1, -1) if channels % count == 0), 1)


class Block(nn.Module):
    """Three convolutions beside the way straight through.

    Args:
        blocks: of the whole net, by which the first two start smaller.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        wide, gain = WIDENING * channels, GAIN * blocks**-0.25
        self.layers = nn.Sequential(
            conv(channels, wide, gain=gain),
            Rectified(wide),
            conv(wide, wide, 3, groups_of(wide), gain),
            Rectified(wide),
            conv(wide, channels, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def enlarged(x: Tensor) -> Tensor:
    """Double maps by the filter 1 3 3 1, zeros beyond the edge."""
    for axis in (2, 3):
        size = x.shape[axis]
        wide = F.pad(x, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0))
        before, after = wide.narrow(axis, 0, size), wide.narrow(axis, 2, size)
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1).flatten(axis, axis + 1)
    return x


def halved(x: Tensor) -> Tensor:
    """Halve maps by the filter 1 3 3 1, zeros beyond the edge."""
    for axis in (2, 3):
        wide = F.pad(x, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0))
        a, b, c, d = (wide.narrow(axis, start, x.shape[axis] - 1).unfold(axis, 1, 2).squeeze(-1) for start in range(4))
        x = 0.125 * (a + d) + 0.375 * (b + c)
    return x


def widths(side: int, widest: int) -> list[int]:
    """Return the channels of each size from 4x4 on: as many up to 32 pixels, then half of them at each doubling."""
    sizes = int(math.log2(side)) - 1
    return [max(GROUP // WIDENING, widest >> max(0, i - 3)) for i in range(sizes)]


class Generator(nn.Module):
    """Codes `[B, z]` to pictures `[B, C, side, side]`, near [-1, 1]: the last layer is linear."""

    def __init__(self, z: int, channels: int, maps: Sequence[int]) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(maps[0], SMALLEST, SMALLEST))
        self.project = drawn(nn.Linear(z, maps[0], bias=False))
        count = BLOCKS * len(maps)
        self.changes = nn.ModuleList(conv(a, b) if a != b else nn.Identity() for a, b in itertools.pairwise(maps))
        self.stages = nn.ModuleList(nn.Sequential(*(Block(c, count) for _ in range(BLOCKS))) for c in maps)
        self.out = conv(maps[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        h = self.basis * self.project(z)[:, :, None, None]
        h = h.contiguous(memory_format=torch.channels_last)
        for i, stage in enumerate(self.stages):
            h = stage(h if i == 0 else enlarged(self.changes[i - 1](h)))
        with full_precision(h):
            return self.out(h.float())


class Discriminator(nn.Module):
    """Pictures `[B, C, side, side]` to values `[B]`, of which differences alone count."""

    def __init__(self, channels: int, maps: Sequence[int]) -> None:
        super().__init__()
        down = list(reversed(maps))
        count = BLOCKS * len(maps)
        self.first = conv(channels, down[0])
        self.stages = nn.ModuleList(nn.Sequential(*(Block(c, count) for _ in range(BLOCKS))) for c in down)
        self.changes = nn.ModuleList(conv(a, b) if a != b else nn.Identity() for a, b in itertools.pairwise(down))
        self.basis = drawn(nn.Conv2d(down[-1], down[-1], SMALLEST, groups=down[-1], bias=False))
        self.out = drawn(nn.Linear(down[-1], 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for i, stage in enumerate(self.stages):
            h = stage(h if i == 0 else self.changes[i - 1](halved(h)))
        with full_precision(h):
            return self.out(self.basis(h.float()).flatten(1)).squeeze(1)
