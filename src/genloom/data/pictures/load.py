"""Pictures from whatever a person named: found, decoded once into the cache, opened again without reading any."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from genloom.bounds import numeral, short
from genloom.data.cache import Entry, content_key, remember, remembered
from genloom.data.options import Options as AnyOptions
from genloom.data.options import PictureOptions
from genloom.data.pictures.arrays import Arrays, from_idx, from_numpy, is_idx
from genloom.data.pictures.builtin import BUILTIN
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.decode import Header, common_size, decode_all, natural_channels, read_headers
from genloom.data.pictures.hub import from_hub
from genloom.data.pictures.listing import Listing, list_files
from genloom.data.pictures.sources import Pictures, from_folder, from_zip
from genloom.data.source import Progress, Source, find_source, silent
from genloom.errors import InputError, nearest
from genloom.reading import kind_of, named
from genloom.shapes.base import Shape
from genloom.shapes.pictures import ImageShape


class PictureSource(Source):
    """Pictures in a folder, zip, idx, npy or npz file, `hf:owner/name`, or inside a package."""

    Options: ClassVar[type[AnyOptions]] = PictureOptions
    options: PictureOptions

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        return True  # what is nothing else is looked for as pictures, and the message says what there is

    def __init__(self, name: str, options: AnyOptions, progress: Progress = silent) -> None:
        super().__init__(name, options, progress)
        self.whole, self.rows = split_range(name)

    @cached_property
    def pictures(self) -> Pictures:
        """The pictures, not yet decoded."""
        with reading():
            return find_pictures(self.whole, self.options.split)

    @cached_property
    def headers(self) -> list[Header]:
        """What the pictures' headers say."""
        return read_headers(self.pictures, self.progress)

    @cached_property
    def listing(self) -> Listing | None:
        """The state of the source's files, or None where there are none to list."""
        path = named(self.whole)
        if self.whole.startswith("hf:") or kind_of(path) not in ("file", "folder"):
            return None
        return list_files(path, [p for p in path.parent.iterdir() if is_idx(p)] if is_idx(path) else [])

    def shape(self) -> ImageShape:
        """Return what the pictures are, as the options have it, without decoding any."""
        name = self.listing.key(self.options.key()) if self.listing else ""
        with suppress(InputError):  # what is known may be damaged
            if name and isinstance(known := Shape.from_json(remembered(name).get("shape", {})), ImageShape):
                return known
        self.refuse_broken([header.error for header in self.headers], "at least ")  # as far as their headers tell
        height, width = self.options.height_and_width or common_size(self.headers)
        channels = self.options.channels or natural_channels(self.headers)
        shape = ImageShape(self.pictures.classes, channels, height, width)
        if name and self.listing and self.listing.settled and not any(header.error for header in self.headers):
            remember(name, shape=shape.to_json())
        return shape

    def load(self, shape: Shape | None = None) -> ImageData:
        """Return the data set, decoded into the cache where it is not there yet."""
        if shape is not None:
            assert isinstance(shape, ImageShape)
            self.options = replace(self.options, size=shape.size)
        entry = self.known_entry() or self.make_entry()
        data = open_entry(entry, self.whole, self.options)
        return data.part(self.rows.start, self.rows.stop) if self.rows else data

    def names_of(self, data: ImageData) -> list[str]:
        """Return what the pictures of the loaded data are called: those that could be read, of the range asked for."""
        names = [
            name for name in self.pictures.names if not any(note.startswith(f"left out {name}: ") for note in data.notes)
        ]
        return names[self.rows] if self.rows else names

    def known_entry(self) -> Entry | None:
        """Return the cache's entry for these files as they are, where they were opened before."""
        known = remembered(self.listing.key(self.options.key())).get("entry") if self.listing else None
        entry = Entry(known) if isinstance(known, str) else None
        return entry if entry and entry.exists() else None

    def make_entry(self) -> Entry:
        """Return the cache's entry for this content, which is read; decode it where nothing like it is there."""
        pictures, options, listing = self.pictures, self.options, self.listing
        with reading():
            key = content_key(pictures.files, pictures_key(pictures), [options.key(), pictures.key, len(pictures)])
        entry = Entry(key)
        if not entry.exists():
            shape = self.shape()

            def fill(pixels: Any) -> dict[str, Any]:
                errors = decode_all(pictures, pixels, shape.channels, not options.squeeze, self.progress)
                self.refuse_broken(errors)
                kept = [i for i, error in enumerate(errors) if not error]
                broken = [f"{pictures.names[i]}: {error}" for i, error in enumerate(errors) if error]
                return {"kept": kept, "classes": pictures.classes, "broken": broken}

            entry.write((len(pictures), *shape.size, shape.channels), fill, pictures.labels, pictures.bits)
        if listing and listing.settled:
            remember(listing.key(options.key()), entry=entry.key)
        return entry

    def refuse_broken(self, errors: list[str], about: str = "") -> None:
        """Raise InputError where pictures cannot be read, unless they are to be skipped and some remain."""
        broken = [f"{self.pictures.names[i]}: {error}" for i, error in enumerate(errors) if error]
        if broken and (not self.options.skip_broken or len(broken) == len(errors)):
            raise broken_pictures(broken, len(errors), about)


@contextmanager
def reading() -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror or error}") from None


def split_range(source: str) -> tuple[str, slice | None]:
    """Return a source without its range, and the range: `mnist[:500]` is the first 500 of `mnist`."""
    part = re.fullmatch(r"(.+)\[(\d*):(\d*)\]", source)
    if not part:
        return source, None
    start, stop = (numeral(each) if each else default for each, default in ((part[2], 0), (part[3], None)))
    if start is None or (part[3] and stop is None):
        raise InputError(f"{short(source)} names no part of the data: write the places as plain numbers, such as [0:500]")
    return part[1], slice(start, stop)


def load_pictures(source: str | Path, options: PictureOptions | None = None, progress: Progress = silent) -> ImageData:
    """Load pictures.

    Raises:
        InputError: there is nothing usable at `source`, or it holds something else.
    """
    found = find_source(source, progress=progress)
    if not isinstance(found, PictureSource):
        raise InputError(f"{source} holds {found.Options.named()}: {found.shape().describe()}; pictures are wanted here")
    return PictureSource(str(source), options or PictureOptions(), progress).load()


def open_entry(entry: Entry, source: str | Path, options: PictureOptions) -> ImageData:
    """Open a cached data set."""
    pixels, labels, meta = entry.read()
    if meta["broken"] and not options.skip_broken:
        raise broken_pictures(meta["broken"], len(pixels) + len(meta["broken"]))
    _, height, width, channels = pixels.shape
    shape = ImageShape(classes=tuple(meta["classes"]), channels=channels, height=height, width_px=width)
    notes = [f"left out {line}" for line in meta["broken"]]
    return ImageData(pixels, labels, shape, str(source), meta["content"], options.flip, notes)


def find_pictures(source: str | Path, split: str = "train", others: Sequence[str] = ()) -> Pictures:
    """Return the pictures at a source, not yet decoded; `others` as `from_folder` takes them."""
    name = str(source)
    if name.startswith("hf:"):
        return from_hub(name.removeprefix("hf:"), split)
    if name in BUILTIN and not Path(name).exists():
        return BUILTIN[name](split)
    path = named(name)
    kind = kind_of(path)
    if not kind:
        looks_built_in = "/" not in name and "." not in name
        hint = nearest(name, BUILTIN) if looks_built_in else ""
        raise InputError(f"no data at {name}: no such file or folder{hint}")
    if kind == "folder":
        return from_idx(path, split) if any(is_idx(p) for p in path.iterdir()) else from_folder(path, split, others)
    if kind != "file":
        raise InputError(f"no data at {name}: that is a {kind}, and a file or a folder is needed")
    if is_idx(path):
        return from_idx(path, split)
    if path.suffix.lower() == ".zip":
        return from_zip(path, split)
    if path.suffix.lower() in (".npy", ".npz"):
        return from_numpy(path, split)
    raise InputError(
        f"{name} is no source of pictures (a folder, .zip, .npy, .npz, an idx file or hf:owner/name is) and no "
        "table (.csv, .tsv, .parquet)"
    )


def pictures_key(pictures: Pictures) -> list[str]:
    """Return a name for each file to hash; the names of pictures carry their classes."""
    if isinstance(pictures, Arrays) or len(pictures.files) != len(pictures):
        return [path.name for path in pictures.files]
    return list(pictures.names)


def broken_pictures(broken: list[str], total: int, about: str = "") -> InputError:
    """Name the first pictures that cannot be read."""
    shown = "; ".join(broken[:3]) + (f"; and {len(broken) - 3} more" if len(broken) > 3 else "")
    about, remedy = ("", "none can be read") if len(broken) == total else (about, "say --skip-broken to leave them out")
    return InputError(f"{about}{len(broken)} of {total} pictures cannot be read ({shown}); {remedy}")
