"""Latent codes that several generators share: uniform numbers, normal ones, or directions of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Latent
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.nn.dense import uniform


class CubeCodes(Model, Latent):
    """A model whose codes are `hyper.z` numbers, uniform in [-1, 1]."""

    law = "uniform"
    hyper: Any

    @property
    def code_width(self) -> int:
        return self.hyper.z

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        return 2 * uniform(n, self.hyper.z, self.device, noise) - 1


class NormalCodes(Model, Latent):
    """A model whose codes are `hyper.z` normal numbers."""

    law = "gaussian"
    hyper: Any

    @property
    def code_width(self) -> int:
        return self.hyper.z

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        if noise is None:
            return torch.randn(n, self.hyper.z, device=self.device)
        return noise.normal(self.hyper.z, device=self.device)


class DirectionCodes(NormalCodes):
    """A model whose codes are divided by their root mean square, so that their direction alone counts."""

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        if temperature != 1:
            name = type(self).__name__
            raise InputError(f"of {name}'s codes the direction alone counts: a temperature changes nothing, leave it out")
        return z
