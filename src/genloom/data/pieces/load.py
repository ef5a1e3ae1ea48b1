"""Pictures of any size from whatever a person named: decoded once into the cache, each in its own size."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from genloom.data.cache import Entry, content_key, remember, remembered
from genloom.data.pictures.decode import LARGE, Header, by_hands, convert, natural_channels, reason
from genloom.data.pictures.load import PictureSource, broken_pictures, pictures_key, reading
from genloom.data.pictures.sources import quiet
from genloom.data.pieces.dataset import PieceData
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.pieces import PieceShape

USUAL, LEAST = 96, 32  # pixels of the side of a piece where nobody names one, and of the smallest picture that is of use


class PieceSource(PictureSource):
    """Pictures as `PictureSource` finds them; `--size` is that of the pieces, never of the pictures."""

    wanted = "pictures in one folder"

    def shape(self) -> PieceShape:
        """Return what the pieces are: of the size asked for, or of 96 pixels, or as large as nine of ten pictures allow."""
        headers = self.headers[self.rows] if self.rows else self.headers
        self.refuse_broken([header.error for header in headers], "at least ")
        readable = [header for header in headers if not header.error]
        height, width = self.options.height_and_width or (LEAST, LEAST)
        found = [header for header in readable if header.size[0] >= height and header.size[1] >= width]
        if not found:
            raise InputError(nothing_to_cut(self.name, readable, (height, width)))
        shorter = sorted(min(header.size) for header in found)
        side = min(USUAL, shorter[math.ceil(len(shorter) / 10) if len(shorter) > 1 else 0])  # a few small ones are left out
        height, width = self.options.height_and_width or (side, side)
        return PieceShape((), self.options.channels or natural_channels(found), height, width)

    @cached_property
    def whole_sizes(self) -> list[tuple[int, int]]:
        """The sizes of all pictures, none of one that cannot be read."""
        return [(0, 0) if header.error else header.size for header in self.headers]

    def load(self, shape: Shape | None = None) -> PieceData:  # type: ignore[override]
        """Return the data set, decoded into the cache where it is not there yet."""
        shape = shape or self.shape()
        assert isinstance(shape, PieceShape)
        pixels, _, meta = self.entry(shape.channels).read()
        if meta["broken"] and not self.options.skip_broken:
            raise broken_pictures(meta["broken"], len(meta["places"]) + len(meta["broken"]))
        places = tuple((start, height, width) for start, height, width in meta["places"])
        data = PieceData(pixels.view(-1, shape.channels), places, shape, self.whole, meta["content"], self.options.flip)
        data.notes += [f"left out {line}" for line in meta["broken"]]
        return large_ones(data.part(self.rows.start, self.rows.stop) if self.rows else data)

    def entry(self, channels: int) -> Entry:
        """Return the cache's entry of these pictures, made where it is not there yet."""
        listing, stored = self.listing, {"pieces": 2, "channels": channels}  # raise it when what is written changes
        asked = stored | {"split": self.options.split}
        known = remembered(listing.key(asked)).get("entry") if listing else None
        if isinstance(known, str) and Entry(known).exists():
            return Entry(known)
        pictures = self.pictures
        with reading():
            entry = Entry(content_key(pictures.files, pictures_key(pictures), [stored, pictures.key, len(pictures)]))
        if not entry.exists():
            total = sum(height * width for height, width in self.whole_sizes)
            entry.write((total, 1, 1, channels), self.decode, None)
        if listing and listing.settled:
            remember(listing.key(asked), entry=entry.key)
        return entry

    def decode(self, into: np.ndarray) -> dict[str, Any]:
        """Decode every picture into its place of `into` `[pixels, 1, 1, C]`; return the notes of the entry."""
        sizes, channels, alone = self.whole_sizes, into.shape[3], Lock()
        ends = np.cumsum([0, *(height * width for height, width in sizes)]).tolist()

        def one(i: int) -> str:
            if self.headers[i].error:
                return self.headers[i].error
            try:
                with self.pictures.open(i) as image, alone if image.width * image.height > LARGE else nullcontext():
                    pixels = convert(image, channels, sizes[i], crop=False)
                    into[ends[i] : ends[i + 1], 0, 0] = pixels.reshape(-1, channels)
            except Exception as error:  # pillow raises many kinds for broken files
                return reason(error)
            return ""

        with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = list(self.progress(by_hands(pool, one, len(sizes)), len(sizes), "decoding"))
        self.refuse_broken(errors)
        return {
            "classes": [],
            "places": [[ends[i], *sizes[i]] for i, error in enumerate(errors) if not error],
            "broken": [f"{self.pictures.names[i]}: {error}" for i, error in enumerate(errors) if error],
        }


def nothing_to_cut(name: str, readable: list[Header], size: tuple[int, int]) -> str:
    """Say that no picture is as large as a piece."""
    height, width = max((header.size for header in readable), key=math.prod)
    return f"{name} has no picture of {size[0]}x{size[1]} or more to cut pieces out of; the largest has {height}x{width}" + (
        "" if min(size) <= LEAST else ": say a smaller --size"
    )


def large_ones(data: PieceData) -> PieceData:
    """Return the same data, and note which pictures hold no piece; InputError where none does."""
    height, width = data.shape.size
    small = [size for size in data.sizes if size[0] < height or size[1] < width]
    if len(small) == len(data.sizes):
        raise InputError(f"{data.source} has no picture of {height}x{width} or more to cut pieces out of")
    if small:
        data.notes.append(f"{len(small):,} of {len(data.sizes):,} pictures are smaller than {height}x{width} and left out")
    return data
