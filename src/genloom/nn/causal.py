"""Convolutions that see only earlier pixels in raster order: by crop and shift, so that no masked tap is ever computed.

A pixel sees the rows above it through one kernel and its own row, up to itself, through another. Where
a picture has colours, its channels come one after the other within a pixel: feature channels are cut into as many
groups, and at the pixel itself a group sees the groups before it. Only there is a mask needed.
"""

# B batch, C channels, H height, W width

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def group_mask(outputs: int, inputs: int, groups: int, itself: bool, gates: int = 1, maps: int = 1) -> Tensor:
    """Return `[outputs, inputs]`, 1 where an output channel may see an input channel of the same pixel.

    Args:
        groups: parts, as equal as can be, into which channels are cut, in order; 1 for grey pictures.
        itself: whether a group sees its own (mask B) or only those before it (mask A).
        gates: how often the cut is repeated over the outputs, for layers that make several maps at once.
        maps: how often it is repeated over the inputs, for layers that see several maps one after the other.
    """
    seen, by = cut(inputs, groups, maps), cut(outputs, groups, gates)
    return (seen[None] <= by[:, None] if itself else seen[None] < by[:, None]).float()


def cut(channels: int, groups: int, times: int) -> Tensor:
    """Return the group `[channels]` of each channel of `times` maps, one after the other."""
    each = channels // times
    return (torch.arange(each) * groups // each).repeat(times)


class Above(nn.Conv2d):
    """Taps on the `rows` rows strictly above a pixel, `reach` columns to either side."""

    def __init__(self, inputs: int, outputs: int, rows: int, reach: int) -> None:
        super().__init__(inputs, outputs, (rows, 2 * reach + 1), bias=False)
        self.rows, self.reach = rows, reach

    def row(self, rows: Tensor) -> Tensor:
        """Return one row of the output, `[W, B, C]`, from the `rows` rows of input above it `[B, C, rows, W]`."""
        h = self(F.pad(rows, (self.reach, self.reach)))
        return h[:, :, 0].permute(2, 0, 1).contiguous()


class Own(nn.Module):
    """Each pixel sees `reach` pixels to its left and, of itself, what the order of its channels allows.

    Args:
        groups, itself, gates, maps: as `group_mask` takes them; without groups `itself` False is nothing of the pixel.
    """

    mask: Tensor | None

    def __init__(
        self, inputs: int, outputs: int, reach: int, groups: int, itself: bool = True, gates: int = 1, maps: int = 1
    ) -> None:
        super().__init__()
        self.reach = reach
        self.taps = reach + (itself or groups > 1)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 1, self.taps))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        mask = None
        if groups > 1:
            mask = torch.ones(outputs, inputs, 1, self.taps)
            mask[..., -1] = group_mask(outputs, inputs, groups, itself, gates, maps)[:, :, None]
        self.register_buffer("mask", mask, persistent=False)

    def masked(self) -> Tensor:
        """Return the weight `[outputs, inputs, 1, taps]` without what may not be seen."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.reach, 0))
        if self.taps == self.reach:
            x = x[..., :-1]  # not itself
        return F.conv2d(x, self.masked(), self.bias)

    def flat(self) -> Tensor:
        """Return the weight `[taps * inputs, outputs]` for a window of the row `[B, taps * inputs]`."""
        return self.masked()[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()


class Causal(nn.Module):
    """`[B, inputs, H, W]` to `[B, outputs, H, W]`: a convolution of size `2 * reach + 1`, of the earlier pixels alone.

    `itself` False is mask A of van den Oord et al. 2016: a pixel's first channel does not see the pixel. The two
    parts are laid into one kernel without the rows below: one call with a few taps of zero is quicker than two.
    """

    def __init__(self, inputs: int, outputs: int, reach: int, groups: int, itself: bool) -> None:
        super().__init__()
        self.above = Above(inputs, outputs, reach, reach)
        self.own = Own(inputs, outputs, reach, groups, itself)

    def forward(self, x: Tensor) -> Tensor:
        reach = self.own.reach
        own = F.pad(self.own.masked(), (0, 2 * reach + 1 - self.own.taps))
        weight = torch.cat([self.above.weight, own], 2)
        return F.conv2d(F.pad(x, (reach, reach, reach, 0)), weight, self.own.bias)


class Places(nn.Module):
    """A bias for each place `[outputs, H, W]`: a learnt sum of products of a cosine down and one across; zero at first.

    Kernels see a place only where the border is in their reach; this tells it everywhere.

    Args:
        waves: cosines in either direction, of 0 to `waves - 1` half periods.
    """

    waves: Tensor

    def __init__(self, size: tuple[int, int], waves: int, outputs: int) -> None:
        super().__init__()
        halves = torch.arange(waves) * torch.pi
        down, across = (torch.cos((torch.arange(n)[:, None] + 0.5) / n * halves) for n in size)
        self.register_buffer("waves", (down[:, None, :, None] * across[:, None]).flatten(2), persistent=False)
        self.weight = nn.Parameter(torch.zeros(outputs, waves**2))

    def forward(self) -> Tensor:
        return F.linear(self.waves, self.weight).permute(2, 0, 1)


def pointwise(inputs: int, outputs: int, groups: int, maps: int = 1) -> Own:
    """Return a 1x1 convolution of one map, or of several one after the other, that keeps the order of groups (mask B)."""
    return Own(inputs, outputs, 0, groups, maps=maps)
