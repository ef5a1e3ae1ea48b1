"""Points of real numbers as a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genloom.shapes.points import PointShape


@dataclass
class PointData:
    """Points `[n, D]` of real numbers."""

    x: Tensor
    shape: PointShape
    source: str
    fingerprint: str

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x [n, D]`."""
        return {"x": self.x[index]}


def gaussian_line(n: int = 20_000, mean: float = 0.0, deviation: float = 1.0, seed: int = 0) -> PointData:
    """Numbers from one Gaussian: the data of the GAN paper's first figure."""
    x = mean + deviation * torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))
    return PointData(x, PointShape(columns=1), "gaussian line", f"gaussian-{n}-{mean}-{deviation}-{seed}")
