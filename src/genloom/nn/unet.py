"""Networks from a picture to another of the same size: the U-Net, and the plain encoder-decoder.

Ronneberger et al. 2015 (arXiv 1505.04597), as Isola et al. 2017 (arXiv 1611.07004) have it: halved by strided convolutions
down to a map of about one cell, doubled again, and, in the U-Net, each map laid beside its mirror image in the other half.
"""

# B batch, C channels, H height, W width

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import reflected
from genloom.nn.dense import full_precision
from genloom.nn.strided import Down, Up
from genloom.nn.tiles import by_tiles, lighter, normalise, own_moments

WIDEST = 8  # times the narrowest map's channels
DROPPED = 5  # maps from the outermost on that are never dropped out
Masks = Callable[[tuple[int, ...]], Tensor]  # from the size of a map `(C, H, W)` to uniform numbers `[B, C, H, W]`


class OwnNorm(nn.BatchNorm2d):
    """Batch norm that keeps no running statistics: in training by those of the batch, afterwards by each picture's own.

    Isola et al. use the statistics of the test batch, of one picture; a picture's result must not hang on its neighbours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class UNet(nn.Module):
    """Pictures `[B, C, H, W]` to `[B, C', H, W]` in (-1, 1), or to logits, of any size.

    Args:
        depth: how often the picture is halved.
        skips: lay each map beside its mirror image; without, it is the encoder-decoder.
        norm: `batch`, or `instance` for each picture's own statistics in training too.
        dropout: share of the innermost maps' values that are dropped.
        squash: end in tanh.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        skips: bool = True,
        norm: Literal["batch", "instance"] = "batch",
        dropout: float = 0.5,
        squash: bool = True,
    ) -> None:
        super().__init__()
        maps = [width * min(2**i, WIDEST) for i in range(depth)]
        made = OwnNorm if norm == "batch" else lambda channels: nn.InstanceNorm2d(channels, affine=True)
        self.squash = squash
        self.skips, self.dropout, self.dropped = skips, dropout, max(depth - DROPPED, 0)
        # A norm of one value knows nothing, so the innermost map has none; the authors published that as an erratum.
        self.down = nn.ModuleList(
            Down(a, b, 4, bias=i in (0, depth - 1)) for i, (a, b) in enumerate(zip([inputs, *maps], maps, strict=False))
        )
        self.down_norms = nn.ModuleList(made(channels) for channels in maps[1:-1])
        beside = 2 if skips else 1
        ups = [(maps[-1], maps[-2]), *((beside * maps[i], maps[i - 1]) for i in range(depth - 2, 0, -1))]
        self.up = nn.ModuleList(Up(a, b, 4) for a, b in ups)
        self.up_norms = nn.ModuleList(made(b) for _, b in ups)
        self.out = Up(beside * maps[0], outputs, 4, bias=True)

    @property
    def multiple(self) -> int:
        """What height and width are padded to a multiple of."""
        return 1 << len(self.down)

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        """Args: masks: in evaluation, what drops values out; None drops none."""
        size = x.shape[2:]
        h, kept = pad_to(x, self.multiple), []
        for i, down in enumerate(self.down):
            h = down(F.leaky_relu(h, 0.2) if i else h)
            h = self.down_norms[i - 1](h) if 0 < i < len(self.down) - 1 else h
            kept.append(h)
        kept.pop()
        for i, (up, norm) in enumerate(zip(self.up, self.up_norms, strict=True)):
            h = norm(up(F.relu(h, inplace=True)))
            h = self.drop(h, masks) if i < self.dropped else h
            h = torch.cat([h, kept.pop()], 1) if self.skips else h
        out = self.last(h)[:, :, : size[0], : size[1]]
        return torch.tanh(out) if self.squash else out

    def last(self, *h: Tensor) -> Tensor:
        """Return the last layer's output of maps side by side: in use computed in fp32, since eight bits are too few."""
        beside = F.relu(torch.cat(h, 1) if len(h) > 1 else h[0], inplace=True)
        with nullcontext() if self.training else full_precision(beside):
            out: Tensor = self.out(beside if self.training else beside.float())
        return out.float()

    def in_tiles(self, x: Tensor, tile: int, margin: int, masks: Masks | None = None) -> Tensor:
        """Return the same for one picture `[1, C, H, W]` in [0, 1] in less memory: layers go by parts.

        What is held are the maps that skips need, and a layer's result; the largest skip is made again from the picture.
        """
        size, edge = x.shape[2:], max(margin // 2, 4)
        x = pad_to(lighter(x * 2 - 1), self.multiple)
        h, kept = x, []
        for i, down in enumerate(self.down):
            h = by_tiles(partial(lowered, down, bool(i)), h, tile, margin, 0.5)
            if 0 < i < len(self.down) - 1:
                h = self.normalised(self.down_norms[i - 1], h)
            kept += [h] if i else []
        beside = [kept.pop()]
        del h
        for i, (up, norm) in enumerate(zip(self.up, self.up_norms, strict=True)):
            made = self.normalised(norm, by_tiles(partial(raised, up), beside, tile // 2, edge, 2))
            made = self.drop(made, masks) if i < self.dropped else made
            beside = [made, *([kept.pop()] if self.skips and kept else [])]
            del made
        beside += [F.pixel_unshuffle(x, 2)] if self.skips else []  # of the size of the other map
        out = by_tiles(self.last_of, beside, tile // 2, edge, 2)[:, :, : size[0], : size[1]]
        return torch.tanh_(out) if self.squash else out

    def last_of(self, h: Tensor, folded: Tensor | None = None) -> Tensor:
        """Return the last layer's output of the other map and the picture, of which the largest skip is made."""
        return self.last(h) if folded is None else self.last(h, self.down[0](F.pixel_shuffle(folded, 2)))

    def normalised(self, norm: nn.Module, h: Tensor) -> Tensor:
        """Normalise one picture's map in place, by its own moments."""
        if h.shape[2] * h.shape[3] == 1:
            return norm(h)
        return normalise(h, own_moments(h), norm.weight, norm.bias)  # type: ignore[arg-type]

    def drop(self, h: Tensor, masks: Masks | None) -> Tensor:
        """Drop values out, by torch's generator in training, by masks afterwards."""
        if self.training or masks is None:
            return F.dropout(h, self.dropout, self.training)
        return h * (masks(tuple(h.shape[1:])) >= self.dropout) / (1 - self.dropout)


def lowered(down: nn.Module, inner: bool, h: Tensor) -> Tensor:
    """Halve a map."""
    return down(F.leaky_relu(h, 0.2) if inner else h)


def raised(up: nn.Module, *h: Tensor) -> Tensor:
    """Double maps side by side."""
    return up(F.relu(torch.cat(h, 1), inplace=True))


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Pad pictures `[B, C, H, W]` by reflection, below and to the right, to multiples of a number."""
    while (short := [-size % multiple for size in x.shape[2:]]) != [0, 0]:
        below, right = (min(pad, max(size - 1, 0)) for pad, size in zip(short, x.shape[2:], strict=True))
        if (below, right) == (0, 0):  # one pixel has nothing to reflect
            return F.pad(x, (0, short[1], 0, short[0]), "replicate")
        x = reflected(x, (0, right, 0, below))
    return x
