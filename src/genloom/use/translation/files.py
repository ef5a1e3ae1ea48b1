"""Pictures of a person's own, and the files that they become: found, read as a model takes them, made by parts."""

# C channels, H height, W width

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.core.precision import has_bf16_units
from genloom.data.pairs.dataset import as_planes
from genloom.data.pictures.dataset import as_floats
from genloom.data.pictures.decode import SEEN_THROUGH, convert
from genloom.data.pictures.deep import NPY, TIFF, read_array, write_array
from genloom.data.pictures.sources import SUFFIXES, hidden, open_picture, quiet
from genloom.errors import InputError
from genloom.files import check_writable, replaced
from genloom.reading import GB, in_words, kind_of, limit, named, opened, parsing
from genloom.shapes.pictures import GRIDS, MODES, save, to_picture

LARGE = 1 << 20  # pixels from which a picture is made by parts
TILE, MULTIPLE = 512, 4  # side of a part where nobody names one, and what it is a multiple of
WORK = 3  # times what one file may take in memory, that may be taken on the way to another
NAMED = 3  # reasons that are told, at most
GAP = 4  # light pixels between the pictures of a strip


@dataclass(frozen=True)
class Forms:
    """Which files a model takes, and which it can write.

    Attributes:
        arrays: it takes `.npy` files too.
        writes: how names may end; the first is for what comes in in another form.
    """

    arrays: bool = False
    writes: tuple[str, ...] = GRIDS

    @property
    def reads(self) -> tuple[str, ...]:
        """How the names of the files of a folder end that are taken."""
        return (*SUFFIXES, *NPY) if self.arrays else SUFFIXES

    def suffix(self, path: Path) -> str:
        """Return how the name of what a file of a folder becomes ends: as its own where it is deep, and that can be."""
        own = path.suffix.lower()
        return own if own in (*NPY, *TIFF) and own in self.writes else self.writes[0]


PLAIN = Forms()


def files_of(source: str, out: str, forms: Forms = PLAIN) -> Iterator[tuple[Path, Path]]:
    """Yield the pictures that a person named, each with the file it becomes.

    Raises:
        InputError: there are none, or `out` is what they lie in.
    """
    path, target = named(source), named(out)
    kind = kind_of(path)
    if kind == "folder":
        found = sorted(
            each
            for each in path.iterdir()
            if each.suffix.lower() in forms.reads and each.is_file() and not hidden([each.name])
        )
        if not found:
            deeper = " (name its sub-folders one by one)" if any(each.is_dir() for each in path.iterdir()) else ""
            raise InputError(f"no pictures in {source}: none of its files ends in {', '.join(forms.reads)}{deeper}")
        if target.suffix.lower() in forms.writes:
            raise InputError(
                f"{source} is a folder, and so its pictures go into one: a name without {target.suffix} is wanted"
            )
        if kind_of(target) == "folder" and target.samefile(path):
            raise InputError(f"{out} is the folder of the pictures themselves: name another, so that none is written over")
        if kind_of(target) not in ("", "folder"):
            raise InputError(f"{out} is a {kind_of(target)}, and the pictures of a folder go into a folder")
        if len({each.stem for each in found}) < len(found):
            raise InputError(
                f"{source} has pictures of the same name but for the suffix, and what they become has one name: rename them"
            )
        yield from ((each, target / f"{each.stem}{forms.suffix(each)}") for each in found)
        return
    if kind != "file":
        raise InputError(f"no picture at {source}: " + (f"that is a {kind}" if kind else "no such file or folder"))
    if kind_of(target) == "folder" or out.endswith("/"):
        target = target / f"{path.stem}{forms.suffix(path)}"
    if target.suffix.lower() not in forms.writes:
        raise InputError(f"what this model makes is written as {', '.join(forms.writes)}, not as {out}")
    if target.exists() and target.samefile(path):
        raise InputError(f"{target} is the picture itself: name another file, so that it is not written over")
    yield path, target


def turn_files(source: str, out: str, turn: Callable[[Path, int], Any], forms: Forms = PLAIN) -> Iterator[Path]:
    """Turn each picture that a person named into another, and yield each file as it is written.

    Args:
        turn: from a file, and its place among them, to a pillow image, or to an array `[H, W, C]` of whole numbers; raises
            InputError for one that it cannot take.

    Raises:
        InputError: of a folder, once all others are written, where some could not be turned; or as `files_of`.
    """
    pairs, left_out = list(files_of(source, out, forms)), dict[Path, str]()
    check_writable(*(target for _, target in pairs))
    for i, (path, target) in enumerate(pairs):
        try:
            picture = turn(path, i)
        except InputError as error:
            if len(pairs) == 1:
                raise
            left_out[path] = str(error)
            continue
        with replaced(target) as part:
            (write_array if isinstance(picture, np.ndarray) else save)(picture, part)
        yield target
    if left_out:
        others = f"; the others are in {out}" if len(left_out) < len(pairs) else ""
        raise InputError(f"{len(left_out):,} of {len(pairs):,} pictures were left out: {reasons(left_out)}{others}")


def reasons(left_out: dict[Path, str]) -> str:
    """Return each reason once, with how many pictures it holds for."""
    alike: dict[str, list[str]] = {}
    for path, said in left_out.items():
        alike.setdefault(said.replace(str(path), "").strip(), []).append(path.name)
    shown = [(why, names) for why, names in sorted(alike.items(), key=lambda item: -len(item[1]))][:NAMED]
    more = f"; and {len(alike) - NAMED} reasons more" if len(alike) > NAMED else ""
    return "; ".join(f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''} {why}" for why, names in shown) + more


def parts(tile: int | None, overlap: int | None, least: int, usual: int = TILE) -> tuple[int, int]:
    """Return side and margin of the parts in which large pictures are made.

    Args:
        tile, overlap: as a person said them, or None for the usual ones.
        least: margin that the network needs.

    Raises:
        InputError: seams would show, or parts are too small to be worth it.
    """
    if overlap is not None and overlap < least:
        raise InputError(
            f"--overlap {overlap} is less than the {least} pixels that the network sees around each: seams would show"
        )
    if tile is not None and tile < 2 * least:
        raise InputError(
            f"--tile {tile} is too small for a network that sees {least} pixels around each: say {2 * least} or more"
        )
    side, margin = (round_up(n, MULTIPLE) for n in (tile or usual, overlap or least))
    return side, margin


def round_up(n: int, multiple: int) -> int:
    """Return the next multiple of a number."""
    return -(-n // multiple) * multiple


def refuse_much(needed: int, x: Tensor) -> None:
    """Raise InputError where a picture `[1, C, H, W]` would take more bytes on its way than is allowed."""
    if needed > WORK * limit():
        height, width = x.shape[2:]
        raise InputError(
            f"a picture of {width:,}x{height:,} takes about {in_words(needed)}, of {in_words(WORK * limit())} allowed: make "
            f"it smaller, or say --limit {math.ceil(needed / (WORK * GB))}"
        )


def quickly(device: torch.device, bits: int = 8) -> AbstractContextManager[Any]:
    """Compute in bf16 where the device has units for it, and what is made has no more bits than that."""
    return torch.autocast(device.type, torch.bfloat16) if has_bf16_units(device) and bits == 8 else nullcontext()


def read_picture(path: Path, channels: int, convert_it: bool, label_map: bool = False) -> Tensor:
    """Return a picture file as a model takes it `[1, C, H, W]`: of so many channels, or a label map of so many classes.

    Raises:
        InputError: it cannot be read, or is of another kind and not to be converted.
    """
    from PIL import ImageOps

    with opened(path, "picture") as file, quiet():
        with parsing(path, "a picture"):
            image = ImageOps.exif_transpose(open_picture(file))
            image.load()
        if label_map:
            return read_label_map(image, path, channels)
        refuse_other_colours(image, path, channels, convert_it)
        with parsing(path, "a picture"):
            pixels = convert(image, channels, (image.height, image.width), crop=False)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def read_deep(path: Path, channels: int) -> Tensor:
    """Return a picture file of 8 or 16 bits as a model of deep pictures takes it `[1, C, H, W]`; InputError where it cannot.

    Grey of one channel is taken for colours by no conversion: its numbers mean what they mean.
    """
    try:
        with parsing(path, "a picture"), quiet():
            pixels = read_array(path)
    except InputError as error:
        raise InputError(str(error) if path.name in str(error) else f"{path}: {error}") from None
    if pixels.shape[2] != channels:
        raise InputError(f"{path} has {pixels.shape[2]} channels, and the model takes {channels}")
    return as_floats(torch.from_numpy(pixels)[None])


def refuse_other_colours(image: Any, path: Path, channels: int, convert_it: bool) -> None:
    """Raise InputError for a picture of other channels than the model's, unless it is to be converted."""
    transparent = channels != 4 and (image.mode in SEEN_THROUGH or "transparency" in image.info)
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


def side_by_side(before: Tensor, after: Tensor) -> Any:
    """Return two pictures `[3, H, W]` beside each other as one pillow image."""
    return to_picture(torch.cat([before, torch.full((3, before.shape[1], GAP), 0.85), after], 2))
