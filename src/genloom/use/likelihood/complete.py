"""complete: fill in the unknown part of a picture, several times."""

# C channels, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.bounds import short, whole
from genloom.core.capabilities import Completes
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.data.pictures.decode import convert
from genloom.data.pictures.sources import open_picture, quiet
from genloom.errors import InputError
from genloom.reading import kind_of, named, opened, parsing
from genloom.shapes.base import Shape
from genloom.use.sampling.draw import labels_for

EIGHT_BITS = ("1", "L", "P", "RGB", "LA", "PA", "RGBA")  # pillow's modes of up to 8 bits a channel, but CMYK and the like
HALVES = ("top-half", "bottom-half", "left-half", "right-half")


def read_picture(path: str, shape: Shape, lossless: bool = False) -> Tensor:
    """Return a picture file `[1, C, H, W]` in [0, 1] in the shape of a model; cropped and resized as `fit` does.

    Raises:
        InputError: it cannot be read; or, if `lossless`, has another size, or the model's colours cannot hold it.
    """
    return shape.encode(read_pixels(path, shape.dims, lossless)[None])


def read_pixels(path: str, dims: Sequence[int], lossless: bool) -> np.ndarray:
    """Return the bytes `[H, W, C]` of a picture file of these dimensions `(C, H, W)`; raises as `read_picture`."""
    with opened(named(path), "picture") as file, quiet():
        with parsing(path, "a picture"):
            image = open_picture(file)
        with image:
            return pixels_of(image, path, dims, lossless)


def pixels_of(image: Any, name: str, dims: Sequence[int], lossless: bool) -> np.ndarray:
    """Return the bytes `[H, W, C]` of a pillow image of these dimensions `(C, H, W)`; raises as `read_picture`."""
    channels, height, width = dims
    if lossless and (image.height, image.width) != (height, width):
        raise InputError(
            f"{name} is {image.height}x{image.width}, the model makes {height}x{width}: resize it to that first"
        )
    with parsing(name, "a picture"):
        image.load()
        pixels = convert(image, channels, (height, width), crop=True)
    if lossless and not holds(pixels, image):
        tone = "grey" if channels == 1 else "colour"
        raise InputError(f"{name} would lose something: the model makes {tone} pictures of 8 bits, opaque and upright")
    return pixels


def holds(pixels: np.ndarray, image: Any) -> bool:
    """Whether pixels `[H, W, C]` show exactly what the pillow image does."""
    from PIL import Image

    shown = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).convert("RGBA")
    return image.mode in EIGHT_BITS and np.array_equal(np.asarray(shown), np.asarray(image.convert("RGBA")))


def own_labels(model: Model, label: str | None, n: int) -> Tensor | None:
    """Return the label of each of `n` pictures for a model that takes labels, none for one without.

    Raises:
        InputError: the label is unknown, missing, or asked of a model without labels.
    """
    if model.conditional and label is None:
        raise InputError("this model was trained with labels: name the picture's with --label")
    return labels_for(model, label, n)


def read_known(name: str, shape: Shape) -> Tensor:
    """Return which pixels `[H, W]` are known: a half by name, or the white pixels of a picture of the same size."""
    _, height, width = shape.dims
    known = torch.zeros(height, width, dtype=torch.bool)
    if name in HALVES:
        rows, columns = height // 2, width // 2
        parts = {
            "top-half": known[:rows],
            "bottom-half": known[rows:],
            "left-half": known[:, :columns],
            "right-half": known[:, columns:],
        }
        parts[name].fill_(True)  # a view of `known`
        return known
    if not kind_of(named(name)):
        raise InputError(
            f"--known takes {', '.join(HALVES)}, or a picture whose white pixels are known; there is no {short(name)}"
        )
    return torch.from_numpy(read_pixels(name, (1, height, width), False)[..., 0].astype(np.float32)) / 255 > 0.5


def is_exact(known: Tensor) -> bool:
    """Whether every unknown pixel comes after all known ones in raster order."""
    flat = known.flatten()
    return not bool((flat[1:] & ~flat[:-1]).any())


def complete(model: Model, path: str, known: str, n: int, seed: int = 0, label: str | None = None) -> tuple[Tensor, bool]:
    """Return the picture with its unknown part dark, then `n` completions `[n + 1, C, H, W]`, and whether they are exact.

    Raises:
        InputError: the model does not complete, or the picture, the mask or the label does not fit.
    """
    if not isinstance(model, Completes) or not model.shape.drawn:
        raise InputError(f"{type(model).__name__} does not complete pictures; pixelcnn and pixelrnn do")
    n, seed = whole("n", n), whole("seed", seed)
    x, mask = read_picture(path, model.shape), read_known(known, model.shape)
    if bool(mask.all()):
        raise InputError("every pixel is known: there is nothing to complete")
    given = own_labels(model, label, n)
    filled = model.complete(x.repeat(n, 1, 1, 1), mask, Noise.of(seed, n), given=given)
    return torch.cat([torch.where(mask, x, torch.zeros_like(x)), filled]), is_exact(mask)
