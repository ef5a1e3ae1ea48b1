"""Tags of pictures, as vectors of words: what a model that tags must know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from genloom.shapes.base import Shape
from genloom.shapes.pictures import ImageShape


@dataclass(frozen=True)
class TagShape(Shape):
    """The vector `x` `[D]` of a word that is a tag of a picture `picture` `[C, H, W]` in [0, 1]; `classes` are the words.

    Attributes:
        columns: numbers of a word's vector.
        channels, height, width_px: of the pictures.
    """

    kind: ClassVar[str] = "tags"
    named: ClassVar[str] = "vectors of words"
    form: ClassVar[Any] = {"classes?": [str], "columns": int, "channels": int, "height": int, "width_px": int}
    columns: int = 100
    channels: int = 3
    height: int = 224
    width_px: int = 224

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.columns,)

    @property
    def pictures(self) -> tuple[int, int, int]:
        """Channels, height and width of the pictures."""
        return self.channels, self.height, self.width_px

    @property
    def image(self) -> ImageShape:
        """What the pictures are."""
        return ImageShape((), *self.pictures)

    def describe(self) -> str:
        size, words = f"{self.height}x{self.width_px}", f"{len(self.classes):,} words of {self.columns} numbers each"
        return f"tags of {size} pictures, out of {words}"
