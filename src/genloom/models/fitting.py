"""What models ask of data, in the same words."""

from __future__ import annotations

import math
from dataclasses import replace

from genloom.core.model import Misfit
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape
from genloom.shapes.pieces import PieceShape


def no_pictures(shape: Shape, name: str) -> Misfit | None:
    """Return why a model of pictures cannot take this, or None where these are pictures."""
    if isinstance(shape, ImageShape) and not isinstance(shape, PieceShape):
        return None
    other = "; `genloom repair` and gain fill in tables" if shape.kind == "table" else ""
    return Misfit(f"{name} makes pictures, this data is {shape.describe()}{other}")


def no_score(shape: Shape, name: str) -> Misfit | None:
    """Return why a model of music in voices cannot take this, or None where it can."""
    return None if shape.kind == "score" else Misfit(f"{name} learns from pieces of music, this data is {shape.describe()}")


def no_windows(shape: Shape, name: str) -> Misfit:
    """Return why a model of records cannot take this."""
    return Misfit(f"{name} learns from windows of a record, this data is {shape.describe()}")


def no_pieces(shape: Shape, name: str) -> Misfit | None:
    """Return why a model that learns from pieces of pictures cannot take this, or None where it can."""
    if isinstance(shape, PieceShape):
        return None
    return Misfit(f"{name} learns from pieces of pictures in one folder, and this data is {shape.describe()}")


def no_pairs(shape: Shape, name: str) -> Misfit | None:
    """Return why a model of pairs of pictures cannot take this, or None where it can."""
    if misfit := no_two_sides(shape, name):
        return misfit
    assert isinstance(shape, PairShape)
    if not shape.paired:
        return Misfit(f"{name} learns from pairs, and these are {shape.describe()}: give partners the same names in A and B")
    return None


def no_two_sides(shape: Shape, name: str) -> Misfit | None:
    """Return why a model that turns pictures into others cannot take this, or None where it has two sides."""
    if isinstance(shape, PairShape):
        return None
    return Misfit(f"{name} learns from pictures of two sides, in folders A and B, and this data is {shape.describe()}")


def no_labels(shape: Shape, asked: str) -> Misfit | None:
    """Return why a model that learns from labels cannot take this, or None where there are several classes."""
    if len(shape.classes) > 1:
        return None
    return Misfit(f"{asked} and this data has none: put each class into a sub-folder", remedy=True)


def other_channels(shape: Shape, name: str) -> Misfit | None:
    """Return why a model of grey or colour pictures cannot take this, or None where it can."""
    if shape.dims[0] in (1, 3):
        return None
    return Misfit(f"{name} takes grey or colour pictures; say --channels 1 or --channels 3", remedy=True)


def doublings(shape: Shape, name: str) -> ImageShape | Misfit:
    """Return pictures of the size next to theirs that maps reach which double from 4 cells on, or why there is none.

    The shorter side is 8, 16, ... 256, the longer a multiple of the smallest map's cells, up to four times as long.
    """
    if misfit := no_pictures(shape, name):
        return misfit
    assert isinstance(shape, ImageShape)
    shorter = min(max(2 ** math.ceil(math.log2(min(shape.size))), 8), 256)
    cell, ratio = shorter // 4, max(shape.size) / min(shape.size)
    longer = cell * min(max(round(4 * ratio), 4), 16)
    height, width = (shorter, longer) if shape.height < shape.width_px else (longer, shorter)
    return replace(shape, height=height, width_px=width)


LEAST, LARGEST = 8, 1024  # pixels of a side of pictures that grow by doublings from 4


def square(shape: Shape, name: str) -> ImageShape | Misfit:
    """Return the largest square of 8, 16, ... 1024 pixels within pictures, or why there is none."""
    if misfit := no_pictures(shape, name):
        return misfit
    assert isinstance(shape, ImageShape)
    side = min(2 ** int(math.log2(max(min(shape.size), 1))), LARGEST)
    if side < LEAST:
        return Misfit(f"{name} makes pictures of {LEAST} pixels or more: say --size 32", remedy=True)
    return replace(shape, height=side, width_px=side)
