"""The two sides of pairs as a person has them: folders A and B, two folders, halves of pictures, a table of two columns."""

# n examples

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

import numpy as np

from genloom.bounds import short
from genloom.data.options import PairOptions
from genloom.data.pictures.deep import NPY
from genloom.data.pictures.load import find_pictures
from genloom.data.pictures.sources import SPLITS, SUFFIXES, Files, Pictures, from_folder, printable
from genloom.errors import InputError
from genloom.reading import content_of, kind_of, named, opened, parsing

MOST_CLASSES = 64  # of a label map
NAMED = 3  # pictures that a sentence names


@dataclass
class Sides:
    """Pictures of A and of B, in the same order where they are paired; notes say what was left out."""

    a: Pictures
    b: Pictures
    paired: bool
    notes: list[str] = field(default_factory=list)


@dataclass
class Halves(Pictures):
    """The left or the right halves of pictures."""

    whole: Pictures = field(default_factory=lambda: Files([], None, (), []))
    left: bool = True

    def open(self, i: int) -> Any:
        from PIL import ImageOps

        image = self.whole.open(i)
        image = ImageOps.exif_transpose(image)
        half = image.width // 2
        if not half:
            raise OSError("it has no two halves")
        return image.crop((0, 0, half, image.height) if self.left else (image.width - half, 0, image.width, image.height))

    def part(self, rows: slice) -> Self:
        return replace(self, names=self.names[rows], whole=self.whole.part(rows))


@dataclass
class LabelMaps(Pictures):
    """Palette PNGs whose pixels are classes."""

    maps: Pictures = field(default_factory=lambda: Files([], None, (), []))
    nearest: ClassVar[bool] = True

    def open(self, i: int) -> Any:
        from PIL import Image

        with self.maps.open(i) as image:
            return Image.fromarray(np.asarray(image))  # the classes themselves, as a grey picture

    def part(self, rows: slice) -> Self:
        return replace(self, names=self.names[rows], maps=self.maps.part(rows))

    @cached_property
    def palette(self) -> tuple[int, ...]:
        """The bytes of red, green and blue of each class, of which there are as many as the largest pixel says."""
        most = 1
        for i, name in enumerate(self.names):
            with parsing(name, "a picture"):
                most = max(most, int(np.asarray(self.open(i)).max()) + 1)
        if most > MOST_CLASSES:
            raise InputError(
                f"a label map has a pixel of class {most - 1}, and {MOST_CLASSES} classes are the most: are these label "
                "maps, or photographs stored with a palette? Save those as RGB"
            )
        with self.maps.open(0) as image:
            colours = list(image.getpalette("RGB") or [])
        return tuple((colours + [0] * 3 * most)[: 3 * most])


def find_sides(name: str, options: PairOptions) -> Sides:
    """Return the two sides of what a person named.

    Raises:
        InputError: one of them is empty, or pictures of pairs lack their partners.
    """
    split = options.split
    if options.side_by_side:
        whole = find_pictures(name, split)
        a, b = (
            Halves(whole.names, None, (), whole.files, f"{side} half", whole, side == "left") for side in ("left", "right")
        )
        return Sides(a, b, True)
    if named(name).suffix.lower() == ".csv":
        return from_csv(named(name))
    if options.to is not None:
        return matched(find_pictures(name, split, NPY), find_pictures(options.to, split, NPY), options.skip_broken)
    folders = two_folders(named(name), split)
    if folders is None:
        alone = half_alone(named(name))
        lacks = f"a folder {alone} and no {'B' if alone == 'A' else 'A'}" if alone else "no folders A and B"
        raise InputError(f"{name} has {lacks}: add it, name a second folder with --to, or say --side-by-side")
    return matched(from_folder(folders[0], split, NPY), from_folder(folders[1], split, NPY), options.skip_broken)


def two_folders(root: Path, split: str) -> tuple[Path, Path] | None:
    """Return the folders of A and B: `A` and `B`, in `train` or with it inside, or `trainA` and `trainB`.

    They are capitals, so that classes called a and b stay classes.
    """
    if kind_of(root) != "folder":
        return None
    try:
        inside = {child.name: child for child in sorted(root.iterdir()) if child.is_dir()}
    except OSError:  # what may not be read is said where it is read
        return None
    for word in SPLITS[split]:
        if f"{word}A" in inside and f"{word}B" in inside:
            return inside[f"{word}A"], inside[f"{word}B"]
        if word in inside and (found := two_folders(inside[word], split)):
            return found
    if "A" in inside and "B" in inside and "C" not in inside:  # letters of the alphabet are classes
        return inside["A"], inside["B"]
    other = "test" if split == "train" else "train"  # which is all there is, as with a folder that has no splits
    return next(
        ((inside[f"{word}A"], inside[f"{word}B"]) for word in SPLITS[other] if {f"{word}A", f"{word}B"} <= inside.keys()),
        None,
    )


def half_alone(root: Path) -> str:
    """Return "A" or "B" where a folder holds that one of the two, and no other, else ""."""
    if kind_of(root) != "folder":
        return ""
    try:
        inside = [child.name for child in root.iterdir() if child.is_dir()]
    except OSError:
        return ""
    return inside[0] if inside in (["A"], ["B"]) else ""


def matched(a: Pictures, b: Pictures, skip: bool) -> Sides:
    """Return two sides as pairs where their pictures have the same names, else as two domains.

    Raises:
        InputError: most have the same names, but not all, and the others are not to be left out.
    """
    stems = [{stem(name): i for i, name in reversed(list(enumerate(side.names)))} for side in (a, b)]
    for side, found, own in zip("AB", (a, b), stems, strict=True):
        if len(own) < len(found):
            raise InputError(
                f"{len(found) - len(own):,} pictures of {side} have the name of another but for the suffix: rename them"
            )
    both = sorted(stems[0].keys() & stems[1].keys())
    if 2 * len(both) < min(len(stems[0]), len(stems[1])):
        return Sides(a, b, False, [f"{len(a):,} pictures of A and {len(b):,} of B with other names: two domains, no pairs"])
    alone = [
        (side, names) for side, names in zip("AB", (stems[0].keys() - both, stems[1].keys() - both), strict=True) if names
    ]
    if alone and not skip:
        side, names = alone[0]
        other = "B" if side == "A" else "A"
        shown = ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")
        raise InputError(
            f"{len(names):,} pictures of {side} have no partner of that name in {other} ({shown}): add "
            "what is missing, or say --skip-broken to leave them out"
        )
    notes = [f"left out {len(names):,} pictures of {side} without a partner" for side, names in alone]
    return Sides(chosen(a, [stems[0][each] for each in both]), chosen(b, [stems[1][each] for each in both]), True, notes)


def stem(name: str) -> str:
    """Return the name of a picture by which it finds its partner."""
    return PurePosixPath(name).with_suffix("").as_posix()


def chosen(pictures: Pictures, places: Sequence[int]) -> Pictures:
    """Return some pictures, in this order."""
    names = [pictures.names[i] for i in places]
    if isinstance(pictures, Halves):
        return replace(pictures, names=names, whole=chosen(pictures.whole, places))
    rows: dict[str, Any] = {name: [getattr(pictures, name)[i] for i in places] for name in pictures.by_row}
    which = hashlib.blake2b(json.dumps(names).encode(), digest_size=8).hexdigest()  # a zip's bytes do not tell
    return replace(pictures, names=names, labels=None, classes=(), key=f"{pictures.key} {which}", **rows)


def from_csv(path: Path) -> Sides:
    """Return the pairs of a table of two columns of picture files, relative to its folder.

    Raises:
        InputError: a row is no pair of picture files.
    """
    rows = rows_of(path)
    rows = rows[1:] if rows and not is_pair(rows[0]) else rows
    if odd := next((row for row in rows if len(row) != 2 or not all(row)), None):
        raise InputError(f"{path}: the names of two pictures are wanted in each row, and one is {short(','.join(odd))}")
    sides = []
    for place in (0, 1):
        files = [path.parent / row[place] for row in rows]
        if missing := next((file for file in files if kind_of(file) != "file"), None):
            raise InputError(f"{path}: there is no picture {missing}")
        sides.append(Files([printable(row[place]) for row in rows], None, (), files))
    if not rows:
        raise InputError(f"{path} names no pairs of pictures")
    return Sides(sides[0], sides[1], True)


def first_rows(path: Path) -> list[list[str]]:
    """Return the first two rows of a table as far as its first thousands of bytes tell; none where they are odd."""
    try:
        with opened(path) as file:
            text = file.read(1 << 14).decode("utf-8-sig", "replace")
        return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()[:2])]
    except (csv.Error, InputError):
        return []


def rows_of(path: Path) -> list[list[str]]:
    """Return the rows of a small table as text."""
    try:
        text = content_of(path, "table of pairs").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8") from None
    with parsing(path, "a table of pairs"):
        return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]


def is_pair(row: Sequence[str]) -> bool:
    """Whether a row of a table names two picture files."""
    return len(row) == 2 and all(cell.lower().endswith((*SUFFIXES, *NPY)) for cell in row)
