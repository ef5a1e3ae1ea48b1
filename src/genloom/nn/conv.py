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
