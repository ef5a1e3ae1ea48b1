"""Pictures as a person has them: a folder, a zip, arrays; each opened as one interface."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

import numpy as np

from genloom.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}


@dataclass
class Pictures:
    """A list of pictures not yet decoded.

    Attributes:
        names: a name for each, to speak of it.
        labels: class index of each, or None.
        files: the files to hash for the cache's key.
        key: what else decides the content, where the files alone do not.
    """

    names: Sequence[str]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    files: Sequence[Path]
    key: str = ""
    by_row: ClassVar[tuple[str, ...]] = ()  # what else goes row by row

    def __len__(self) -> int:
        return len(self.names)

    def open(self, i: int) -> Any:
        """Return the i-th as a pillow image; raises what pillow raises where it is broken."""
        raise NotImplementedError

    def part(self, rows: slice) -> Self:
        """Return some of them."""
        labels = None if self.labels is None else self.labels[rows]
        several = {name: getattr(self, name)[rows] for name in self.by_row}
        return replace(self, names=self.names[rows], labels=labels, **several)


@dataclass
class Files(Pictures):
    """Picture files of a folder."""

    by_row = ("files",)

    def open(self, i: int) -> Any:
        from PIL import Image

        return Image.open(self.files[i])


@dataclass
class Members(Pictures):
    """Picture files within a zip."""

    members: Sequence[zipfile.ZipInfo] = ()
    by_row = ("members",)

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.files[0])

    def open(self, i: int) -> Any:
        from PIL import Image

        return Image.open(io.BytesIO(self.archive.read(self.members[i])))


@dataclass
class Arrays(Pictures):
    """Pictures that are already an array: uint8 `[n, H, W, C]`."""

    array: np.ndarray = field(default_factory=lambda: np.empty(0))
    by_row = ("array",)

    def open(self, i: int) -> Any:
        from PIL import Image

        pixels = self.array[i]
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def from_folder(folder: Path, split: str) -> Pictures:
    """List the pictures of a folder; sub-folders are classes, `train/` and `test/` are splits."""
    found = (p for p in walk(folder) if p.suffix.lower() in SUFFIXES and p.is_file())
    files = sorted(p for p in found if not hidden(p.relative_to(folder).parts))
    if not files:
        raise InputError(f"no pictures in {folder}: none of its files ends in {', '.join(SUFFIXES)}")
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
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is no whole zip ({error}); fetch or pack it again") from None
    paths = {m: PurePosixPath(m.filename) for m in members}
    members = [m for m, name in paths.items() if name.suffix.lower() in SUFFIXES and not hidden(name.parts)]
    if not members:
        raise InputError(f"no pictures in {path}: none of its members ends in {', '.join(SUFFIXES)}")
    inner = settle_split([m.filename for m in members], split)
    members = [m for m in members if inner in paths[m].parents]
    names = [paths[m].relative_to(inner).as_posix() for m in members]
    return Members(names, *classes_of(names), [path], members=members)


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


def from_idx(path: Path, split: str) -> Pictures:
    """Read an idx file of pictures, or the folder that holds it, with the labels file beside it."""
    images = path if path.is_file() else find_idx(path, split)
    array = read_idx(images)
    if array.ndim not in (3, 4):
        raise InputError(f"{images} holds an array of shape {array.shape}, not pictures; name the images file of the pair")
    labels_path = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
    files = [images]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if labels_path != images and labels_path.exists():
        labels = read_idx(labels_path).astype(np.int64)
        if len(labels) != len(array):
            raise InputError(f"{labels_path} has {len(labels)} labels for the {len(array)} pictures of {images}")
        classes = tuple(str(k) for k in range(int(labels.max()) + 1))
        files.append(labels_path)
    return as_arrays(array, labels, classes, files, str(images))


def find_idx(folder: Path, split: str) -> Path:
    """Return the images file of a split within a folder of idx files."""
    words = ("train",) if split == "train" else ("t10k", "test")
    found = sorted(p for p in folder.iterdir() if is_idx(p) and "images" in p.name)
    if not found:
        raise InputError(f"{folder} has idx files, but none with 'images' in its name; name the file itself")
    fitting = found if len(found) == 1 else [p for p in found if any(word in p.name for word in words)]
    if len(fitting) != 1:
        raise InputError(
            f"{folder} holds several files of pictures, and not one alone for {split}: name the one to use, "
            f"such as {(fitting or found)[0]}"
        )
    return fitting[0]


def is_idx(path: Path) -> bool:
    """Whether a file's name says idx."""
    return path.name.removesuffix(".gz").endswith(("-ubyte", ".idx", ".idx1", ".idx3")) and path.is_file()


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file, plain or gzipped; InputError where header or length are wrong."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is cut short or no gzip ({error}); fetch it again") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != 8 or not 1 <= raw[3] <= 4:
        raise InputError(f"{path} does not begin with the header of an idx file of bytes (00 00 08 and its dimensions)")
    dims = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    expected = 4 + 4 * raw[3] + int(np.prod(dims))
    if len(raw) != expected:
        raise InputError(
            f"{path} should have {expected} bytes for {'x'.join(map(str, dims))}, it has {len(raw)}: cut short?"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def from_numpy(path: Path, split: str) -> Pictures:
    """Read pictures from `.npy`, or from `.npz` with labels under `y` or `labels`."""
    labels = None
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            arrays = {name: loaded[name] for name in loaded.files}
            labels = next((arrays[name] for name in ("y", "labels", "label") if name in arrays), None)
            arrays = {name: unpacked(a) for name, a in arrays.items()}
            if {"train", "test"} <= arrays.keys():
                arrays = {"x": arrays[split]}
            several = {name: a for name, a in arrays.items() if a.ndim >= 3}
            if len(several) > 1 and not several.keys() & {"x", "images"}:
                raise InputError(f"{path} holds several arrays of pictures ({', '.join(several)}); name the one to use `x`")
            loaded = several.get("x", several.get("images", next(iter(several.values()), None)))
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as {path.suffix} ({error})") from None
    if loaded is None or loaded.ndim not in (3, 4):
        raise InputError(f"{path} holds no pictures: an array [n, H, W], [n, H, W, C] or [n, C, H, W] is needed")
    if loaded.ndim == 3 and loaded.shape[-1] in (3, 4):
        raise InputError(f"{path} looks like one colour picture {loaded.shape}; many are an array [n, H, W, C]")
    classes: tuple[str, ...] = ()
    if labels is not None:
        if labels.shape != (len(loaded),):
            raise InputError(
                f"{path} has labels of shape {labels.shape} for {len(loaded)} pictures; one number or name each"
            )
        names, labels = np.unique(labels, return_inverse=True)
        classes = tuple(str(name) for name in names)
    return as_arrays(to_bytes(loaded, path), labels, classes, [path], f"{path}-{split}")


def unpacked(array: np.ndarray) -> np.ndarray:
    """Return packed bits `[n, H * W / 8]` of square black and white pictures as pictures; other arrays as they are."""
    side = int((8 * array.shape[1]) ** 0.5) if array.ndim == 2 and array.dtype == np.uint8 else 0
    if side == 0 or side * side != 8 * array.shape[1]:
        return array
    return np.unpackbits(array, axis=1).reshape(-1, side, side) * np.uint8(255)


def to_bytes(array: np.ndarray, path: Path) -> np.ndarray:
    """Turn an array of pictures into uint8; InputError where its values are in no known range."""
    if array.dtype == np.uint8 or array.size == 0:
        return array.astype(np.uint8, copy=False)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        if array.max() <= 255:
            raise InputError(f"{path} holds uint16 up to {array.max()}, which would be all but black: save it as uint8")
        return np.round(array / 257).astype(np.uint8)
    low, high = float(array.min()), float(array.max())
    if not np.issubdtype(array.dtype, np.floating) or not (low >= 0 and high <= 1):
        raise InputError(
            f"{path} holds {array.dtype} from {low:g} to {high:g}; pictures are uint8, uint16 or floats in [0, 1]"
        )
    return np.round(array * 255).astype(np.uint8)


def as_arrays(
    array: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], files: Sequence[Path], name: str
) -> Arrays:
    """Put an array into the order [n, H, W, C]; the channels may stand first or last or be missing."""
    if array.ndim == 3:
        array = array[..., None]
    elif array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if array.shape[-1] not in (1, 3, 4):
        raise InputError(f"{name} has pictures of {array.shape[-1]} channels; 1, 3 or 4 are possible")
    if len(array) == 0:
        raise InputError(f"{name} holds no pictures")
    return Arrays(range_names(name, len(array)), labels, classes, files, array=array)


def range_names(name: str, n: int) -> Sequence[str]:
    """Names for the rows of an array."""
    return [f"{name}[{i}]" for i in range(n)]
