"""Translating pictures of a person's own: a file, or all of a folder, each into one of the same name."""

# C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.core.capabilities import Translates
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.data.pairs.dataset import as_planes
from genloom.data.pictures.decode import SEEN_THROUGH, convert
from genloom.data.pictures.sources import SUFFIXES, hidden, open_picture, quiet
from genloom.errors import InputError
from genloom.files import check_writable, replaced
from genloom.nn.unet import UNet
from genloom.reading import in_words, kind_of, limit, named, opened, parsing
from genloom.shapes.pairs import PairShape, in_colour
from genloom.shapes.pictures import MODES, save, to_picture

BYTES_A_PIXEL = 12  # that a channel of the largest map takes, a few maps being held at once
GAP = 4  # light pixels between the pictures of a strip


def refuse_others(model: Model, to: str) -> None:
    """Raise InputError for a model that translates nothing, or not to this side."""
    if not isinstance(model, Translates):
        raise InputError(f"{type(model).__name__} turns no picture into another: `genloom models` says what each can do")
    if to not in model.sides:
        raise InputError(f"this model makes {' and '.join(model.sides)} alone, not {to}")


def files_of(source: str, out: str) -> Iterator[tuple[Path, Path]]:
    """Yield the pictures that a person named, each with the file it becomes.

    Raises:
        InputError: there are none, or `out` is what they lie in.
    """
    path, target = named(source), named(out)
    kind = kind_of(path)
    if kind == "folder":
        found = sorted(
            each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file() and not hidden([each.name])
        )
        if not found:
            raise InputError(f"no pictures in {source}: none of its files ends in {', '.join(SUFFIXES)}")
        if kind_of(target) == "folder" and target.samefile(path):
            raise InputError(f"{out} is the folder of the pictures themselves: name another, so that none is written over")
        if kind_of(target) not in ("", "folder"):
            raise InputError(f"{out} is a {kind_of(target)}, and the pictures of a folder go into a folder")
        if len({each.stem for each in found}) < len(found):
            raise InputError(
                f"{source} has pictures of the same name but for the suffix, and each becomes a PNG: rename them"
            )
        yield from ((each, target / f"{each.stem}.png") for each in found)
        return
    if kind != "file":
        raise InputError(f"no picture at {source}: " + (f"that is a {kind}" if kind else "no such file or folder"))
    if kind_of(target) == "folder" or out.endswith("/"):
        target = target / f"{path.stem}.png"
    if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise InputError(f"a picture is written as .png, .jpg or .webp, not as {out}")
    if target.exists() and target.samefile(path):
        raise InputError(f"{out} is the picture itself: name another file, so that it is not written over")
    yield path, target


def translate_files(
    model: Model, source: str, out: str, to: str = "B", seed: int = 0, convert_them: bool = False, strip: bool = False
) -> Iterator[Path]:
    """Translate pictures and yield each file as it is written; raises InputError as its parts do."""
    refuse_others(model, to)
    pairs = list(files_of(source, out))
    check_writable(*(target for _, target in pairs))
    for i, (path, target) in enumerate(pairs):
        x = read_input(path, model, to, convert_them)
        made = translated(model, x, to, Noise.of(seed, 1, start=i))
        with replaced(target) as part:
            save(drawn(model, x, made, to, strip), part)
        yield target


def translated(model: Model, x: Tensor, to: str, noise: Noise) -> Tensor:
    """Return one picture `[1, C', H, W]` of one `[1, C, H, W]`; InputError where it does not go into memory whole."""
    assert isinstance(model, Translates)
    width = max((module.out_channels for module in model.modules() if isinstance(module, torch.nn.Conv2d)), default=64)
    multiple = max((module.multiple for module in model.modules() if isinstance(module, UNet)), default=1)
    height, across = (-(-side // multiple) * multiple for side in x.shape[2:])  # as it is padded
    needed = height * across * min(width, 64) * BYTES_A_PIXEL
    if needed > limit():
        height, width = x.shape[2:]
        raise InputError(
            f"a picture of {width:,}x{height:,} takes about {in_words(needed)} at once, of {in_words(limit())} allowed: "
            f"make it smaller, or say --limit {needed / 1e9:.0f}"
        )
    return model.translate(x, to, noise).float()


def read_input(path: Path, model: Model, to: str, convert_it: bool) -> Tensor:
    """Return a picture file as the model takes it `[1, C, H, W]`.

    Raises:
        InputError: it cannot be read, or is of another kind and not to be converted.
    """
    from PIL import ImageOps

    shape = model.shape
    assert isinstance(shape, PairShape)
    channels, palette = (shape.channels, shape.palette) if to == "B" else (shape.channels_b, shape.palette_b)
    with opened(path, "picture") as file, quiet():
        with parsing(path, "a picture"):
            image = ImageOps.exif_transpose(open_picture(file))
            image.load()
        if palette:
            return read_label_map(image, path, channels)
        refuse_other_colours(image, path, channels, convert_it)
        with parsing(path, "a picture"):
            pixels = convert(image, channels, (image.height, image.width), crop=False)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def refuse_other_colours(image: Any, path: Path, channels: int, convert_it: bool) -> None:
    """Raise InputError for a picture of other channels than the model's, unless it is to be converted."""
    transparent = image.mode in SEEN_THROUGH or "transparency" in image.info
    own = {1: ("1", "L"), 3: ("RGB", "P", "CMYK", "YCbCr")}.get(channels, (MODES.get(channels, ""),))
    if convert_it or (image.mode in own and not transparent):
        return
    what = "a picture with transparency" if transparent else f"of mode {image.mode}"
    words = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    raise InputError(f"{path} is {what}, and the model takes {words} pictures: say --convert to have it converted")


def read_label_map(image: Any, path: Path, classes: int) -> Tensor:
    """Return a label map as planes `[1, K, H, W]`; InputError where it is none, or has other classes."""
    if image.mode not in ("P", "L"):
        raise InputError(f"{path} is of mode {image.mode}, and the model takes label maps: PNGs with a palette of classes")
    values = torch.from_numpy(np.array(image))
    if int(values.max()) >= classes:
        raise InputError(f"{path} has a pixel of class {int(values.max())}, and the model knows 0 to {classes - 1}")
    return as_planes(values[None, ..., None], classes)


def drawn(model: Model, x: Tensor, made: Tensor, to: str, strip: bool) -> Any:
    """Return what a picture became as a pillow image, with what it was to the left of it where that is asked for."""
    shape = model.shape
    assert isinstance(shape, PairShape)
    after = shape.drawable(made, to)[0]
    if not strip:
        return to_picture(after)
    before = in_colour(shape.drawable(x, "A" if to == "B" else "B"))[0]
    after = in_colour(after[None])[0]
    return to_picture(torch.cat([before, torch.full((3, before.shape[1], GAP), 0.85), after], 2))
