"""Discriminators of patches: each answer sees a square of the picture and no more.

Isola et al. 2017 (arXiv 1611.07004), sections 3.2.2 and 6.1.2.
"""

# B batch, C channels, H height, W width

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import InstanceNorm
from genloom.nn.dense import full_precision

STRIDED = {1: 0, 16: 1, 70: 3, 286: 5}  # strided convolutions by the side of the square
WIDEST = 8


class PatchDiscriminator(nn.Module):
    """Pictures `[B, C, H, W]` to logits `[B, 1, h, w]`, one a patch.

    Args:
        patch: the side of the square that an answer sees: 1, 16, 70 or 286 pixels.
        norm: of every map but the first and the last.
    """

    def __init__(self, inputs: int, width: int, patch: int, norm: Literal["batch", "instance"] = "batch") -> None:
        super().__init__()
        strided = STRIDED[patch]
        maps = [width * min(2**i, WIDEST) for i in range(strided + 1)] if strided else [width, 2 * width]
        kernel, padding = (4, 1) if strided else (1, 0)
        made = nn.BatchNorm2d if norm == "batch" else InstanceNorm
        bias = norm == "instance"  # which, without weights of its own, brings none
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel, 2 if i < strided else 1, padding, bias=bias or i == 0)
            for i, (a, b) in enumerate(zip([inputs, *maps], maps, strict=False))
        )
        self.norms = nn.ModuleList(nn.Identity() if i == 0 else made(b) for i, b in enumerate(maps))
        self.out = nn.Conv2d(maps[-1], 1, kernel, 1, padding)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        with full_precision(x):
            return self.out(x.float())

    def receptive_field(self) -> int:
        """Return the side of the square that an answer sees, in pixels."""
        side = 1
        for conv in [self.out, *reversed(self.convs)]:
            assert isinstance(conv, nn.Conv2d)
            side = (side - 1) * conv.stride[0] + conv.kernel_size[0]
        return side
