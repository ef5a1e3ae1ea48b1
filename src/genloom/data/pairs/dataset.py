"""Pairs as a data set: the pictures of two sides, of which batches are cut together or each in its own order."""

# n examples, C channels, H height, W width

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.data.pictures.dataset import ImageData, as_floats
from genloom.placing import there
from genloom.shapes.pairs import PairShape


@dataclass
class PairData:
    """Pictures of A as `x` and of B as `b`; label maps are stored as class indices and given as a channel a class.

    Attributes:
        a, b: either side; as many of each, in the same order, where they are paired.
        flip: mirror half of the examples left to right, anew each epoch: both of a pair, or neither.
    """

    a: ImageData
    b: ImageData
    shape: PairShape
    source: str
    flip: bool = False
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.a)

    @property
    def fingerprint(self) -> str:
        return f"{self.a.fingerprint}+{self.b.fingerprint}"

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.a)} if self.shape.paired else {"x": len(self.a), "b": len(self.b)}

    def unpaired(self) -> PairData:
        """Return the same pictures as two domains: B comes in an order of its own."""
        return replace(self, shape=replace(self.shape, paired=False))

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x` and `b`, `[n, C, H, W]` in [0, 1]."""
        places = {"x": indices["x"], "b": indices.get("b", indices["x"])}
        found, mirrored = {}, None
        for name, side in (("x", "A"), ("b", "B")):
            x = self.pictures(side, places[name])
            if self.flip:
                if mirrored is None or not self.shape.paired:
                    mirrored = torch.rand(len(x), generator=generator).lt(0.5)
                x = torch.where(there(mirrored, x)[:, None, None, None], x.flip(3), x)
            found[name] = x
        return found

    def pictures(self, side: str, index: Tensor) -> Tensor:
        """Return the pictures `[n, C, H, W]` of `A` or `B` at these places, never mirrored."""
        data, palette = (self.a, self.shape.palette) if side == "A" else (self.b, self.shape.palette_b)
        pixels = data.pixels[there(index, data.pixels)]
        return as_planes(pixels, len(palette) // 3) if palette else as_floats(pixels)

    def part(self, start: int, stop: int | None) -> PairData:
        """Return the examples `start ... stop - 1` of either side; InputError where there are none."""
        a, b = self.a.part(start, stop), self.b.part(start, stop)
        return replace(self, a=a, b=b, source=f"{self.source}{a.source.removeprefix(self.a.source)}")

    def to(self, device: torch.device) -> PairData:
        """Return the pictures on a GPU that has room for them; elsewhere they stay."""
        return replace(self, a=self.a.to(device), b=self.b.to(device))


def as_planes(classes: Tensor, k: int) -> Tensor:
    """Return class indices `[n, H, W, 1]` as planes of 0 or 1 `[n, K, H, W]`."""
    return F.one_hot(classes[..., 0].long(), k).permute(0, 3, 1, 2).float()
