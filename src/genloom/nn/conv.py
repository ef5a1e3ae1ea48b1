"""How the weights of convolutional nets start, and their spectral norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genloom.nn.dense import full_precision


def normal_weights(module: nn.Module, deviation: float = 0.02) -> None:
    """Draw weights from N(0, deviation), batch-norm gains from N(1, deviation), biases zero (Radford et al. 2015)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, deviation)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, deviation)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def reflected(x: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    """Pad maps `[B, C, H, W]` by reflection, left, right, above and below.

    On a GPU by copies: the gradient of torch's own kernel there differs from run to run (`gpu.json`).
    """
    return by_copies(x, pad) if x.device.type == "cuda" else F.pad(x, pad, "reflect")


def by_copies(x: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    """Pad by reflection, made of mirrored strips."""
    for axis, (before, after) in ((3, pad[:2]), (2, pad[2:])):
        size = x.shape[axis]
        strips = x.narrow(axis, 1, before).flip(axis), x, x.narrow(axis, size - 1 - after, after).flip(axis)
        x = torch.cat(strips, axis) if before or after else x
    return x


def instance_norm(x: Tensor) -> Tensor:
    """Normalise each channel of each picture `[B, C, H, W]` by its own mean and variance.

    As torch does it, which would bring maps that are stored channels last into its usual layout, at several times the cost.
    """
    if not x.is_contiguous(memory_format=torch.channels_last) or x.is_contiguous():
        return F.instance_norm(x)
    parts = [F.batch_norm(each, None, None, training=True) for each in x.split(1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class InstanceNorm(nn.Module):
    """Normalise each channel of each picture by its own mean and variance, without weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x)


def largest_singular_value(matrix: Tensor, u: Tensor, follow: bool) -> Tensor:
    """Return the largest singular value of a matrix, by one step of power iteration from `u`, which follows where asked.

    Miyato et al. 2018 (arXiv 1802.05957), Algorithm 1. The gradient takes the singular vectors for constants.
    """
    with torch.no_grad():
        v = F.normalize(u @ matrix, dim=0)
        new = F.normalize(matrix @ v, dim=0)
        if follow:
            u.copy_(new)
    return new @ matrix @ v


class SpectralNorm(nn.Module):
    """Divide a weight by its largest singular value, by one power iteration a forward in training.

    In fp32 also under autocast: bf16 would round the singular value by up to half a per cent, differently at every step.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        with full_precision(weight):
            return weight / largest_singular_value(weight.float().flatten(1), self.u, self.training)


def spectral(layer: nn.Module) -> nn.Module:
    """Return the layer with its weight divided by its spectral norm."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    # `unsafe` leaves out a trial, for which torch would import its compiler where there is nothing to try it on.
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight), unsafe=weight.is_meta)
    return layer
