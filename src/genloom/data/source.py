"""load(): from what a person names to a data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from genloom.data.cache import Entry, content_key
from genloom.data.pictures.builtin import BUILTIN
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.decode import common_size, decode_all, look_over, natural_channels, silent
from genloom.data.pictures.hub import from_hub
from genloom.data.pictures.sources import Arrays, Pictures, from_folder, from_idx, from_numpy, from_zip, is_idx
from genloom.data.tables.dataset import TableData
from genloom.errors import InputError, nearest
from genloom.shapes.columns import TABLE_SUFFIXES
from genloom.shapes.pictures import ImageShape

Progress = Callable[[Any, int, str], Any]


@dataclass(frozen=True)
class Options:
    """What to do to the pictures.

    Attributes:
        size: height and width to crop and resize to, or None to keep the size they all have.
        channels: 1 grey, 3 colour, 4 with transparency, or None for what the pictures are.
        crop: cut the middle to the wanted aspect before resizing, rather than squeeze.
        flip: mirror half of the pictures left to right while training.
        skip_broken: leave out pictures that cannot be read, rather than stop.
        split: which part, where the source has `train` and `test`.
    """

    size: tuple[int, int] | None = None
    channels: Literal[1, 3, 4] | None = None
    crop: bool = True
    flip: bool = False
    skip_broken: bool = False
    split: Literal["train", "test"] = "train"

    def key(self) -> dict[str, Any]:
        """The options that decide which pixels are stored."""
        return {name: value for name, value in asdict(self).items() if name not in ("flip", "skip_broken")}


def load(source: str | Path, options: Options | None = None, progress: Progress = silent) -> ImageData | TableData:
    """Load pictures from a folder, zip, idx, npy or npz file, `hf:owner/name` or a built-in name; or a table from a file.

    A range in brackets takes a part of pictures: `mnist[:50000]`. Pictures are decoded once, in parallel,
    into a memory-mapped file in the cache.

    Raises:
        InputError: there is nothing usable at `source`; the message says what to do.
    """
    options = options or Options()
    if str(source).lower().endswith(TABLE_SUFFIXES):
        return load_table(source)
    whole, rows = split_range(str(source))
    if rows:
        return load_pictures(whole, options, progress).part(rows.start, rows.stop)
    pictures = find_pictures(source, options.split)
    entry = Entry(content_key(pictures.files, pictures_key(pictures), [options.key(), pictures.key, len(pictures)]))
    if entry.exists():
        return open_entry(entry, source, options)
    looks = look_over(pictures, progress)
    refuse_broken([look.error for look in looks], pictures, options, "at least ")  # as far as their headers tell
    size = options.size or common_size(looks)
    channels = options.channels or natural_channels(looks)

    def fill(pixels: Any) -> dict[str, Any]:
        errors = decode_all(pictures, pixels, channels, options.crop, progress)
        refuse_broken(errors, pictures, options)
        kept = [i for i, error in enumerate(errors) if not error]
        broken = [f"{pictures.names[i]}: {error}" for i, error in enumerate(errors) if error]
        return {"kept": kept, "classes": pictures.classes, "broken": broken}

    entry.write((len(pictures), *size, channels), fill, pictures.labels)
    return open_entry(entry, source, options)


def split_range(source: str) -> tuple[str, slice | None]:
    """Return a source without its range, and the range: `mnist[:500]` is the first 500 of `mnist`."""
    part = re.fullmatch(r"(.+)\[(\d*):(\d*)\]", source)
    return (part[1], slice(int(part[2] or 0), int(part[3]) if part[3] else None)) if part else (source, None)


def load_pictures(source: str | Path, options: Options | None = None, progress: Progress = silent) -> ImageData:
    """Load pictures, as `load` does.

    Raises:
        InputError: there is nothing usable at `source`, or it is a table.
    """
    data = load(source, options, progress)
    if not isinstance(data, ImageData):
        raise InputError(f"{source} is a table: {data.shape.describe()}; pictures are wanted here")
    return data


def load_table(source: str | Path) -> TableData:
    """Load the columns of a table that models learn, coded.

    Raises:
        InputError: it is no table, or none of its columns can be learnt.
    """
    import numpy as np
    import pandas as pd

    from genloom.data.tables.files import find_table
    from genloom.data.tables.layout import Layout

    frame = pd.concat(list(find_table(source).chunks()))
    layout = Layout.study(frame)
    if not layout.learnt:
        raise InputError(f"{source} has no column to learn from: "
                         + "; ".join(f"{field.name!r}: {field.why}" for field in layout.fields))  # fmt: skip
    codes = layout.encode(frame, layout.known(frame))
    data = TableData.of(codes, np.isfinite(codes), layout.learnt, str(source))
    data.notes += [f"{field.name} is left out: {field.why}" for field in layout.fields if field.column is None]
    return data


def open_entry(entry: Entry, source: str | Path, options: Options) -> ImageData:
    """Open a cached data set."""
    pixels, labels, meta = entry.read()
    if meta["broken"] and not options.skip_broken:
        raise broken_pictures(meta["broken"], len(pixels) + len(meta["broken"]))
    _, height, width, channels = pixels.shape
    shape = ImageShape(classes=tuple(meta["classes"]), channels=channels, height=height, width_px=width)
    notes = [f"left out {line}" for line in meta["broken"]]
    return ImageData(pixels, labels, shape, str(source), meta["content"], options.flip, notes)


def find_pictures(source: str | Path, split: str = "train") -> Pictures:
    """Return the pictures at a source, not yet decoded."""
    name = str(source)
    if name.startswith("hf:"):
        return from_hub(name.removeprefix("hf:"), split)
    if name in BUILTIN and not Path(name).exists():
        return BUILTIN[name](split)
    path = Path(source).expanduser()
    if not path.exists():
        looks_built_in = "/" not in name and "." not in name
        hint = nearest(name, BUILTIN) if looks_built_in else ""
        raise InputError(f"no data at {name}: no such file or folder{hint}")
    if path.is_dir():
        if any(is_idx(p) for p in path.iterdir()):
            return from_idx(path, split)
        return from_folder(path, split)
    if is_idx(path):
        return from_idx(path, split)
    if path.suffix.lower() == ".zip":
        return from_zip(path, split)
    if path.suffix in (".npy", ".npz"):
        return from_numpy(path, split)
    raise InputError(f"{name} is no source of pictures (a folder, .zip, .npy, .npz, an idx file or hf:owner/name is) and no "
                     f"table ({', '.join(TABLE_SUFFIXES)})")  # fmt: skip


def pictures_key(pictures: Pictures) -> list[str]:
    """Return a name for each file to hash; the names of pictures carry their classes."""
    if isinstance(pictures, Arrays) or len(pictures.files) != len(pictures):
        return [path.name for path in pictures.files]
    return list(pictures.names)


def refuse_broken(errors: list[str], pictures: Pictures, options: Options, about: str = "") -> None:
    """Raise InputError where pictures cannot be read, unless they are to be skipped and some remain."""
    broken = [f"{pictures.names[i]}: {error}" for i, error in enumerate(errors) if error]
    if broken and (not options.skip_broken or len(broken) == len(errors)):
        raise broken_pictures(broken, len(errors), about)


def broken_pictures(broken: list[str], total: int, about: str = "") -> InputError:
    """Name the first pictures that cannot be read."""
    shown = "; ".join(broken[:3]) + (f"; and {len(broken) - 3} more" if len(broken) > 3 else "")
    about, remedy = ("", "none can be read") if len(broken) == total else (about, "say --skip-broken to leave them out")
    return InputError(f"{about}{len(broken)} of {total} pictures cannot be read ({shown}); {remedy}")
