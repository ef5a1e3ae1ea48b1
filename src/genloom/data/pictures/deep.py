"""Pictures of 16 bits, or of more channels than colours have: a TIFF, an npy file or a grey PNG each.

They are stored as they are, where pictures else become 8 bits of grey or colour. Of TIFFs pillow takes 16 bits of colour for
8, and more than four channels for many pictures, both without a word: tifffile looks at them where it is installed.
"""

# C channels, H height, W width

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.pictures.arrays import mapped
from genloom.data.pictures.sources import SUFFIXES, Files, Pictures, open_picture
from genloom.errors import InputError
from genloom.reading import refuse_large

NPY, TIFF = (".npy",), (".tif", ".tiff")
READ = (*SUFFIXES, *NPY)
MOST_CHANNELS = 16
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # pillow's names for greys of more than 8 bits
SINGLE = "a picture each as an array [H, W] or [H, W, C] of uint8, uint16 or floats in [0, 1] is wanted"


@dataclass
class Deep(Files):
    """Picture files of one side, all of as many channels, and of 16 bits where one of them is."""

    channels: int = 1

    def array(self, i: int) -> np.ndarray:
        """Return the i-th as `[H, W, C]` of this depth; raises InputError or what a reader raises where it is broken."""
        pixels = deepened(read_array(self.files[i]), self.bits)
        if pixels.shape[2] != self.channels:
            raise InputError(f"it has {pixels.shape[2]} channels, and others have {self.channels}")
        return pixels


@dataclass(frozen=True)
class Depth:
    """What a file says of its picture before it is read."""

    height: int
    width: int
    channels: int
    bits: int


def as_deep(pictures: Pictures, modes: Sequence[str]) -> Pictures:
    """Return the files of a folder as deep pictures where one of them is, else as they are.

    Args:
        modes: of each, pillow's name for its kind, "" where it cannot read it.

    Raises:
        InputError: they differ in channels, or what reads them is not installed.
    """
    if type(pictures) is not Files or not any(may_be_deep(*each) for each in zip(pictures.names, modes, strict=True)):
        return pictures
    found = [depth for path in pictures.files if (depth := depth_or_none(path))]
    arrays = any(name.lower().endswith(NPY) for name in pictures.names)
    if not any(depth.bits == 16 or depth.channels > 4 or arrays for depth in found):
        return pictures
    bits, counts = max(depth.bits for depth in found), Counter(depth.channels for depth in found)
    if len(counts) > 1:
        said = " and ".join(f"{n:,} of {channels}" for channels, n in counts.most_common(3))
        raise InputError(f"pictures of 16 bits or many channels must have the same number of channels, and there are {said}")
    key = f"{bits} bits {pictures.key}"
    return Deep(pictures.names, None, (), pictures.files, key, bits=bits, channels=next(iter(counts)))


def may_be_deep(name: str, mode: str) -> bool:
    """Whether a file may hold a deep picture, by its name and pillow's name for its kind."""
    return name.lower().endswith((*NPY, *TIFF)) or mode in SIXTEEN


def depth_or_none(path: Path) -> Depth | None:
    """Return what a file says of its picture, None where it is broken; InputError where no reader is installed."""
    try:
        return depth_of(path)
    except ImportError:
        raise InputError(f"{path} needs tifffile to be read: pip install 'genloom[tiff]'") from None
    except Exception:  # which is said where it is read
        return None


def depth_of(path: Path) -> Depth:
    """Return what a file says of its picture; raises InputError, ImportError or what a reader raises."""
    if path.suffix.lower() in NPY:
        array = mapped(path)
        shape, kind = array.shape, array.dtype
    elif by_tifffile(path):
        with tiff_of(path) as file:
            shape, kind = file.series[0].shape, file.series[0].dtype
    else:
        with open_picture(path) as image:
            return Depth(image.height, image.width, len(image.getbands()), 16 if image.mode in SIXTEEN else 8)
    height, width, channels = laid_out(shape)
    return Depth(height, width, channels, 8 if kind in (np.uint8, np.bool_) else 16)


def by_tifffile(path: Path) -> bool:
    """Whether a file is for tifffile: a TIFF, where that is installed, or where pillow would not read all of it."""
    if path.suffix.lower() not in TIFF or importlib.util.find_spec("tifffile"):
        return path.suffix.lower() in TIFF
    try:
        with open_picture(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except OSError:
        return True


def tiff_of(path: Path) -> Any:
    """Return a TIFF as tifffile opens it; ImportError where that is not installed."""
    import tifffile

    return tifffile.TiffFile(path)


def read_array(path: Path) -> np.ndarray:
    """Return a picture file as `[H, W, C]`, uint8 or uint16; raises InputError or what a reader raises."""
    if path.suffix.lower() in NPY:
        array = mapped(path)
        refuse_large(array.nbytes, f"{path}, of {'x'.join(map(str, array.shape))} numbers,")
        return ordered(in_range(np.array(array), path))
    if not by_tifffile(path):
        return read_by_pillow(path)
    with tiff_of(path) as file:
        series = file.series[0]
        size = math.prod(series.shape) * series.dtype.itemsize
        refuse_large(size, f"{path}, of {'x'.join(map(str, series.shape))} numbers,")
        try:
            return ordered(in_range(series.asarray(), path))
        except ValueError:  # a compression of which it has no codec
            if laid_out(series.shape)[2] > 1:
                raise
    return read_by_pillow(path)


def read_by_pillow(path: Path) -> np.ndarray:
    """Return a picture that pillow reads as `[H, W, C]`, upright."""
    from PIL import ImageOps

    with open_picture(path) as image:
        upright = ImageOps.exif_transpose(image)
        upright = upright.convert("RGB") if upright.mode in ("P", "CMYK", "YCbCr") else upright
        return ordered(in_range(np.array(upright), path))


def in_range(array: np.ndarray, path: Path) -> np.ndarray:
    """Return numbers as uint8 or uint16; InputError where they are in no known range."""
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(array * 65535.0).astype(np.uint16)
    if array.dtype.kind in "iu" and low >= 0 and high <= 65535:  # 16 bits that pillow gives as 32
        return array.astype(np.uint16)
    raise InputError(f"{path} holds {array.dtype} from {low:g} to {high:g}: {SINGLE}")


def ordered(array: np.ndarray) -> np.ndarray:
    """Return an array `[H, W]`, `[H, W, C]` or `[C, H, W]` as `[H, W, C]`."""
    laid_out(array.shape)
    if array.ndim == 2:
        return array[..., None]
    return array if array.shape[2] <= MOST_CHANNELS else array.transpose(1, 2, 0)


def laid_out(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of an array; InputError where it is no picture."""
    if len(shape) == 2 and min(shape) > 0:
        return shape[0], shape[1], 1
    if len(shape) == 3 and min(shape) > 0:
        if shape[2] <= MOST_CHANNELS:
            return shape[0], shape[1], shape[2]
        if shape[0] <= MOST_CHANNELS:
            return shape[1], shape[2], shape[0]
        raise InputError(f"it has {min(shape[0], shape[2])} channels, and {MOST_CHANNELS} are the most")
    raise InputError(f"it holds an array of {'x'.join(map(str, shape)) or 'one number'}: {SINGLE}")


def deepened(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return pixels of 8 or 16 bits in so many, whose largest number is white in either."""
    if bits == 16 and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(257)
    if bits == 8 and pixels.dtype == np.uint16:
        return np.round(pixels / 257).astype(np.uint8)
    return pixels


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
