"""Pictures: what a model must know of them, and how tensors become a person's files."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.shapes.base import Shape

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # pillow's name for pictures of so many channels


@dataclass(frozen=True)
class ImageShape(Shape):
    """Pictures `[C, H, W]` in [0, 1]: 1 channel grey, 3 colour, 4 colour with transparency."""

    kind: ClassVar[str] = "images"
    named: ClassVar[str] = "pictures"
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".npy", "/")
    drawn: ClassVar[bool] = True
    channels: int = 1
    height: int = 28
    width_px: int = 28

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width_px)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width_px

    def describe(self) -> str:
        tone = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(self.channels, f"{self.channels}-channel")
        labels = f", {len(self.classes)} classes" if self.classes else ""
        return f"{tone} pictures of {self.height}x{self.width_px}{labels}"

    def write(self, samples: Tensor, path: Path) -> None:
        """Write `[n, C, H, W]` in [0, 1] as one grid (`.png`) or an array (`.npy`)."""
        if path.suffix.lower() != ".png":
            return super().write(samples, path)
        self.preview(samples).save(path)

    def write_each(self, samples: Tensor, folder: Path) -> None:
        """Write one PNG a sample into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for i, sample in enumerate(samples):
            to_picture(sample).save(folder / f"{i:05d}.png")

    def preview(self, samples: Tensor) -> Any:
        """Return `[n, C, H, W]` in [0, 1] as one grid."""
        return to_picture(grid(samples))

    def encode(self, values: Any) -> Tensor:
        """Return bytes `[n, H, W, C]` as pictures."""
        pixels = torch.as_tensor(np.array(values, np.uint8))  # a copy: torch warns of pillow's, which cannot be written
        return pixels.permute(0, 3, 1, 2).float() / 255

    def decode(self, samples: Tensor) -> Any:
        """Return pictures as bytes `[n, H, W, C]`."""
        return to_bytes(samples).permute(0, 2, 3, 1).numpy()


def to_bytes(x: Tensor) -> Tensor:
    """Return numbers in [0, 1] as the bytes of a file; what lies outside is cut."""
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


def grid(samples: Tensor, columns: int | None = None, gap: int = 2) -> Tensor:
    """Lay pictures `[n, C, H, W]` out in rows with a light gap between them: `[C, rows, columns]`."""
    n, channels, height, width = samples.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    page = torch.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 0.85)
    for i, sample in enumerate(samples):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        page[:, top : top + height, left : left + width] = sample
    return page


def enlarged(x: Tensor, zoom: int) -> Tensor:
    """Return pictures `[..., H, W]` with every pixel as a square of so many."""
    return x.repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)


def to_picture(x: Tensor) -> Any:
    """Turn `[C, H, W]` in [0, 1] into a pillow image; needs pillow."""
    from PIL import Image

    pixels = to_bytes(x).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
