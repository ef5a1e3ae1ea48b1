"""Pictures of 16 bits, or of more channels than colours have: a TIFF, an npy file or a grey PNG each.

They are stored as they are, where pictures else become 8 bits of grey or colour. Of TIFFs pillow takes 16 bits of colour for
8, and many channels for many pictures, both without a word: those are left to tifffile.
"""

# C channels, H height, W width

from __future__ import annotations

import logging
import math
import os
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.pictures.arrays import mapped
from genloom.data.pictures.sources import Files, Pictures, open_picture
from genloom.errors import InputError
from genloom.reading import opened, refuse_large

NPY, TIFF = (".npy",), (".tif", ".tiff")
MOST = 16  # channels
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # pillow's names for greys of more than 8 bits
COLOURS = ("P", "CMYK", "YCbCr", "LAB", "HSV")  # that are read as RGB
LYING = 5  # from this orientation on a picture lies on its side
DEFLATE = (8, 32946)
SINGLE = "an array [H, W] or [H, W, C] of uint8, uint16, or floats in [0, 1] or [0, 255], is wanted"
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF's orientations
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


@dataclass
class Deep(Files):
    """Picture files of one side, all of as many channels, and of 16 bits where one of them is."""

    channels: int = 1

    def array(self, i: int) -> np.ndarray:
        """Return the i-th as `[H, W, C]` of this depth; raises InputError or what a reader raises where it is broken."""
        pixels = read_array(self.files[i])
        if pixels.shape[2] != self.channels:
            raise InputError(f"it has {pixels.shape[2]} channels, and others have {self.channels}")
        return pixels.astype(np.uint16) * np.uint16(257) if self.bits == 16 and pixels.dtype == np.uint8 else pixels


@dataclass(frozen=True)
class Depth:
    """What a file says of its picture, upright, before it is read."""

    height: int
    width: int
    channels: int
    bits: int


def as_deep(pictures: Pictures, modes: Sequence[str]) -> Pictures:
    """Return the files of a folder as deep pictures where one of them is, else as they are.

    Args:
        modes: of each, pillow's name for its kind, "" where it cannot read it.

    Raises:
        InputError: they differ in channels.
    """
    if type(pictures) is not Files or not any(may_be_deep(*each) for each in zip(pictures.names, modes, strict=True)):
        return pictures
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        depths = list(pool.map(depth_or_none, pictures.files))
    found = [depth for depth in depths if depth]
    arrays = any(name.lower().endswith(NPY) for name in pictures.names)
    if found and not any(depth.bits == 16 or depth.channels > 4 or arrays for depth in found):
        return pictures
    bits, counts = max((depth.bits for depth in found), default=16), Counter(depth.channels for depth in found)
    if len(counts) > 1:
        odd = min(counts, key=lambda channels: counts[channels])
        name = next(name for name, depth in zip(pictures.names, depths, strict=True) if depth and depth.channels == odd)
        others = " and ".join(f"{n:,} of {channels}" for channels, n in counts.most_common(3))
        raise InputError(
            f"pictures of 16 bits or many channels must have as many channels each: there are {others} ({name})"
        )
    channels = next(iter(counts), 1)
    return Deep(pictures.names, None, (), pictures.files, f"{bits} bits {pictures.key}", bits=bits, channels=channels)


def may_be_deep(name: str, mode: str) -> bool:
    """Whether a file may hold a deep picture, by its name and pillow's name for its kind."""
    return name.lower().endswith((*NPY, *TIFF)) or mode in SIXTEEN


def loses_bits(pictures: Pictures) -> bool:
    """Whether the first file is a PNG in colour of 16 bits, of which pillow reads 8."""
    if type(pictures) is not Files or not pictures.names or not pictures.names[0].lower().endswith(".png"):
        return False
    with opened(pictures.files[0], "picture") as file:
        head = file.read(26)
    return len(head) == 26 and head[24] == 16 and head[25] in (2, 4, 6)


def depth_or_none(path: Path) -> Depth | None:
    """Return what a file says of its picture, None where it is broken: why is said where it is read."""
    try:
        return depth_of(path)
    except Exception:
        return None


def depth_of(path: Path) -> Depth:
    """Return what a file says of its picture; raises InputError or what a reader raises."""
    from PIL import ExifTags, Image

    if path.suffix.lower() in NPY:
        array = mapped(path)
        kind, (height, width, channels) = array.dtype, laid_out(array.shape)
        return Depth(height, width, channels, bits_of(kind))
    if by_tifffile(path):
        with tiff_of(path) as file:
            series, lying = file.series[0], orientation(file) >= LYING
            height, width, channels = (series.shape[axis] if axis is not None else 1 for axis in axes_of(series))
            return Depth(*((width, height) if lying else (height, width)), channels, bits_of(series.dtype))
    with open_picture(path) as image:
        lying = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) >= LYING
        channels = 3 if image.mode in COLOURS else len(image.getbands())
        size = (image.width, image.height) if lying else (image.height, image.width)
        return Depth(*size, channels, 16 if image.mode in SIXTEEN else 8)


def bits_of(kind: np.dtype[Any]) -> int:
    """Return the bits that numbers of a kind are stored by."""
    return 8 if kind in (np.uint8, np.bool_) else 16


# -- reading ---------------------------------------------------------------------------------------


def read_array(path: Path) -> np.ndarray:
    """Return a picture file as `[H, W, C]`, uint8 or uint16; raises InputError or what a reader raises."""
    if path.suffix.lower() in NPY:
        array = mapped(path)
        refuse_large(array.nbytes, f"{path}, of {'x'.join(map(str, array.shape))} numbers,")
        last = laid_out(array.shape)[2] == array.shape[-1] or array.ndim == 2
        return with_channels(in_range(np.array(array), path) if last else in_range(np.moveaxis(array, 0, 2), path))
    return read_by_tifffile(path) if by_tifffile(path) else read_by_pillow(path)


def by_tifffile(path: Path) -> bool:
    """Whether a file is a TIFF that pillow does not read, or not all of: several pages, or colour of more than 8 bits."""
    if path.suffix.lower() not in TIFF:
        return False
    try:
        with open_picture(path) as image:
            deep = max(image.tag_v2.get(258, (8,))) > 8 and image.mode not in SIXTEEN
            return deep or getattr(image, "n_frames", 1) > 1
    except OSError as error:
        return "not a picture" in str(error)


def tiff_of(path: Path) -> Any:
    """Return a TIFF as tifffile opens it, that file alone; InputError where tifffile is not installed."""
    try:
        import tifffile
    except ImportError:
        raise InputError("needs tifffile to be read: pip install 'genloom[tiff]'") from None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it says of odd files what is said better here
    return tifffile.TiffFile(path, is_ome=False)


def read_by_tifffile(path: Path) -> np.ndarray:
    """Return a TIFF as `[H, W, C]`, upright."""
    with tiff_of(path) as file:
        series = file.series[0]
        size = math.prod(series.shape) * series.dtype.itemsize
        refuse_large(size, f"{path}, of {'x'.join(map(str, series.shape))} numbers,")
        refuse_bombs(file, series, size)
        array, (down, across, channels) = series.asarray(), axes_of(series)
        pixels = array.transpose(down, across) if channels is None else array.transpose(down, across, channels)
        turn = UPRIGHT.get(orientation(file))
        return with_channels(in_range(turn(pixels) if turn else pixels, path))


def axes_of(series: Any) -> tuple[int, int, int | None]:
    """Return where rows, columns and channels (None for none) stand in a TIFF's array; InputError where it is no picture."""
    axes = str(series.axes)
    others = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(others) > 1 or min(series.shape, default=0) < 1:
        raise InputError(f"it holds an array of {'x'.join(map(str, series.shape)) or 'one number'}, and a picture is wanted")
    if others and series.shape[others[0]] > MOST:
        raise InputError(f"it has {series.shape[others[0]]} channels, and {MOST} are the most")
    return axes.index("Y"), axes.index("X"), others[0] if others else None


def orientation(file: Any) -> int:
    """Return how a TIFF's picture lies, as EXIF counts it."""
    tag = file.pages[0].tags.get(274)
    return int(tag.value) if tag else 1


def refuse_bombs(file: Any, series: Any, most: int) -> None:
    """Raise InputError where a packed part of a TIFF unpacks to more than the whole picture: tifffile sets no bound."""
    for page in series.pages:
        if page is None or page.compression not in DEFLATE:
            continue
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.filehandle.seek(offset)
            stream = zlib.decompressobj()
            stream.decompress(file.filehandle.read(count), most + 1)
            if stream.unconsumed_tail:
                raise InputError("a part of it unpacks to more than the whole picture has: damaged?")


def read_by_pillow(path: Path) -> np.ndarray:
    """Return a picture that pillow reads as `[H, W, C]`, upright."""
    from PIL import ImageOps

    with open_picture(path) as image:
        upright = ImageOps.exif_transpose(image)
        upright = upright.convert("RGB") if upright.mode in COLOURS else upright
        array = np.array(upright)
    if upright.mode == "I" and array.min() >= 0 and array.max() <= 65535:  # 16 bits, as some of its versions give them
        array = array.astype(np.uint16)
    return with_channels(in_range(array, path))


def with_channels(array: np.ndarray) -> np.ndarray:
    """Return an array `[H, W]` or `[H, W, C]` as `[H, W, C]`."""
    return array[..., None] if array.ndim == 2 else array


def in_range(array: np.ndarray, path: Path) -> np.ndarray:
    """Return numbers as uint8 or uint16; InputError where they are in no known range."""
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="))
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind == "f" and low >= 0 and high <= 255:
        return np.round(array.astype(np.float64) * (65535 if high <= 1 else 257)).astype(np.uint16)
    raise InputError(f"{path.name} holds {array.dtype} from {low:g} to {high:g}: {SINGLE}")


def laid_out(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of an array `[H, W]`, `[H, W, C]` or `[C, H, W]`; InputError where it is no picture.

    Where both ends could be channels, the last is taken for them.
    """
    if len(shape) == 2 and min(shape) > 0:
        return shape[0], shape[1], 1
    if len(shape) == 3 and min(shape) > 0:
        if shape[2] <= MOST:
            return shape[0], shape[1], shape[2]
        if shape[0] <= MOST:
            return shape[1], shape[2], shape[0]
        raise InputError(f"it has {min(shape[0], shape[2])} channels, and {MOST} are the most")
    raise InputError(f"it holds an array of {'x'.join(map(str, shape)) or 'one number'}: {SINGLE}")


def fitted(pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> np.ndarray:
    """Return pixels `[H, W, C]`, of which `box` (left, top, right, bottom) is resized to another height and width."""
    from PIL import Image

    if pixels.shape[:2] == size:
        return pixels
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., k], np.float32)) for k in range(pixels.shape[2])]
    sized = [np.asarray(plane.resize((size[1], size[0]), Image.Resampling.BICUBIC, box)) for plane in planes]
    most = np.iinfo(pixels.dtype).max
    return np.clip(np.round(np.stack(sized, -1)), 0, most).astype(pixels.dtype)


def write_array(pixels: np.ndarray, path: Path) -> None:
    """Write pixels `[H, W, C]` as `.npy`, as TIFF, or as a grey PNG of 16 bits, as the name says."""
    from PIL import Image

    if path.suffix.lower() in NPY:
        np.save(path, pixels)
    elif path.suffix.lower() in TIFF and not (pixels.shape[2] == 1 or (pixels.dtype == np.uint8 and pixels.shape[2] == 3)):
        import tifffile

        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[2] == 3 else "minisblack", planarconfig="contig")
    else:
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
