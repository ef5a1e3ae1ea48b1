"""Pictures: what a model must know of them, and how tensors become a person's files."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.base import Shape

GRIDS = (".png", ".jpg", ".jpeg", ".webp")  # names of files that hold all samples as one sheet
GAP = 2  # light pixels between the pictures of a sheet
SEEN = 720  # pixels that the longer side of a sheet has at least
MOST_ZOOM = 12
MOST_PIXELS = 1 << 26  # of a sheet
LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # of formats that have one
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # pillow's name for pictures of so many channels


@dataclass(frozen=True)
class ImageShape(Shape):
    """Pictures `[C, H, W]` in [0, 1]: 1 channel grey, 3 colour, 4 colour with transparency."""

    kind: ClassVar[str] = "images"
    named: ClassVar[str] = "pictures"
    suffixes: ClassVar[tuple[str, ...]] = (*GRIDS, ".npy", "/")
    form: ClassVar[Any] = {"classes?": [str], "channels": int, "height": int, "width_px": int}
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

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write `[n, C, H, W]` in [0, 1] as one grid (`.png`, `.jpg`, `.webp`) or an array (`.npy`)."""
        if path.suffix.lower() not in GRIDS:
            return super().write(parts, n, path)
        save(self.preview(torch.cat(list(parts)), zoom), path)

    def write_each(self, parts: Iterable[Tensor], folder: Path, zoom: int | None = None) -> None:
        """Write one PNG a sample into `folder`."""
        for i, sample in enumerate(sample for part in parts for sample in part):
            with replaced(folder / f"{i:05d}.png") as path:
                save(to_picture(enlarged(sample, zoom or 1)), path)

    def bytes_of(self, n: int, suffix: str, zoom: int | None) -> int:
        if suffix.lower() not in GRIDS:
            return super().bytes_of(n, suffix, zoom) if suffix == ".npy" else n * self.width // 2
        columns = math.ceil(math.sqrt(n))
        zoom = zoom or zoom_of(self.height, self.width_px, n)
        height, width = (math.ceil(n / columns) * (self.height * zoom + GAP), columns * (self.width_px * zoom + GAP))
        if height * width > MOST_PIXELS or max(height, width) > LONGEST_SIDE.get(suffix.lower(), MOST_PIXELS):
            raise InputError(
                f"{n:,} samples on one sheet would be a picture of {height:,}x{width:,} pixels: name FOLDER/ or an .npy "
                "after -o, or take a smaller -n or --scale"
            )
        return height * width // 10

    def preview(self, samples: Tensor, zoom: int | None = None) -> Any:
        """Return `[n, C, H, W]` in [0, 1] as one grid, enlarged where it would be too small to see."""
        return to_picture(grid(enlarged(samples, zoom or zoom_of(self.height, self.width_px, len(samples)))))

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


def rounded(x: Tensor, bits: int = 8) -> Tensor:
    """Return pictures as a file of so many bits holds them: numbers in [0, 1], of 8 bits in steps of 1/255."""
    most = 2**bits - 1
    return (x.clamp(0, 1) * most).round() / most


def grid(samples: Tensor, columns: int | None = None, gap: int = GAP) -> Tensor:
    """Lay pictures `[n, C, H, W]` out in rows with a light gap between them: `[C, rows, columns]`."""
    n, channels, height, width = samples.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    page = torch.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 0.85)
    for i, sample in enumerate(samples):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        page[:, top : top + height, left : left + width] = sample
    return page


def zoom_of(height: int, width: int, n: int) -> int:
    """Return by how much to enlarge each of `n` pictures so that a sheet of them can be seen, in whole numbers."""
    columns = math.ceil(math.sqrt(n))
    side = max(columns * (width + GAP), math.ceil(n / columns) * (height + GAP))
    return max(1, min(SEEN // side, MOST_ZOOM))


def save(picture: Any, path: Path) -> None:
    """Write a pillow image; JPEG, which knows no transparency, on white and with little loss."""
    from PIL import Image

    if path.suffix.lower() in (".jpg", ".jpeg"):
        if picture.mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        return picture.save(path, quality=95)
    try:
        picture.save(path, **({"lossless": True} if path.suffix.lower() == ".webp" else {}))
    except ValueError:  # pillow's, for a name that is no picture's
        raise InputError(f"no picture is called so: a name that ends in {', '.join(GRIDS)} is wanted") from None


def enlarged(x: Tensor, zoom: int) -> Tensor:
    """Return pictures `[..., H, W]` with every pixel as a square of so many."""
    return x.repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)


def to_picture(x: Tensor) -> Any:
    """Turn `[C, H, W]` in [0, 1] into a pillow image; needs pillow."""
    return as_picture(to_bytes(x))


def as_picture(x: Tensor) -> Any:
    """Turn bytes `[C, H, W]` into a pillow image."""
    from PIL import Image

    pixels = x.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
