"""Shape: what a model must know of the data, and how to turn tensors back into a person's file.

A shape is JSON and travels with every checkpoint. One class a kind of data; nothing outside of
this file and `data/` knows which kinds there are.
"""

# n samples, C channels, H height, W width, D columns

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from genloom.columns import Column, Kind
from genloom.errors import InputError, nearest


@dataclass(frozen=True)
class Shape(ABC):
    """What one example is.

    Attributes:
        classes: names of the labels in `y`, empty where there are none.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """The size of `x` for one example, without the batch."""

    @property
    def width(self) -> int:
        """Numbers in one example."""
        return math.prod(self.dims)

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words what one example is."""

    def write(self, samples: Tensor, path: Path) -> None:
        """Write samples `[n, *dims]` to `path`; the suffix decides how, `.npy` always works."""
        if path.suffix != ".npy":
            raise InputError(f"cannot write {self.kind} as {path.suffix or 'a name without suffix'}; use .npy")
        np.save(path, samples.numpy().astype(np.float32))

    def label(self, name: str | int) -> int:
        """Return the class index of a label given by name or number."""
        if not self.classes:
            raise InputError(f"label {name!r} asked for, but this model was trained without labels")
        if str(name) in self.classes:
            return self.classes.index(str(name))
        if str(name).isdigit() and int(name) < len(self.classes):
            return int(name)
        raise InputError(f"no label {name!r} among {len(self.classes)} classes{nearest(str(name), self.classes)}")

    def to_json(self) -> dict[str, Any]:
        """Return the shape as plain JSON."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Shape:
        """Rebuild a shape of whatever kind from `to_json`."""
        rest = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name != "kind"}
        kinds: dict[str, type[Shape]] = {"images": ImageShape, "points": PointShape, "table": TableShape}
        return kinds[values["kind"]](**rest)


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


@dataclass(frozen=True)
class PointShape(Shape):
    """Points `[D]` of real numbers, unscaled."""

    kind: ClassVar[str] = "points"
    columns: int = 1

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.columns,)

    def describe(self) -> str:
        return f"points of {self.columns} number{'s' if self.columns > 1 else ''}"


@dataclass(frozen=True)
class TableShape(Shape):
    """Rows `[D]` of a table, each cell coded by its column; a mask `[D]` beside a row says which cells are known."""

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(map(as_column, self.columns)))

    @property
    def dims(self) -> tuple[int, ...]:
        return (len(self.columns),)

    def describe(self) -> str:
        counts = {kind: sum(column.kind == kind for column in self.columns) for kind in get_args(Kind)}
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        return f"rows of {len(self.columns)} column{'s' if len(self.columns) > 1 else ''} ({kinds})"


def as_column(value: Column | Mapping[str, Any]) -> Column:
    """Return a column as itself, or rebuilt from JSON."""
    if isinstance(value, Column):
        return value
    parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
    return Column(**parts)


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
