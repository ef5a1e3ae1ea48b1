"""The networks of Ledig et al. 2017 (arXiv 1609.04802), figure 4: what enlarges pictures, and what judges them."""

# B batch, C channels, H height, W width, s scale

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import exactly
from genloom.nn.imresize import grown

Enlarging = Literal["stepwise", "direct"]
Rectifier = Literal["prelu", "relu"]
EDGE = 9  # side of the first and of the last kernel
HALVED = 16  # by how much the discriminator's maps become smaller


class PReLU(nn.Module):
    """A slope for negative numbers, learnt for each channel (He et al. 2015), in whatever precision the map comes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight.to(x.dtype))


def rectifier(kind: Rectifier, channels: int) -> nn.Module:
    """Return what follows a convolution: slopes that are learnt, or none for negative numbers, which costs a tenth less."""
    return PReLU(channels) if kind == "prelu" else nn.ReLU()


def norm_of(kind: Literal["batch", "none"], channels: int) -> nn.Module:
    """Return batch norm, or nothing."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


class Block(nn.Module):
    """Two convolutions of 3x3 beside the way straight through."""

    def __init__(self, width: int, norm: Literal["batch", "none"], slopes: Rectifier) -> None:
        super().__init__()
        bias = norm == "none"  # batch norm brings its own
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=bias) for _ in range(2))
        self.norms = nn.ModuleList(norm_of(norm, width) for _ in range(2))
        self.slope = rectifier(slopes, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.slope(self.norms[0](self.first(x)))
        return x + self.norms[1](self.second(h))


class Step(nn.Module):
    """Double a map: four channels become a square of pixels (Shi et al. 2016, arXiv 1609.05158)."""

    def __init__(self, width: int, slopes: Rectifier) -> None:
        super().__init__()
        self.conv, self.slope = nn.Conv2d(width, 4 * width, 3, padding=1), rectifier(slopes, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.slope(F.pixel_shuffle(self.conv(x), 2))


class SRResNet(nn.Module):
    """Pictures `[B, C, H, W]` in [0, 1] to `[B, C, s H, s W]`, about in [-1, 1].

    Args:
        enlarging: `stepwise`, by a doubling after the other and a last convolution at full size, as the paper; `direct`, by
            one convolution that makes all `s * s` pixels, for little more than half of the products.
        residual: make what a bicubic enlargement lacks.
        icnr: start with the same kernel for every pixel of a square, so that nothing is chequered (Aitken et al. 2017,
            arXiv 1707.02937).
    """

    def __init__(
        self,
        channels: int,
        scale: int,
        width: int = 64,
        blocks: int = 16,
        norm: Literal["batch", "none"] = "batch",
        enlarging: Enlarging = "stepwise",
        residual: bool = False,
        icnr: bool = False,
        slopes: Rectifier = "prelu",
    ) -> None:
        super().__init__()
        self.scale, self.residual = scale, residual
        steps = int(math.log2(scale)) if enlarging == "stepwise" else 0
        self.first, self.slope = nn.Conv2d(channels, width, EDGE, padding=EDGE // 2), rectifier(slopes, width)
        self.blocks = nn.ModuleList(Block(width, norm, slopes) for _ in range(blocks))
        self.middle, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=norm == "none"), norm_of(norm, width)
        self.steps = nn.ModuleList(Step(width, slopes) for _ in range(steps))
        self.shuffle = 1 if steps else scale
        kernel = EDGE if steps else 3
        self.out = nn.Conv2d(width, channels * self.shuffle**2, kernel, padding=kernel // 2)
        self.start(norm, icnr)

    def start(self, norm: Literal["batch", "none"], icnr: bool) -> None:
        """Draw the first weights: He's, blocks without norm near to the way straight through."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.25)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        with torch.no_grad():
            if norm == "none":
                for block in self.blocks:
                    assert isinstance(block, Block)
                    block.second.weight *= 0.1
            if self.residual:
                self.out.weight *= 0.1
            for step in self.steps if icnr else []:
                assert isinstance(step, Step)
                alike(step.conv.weight, 4)
            if icnr:
                alike(self.out.weight, self.shuffle**2)

    @property
    def reach(self) -> int:
        """Pixels of the small picture, in each direction, that a pixel of the large one hangs on."""
        seen = EDGE // 2 / self.scale if self.steps else 1.0  # of the last convolution
        for i in range(len(self.steps)):  # of each doubling, in pixels of its own small side
            seen += 1 / 2**i
        inner = EDGE // 2 + 2 * len(self.blocks) + 1
        return max(math.ceil(seen + inner), 3 if self.residual else 0)

    def forward(self, x: Tensor) -> Tensor:
        h = first = self.slope(self.first(x))
        for block in self.blocks:
            h = block(h)
        h = first + self.norm(self.middle(h))
        for step in self.steps:
            h = step(h)
        out = F.pixel_shuffle(self.out(h), self.shuffle).float()
        return out + grown(x, self.scale) * 2 - 1 if self.residual else out


def alike(weight: Tensor, square: int) -> None:
    """Give the kernels `[square * c, ...]` that make the pixels of one square the same numbers."""
    weight.copy_(weight[::square].repeat_interleave(square, 0))


class Discriminator(nn.Module):
    """Pictures `[B, C, H, W]` to the logit `[B]` of being real.

    Args:
        head: `dense`, over all places of the last map, which binds it to one size, as the paper; `pooled`, over their mean.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], width: int = 64, head: Literal["dense", "pooled"] = "dense"
    ) -> None:
        super().__init__()
        maps = [width * k for k in (1, 1, 2, 2, 4, 4, 8, 8)]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, 1 + i % 2, 1, bias=i == 0)
            for i, (a, b) in enumerate(zip([channels, *maps], maps, strict=False))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if i else nn.Identity() for i, b in enumerate(maps))
        cells = (size[0] // HALVED) * (size[1] // HALVED) if head == "dense" else 1
        self.pooled = head == "pooled"
        self.hidden, self.out = nn.Linear(maps[-1] * cells, 16 * width), nn.Linear(16 * width, 1)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the map after every second convolution."""
        found = []
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.leaky_relu(norm(conv(x)), 0.2)
            if i % 2:
                found.append(x)
        return found

    def judge(self, last: Tensor) -> Tensor:
        """Return the logits `[B]` of last maps."""
        h = last.mean((2, 3)) if self.pooled else last.flatten(1)
        return exactly(self.out, F.leaky_relu(self.hidden(h), 0.2)).squeeze(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.maps(x)[-1])
