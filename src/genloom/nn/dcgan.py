"""The nets of strided convolutions. Radford et al. 2015 (arXiv 1511.06434)."""

# B batch, C channels, H height, W width, z width of what a picture is made from

from __future__ import annotations

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import normal_weights, spectral
from genloom.nn.dense import exactly
from genloom.nn.doubling import LEAST, DoubledConv
from genloom.nn.strided import Down, Up


def plan(size: tuple[int, int], narrowest: int) -> tuple[tuple[int, int], list[int]]:
    """Return the size of the smallest map, and the channels of the maps from half of `size` down to it.

    The shorter side is halved down to 4; channels double, up to 8 times the narrowest.
    """
    halvings = int(math.log2(min(size))) - 2
    return (size[0] >> halvings, size[1] >> halvings), [narrowest * min(2**i, 8) for i in range(halvings)]


class StridedDiscriminator(nn.Module):
    """x `[B, C, H, W]` to the logit `[B]` of being real.

    Args:
        width: channels of the largest map.
        spectrally: divide weights by their spectral norm, without batch norm.
        deviation: of the weights at the start.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], width: int, kernel: int, spectrally: bool = True, deviation: float = 0.02
    ) -> None:
        super().__init__()
        smallest, maps = plan(size, width)
        self.first = Down(channels, maps[0], kernel, bias=True)
        # Batch norm brings a bias of its own.
        self.convs = nn.ModuleList(Down(a, b, kernel, spectrally) for a, b in itertools.pairwise(maps))
        self.norms = nn.ModuleList(nn.Identity() if spectrally else nn.BatchNorm2d(c) for c in maps[1:])
        self.out = nn.Linear(math.prod(smallest) * maps[-1], 1)
        normal_weights(self, deviation)
        for layer in (self.first, *self.convs, self.out) if spectrally else ():
            spectral(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.logit(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer sees, `[B, F]`."""
        h = F.leaky_relu(self.first(x), 0.2, inplace=True)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.leaky_relu(norm(conv(h)), 0.2, inplace=True)
        return h.permute(0, 2, 3, 1).flatten(1)

    def logit(self, h: Tensor) -> Tensor:
        """Return the logits `[B]` of features `[B, F]`."""
        return exactly(self.out, h).squeeze(1)


class StridedGenerator(nn.Module):
    """z `[B, z]` to x `[B, C, H, W]` in (-1, 1).

    Args:
        width: channels of the largest map.
        deviation: of the weights at the start.
        resized: double maps of 16 pixels and more and then convolve them by 3x3, in place of strided convolutions.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        size: tuple[int, int],
        width: int,
        kernel: int,
        deviation: float = 0.02,
        resized: bool = False,
    ) -> None:
        super().__init__()
        self.smallest, maps = plan(size, width)
        maps.reverse()
        sides = [min(self.smallest) * 2**i for i in range(len(maps))]
        up = [DoubledConv if resized and side >= LEAST else partial(Up, kernel=kernel) for side in sides]
        self.project = nn.Linear(inputs, math.prod(self.smallest) * maps[0], bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in maps)
        self.convs = nn.ModuleList(kind(a, b, bias=False) for kind, a, b in zip(up, maps[:-1], maps[1:], strict=False))
        self.out = up[-1](maps[-1], channels, bias=True)
        normal_weights(self, deviation)

    def forward(self, z: Tensor) -> Tensor:
        # The projection is read as [B, h, w, C]: channels last without a copy.
        h = self.project(z).unflatten(1, (*self.smallest, -1)).permute(0, 3, 1, 2)
        h = F.relu(self.norms[0](h), inplace=True)
        for conv, norm in zip(self.convs, list(self.norms)[1:], strict=True):
            h = F.relu(norm(conv(h)), inplace=True)
        return torch.tanh(self.out(h).float())
