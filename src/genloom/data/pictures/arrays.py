"""Pictures that are already arrays: idx, npy and npz files. What is mapped from the disk is turned into bytes row by row."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import gzip
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from genloom.data.pictures.sources import SPLITS, Pictures
from genloom.errors import InputError
from genloom.reading import found, opened, parsing, refuse_large

BLOCK = 1 << 25  # bytes of an array that are looked at at once
PLAIN = "biuf"  # kinds of numbers that pictures can be: truth, whole, unsigned, floating
WORDS = ("x", "images", "image", "data", "arr_0")  # what an array of pictures is called where there are several
LABELS = ("y", "labels", "label", "targets")
GRID = "an array [n, H, W], [n, H, W, C] or [n, C, H, W] is needed"


@dataclass
class Arrays(Pictures):
    """Pictures that are already an array `[n, H, W, C]`, of bytes or of other numbers that `scale` brings to bytes."""

    array: np.ndarray = field(default_factory=lambda: np.empty(0))
    scale: float = 1.0
    by_row = ("array",)

    def rows(self, part: slice) -> np.ndarray:
        """Return some as bytes `[n, H, W, C]`."""
        rows = self.array[part]
        return rows if rows.dtype == np.uint8 and self.scale == 1 else np.round(rows * self.scale).astype(np.uint8)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all as bytes, some at a time, each with its place."""
        for part in slices(self.array):
            yield part, self.rows(part)

    def open(self, i: int) -> Any:
        from PIL import Image

        pixels = self.rows(slice(i, i + 1))[0]
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


@dataclass(frozen=True)
class Numbered(Sequence[str]):
    """The names of an array's rows, made when one is asked for: there may be many millions."""

    name: str
    places: range

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: Any) -> Any:
        return Numbered(self.name, self.places[i]) if isinstance(i, slice) else f"{self.name}[{self.places[i]}]"


def slices(array: np.ndarray) -> Iterator[slice]:
    """Yield the places of some rows at a time, so that what is mapped from the disk is never held whole."""
    step = max(1, BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        yield slice(start, start + step)


# -- idx -------------------------------------------------------------------------------------------


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
        if labels.shape != (len(array),):
            raise InputError(f"{labels_path} has {len(labels)} labels for the {len(array)} pictures of {images}")
        classes = tuple(str(k) for k in range(int(labels.max(initial=0)) + 1))
        files.append(labels_path)
    return as_arrays(array, labels, classes, files, str(images))


def find_idx(folder: Path, split: str) -> Path:
    """Return the images file of a split within a folder of idx files."""
    words = ("train",) if split == "train" else ("t10k", "test")
    there = sorted(p for p in folder.iterdir() if is_idx(p) and "images" in p.name)
    if not there:
        raise InputError(f"{folder} has idx files, but none with 'images' in its name; name the file itself")
    fitting = there if len(there) == 1 else [p for p in there if any(word in p.name for word in words)]
    if len(fitting) != 1:
        raise InputError(
            f"{folder} holds several files of pictures, and not one alone for {split}: name the one to use, "
            f"such as {(fitting or there)[0]}"
        )
    return fitting[0]


def is_idx(path: Path) -> bool:
    """Whether a file's name says idx."""
    return path.name.removesuffix(".gz").endswith(("-ubyte", ".idx", ".idx1", ".idx3")) and path.is_file()


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file, plain or gzipped; InputError where header or length are wrong, or it is larger than allowed."""
    with opened(path) as raw, parsing(path, "idx", "; fetch it again"):
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8 or not 1 <= head[3] <= 4:
            raise InputError(f"{path} does not begin with the header of an idx file of bytes (00 00 08 and its dimensions)")
        lengths = file.read(4 * head[3])
        if len(lengths) < 4 * head[3]:
            raise InputError(f"{path} is cut short within its header")
        dims = struct.unpack(f">{head[3]}I", lengths)
        size = math.prod(dims)
        refuse_large(size, f"{path}, of {'x'.join(map(str, dims))} bytes,")
        content = file.read(size + 1)
    if len(content) != size:
        more = "more" if len(content) > size else f"{len(content):,}"
        raise InputError(f"{path} should have {size:,} bytes for {'x'.join(map(str, dims))}, it has {more}: cut short?")
    return np.frombuffer(content, np.uint8).reshape(dims)


# -- npy and npz -----------------------------------------------------------------------------------


def from_numpy(path: Path, split: str) -> Pictures:
    """Read pictures from `.npy`, or from `.npz` with labels beside them: `x` and `y`, or Keras' `x_train`, `y_train`, ..."""
    found(path)
    labels = None
    if path.suffix.lower() == ".npy":
        array = mapped(path)
    else:
        with opened(path) as file:
            with parsing(path, ".npz"):
                archive = zipfile.ZipFile(file)
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
            name, label = choose(members, split, path)
            array = unpacked(member_array(archive, members[name], path))
            labels = member_array(archive, members[label], path) if label else None
    if array.ndim not in (3, 4):
        raise InputError(f"{path} holds no pictures: {GRID}, this is {list(array.shape)}")
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        raise InputError(f"{path} looks like one colour picture {array.shape}; many are an array [n, H, W, C]")
    classes: tuple[str, ...] = ()
    if labels is not None:
        labels, classes = checked_labels(labels, len(array), path)
    return as_arrays(array, labels, classes, [path], str(path))


def mapped(path: Path) -> np.ndarray:
    """Return the array of an `.npy`, mapped from the disk; InputError where its header lies or its numbers are none."""
    with opened(path) as file:
        shape, column_first, kind = header_of(file, path)
        start = file.tell()
        size, there = math.prod(shape) * kind.itemsize, path.stat().st_size - start
    if size != there:
        raise InputError(
            f"{path} should hold {size:,} bytes for {'x'.join(map(str, shape))}, it holds {there:,}: cut short?"
        )
    if size == 0:
        return np.empty(shape, kind)
    with parsing(path, ".npy"):
        return np.memmap(path, kind, "r", start, shape, "F" if column_first else "C")


def member_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """Return the array of a member of an `.npz`; InputError where it is none, or larger than allowed."""
    with parsing(path, ".npz"):
        file = archive.open(member)
    with file:
        shape, column_first, kind = header_of(file, path)
        size = math.prod(shape) * kind.itemsize
        refuse_large(size, f"{path}: {member.filename}, of {'x'.join(map(str, shape))} numbers,")
        with parsing(path, ".npz"):
            content = file.read(size)
    if len(content) != size:
        raise InputError(f"{path}: {member.filename} is cut short")
    return np.frombuffer(content, kind).reshape(shape, order="F" if column_first else "C")


def header_of(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an `.npy`: shape, whether columns come first, and the kind of its numbers.

    Raises:
        InputError: it is no such header, or what it announces are no plain numbers or words.
    """
    with parsing(path, "an array of numpy"):
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_first, kind = read(file)
    if any(side < 0 for side in shape):
        raise InputError(f"{path} announces an array of {'x'.join(map(str, shape))}: damaged?")
    if kind.hasobject:
        raise InputError(f"{path} holds Python objects, which can run code when they are read: save plain numbers")
    if kind.kind not in PLAIN + "US" or kind.itemsize > 4096:
        raise InputError(f"{path} holds {kind}, and pictures are uint8, uint16 or floats in [0, 1]")
    return shape, column_first, kind


def choose(members: Mapping[str, Any], split: str, path: Path) -> tuple[str, str | None]:
    """Return which arrays of an `.npz` are the pictures of a split and their labels, by their names.

    Raises:
        InputError: several could be.
    """
    labels = [name for name in members if name in LABELS or name.startswith(tuple(f"{word}_" for word in LABELS))]
    others = tuple(f"{word}_{other}" for word in WORDS for other in SPLITS if other != split)
    rest = [name for name in members if name not in labels and not name.startswith(others)]
    if not rest and len(members) > len(labels):
        raise InputError(f"{path} has no {split} pictures: it holds {', '.join(list(members)[:9])}")
    of_split = [name for name in rest if name in (split, *(f"{word}_{split}" for word in WORDS))]
    known = of_split or [name for word in WORDS for name in rest if name == word] or rest
    if not known:
        raise InputError(f"{path} holds no pictures: {GRID}")
    if len(known) > 1 and not (of_split or known[0] in WORDS):
        raise InputError(f"{path} holds several arrays of pictures ({', '.join(known[:9])}); name the one to use `x`")
    tail = f"_{split}" if known[0].endswith(f"_{split}") or known[0] == split else ""
    return known[0], next((name for word in LABELS for name in labels if name == word + tail), None)


def checked_labels(labels: np.ndarray, n: int, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class indices `[n]` and the names of the classes; InputError where there is not one for each picture."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels  # Keras' CIFAR
    if labels.shape != (n,):
        raise InputError(f"{path} has labels of shape {labels.shape} for {n} pictures; one number or name each")
    names, places = np.unique(labels, return_inverse=True)
    return places.astype(np.int64), tuple(str(name) for name in names)


def unpacked(array: np.ndarray) -> np.ndarray:
    """Return packed bits `[n, H * W / 8]` of square black and white pictures as pictures; other arrays as they are."""
    side = int((8 * array.shape[1]) ** 0.5) if array.ndim == 2 and array.dtype == np.uint8 else 0
    if side == 0 or side * side != 8 * array.shape[1]:
        return array
    return np.unpackbits(array, axis=1).reshape(-1, side, side) * np.uint8(255)


def scale_of(array: np.ndarray, name: str) -> float:
    """Return what brings an array's numbers to bytes; InputError where they are in no known range."""
    if array.dtype == np.uint8 or array.size == 0:
        return 1.0
    if array.dtype.kind not in PLAIN:
        raise InputError(f"{name} holds {array.dtype}, and pictures are uint8, uint16 or floats in [0, 1]")
    if array.dtype == bool:
        return 255.0
    low = float(np.min([array[part].min() for part in slices(array)]))  # Python's min would lose what is no number
    high = float(np.max([array[part].max() for part in slices(array)]))
    if array.dtype == np.uint16 and high > 255:
        return 1 / 257
    if array.dtype == np.uint16:
        raise InputError(f"{name} holds uint16 up to {high:g}, which would be all but black: save it as uint8")
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return 255.0
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return 1.0
    raise InputError(f"{name} holds {array.dtype} from {low:g} to {high:g}; pictures are uint8, uint16 or floats in [0, 1]")


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
    if array.size == 0:
        raise InputError(f"{name} holds no pictures: it is {'x'.join(map(str, array.shape))}")
    return Arrays(Numbered(name, range(len(array))), labels, classes, files, array=array, scale=scale_of(array, name))
