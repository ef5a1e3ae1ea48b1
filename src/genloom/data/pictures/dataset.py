"""Pictures as a data set: bytes, usually memory-mapped, of which batches are cut."""

# n pictures, C channels, H height, W width

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.placing import has_room, there
from genloom.shapes.pictures import ImageShape


@dataclass
class ImageData:
    """Pictures as uint8, or uint16, `[n, H, W, C]`, usually a view of a memory-mapped file, with labels or without.

    Attributes:
        source: what the person named.
        fingerprint: hash of the stored pictures, labels and class names.
        flip: mirror half of the pictures left to right, anew each epoch.
    """

    pixels: Tensor
    labels: Tensor | None
    shape: ImageShape
    source: str
    fingerprint: str
    flip: bool = False
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.pixels)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x [n, C, H, W]` in [0, 1], stored channels last, and the labels `y [n]` where there are any."""
        index = there(indices["x"], self.pixels)
        x = as_floats(self.pixels[index])
        if self.flip:
            mirrored = there(torch.rand(len(index), generator=generator).lt(0.5), x)
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        return {"x": x} if self.labels is None else {"x": x, "y": self.labels[index]}

    def pictures(self, index: Tensor) -> Tensor:
        """Return the pictures `[n, C, H, W]` in [0, 1] as they are stored, on the CPU: never mirrored."""
        return as_floats(self.pixels[index.to(self.pixels.device)]).cpu()

    def part(self, start: int, stop: int | None) -> ImageData:
        """Return the examples `start ... stop - 1` as a data set of their own.

        Raises:
            InputError: there are none.
        """
        pixels = self.pixels[start:stop]
        if not len(pixels):
            raise InputError(f"{self.source}[{start}:{stop}] is empty: the data has {len(self)} examples")
        labels = self.labels if self.labels is None else self.labels[start:stop]
        name = f"[{start}:{'' if stop is None else stop}]"
        return replace(self, pixels=pixels, labels=labels, source=self.source + name, fingerprint=self.fingerprint + name)

    def to(self, device: torch.device) -> ImageData:
        """Return the pictures on a GPU that has room for them, so that batches are cut there; elsewhere they stay."""
        if not has_room(device, self.pixels.nbytes):
            return self
        labels = self.labels if self.labels is None else self.labels.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=labels)


def as_floats(pixels: Tensor) -> Tensor:
    """Return bytes, or numbers of 16 bits, `[n, H, W, C]` as pictures `[n, C, H, W]` in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(255 if pixels.dtype == torch.uint8 else 65535)
