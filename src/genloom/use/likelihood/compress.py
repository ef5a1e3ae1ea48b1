"""compress: pictures into as few bits as their likelihood says, and back without loss."""

# N pictures, C channels, H height, W width

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from genloom.core.capabilities import Coder, Compresses
from genloom.core.model import Model
from genloom.data.pictures.arrays import Arrays
from genloom.data.pictures.load import find_pictures, split_range
from genloom.data.pictures.sources import SUFFIXES, Pictures, quiet
from genloom.errors import InputError
from genloom.models.likelihood.levels import checked
from genloom.reading import parsing, refuse_large
from genloom.use.likelihood.coding import Decoder, Encoder, bounds_of
from genloom.use.likelihood.complete import own_labels, pixels_of, read_picture

MAGIC = b"GLZ2"
HEAD = struct.Struct("<4sI8sIHHHhI")  # magic, checksum of the rest, model, pictures, C, H, W, label, checksum of levels
NO_LABEL = -1
BLOCK = 256  # pictures coded side by side: with more, memory grows and time does not shrink
Visit = Callable[
    [tuple[slice, int, int, int], list[list[int]]], None
]  # pictures, channel, row, column; bounds of the levels


@dataclass(frozen=True)
class Packed:
    """A compressed file, and what it cost.

    Attributes:
        data: the file.
        payload: bits of the arithmetic code alone.
        expected: minus log2 of the probability of the pictures under the model.
    """

    data: bytes
    payload: int
    expected: float


def pack(model: Model, x: Tensor, label: str | None = None) -> Packed:
    """Compress pictures `[N, C, H, W]` in [0, 1].

    Raises:
        InputError: the model gives no exact likelihood of pixels, or would lose something of these pictures.
    """
    coder = coder_of(model)
    x = checked(x, model.shape)
    levels = coder.checked_code(x)
    back = coder.pictures(levels)
    nearest = torch.minimum((back - x).abs().amax(), (bytes_of(back) / 255 - x).abs().amax())
    if float(nearest) > 1e-5:
        raise InputError(
            f"some pixels are not of this model's levels ({coder.coding}) and would be lost: give it pictures that have no "
            "others, or train with --hyper.levels 256"
        )
    given = own_labels(model, label, len(x))
    encoder, expected = Encoder(), 0.0
    known = torch.zeros_like(levels)  # filled in as the decoder does: what it cannot know must not touch a bit

    def put(place: tuple[slice, int, int, int], bounds: list[list[int]]) -> None:
        for symbol, ends in zip(levels[place].tolist(), bounds, strict=True):
            encoder.put(ends[symbol], ends[symbol + 1])
        known[place] = levels[place]

    run_through(coder, known, given, put)
    with torch.no_grad():
        expected = -float(coder.score(levels, given).sum()) / math.log(2)
    code = encoder.finish()
    number = NO_LABEL if given is None else int(given[0])
    rest = HEAD.pack(MAGIC, 0, name_of(model), len(x), *levels.shape[1:], number, checksum(levels))[8:] + code
    return Packed(MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest, 8 * len(code), expected)


def unpack(model: Model, data: bytes) -> Tensor:
    """Return the pictures `[N, C, H, W]` in [0, 1] of a compressed file.

    Raises:
        InputError: the file is no such file, another model's, or damaged.
    """
    coder = coder_of(model)
    if data[:4] != MAGIC:
        raise InputError("this is no file that genloom compressed")
    if len(data) < HEAD.size:
        raise InputError("the file is cut short")
    _, whole, name, n, *dims, number, check = HEAD.unpack_from(data)
    if whole != zlib.crc32(data[8:]):
        raise InputError("the file is damaged: its checksum does not fit")
    if name != name_of(model):
        raise InputError("the file was compressed with another model, or another checkpoint of this one")
    check_head(model, n, dims, number)
    decoder = Decoder(data[HEAD.size :])
    given = None if number == NO_LABEL else torch.full((n,), number)
    levels = torch.zeros(n, *dims, dtype=torch.long)

    def take(place: tuple[slice, int, int, int], bounds: list[list[int]]) -> None:
        levels[place] = torch.tensor([decoder.take(ends) for ends in bounds])

    run_through(coder, levels, given, take)
    if checksum(levels) != check:
        raise InputError("the file was compressed on a machine, or with a version of torch, whose sums differ from these")
    return coder.pictures(levels)


def check_head(model: Model, n: int, dims: list[int], label: int) -> None:
    """Raise InputError where the head of a file announces what this model cannot have written, or too much of it."""
    classes = len(model.shape.classes) if model.conditional else 0
    if tuple(dims) != model.shape.dims or n < 1 or not (0 <= label < classes if classes else label == NO_LABEL):
        raise InputError("the file is damaged: its head does not fit this model")
    refuse_large(64 * n * model.shape.width, f"{n:,} pictures")


def run_through(coder: Coder, levels: Tensor, given: Tensor | None, visit: Visit) -> None:
    """Visit every value in order with the bounds of its levels.

    In a thread of its own with a single one of torch's, so that sums come out the same again and nobody else's change.
    """

    @torch.no_grad()
    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # of this thread; new ones would begin with it too, so it is put back
        try:
            n, channels, height, width = levels.shape
            for start in range(0, n, BLOCK):
                part = slice(start, start + BLOCK)
                step = coder.cached(levels[part], None if given is None else given[part])
                for row, column, channel in product(range(height), range(width), range(channels)):
                    visit((part, channel, row, column), bounds_of(step(row, column, channel, True)))
        finally:
            torch.set_num_threads(before)

    with ThreadPoolExecutor(1) as alone:
        alone.submit(run).result()


def coder_of(model: Model) -> Coder:
    """Return what codes for a model, or raise InputError where it cannot."""
    if not isinstance(model, Compresses):
        raise InputError(f"{type(model).__name__} gives no exact likelihood of pixels; pixelcnn and pixelrnn compress")
    return model.coder()


def name_of(model: Model) -> bytes:
    """Return eight bytes that name exactly these weights."""
    digest = hashlib.blake2b(json.dumps(model.hyper.to_json(), sort_keys=True).encode(), digest_size=8)
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.cpu().float().numpy().tobytes())
    return digest.digest()


def bytes_of(x: Tensor) -> Tensor:
    """Return pictures in [0, 1] as the bytes of a file, still as floats."""
    return (x * 255).round()


def checksum(levels: Tensor) -> int:
    """Return the checksum of levels."""
    return zlib.crc32(levels.to(torch.uint8).numpy().tobytes())


def read_pictures(source: str, model: Model) -> Tensor:
    """Return a picture file, or what `fit` takes for pictures, as `[N, C, H, W]` in [0, 1]; raises as `read_picture`."""
    if source.lower().endswith(SUFFIXES):
        return read_picture(source, model.shape, lossless=True)
    whole_source, rows = split_range(source)
    pictures = find_pictures(whole_source)
    pictures = pictures.part(rows) if rows else pictures
    refuse_large(64 * len(pictures) * model.shape.width, f"{len(pictures):,} pictures of {source}")
    if isinstance(pictures, Arrays):  # as they are: what lies between two bytes must be refused, not rounded
        x = torch.from_numpy(pictures.array * np.float32(pictures.scale / 255)).permute(0, 3, 1, 2)
        if tuple(x.shape[1:]) != model.shape.dims:
            raise InputError(f"{source} has pictures of {list(x.shape[1:])}, the model makes {list(model.shape.dims)}")
        return x
    return torch.cat([model.shape.encode(one_of(pictures, i, model)[None]) for i in range(len(pictures))])


def one_of(pictures: Pictures, i: int, model: Model) -> np.ndarray:
    """Return the bytes `[H, W, C]` of one of several pictures; raises as `read_picture`."""
    name = pictures.names[i]
    with quiet():
        with parsing(name, "a picture"):
            image = pictures.open(i)
        with image:
            return pixels_of(image, name, model.shape.dims, lossless=True)
