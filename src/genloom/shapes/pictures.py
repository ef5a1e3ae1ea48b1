"""Pictures: what a model must know of them, and how tensors become a person's file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class ImageShape(Shape):
    """Pictures `[C, H, W]` in [0, 1]: 1 channel grey, 3 colour, 4 colour with transparency."""

    kind: ClassVar[str] = "images"
    channels: int = 1
    height: int = 28
    width_px: int = 28

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width_px)

    def describe(self) -> str:
        tone = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(self.channels, f"{self.channels}-channel")
        labels = f", {len(self.classes)} classes" if self.classes else ""
        return f"{tone} pictures of {self.height}x{self.width_px}{labels}"

    def write(self, samples: Tensor, path: Path) -> None:
        """Write `[n, C, H, W]` in [0, 1] as one grid (`.png`) or an array (`.npy`)."""
        if path.suffix.lower() != ".png":
            if path.suffix != ".npy":
                raise InputError(
                    f"cannot write pictures as {path.suffix or 'a name without suffix'}; use .png, .npy or FOLDER/"
                )
            return super().write(samples, path)
        to_picture(grid(samples)).save(path)

    def write_each(self, samples: Tensor, folder: Path) -> None:
        """Write one PNG a sample into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for i, sample in enumerate(samples):
            to_picture(sample).save(folder / f"{i:05d}.png")


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


def to_picture(x: Tensor) -> Any:
    """Turn `[C, H, W]` in [0, 1] into a pillow image; needs pillow."""
    from PIL import Image

    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
