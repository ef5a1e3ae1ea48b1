"""Points of real numbers as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from genloom.placing import has_room, there
from genloom.shapes.points import PointShape


@dataclass
class PointData:
    """Points `[n, D]` of real numbers."""

    x: Tensor
    shape: PointShape
    source: str
    fingerprint: str

    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.x)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x [n, D]`."""
        return {"x": self.x[there(indices["x"], self.x)]}

    def to(self, device: torch.device) -> PointData:
        """Return the points on a GPU that has room for them; elsewhere they stay."""
        return replace(self, x=self.x.to(device)) if has_room(device, self.x.nbytes) else self


def gaussian_line(n: int = 20_000, mean: float = 0.0, deviation: float = 1.0, seed: int = 0) -> PointData:
    """Numbers from one Gaussian: the data of the GAN paper's first figure."""
    x = mean + deviation * torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))
    return PointData(x, PointShape(columns=1), "gaussian line", f"gaussian-{n}-{mean}-{deviation}-{seed}")
