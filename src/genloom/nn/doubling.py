"""Maps at twice or half their size, and 3x3 convolutions after the one or before the other in fewer steps.

A convolution of maps whose pixels are squares of four is a transposed one of the small maps, by a kernel of 4x4 at stride 2
that has the sums of neighbouring weights (as StyleGAN's code folds it); a mean of squares of four after a convolution is one
at stride 2 with the same kernel. Either takes 4 products a pixel in place of 9, and no map of the large size is stored.
"""

# B batch, I input channels, O output channels, H height, W width

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 16  # pixels of a side of the smaller maps from which it pays on a processor


def doubled(x: Tensor) -> Tensor:
    """Return maps at twice their size, every pixel a square of four."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def summed(weight: Tensor) -> Tensor:
    """Return the 4x4 kernel `[O, I, 4, 4]` of a 3x3 one over squares of four."""
    wide = F.pad(weight, (1, 1, 1, 1))
    return wide[:, :, :-1, :-1] + wide[:, :, 1:, :-1] + wide[:, :, :-1, 1:] + wide[:, :, 1:, 1:]


def pays(x: Tensor, side: int) -> bool:
    """Whether folding is worth its while: on a processor, for maps of some size."""
    return x.device.type == "cpu" and side >= LEAST


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Double maps `[B, I, H, W]`, then convolve them by a 3x3 `weight [O, I, 3, 3]`: `[B, O, 2 H, 2 W]`."""
    if not pays(x, min(x.shape[2:])):
        return F.conv2d(doubled(x), weight, bias, padding=1)
    return F.conv_transpose2d(x, summed(weight).transpose(0, 1).flip(2, 3), bias, stride=2, padding=1)


class DoubledConv(nn.Conv2d):
    """A 3x3 convolution of maps at twice their size: `[B, I, H, W] -> [B, O, 2 H, 2 W]`."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return convolve_doubled(x, self.weight, self.bias)


def convolve_halved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve maps `[B, I, H, W]` of even sides by a 3x3 `weight [O, I, 3, 3]`, then halve them by means of four pixels."""
    if not pays(x, min(x.shape[2:]) // 2):
        return F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)
    return F.conv2d(x, summed(weight) / 4, bias, stride=2, padding=1)
