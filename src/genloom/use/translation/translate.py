"""Translating pictures of a person's own: a file, or all of a folder, each into one of the same name."""

# C channels, H height, W width

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.core.capabilities import Translates, Upscales
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.data.pictures.deep import NPY, TIFF
from genloom.errors import InputError
from genloom.nn.unet import UNet
from genloom.shapes.pairs import PairShape, in_colour
from genloom.shapes.pictures import to_picture
from genloom.use.translation.files import (
    LARGE,
    Forms,
    parts,
    quickly,
    read_deep,
    read_picture,
    refuse_much,
    side_by_side,
    turn_files,
)

BYTES_A_PIXEL = 2  # that a channel of the largest map takes, in bf16, of which half or a quarter is held, a few times over


@dataclass(frozen=True)
class Wishes:
    """How pictures are to be turned.

    Attributes:
        convert: pictures of other colours, or transparent ones.
        strip: show before and after side by side.
        tile, overlap: sides and margins of the parts in which large pictures are made; None for the usual ones.
    """

    convert: bool = False
    strip: bool = False
    tile: int | None = None
    overlap: int | None = None


def refuse_others(model: Model, to: str) -> None:
    """Raise InputError for a model that translates nothing, or not to this side."""
    if isinstance(model, Upscales):
        raise InputError("this model makes pictures larger: `genloom upscale` does that")
    if not isinstance(model, Translates):
        raise InputError(f"{type(model).__name__} turns no picture into another: `genloom models` says what each can do")
    if to not in model.sides:
        raise InputError(f"this model makes {' and '.join(model.sides)} alone, not {to}")


def translate_files(
    model: Model, source: str, out: str, to: str = "B", seed: int = 0, wishes: Wishes | None = None
) -> Iterator[Path]:
    """Translate pictures and yield each file as it is written; raises InputError as its parts do."""
    refuse_others(model, to)
    said = wishes or Wishes()
    assert isinstance(model, Translates)
    parts(said.tile, said.overlap, model.margin)  # which may be wrong whatever the picture

    def turn(path: Path, i: int) -> Any:
        x = read_input(model, path, to, said.convert)
        made = translated(model, x, to, Noise.of(seed, 1, start=i), said)
        return drawn(model, x, made, to, said.strip)

    return turn_files(source, out, turn, forms_of(model, to, said.strip))


def forms_of(model: Model, to: str, strip: bool) -> Forms:
    """Return which files a model takes, and which it writes when it makes this side."""
    shape = model.shape
    assert isinstance(shape, PairShape)
    channels, arrays = (shape.channels_b, not shape.palette) if to == "B" else (shape.channels, not shape.palette_b)
    if strip or not shape.deep(to):
        return Forms(arrays)
    greys = (".png",) if channels == 1 else ()
    tiffs = TIFF if importlib.util.find_spec("tifffile") or channels == 1 else ()
    return Forms(arrays, (*greys, *NPY, *tiffs))


def translated(model: Model, x: Tensor, to: str, noise: Noise, wishes: Wishes) -> Tensor:
    """Return one picture `[1, C', H, W]` of one `[1, C, H, W]`, large ones by parts; InputError for one too large."""
    assert isinstance(model, Translates) and isinstance(model.shape, PairShape)
    asked = wishes.tile is not None or wishes.overlap is not None or x.shape[2] * x.shape[3] > LARGE
    tile = parts(wishes.tile, wishes.overlap, model.margin) if asked else None
    width = max((module.out_channels for module in model.modules() if isinstance(module, torch.nn.Conv2d)), default=64)
    multiple = max((module.multiple for module in model.modules() if isinstance(module, UNet)), default=1)
    height, across = (-(-side // multiple) * multiple for side in x.shape[2:])  # as it is padded
    refuse_much(height * across * min(width, 64) * BYTES_A_PIXEL * model.shape.bits_of(to) // 8, x)
    with torch.inference_mode(), quickly(model.device, model.shape.bits_of(to)):
        return model.translate(x, to, noise, tile).float()


def read_input(model: Model, path: Path, to: str, convert_it: bool) -> Tensor:
    """Return a picture file as the model takes it `[1, C, H, W]`; InputError where it cannot be."""
    shape = model.shape
    assert isinstance(shape, PairShape)
    channels, palette = (shape.channels, shape.palette) if to == "B" else (shape.channels_b, shape.palette_b)
    if shape.deep("A" if to == "B" else "B") or (not palette and path.suffix.lower() in NPY):
        return read_deep(path, channels)
    return read_picture(path, channels, convert_it, bool(palette))


def drawn(model: Model, x: Tensor, made: Tensor, to: str, strip: bool) -> Any:
    """Return what a picture became as a pillow image, with what it was to the left of it where that is asked for.

    A deep one by itself as an array `[H, W, C]` of its bits.
    """
    shape = model.shape
    assert isinstance(shape, PairShape)
    after = shape.drawable(made, to)[0]
    if shape.deep(to) and not strip:
        most, kind = (65535, np.uint16) if shape.bits_of(to) == 16 else (255, np.uint8)
        return (after.clamp(0, 1) * most).round().permute(1, 2, 0).numpy().astype(kind)
    if not strip:
        return to_picture(after)
    before = in_colour(shape.drawable(x, "A" if to == "B" else "B"))[0]
    return side_by_side(before, in_colour(after[None])[0])
