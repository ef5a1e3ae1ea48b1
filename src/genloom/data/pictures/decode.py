"""From pictures of any kind to equal uint8 pictures: look over, convert, crop, resize. Needs pillow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from genloom.data.pictures.arrays import Arrays
from genloom.data.pictures.deep import Deep, depth_of, fitted
from genloom.data.pictures.sources import Pictures, quiet
from genloom.data.source import Progress
from genloom.errors import InputError
from genloom.shapes.pictures import MODES, to_bytes

T = TypeVar("T")
AT_ONCE = 32  # pictures that a thread takes at a time
GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I", "F")
LARGE = 1 << 23  # pixels from which a picture is decoded alone, so that many at once do not fill the memory
SEEN_THROUGH = ("RGBA", "LA", "La", "RGBa", "PA")


@dataclass(frozen=True)
class Header:
    """What the header of one picture says, or why it cannot be read."""

    size: tuple[int, int] = (0, 0)  # height, width
    mode: str = ""
    error: str = ""
    channels: int = 0  # of deep pictures


def read_header(pictures: Pictures, i: int) -> Header:
    """Read the header of one picture; its size is that of the picture upright."""
    from PIL import ExifTags, Image

    try:
        if isinstance(pictures, Deep):
            depth = depth_of(pictures.files[i])
            return Header((depth.height, depth.width), channels=depth.channels)
        with pictures.open(i) as image:
            # Not the PNG's own method, which decodes the picture in search of it.
            lying = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) >= 5
            return Header((image.width, image.height) if lying else (image.height, image.width), image.mode)
    except Exception as error:  # pillow raises many kinds for broken files, and each means the same here
        return Header(error=reason(error))


def reason(error: Exception) -> str:
    """Say in a few words why a picture cannot be read."""
    text = str(error)
    return "not a picture" if "cannot identify" in text else text or type(error).__name__


def read_headers(pictures: Pictures, progress: Progress) -> list[Header]:
    """Read the headers of all pictures, in parallel."""
    if isinstance(pictures, Arrays):
        _, height, width, channels = pictures.array.shape
        return [Header((height, width), MODES[channels])] * len(pictures)
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = by_hands(pool, lambda i: read_header(pictures, i), len(pictures))
        return list(progress(headers, len(pictures), "looking over"))


def read_through(pictures: Pictures, headers: list[Header], progress: Progress) -> list[Header]:
    """Return the headers again, with an error for each picture that breaks off in its body; every one is decoded for it."""

    def one(i: int) -> Header:
        try:
            if isinstance(pictures, Deep):
                pictures.array(i)
                return headers[i]
            with pictures.open(i) as image:
                image.load()
        except Exception as error:  # as in `read_header`
            return Header(error=reason(error))
        return headers[i]

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(by_hands(pool, one, len(pictures)), len(pictures), "reading through"))


def common_size(headers: list[Header]) -> tuple[int, int]:
    """Return the one size of all readable pictures, or raise InputError where they differ."""
    sizes = Counter(header.size for header in headers if not header.error)
    if len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        raise InputError(
            f"the pictures have {len(sizes)} sizes, from {small[0]}x{small[1]} to {large[0]}x{large[1]} "
            "(height x width); say --size S to crop and resize them all"
        )
    return next(iter(sizes))


def natural_channels(headers: list[Header]) -> int:
    """Return 1 where every readable picture is grey, else 3; of deep pictures their own number."""
    if deep := max((header.channels for header in headers), default=0):
        return deep
    return 1 if all(header.mode in GREY for header in headers if not header.error) else 3


def convert(image: Any, channels: int, size: tuple[int, int], crop: bool, nearest: bool = False) -> np.ndarray:
    """Return a pillow image as uint8 `[H, W, C]`: upright, on white where transparent, cropped and resized.

    `nearest` takes pixels as they are, for numbers that have no mean, such as classes.
    """
    from PIL import Image, ImageOps

    if getattr(image, "format", None):  # made from an array otherwise, and upright
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_eight_bits(np.asarray(image), image.mode))
    if channels == 4:
        image = image.convert("RGBA")
    else:
        if image.mode in SEEN_THROUGH or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
    height, width = size
    if (image.height, image.width) != size:
        box = central_box(image.width, image.height, width / height) if crop else None
        kind = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC  # pillow's bicubic is antialiased
        image = image.resize((width, height), kind, box)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pictures `[n, C, H, W]` in [0, 1] to (height, width) exactly as files are, by way of 8 bits."""
    from PIL import Image

    pixels = to_bytes(x).permute(0, 2, 3, 1).numpy()
    mode = MODES[pixels.shape[3]]
    out = np.empty((len(pixels), *size, pixels.shape[3]), np.uint8)
    for row, picture in zip(out, pixels, strict=True):
        image = Image.fromarray(picture[..., 0] if mode == "L" else picture, mode)
        row[:] = convert(image, pixels.shape[3], size, crop=False)
    return torch.from_numpy(out).permute(0, 3, 1, 2).float() / 255


def to_eight_bits(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Scale 16-bit greys, 32-bit greys that hold 16 bits, or floats in [0, 1] or [0, 255], to 8 bits."""
    pixels = pixels.astype(np.float64)
    if mode == "F":
        return np.clip(np.round(pixels * (255 if pixels.max() <= 1 else 1)), 0, 255).astype(np.uint8)
    return np.clip(np.round(pixels / 257), 0, 255).astype(np.uint8)


def central_box(width: int, height: int, aspect: float) -> tuple[float, float, float, float]:
    """Return the largest central box (left, top, right, bottom) of this aspect (width / height)."""
    w, h = (height * aspect, float(height)) if width > height * aspect else (float(width), width / aspect)
    return (width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2


def decode_all(
    pictures: Pictures,
    into: np.ndarray,
    channels: int,
    crop: bool,
    progress: Progress,
) -> list[str]:
    """Decode every picture into its row of `into`, in parallel; return for each "" or why it is broken."""
    size = (into.shape[1], into.shape[2])
    if isinstance(pictures, Arrays) and pictures.array.shape[1:] == into.shape[1:]:
        for part, rows in pictures.blocks():
            into[part] = rows
        return [""] * len(pictures)

    def one(i: int) -> str:
        try:
            if isinstance(pictures, Deep):
                with alone if pictures.files[i].stat().st_size > LARGE else nullcontext():
                    pixels = pictures.array(i)
                    box = central_box(pixels.shape[1], pixels.shape[0], size[1] / size[0]) if crop else None
                    into[i] = fitted(pixels, size, box)
                return ""
            with pictures.open(i) as image, alone if image.width * image.height > LARGE else nullcontext():
                into[i] = convert(image, channels, size, crop, pictures.nearest)
        except Exception as error:  # as in `read_header`
            return reason(error)
        return ""

    alone = Lock()
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(by_hands(pool, one, len(pictures)), len(pictures), "decoding"))


def by_hands(pool: ThreadPoolExecutor, one: Callable[[int], T], n: int) -> Iterator[T]:
    """Yield `one(i)` of every i below n, in order; a thread takes some at a time, since asking for each costs as much."""
    parts = [range(n)[start : start + AT_ONCE] for start in range(0, n, AT_ONCE)]
    return chain.from_iterable(pool.map(lambda part: [one(i) for i in part], parts))
