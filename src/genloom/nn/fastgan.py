"""The light generator of Liu et al. 2021 (arXiv 2101.04775), as Sauer et al. 2021 (arXiv 2111.01007) use it."""

# B batch, C channels, z latent width

from __future__ import annotations

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import spectral
from genloom.nn.dense import full_precision
from genloom.nn.doubling import convolve_doubled

SMALLEST = 4
FACTORS = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5, 512: 0.25, 1024: 0.125}  # times the width
JUMPS = {64: 4, 128: 8, 256: 16, 512: 32}  # the map that weighs the channels of a larger one


class Gated(nn.Module):
    """A convolution to twice the channels, batch norm, and one half gated by the other: a gated linear unit.

    Either half by a convolution of its own, so that none has to be cut out of maps that are stored channels last.

    Args:
        doubles: double the maps before.
        noisy: add noise after the convolution, while training.
    """

    def __init__(self, inputs: int, outputs: int, doubles: bool = False, noisy: bool = False) -> None:
        super().__init__()
        self.conv, self.doubles = spectral(nn.Conv2d(inputs, 2 * outputs, 3, bias=False)), doubles
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))
        self.noise = nn.Parameter(torch.zeros(())) if noisy else None

    @property
    def weight(self) -> Tensor:
        """The weight of both halves, divided by its spectral norm."""
        weight = self.conv.weight
        assert isinstance(weight, Tensor)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        convolve = convolve_doubled if self.doubles else partial(F.conv2d, padding=1)
        value, gate = (convolve(x, half) for half in self.weight.chunk(2))
        if self.noise is not None and self.training:
            more = self.noise * torch.randn(len(x), 1, *value.shape[2:], device=x.device)
            value, gate = value + more, gate + more
        return self.norms[0](value) * torch.sigmoid(self.norms[1](gate))


class Excitation(nn.Module):
    """Weigh the channels of a large map by what a small one holds: a skip over several levels."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.wide = spectral(nn.Conv2d(small, large, SMALLEST, bias=False))
        self.narrow = spectral(nn.Conv2d(large, large, 1, bias=False))

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        h = F.silu(self.wide(F.adaptive_avg_pool2d(small, SMALLEST)))
        return large * torch.sigmoid(self.narrow(h))


class FastGenerator(nn.Module):
    """Codes `[B, z]` of length sqrt(z) to pictures `[B, C, side, side]`, near [-1, 1]: the last layer is linear.

    Args:
        width: channels of a map of 128 pixels; those of smaller ones are up to 16 times as many.
        noisy: add noise to the maps of every second level while training; in use it is left out.
    """

    def __init__(self, z: int, channels: int, side: int, width: int, noisy: bool) -> None:
        super().__init__()
        self.sides = [SMALLEST * 2**i for i in range(int(math.log2(side)) - 1)]
        maps = [max(4, int(FACTORS[size] * width)) for size in self.sides]
        self.project = spectral(nn.ConvTranspose2d(z, 2 * maps[0], SMALLEST, bias=False))
        self.norm = nn.BatchNorm2d(2 * maps[0])
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(itertools.pairwise(maps)):
            twice = [Gated(a, b, doubles=True, noisy=noisy), Gated(b, b, noisy=noisy)]
            self.blocks.append(nn.Sequential(*(twice if i % 2 == 0 else [Gated(a, b, doubles=True)])))
        self.jumps = nn.ModuleDict(
            {
                str(size): Excitation(maps[self.sides.index(JUMPS[size])], maps[i])
                for i, size in enumerate(self.sides)
                if size in JUMPS
            }
        )
        self.out = spectral(nn.Conv2d(maps[-1], channels, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        h = F.glu(self.norm(self.project(z[:, :, None, None])), 1)
        found = {SMALLEST: h}
        for size, block in zip(self.sides[1:], self.blocks, strict=True):
            h = block(h)
            if size in JUMPS:
                h = self.jumps[str(size)](found[JUMPS[size]], h)
            found[size] = h
        with full_precision(h):
            return self.out(h.float())
