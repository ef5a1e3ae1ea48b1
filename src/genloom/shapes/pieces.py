"""Pieces of pictures: what a model must know that learns from parts cut out of pictures of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from genloom.shapes.pictures import ImageShape


@dataclass(frozen=True)
class PieceShape(ImageShape):
    """Pieces `[C, H, W]` in [0, 1], each cut at a place of its own out of a picture that keeps its size."""

    kind: ClassVar[str] = "pieces"
    named: ClassVar[str] = "pieces"
    brought: ClassVar[str] = "cut smaller,"

    def describe(self) -> str:
        return f"pieces, {super().describe()}"
