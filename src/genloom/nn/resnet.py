"""The residual generator of Johnson et al. 2016 (arXiv 1603.08155), as Zhu et al. 2017 (arXiv 1703.10593) have it."""

# B batch, C channels, H height, W width

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import instance_norm, reflected
from genloom.nn.dense import full_precision
from genloom.nn.strided import Up
from genloom.nn.tiles import by_tiles, chained, lighter, normalise, own_moments
from genloom.nn.unet import pad_to

MULTIPLE, LEAST = 4, 8  # two halvings, after which reflection needs two pixels
MARGIN = 16  # pixels beyond a tile that the layers before the blocks, and those behind them, look at
Doubling = Literal["transposed", "even", "resized"]


class Reflected(nn.Conv2d):
    """A convolution that keeps the size, its edge padded by reflection."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(reflected(x, (self.kernel_size[0] // 2,) * 4), self.weight, self.bias)


class Block(nn.Module):
    """Two convolutions of 3x3 beside the way straight through."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Reflected(channels, channels, 3), Reflected(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + instance_norm(self.second(F.relu(instance_norm(self.first(x)))))


class Resized(nn.Module):
    """Double a map by bilinear interpolation and a convolution of 5x5, which leaves no checkerboard.

    Wide, because a kernel of 3 in place of the transposed one has been seen to collapse into leaving the picture as it is.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Reflected(inputs, outputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


def doubling(kind: Doubling, inputs: int, outputs: int) -> nn.Module:
    """Return what doubles a map."""
    if kind == "resized":
        return Resized(inputs, outputs)
    if kind == "even":
        return Up(inputs, outputs, 4, bias=True)
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class ResidualGenerator(nn.Module):
    """Pictures `[B, C, H, W]` to `[B, C', H, W]` in (-1, 1), of any size from 8 pixels on.

    Args:
        up: `transposed` convolutions of 3, as the paper, which cover pixels unevenly and so draw checkerboards; `even` ones
            of 4, which do not; or `resized` maps, which cost most.
        skip: make the change of a picture, which is added to it, and in training not bounded.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, blocks: int, up: Doubling = "transposed", skip: bool = False
    ) -> None:
        super().__init__()
        self.skip = skip
        self.first = Reflected(inputs, width, 7)
        self.down = nn.ModuleList(nn.Conv2d(width * k, width * k * 2, 3, stride=2, padding=1) for k in (1, 2))
        self.blocks = nn.ModuleList(Block(width * 4) for _ in range(blocks))
        self.up = nn.ModuleList(doubling(up, width * k, width * k // 2) for k in (4, 2))
        self.out = Reflected(width, outputs, 7)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        h = self.first(padded(x))
        for layer in self.down:
            h = layer(F.relu(instance_norm(h)))
        h = F.relu(instance_norm(h))
        for block in self.blocks:
            h = block(h)
        for layer in self.up:
            h = F.relu(instance_norm(layer(h)))
        return self.ended(x, self.last(h)[:, :, : size[0], : size[1]])

    def ended(self, x: Tensor, out: Tensor) -> Tensor:
        """Return the picture that a picture and the last layer's output make."""
        if not self.skip:
            return torch.tanh(out)
        return x + out if self.training else (x + out).clamp(-1, 1)

    def last(self, h: Tensor) -> Tensor:
        """Return the last layer's output: in use computed in fp32, since eight bits of a pixel are too few."""
        with nullcontext() if self.training else full_precision(h):
            out: Tensor = self.out(h if self.training else h.float())
        return out.float()

    def in_tiles(self, x: Tensor, tile: int, margin: int) -> Tensor:
        """Return the same for one picture `[1, C, H, W]` in [0, 1], its largest maps never held whole.

        Tile and margin are multiples of 4 pixels. Instance norms take the moments of the whole picture, so that no part
        differs from the others in brightness.
        """
        size, light = x.shape[2:], padded(lighter(x * 2 - 1))
        h = chained([self.first, *self.down], (1, 1 / 2, 1 / 4), light, tile, margin)
        del light
        small, edge = tile // 4, margin // 4
        F.relu(normalise(h, own_moments(h)), inplace=True)
        for block in self.blocks:
            assert isinstance(block, Block)
            t = by_tiles(block.first, h, small, edge)
            t = by_tiles(block.second, F.relu(normalise(t, own_moments(t)), inplace=True), small, edge)
            h += normalise(t, own_moments(t))
        out = chained([*self.up, self.last], (2, 4, 4), h, small, edge)[:, :, : size[0], : size[1]]
        return out.add_(x, alpha=2).sub_(1).clamp_(-1, 1) if self.skip else torch.tanh_(out)


def padded(x: Tensor) -> Tensor:
    """Pad pictures by reflection to what two halvings and a convolution of 7 need."""
    return pad_to(x, MULTIPLE if min(x.shape[2:]) >= LEAST else LEAST)
