"""Pictures as a person has them: a folder or a zip; each opened as one interface."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np

from genloom.errors import InputError
from genloom.reading import in_words, limit, opened, parsing

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")  # pillow knows others, some of which start programs
SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}
PIXEL = 16  # bytes that a pixel takes while it is decoded, converted and resized
MEMBER = 4  # a packed picture may take one part in so many of the limit


@dataclass
class Pictures:
    """A list of pictures not yet decoded.

    Attributes:
        names: a name for each, to speak of it.
        labels: class index of each, or None.
        files: the files to hash for the cache's key.
        key: what else decides the content, where the files alone do not.
        nearest: whether they are resized without a mean, as maps of classes are.
        bits: of a number that they are stored by.
    """

    names: Sequence[str]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    files: Sequence[Path]
    key: str = ""
    by_row: ClassVar[tuple[str, ...]] = ()  # what else goes row by row
    nearest: ClassVar[bool] = False
    bits: int = field(default=8, kw_only=True)

    def __len__(self) -> int:
        return len(self.names)

    def open(self, i: int) -> Any:
        """Return the i-th as a pillow image; raises what pillow raises where it is broken."""
        raise NotImplementedError

    @property
    def places(self) -> Sequence[Any]:
        """Where each lies, by which two lists are known to be of the same pictures."""
        return self.names

    def part(self, rows: slice) -> Self:
        """Return some of them."""
        labels = None if self.labels is None else self.labels[rows]
        several = {name: getattr(self, name)[rows] for name in self.by_row}
        return replace(self, names=self.names[rows], labels=labels, **several)


@dataclass
class Files(Pictures):
    """Picture files of a folder."""

    by_row = ("files",)

    @property
    def places(self) -> Sequence[Any]:
        return self.files

    def open(self, i: int) -> Any:
        return open_picture(self.files[i])


@dataclass
class Members(Pictures):
    """Picture files within a zip."""

    members: Sequence[zipfile.ZipInfo] = ()
    by_row = ("members",)

    @property
    def places(self) -> Sequence[Any]:
        return [member.filename for member in self.members]

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.files[0])

    def content(self, i: int) -> bytes:
        """Return the bytes of the i-th; raises what zipfile raises where they are damaged, OSError for too many."""
        member = self.members[i]
        if member.flag_bits & 1:
            raise OSError("it is packed with a password")
        if member.file_size > limit() // MEMBER:
            raise OSError(
                f"it takes {in_words(member.file_size)} unpacked, and {in_words(limit() // MEMBER)} are allowed: see --limit"
            )
        return self.archive.read(member)

    def open(self, i: int) -> Any:
        return open_picture(io.BytesIO(self.content(i)))


def open_picture(file: str | Path | BinaryIO) -> Any:
    """Return a file as a pillow image, not yet decoded; raises what pillow raises, and OSError for too many pixels."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise OSError(f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: make it smaller") from None
    except UnidentifiedImageError:
        raise OSError("not a picture") from None
    if image.width * image.height * PIXEL > limit():
        image.close()
        raise OSError(f"it has {image.width:,}x{image.height:,} pixels, and {limit() // PIXEL:,} are allowed: see --limit")
    if 0 in image.size:
        raise OSError("it has no pixels")
    return image


@contextmanager
def quiet() -> Iterator[None]:
    """Let pillow say nothing of odd but readable files. For the thread that begins the work: filters belong to all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def from_folder(folder: Path, split: str, others: Sequence[str] = ()) -> Pictures:
    """List the pictures of a folder; sub-folders are classes, `train/` and `test/` are splits.

    Where it has none, files whose names end in one of `others` are taken.
    """
    found = [p for p in walk(folder) if p.suffix.lower() in (*SUFFIXES, *others) and p.is_file()]
    found = [p for p in found if not hidden(p.relative_to(folder).parts)]
    files = sorted(p for p in found if p.suffix.lower() in SUFFIXES) or sorted(found)
    if not files:
        raise InputError(f"no pictures in {folder}: none of its files ends in {', '.join((*SUFFIXES, *others))}")
    inner = settle_split([p.relative_to(folder).as_posix() for p in files], split)
    files = [p for p in files if (folder / inner) in p.parents]
    names = [printable(p.relative_to(folder / inner).as_posix()) for p in files]
    return Files(names, *classes_of(names), files)


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links to folders are followed, unless they lead back to where they lie."""
    around: dict[str, set[str]] = {}  # of each folder, itself and those around it, as they are without links
    for place, inner, names in os.walk(folder, onerror=raise_it, followlinks=True):
        real, outer = os.path.realpath(place), around.get(os.path.dirname(place), set())
        if real in outer:
            inner.clear()
            continue
        around[place] = outer | {real}
        yield from (Path(place) / name for name in names)


def raise_it(error: OSError) -> None:
    """Raise what went wrong, such as a folder that may not be read: its pictures must not be missing without a word."""
    raise error


def printable(name: str) -> str:
    """Return a name in which bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def hidden(parts: Sequence[str]) -> bool:
    """Whether a path lies in a folder that is no data, such as .git, .ipynb_checkpoints or __MACOSX, or is such a file."""
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def settle_split(names: Sequence[str], split: str) -> PurePosixPath:
    """Return the folder of a split among the paths of pictures: within the one around them all, where that has splits."""
    root = common_folder(names)
    tops = {PurePosixPath(name).relative_to(root).parts[0] for name in names}
    lower = {top.lower(): top for top in sorted(tops)}
    found = {kind: next((lower[word] for word in words if word in lower), None) for kind, words in SPLITS.items()}
    return root if None in found.values() else root / str(found[split])


def from_zip(path: Path, split: str) -> Pictures:
    """List the pictures of a zip, which may hold one folder around them all."""
    with opened(path, "zip") as file, parsing(path, "a zip", "; fetch or pack it again"), zipfile.ZipFile(file) as archive:
        found = archive.infolist()
    paths = sorted((clean_path(m.filename), i) for i, m in enumerate(found) if not m.is_dir())
    paths = [(name, i) for name, i in paths if name.suffix.lower() in SUFFIXES and not hidden(name.parts)]
    if not paths:
        raise InputError(f"no pictures in {path}: none of its members ends in {', '.join(SUFFIXES)}")
    inner = settle_split([name.as_posix() for name, _ in paths], split)
    paths = [(name, i) for name, i in paths if inner in name.parents]
    names = [name.relative_to(inner).as_posix() for name, _ in paths]
    return Members(names, *classes_of(names), [path], members=[found[i] for _, i in paths])


def clean_path(name: str) -> PurePosixPath:
    """Return the path of a zip's member below the zip: some are packed with a root, a drive, or steps upwards."""
    parts = name.replace("\\", "/").split("/")
    return PurePosixPath(*(part for part in parts if part not in ("", ".", "..") and not part.endswith(":")))


def common_folder(members: Sequence[str]) -> PurePosixPath:
    """Return the innermost folder that holds all members."""
    parents = [PurePosixPath(m).parent.parts for m in members]
    shared = []
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return PurePosixPath(*shared)


def classes_of(names: Sequence[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return class indices and names where every picture lies in one of two or more sub-folders."""
    tops = [PurePosixPath(name).parts[0] if "/" in name else "" for name in names]
    classes = tuple(sorted(set(tops)))
    if "" in classes or len(classes) < 2:
        return None, ()
    return np.array([classes.index(top) for top in tops]), classes
