"""Nets that grow from 4x4 by doublings, each new one faded in. Karras et al. 2018 (arXiv 1710.10196), appendix A."""

# B batch, C channels, z latent width; level i has pictures of 4 * 2**i pixels

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import full_precision
from genloom.nn.doubling import convolve_doubled, doubled

SMALLEST = 4
GAIN = math.sqrt(2)


class Scaled(nn.Module):
    """A convolution, or with `kernel` 0 a linear layer, by weights N(0, 1) that are scaled by gain / sqrt(inputs) in use.

    So the learning rate is equal for all, section 4.1. Biases start at zero and are not scaled.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 0, gain: float = GAIN, bias: bool = True) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *[kernel] * (2 if kernel else 0)))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / math.sqrt(inputs * max(kernel, 1) ** 2)

    def forward(self, x: Tensor, double: bool = False) -> Tensor:
        """Apply the layer; `double` the maps before a 3x3 convolution."""
        weight = self.weight * self.scale
        if double:
            return convolve_doubled(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, padding=self.kernel // 2) if self.kernel else F.linear(x, weight, self.bias)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide each pixel's vector of channels (dimension 1) by its root mean square, section 4.2."""
    return x * (x.float().square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


def spread_of_batch(x: Tensor, group: int = 4) -> Tensor:
    """Put a map beside `[B, C, H, W]` that holds the mean deviation within groups of the batch, section 3.

    Where no group of two to `group` divides the batch, it is one group.
    """
    n, channels, height, width = x.shape
    size = next((k for k in range(min(group, n), 1, -1) if n % k == 0), n)
    groups = x.float().view(size, n // size, channels, height, width)
    deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    plane = deviation.repeat(size).to(x.dtype)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane], 1)


def at_level(x: Tensor, level: int, fade: float) -> Tensor:
    """Return pictures `[B, C, H, W]` of a larger level as they are at one, between it and the one below by `fade` in [0, 1].

    Real pictures are faded like made ones, so that a discriminator cannot tell them by their sharpness.
    """
    while x.shape[2] > SMALLEST * 2**level:
        x = F.avg_pool2d(x, 2)
    return x if fade == 1 else doubled(F.avg_pool2d(x, 2)).lerp(x, fade)


def maps_of(levels: int, base: int, most: int) -> list[int]:
    """Return the channels of each level's maps."""
    return [max(1, min(base // 2 ** (i + 1), most)) for i in range(levels)]


class Generator(nn.Module):
    """Codes `[B, z]` to pictures of a level, near [-1, 1]: the last layer is linear.

    Args:
        maps: channels of each level.
    """

    def __init__(self, z: int, channels: int, maps: Sequence[int]) -> None:
        super().__init__()
        self.project = Scaled(z, maps[0] * SMALLEST**2, gain=GAIN / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(maps[0]))  # one a channel, for all of its pixels
        self.first = Scaled(maps[0], maps[0], 3)
        self.blocks = nn.ModuleList(nn.ModuleList([Scaled(a, b, 3), Scaled(b, b, 3)]) for a, b in itertools.pairwise(maps))
        self.colours = nn.ModuleList(Scaled(c, channels, 1, gain=1.0) for c in maps)

    def forward(self, z: Tensor, level: int, fade: float = 1.0) -> Tensor:
        h = self.project(pixel_norm(z)).unflatten(1, (SMALLEST, SMALLEST, -1)) + self.bias
        h = h.permute(0, 3, 1, 2)
        h = settled(self.first, pixel_norm(F.leaky_relu(h, 0.2)))
        below = h
        for block in list(self.blocks)[:level]:
            below, (first, second) = h, block.children()
            h = settled(second, settled(first, h, double=True))
        x = self.coloured(level, h)
        return x if fade == 1 or level == 0 else doubled(self.coloured(level - 1, below)).lerp(x, fade)

    def coloured(self, level: int, h: Tensor) -> Tensor:
        """Return maps of a level as a picture, in fp32."""
        with full_precision(h):
            return self.colours[level](h.float())


def settled(conv: nn.Module, h: Tensor, double: bool = False) -> Tensor:
    """Double maps if asked to, convolve, rectify and normalise."""
    return pixel_norm(F.leaky_relu(conv(h, double), 0.2, inplace=True))


class Discriminator(nn.Module):
    """Pictures of a level to logits, or values of a critic, `[B]`."""

    def __init__(self, channels: int, maps: Sequence[int]) -> None:
        super().__init__()
        self.colours = nn.ModuleList(Scaled(channels, c, 1) for c in maps)
        self.blocks = nn.ModuleList(nn.ModuleList([Scaled(b, b, 3), Scaled(b, a, 3)]) for a, b in itertools.pairwise(maps))
        self.last = Scaled(maps[0] + 1, maps[0], 3)
        self.dense = Scaled(maps[0] * SMALLEST**2, maps[0])
        self.out = Scaled(maps[0], 1, gain=1.0)

    def forward(self, x: Tensor, level: int, fade: float = 1.0) -> Tensor:
        h = self.uncoloured(level, x)
        for i in range(level - 1, -1, -1):
            for conv in self.blocks[i].children():
                h = F.leaky_relu(conv(h), 0.2, inplace=True)
            h = F.avg_pool2d(h, 2)
            if i == level - 1 and fade < 1:
                h = self.uncoloured(i, F.avg_pool2d(x, 2)).lerp(h, fade)
        h = F.leaky_relu(self.last(spread_of_batch(h)), 0.2)
        h = F.leaky_relu(self.dense(h.flatten(1)), 0.2)
        with full_precision(h):
            return self.out(h.float()).squeeze(1)

    def uncoloured(self, level: int, x: Tensor) -> Tensor:
        """Return a picture as maps of a level."""
        return F.leaky_relu(self.colours[level](x), 0.2, inplace=True)
