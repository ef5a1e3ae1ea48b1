"""Pictures of any size from whatever a person named: decoded once into the cache, each in its own size."""

from __future__ import annotations

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

USUAL, LEAST = 96, 16  # pixels of the side of a piece where nobody names one, and of the smallest picture that is of use


class PieceSource(PictureSource):
    """Pictures as `PictureSource` finds them; `--size` is that of the pieces, never of the pictures."""

    def usable(self) -> list[Header]:
        """Return what is known of the pictures that can be read and are large enough for the pieces asked for."""
        errors = [header.error for header in self.headers]
        self.refuse_broken(errors, "at least ")
        return [header for header in self.headers if not header.error and self.large_enough(header.size)]

    def large_enough(self, size: tuple[int, int]) -> bool:
        """Whether pieces can be cut out of a picture of a height and a width."""
        height, width = self.options.height_and_width or (LEAST, LEAST)
        return size[0] >= height and size[1] >= width

    def shape(self) -> PieceShape:
        """Return what the pieces are: of the size asked for, or of 96 pixels, or as large as nine of ten pictures allow."""
        found = self.usable()
        if not found:
            height, width = self.options.height_and_width or (LEAST, LEAST)
            sizes = [header.size for header in self.headers if not header.error]
            raise InputError(
                f"{self.name} has no picture of {height}x{width} or more to cut pieces out of, the largest has "
                "{}x{}: say a smaller --size".format(*max(sizes))
            )
        shorter = sorted(min(header.size) for header in found)
        side = min(USUAL, shorter[len(shorter) // 10])  # a few small ones among large ones are left out
        height, width = self.options.height_and_width or (side, side)
        return PieceShape((), self.options.channels or natural_channels(found), height, width)

    def key(self, channels: int) -> dict[str, Any]:
        """Return what decides which pixels are stored."""
        return {"pieces": True, "channels": channels, "split": self.options.split}

    @cached_property
    def kept_sizes(self) -> list[tuple[int, int]]:
        """The sizes of all pictures, none of one that cannot be read."""
        return [(0, 0) if header.error else header.size for header in self.headers]

    def load(self, shape: Shape | None = None) -> PieceData:  # type: ignore[override]
        """Return the data set, decoded into the cache where it is not there yet."""
        shape = shape or self.shape()
        assert isinstance(shape, PieceShape)
        pixels, _, meta = self.entry(shape.channels).read()
        if meta["broken"] and not self.options.skip_broken:
            raise broken_pictures(meta["broken"], len(meta["sizes"]))
        flat = pixels.view(-1, shape.channels)
        return self.cut(flat, [(h, w) for h, w in meta["sizes"]], shape, meta)

    def cut(self, flat: Any, sizes: list[tuple[int, int]], shape: PieceShape, meta: dict[str, Any]) -> PieceData:
        """Return the data set of the pictures that are large enough; InputError where there are none."""
        data = PieceData(flat, tuple(sizes), shape, self.whole, meta["content"], self.options.flip)
        data.notes += [f"left out {line}" for line in meta["broken"]]
        data = data.part(self.rows.start, self.rows.stop) if self.rows else data
        return large_ones(data)

    def entry(self, channels: int) -> Entry:
        """Return the cache's entry of these pictures, made where it is not there yet."""
        listing, key = self.listing, self.key(channels)
        known = remembered(listing.key(key)).get("entry") if listing else None
        if isinstance(known, str) and Entry(known).exists():
            return Entry(known)
        pictures = self.pictures
        with reading():
            entry = Entry(content_key(pictures.files, pictures_key(pictures), [key, pictures.key, len(pictures)]))
        if not entry.exists():
            total = sum(height * width for height, width in self.kept_sizes)
            entry.write((total, 1, 1, channels), self.decode, None)
        if listing and listing.settled:
            remember(listing.key(key), entry=entry.key)
        return entry

    def decode(self, into: np.ndarray) -> dict[str, Any]:
        """Decode every picture into its place of `into` `[pixels, 1, 1, C]`; return the notes of the entry."""
        sizes, channels, alone = self.kept_sizes, into.shape[3], Lock()
        ends = np.cumsum([0, *(height * width for height, width in sizes)])

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
        kept = [np.arange(ends[i], ends[i + 1]) for i, error in enumerate(errors) if not error]
        return {
            "kept": np.concatenate(kept),
            "classes": [],
            "sizes": [list(size) for size, error in zip(sizes, errors, strict=True) if not error],
            "broken": [f"{self.pictures.names[i]}: {error}" for i, error in enumerate(errors) if error],
        }


def large_ones(data: PieceData) -> PieceData:
    """Return the pictures that hold a piece; InputError where none does."""
    height, width = data.shape.size
    small = [size for size in data.sizes if size[0] < height or size[1] < width]
    if len(small) == len(data.sizes):
        raise InputError(f"{data.source} has no picture of {height}x{width} or more to cut pieces out of")
    if small:  # they stay where they are, and hold no piece
        data.notes.append(f"left out {len(small):,} pictures smaller than the pieces of {height}x{width}")
    return data
