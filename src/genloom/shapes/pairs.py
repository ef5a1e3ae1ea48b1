"""Pairs of pictures, and two domains of them: what a model that turns one into the other must know."""

# n pictures, C channels, H height, W width, K classes of a label map

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.pictures import GRIDS, ImageShape, enlarged, grid, to_picture, zoom_of

MOST_CHANNELS = 256


@dataclass(frozen=True)
class PairShape(Shape):
    """Pictures of A, `x` `[C, H, W]`, and of B, `b` `[C', H, W]`, in [0, 1]; a label map has a channel of 0 or 1 a class.

    Attributes:
        channels, channels_b: of either side; the number of classes where it is a label map.
        palette, palette_b: of a label map, the bytes of red, green and blue of each class, one after the other.
        paired: whether each picture of A has a partner in B.
        bits, bits_b: of a number that either side is stored by, 8 or 16.
    """

    kind: ClassVar[str] = "pairs"
    named: ClassVar[str] = "pairs of pictures"
    suffixes: ClassVar[tuple[str, ...]] = (*GRIDS, ".npy", "/")
    form: ClassVar[Any] = {
        "classes?": [str], "channels": int, "channels_b": int, "height": int, "width_px": int,
        "palette": [int], "palette_b": [int], "paired": bool, "bits?": int, "bits_b?": int,
    }  # fmt: skip
    drawn: ClassVar[bool] = True
    channels: int = 3
    channels_b: int = 3
    height: int = 256
    width_px: int = 256
    palette: tuple[int, ...] = ()
    palette_b: tuple[int, ...] = ()
    paired: bool = True
    bits: int = 8
    bits_b: int = 8

    def __post_init__(self) -> None:
        if not {self.bits, self.bits_b} <= {8, 16}:
            raise InputError("the pictures of a side have 8 or 16 bits")
        for channels, palette in ((self.channels, self.palette), (self.channels_b, self.palette_b)):
            if not 1 <= channels <= MOST_CHANNELS:
                raise InputError(f"a side has 1 to {MOST_CHANNELS} channels or classes, not {channels}")
            if palette and (len(palette) != 3 * channels or not all(0 <= value < 256 for value in palette)):
                raise InputError("a label map has three bytes of colour for each of its classes")

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width_px)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width_px

    def side(self, name: str) -> ImageShape:
        """Return what the pictures of `A` or of `B` are, as they are drawn."""
        channels, palette = (self.channels, self.palette) if name == "A" else (self.channels_b, self.palette_b)
        return ImageShape((), 3 if palette else channels, *self.size)

    def describe(self) -> str:
        a, b = self.words("A"), self.words("B")
        return f"{'pairs' if self.paired else 'two domains'} of {self.height}x{self.width_px}, {a} and {b}"

    def words(self, name: str) -> str:
        """Return in a few words what a side is."""
        channels, palette = (self.channels, self.palette) if name == "A" else (self.channels_b, self.palette_b)
        if palette:
            return f"label maps of {channels} classes"
        tone = {1: "grey pictures", 3: "colour pictures"}.get(channels, f"pictures of {channels} channels")
        return tone + (" of 16 bits" if self.bits_of(name) == 16 else "")

    def bits_of(self, name: str) -> int:
        """Return the bits of a number of `A` or of `B`."""
        return self.bits if name == "A" else self.bits_b

    def deep(self, name: str) -> bool:
        """Whether the pictures of a side are files that no picture of 8 bits in colours can be."""
        channels, palette = (self.channels, self.palette) if name == "A" else (self.channels_b, self.palette_b)
        return self.bits_of(name) == 16 or (not palette and channels not in (1, 3, 4))

    def drawable(self, x: Tensor, name: str) -> Tensor:
        """Return pictures `[n, C, H, W]` of a side as drawn: label maps in the colours of the likeliest classes."""
        palette = self.palette if name == "A" else self.palette_b
        if not palette:
            return x
        colours = torch.tensor(palette, device=x.device).view(-1, 3) / 255
        return colours[x.argmax(1)].permute(0, 3, 1, 2)

    def strip(self, rows: Sequence[tuple[str, Tensor]]) -> Any:
        """Return rows of pictures `[n, C, H, W]`, each of the side it names, one below the other as one pillow image."""
        drawn = [in_colour(self.drawable(x.float().cpu(), name)) for name, x in rows]
        zoom = zoom_of(self.height, self.width_px, len(drawn[0]))
        return to_picture(grid(enlarged(torch.cat(drawn), zoom), columns=len(drawn[0])))

    def preview(self, samples: Tensor, zoom: int | None = None) -> Any:
        """Return pictures of B `[n, C', H, W]` as one grid."""
        return self.side("B").preview(self.drawable(samples, "B"), zoom)


def in_colour(x: Tensor) -> Tensor:
    """Return pictures `[n, C, H, W]` of any channels as three: grey repeated, the first three of more."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3] if x.shape[1] > 2 else x[:, :1].expand(-1, 3, -1, -1)
