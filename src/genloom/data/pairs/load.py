"""Pairs from whatever a person named: both sides found, checked against each other, decoded into the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from genloom.data.options import Options as AnyOptions
from genloom.data.options import PairOptions
from genloom.data.pairs.dataset import PairData
from genloom.data.pairs.sides import LabelMaps, Sides, chosen, find_sides, first_rows, half_alone, is_pair, two_folders
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.decode import Header, read_headers, read_through
from genloom.data.pictures.deep import Deep, as_deep, loses_bits
from genloom.data.pictures.load import PictureSource, open_entry, reading, split_range
from genloom.data.pictures.sources import Pictures, quiet
from genloom.data.source import Progress, Source, silent
from genloom.errors import InputError
from genloom.reading import kind_of, named
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape

SMALL_TABLE = 1 << 26  # bytes of a CSV that is looked at for pairs of pictures


class PairSource(Source):
    """Pairs, or two domains, of pictures."""

    wanted = "pictures of two sides, in folders A and B or named by --to"
    Options: ClassVar[type[AnyOptions]] = PairOptions
    options: PairOptions

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        whole = split_range(name)[0]
        path = named(whole)
        if given.get("to") is not None or given.get("side_by_side") or two_folders(path, "train") is not None:
            return True
        if half_alone(path):
            return True
        is_table = path.suffix.lower() == ".csv" and kind_of(path) == "file" and path.stat().st_size < SMALL_TABLE
        return is_table and any(is_pair(row) for row in first_rows(path))

    def __init__(self, name: str, options: AnyOptions, progress: Progress = silent) -> None:
        super().__init__(name, options, progress)
        self.whole, self.rows = split_range(name)
        self.known: PairShape | None = None

    @cached_property
    def sides(self) -> Sides:
        """Both sides, not yet decoded: partners in the same order and of the same size, label maps as such."""
        with reading():
            found = find_sides(self.whole, self.options)
        (a, first), (b, second) = (looked_over(side, self.progress) for side in (found.a, found.b))
        lost = [
            f"{name}: PNGs in colour of 16 bits are read as 8; TIFF or .npy keep them"
            for name, side in (("A", a), ("B", b))
            if loses_bits(side)
        ]
        found, headers = replace(found, a=a, b=b, notes=found.notes + lost), [first, second]
        if found.paired and self.options.skip_broken:  # which of a pair is broken must be known before they are paired
            both = zip((found.a, found.b), headers, strict=True)
            headers = [read_through(side, heads, self.progress) for side, heads in both]
        if found.paired:
            found, headers = self.without_broken(found, headers)
            self.refuse_unequal(found, headers)
        sides = [as_label_maps(side, heads) for side, heads in zip((found.a, found.b), headers, strict=True)]
        return replace(found, a=sides[0], b=sides[1])

    def without_broken(self, found: Sides, headers: list[list[Header]]) -> tuple[Sides, list[list[Header]]]:
        """Leave out pairs of which a picture cannot be read, where that is asked for."""
        whole = [i for i, pair in enumerate(zip(*headers, strict=True)) if not any(header.error for header in pair)]
        if len(whole) == len(headers[0]) or not self.options.skip_broken:
            return found, headers
        notes = [*found.notes, f"left out {len(headers[0]) - len(whole):,} pairs of which a picture cannot be read"]
        kept = Sides(chosen(found.a, whole), chosen(found.b, whole), True, notes)
        return kept, [[each[i] for i in whole] for each in headers]

    def refuse_unequal(self, found: Sides, headers: list[list[Header]]) -> None:
        """Raise InputError where the pictures of a pair differ in size, or in shape where they are resized anyway."""
        odd = []
        for i, (a, b) in enumerate(zip(*headers, strict=True)):
            (h, w), (height, width) = a.size, b.size
            alike = h * width == w * height if self.options.size else (h, w) == (height, width)
            if not (alike or a.error or b.error):
                odd.append(f"{found.a.names[i]} {h}x{w}, {found.b.names[i]} {height}x{width}")
        if odd:
            remedy = (
                "make them alike" if self.options.size else "make them equal, or say --size S where only the scale differs"
            )
            raise InputError(
                f"{len(odd):,} of {len(headers[0]):,} pairs have sizes that differ (height x width: {odd[0]}): {remedy}"
            )

    def side(self, name: str) -> SideSource:
        """Return side A or B as a source of pictures, in a run's channels where that is known."""
        pictures, options = self.sides.a if name == "A" else self.sides.b, self.options
        if isinstance(pictures, LabelMaps):
            options = replace(options, channels=1)
        elif isinstance(pictures, Deep):
            options = self.own_channels(name, pictures)
        elif self.known is not None:
            known, palette = (
                (self.known.channels, self.known.palette) if name == "A" else (self.known.channels_b, self.known.palette_b)
            )
            if not palette and known not in (1, 3, 4):
                raise InputError(
                    f"{self.name}: the pictures of {name} are of grey or colours, and the run knows {known} channels"
                )
            options = options if palette else PairOptions.of(options.given() | {"channels": known})
        return SideSource(self.name, options, pictures, self.progress)

    def own_channels(self, name: str, pictures: Deep) -> PairOptions:
        """Return the options of deep pictures, whose channels are their own; InputError where others are wanted."""
        known = None if self.known is None else self.known.channels if name == "A" else self.known.channels_b
        wanted = known or self.options.channels
        if wanted not in (None, pictures.channels):
            raise InputError(
                f"{self.name}: the pictures of {name} have {pictures.channels} channels, not {wanted}: those of 16 bits or "
                "of many channels are taken as they are"
            )
        return replace(self.options, channels=None)

    def shape(self) -> PairShape:
        """Return what the pictures of either side are, and whether they are paired."""
        a, b = (self.side(name).shape() for name in "AB")
        if a.size != b.size:
            raise InputError(
                f"the pictures of A are {a.height}x{a.width_px} (height x width), those of B {b.height}x{b.width_px}: "
                "say --size S to crop and resize them all"
            )
        first, second = (side.palette if isinstance(side, LabelMaps) else () for side in (self.sides.a, self.sides.b))
        return PairShape(
            channels=len(first) // 3 or a.channels,
            channels_b=len(second) // 3 or b.channels,
            height=a.height,
            width_px=a.width_px,
            palette=first,
            palette_b=second,
            paired=self.sides.paired,
            bits=self.sides.a.bits,
            bits_b=self.sides.b.bits,
        )

    def load(self, shape: Shape | None = None) -> PairData:
        """Return the data set, decoded into the cache where it is not there yet."""
        if shape is not None:
            assert isinstance(shape, PairShape)
            self.options, self.known = replace(self.options, size=shape.size), shape
        found = self.shape()
        a, b = (self.side(name).load() for name in "AB")
        if found.paired and len(a) != len(b):  # no picture that was read through is left out: the files changed meanwhile
            raise InputError(f"{self.name}: its pictures have changed while they were read; try again")
        found = found if shape is None else as_known(found, shape, self.name)
        notes = [*self.sides.notes, *a.notes, *b.notes]
        data = PairData(a, b, found, self.whole, self.options.flip, notes)
        return data.part(self.rows.start, self.rows.stop) if self.rows else data


class SideSource(PictureSource):
    """The pictures of one side, found already."""

    Options: ClassVar[type[AnyOptions]] = PairOptions

    def __init__(self, name: str, options: AnyOptions, pictures: Pictures, progress: Progress) -> None:
        super().__init__(name, options, progress)
        self.pictures, self.listing, self.rows = pictures, None, None

    def load(self, shape: Shape | None = None) -> ImageData:
        return open_entry(self.make_entry(), self.whole, replace(self.options, flip=False))


def as_known(found: PairShape, shape: PairShape, name: str) -> PairShape:
    """Return what pairs are in the classes of a run; InputError where a label map has others."""
    for own, known in ((found.palette, shape.palette), (found.palette_b, shape.palette_b)):
        if bool(own) != bool(known) or len(own) > len(known):
            raise InputError(f"{name} has label maps of {len(own) // 3} classes, and the run knows {len(known) // 3}")
    return replace(shape, height=found.height, width_px=found.width_px, paired=found.paired)


def looked_over(pictures: Pictures, progress: Progress) -> tuple[Pictures, list[Header]]:
    """Return the pictures of a side, as deep ones where they are, and what their headers say."""
    headers = read_headers(pictures, progress)
    with quiet():
        deep = as_deep(pictures, [header.mode for header in headers])
    return deep, headers if deep is pictures else read_headers(deep, progress)


def as_label_maps(pictures: Pictures, headers: list[Header]) -> Pictures:
    """Return pictures as label maps where every one is a PNG with a palette, else as they are."""
    modes = {header.mode for header in headers if not header.error}
    maps = modes == {"P"} and all(name.lower().endswith(".png") for name in pictures.names)
    return LabelMaps(pictures.names, None, (), pictures.files, f"label maps {pictures.key}", pictures) if maps else pictures
