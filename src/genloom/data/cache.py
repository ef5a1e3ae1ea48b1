"""The cache: pictures decoded once into one uint8 file, keyed by the content of their source."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.files import umask, write_json
from genloom.reading import found, kind_of, named, opened, parsing, read_json

FORMAT = "2"  # part of every key: raise it when what is written changes
REMEMBERED = {"shape?": dict, "entry?": str}  # what a listing may hold
KINDS = (np.uint8, np.uint16)  # of pictures
META = {"classes": [str], "broken": [str], "content": str, "places?": [[int]]}


def cache_folder() -> Path:
    """Return the folder of the cache: `GENLOOM_CACHE`, or `genloom` in the person's cache folder."""
    if said := os.environ.get("GENLOOM_CACHE", "").strip():
        if (kind := kind_of(named(said))) not in ("", "folder"):
            raise InputError(f"GENLOOM_CACHE names a {kind}, {said}, and a folder is wanted")
        return named(said)
    return named(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "genloom"


def content_key(paths: Iterable[Path], names: Iterable[str], extra: Any) -> str:
    """Hash the bytes of files, their names (which carry the classes) and the options into one key."""
    digest = hashlib.blake2b(digest_size=16)
    for path, name in zip(paths, names, strict=True):
        digest.update(name.encode() + b"\0")
        try:
            for block in blocks_of(path):
                digest.update(block)
        except InputError as error:  # which is part of the content, and said of this picture when it is decoded
            digest.update(f"\0{error}".encode())
    digest.update(json.dumps([FORMAT, extra], sort_keys=True).encode())
    return digest.hexdigest()


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, a megabyte at a time."""
    with opened(path) as file:
        while block := file.read(1 << 20):
            yield block


def remembered(digest: str) -> dict[str, Any]:
    """Return what is known of a source by the digest of its listing, `{}` where nothing is."""
    path = cache_folder() / "listings" / f"{digest}.json"
    try:
        return read_json(path, REMEMBERED) if path.exists() else {}
    except (OSError, InputError):
        return {}


def remember(digest: str, **known: Any) -> None:
    """Keep something of a source by the digest of its listing; a cache that cannot be written costs time, nothing else."""
    path = cache_folder() / "listings" / f"{digest}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**remembered(digest), **known})


def reserve(path: Path) -> None:
    """Take the room of a sparse file on the disk: a page of a map for which there is none would kill Python."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # others: a file system that cannot


def stored(path: Path, kinds: Sequence[type[np.generic]], dims: int, mode: Literal["c", "r"]) -> np.ndarray:
    """Return a mapped array of the cache; InputError where it is not one of these kinds with so many dimensions."""
    found(path)
    with parsing(path, "an array of the cache", "; remove its folder, and it is made anew"):
        array: np.ndarray = np.load(path, mmap_mode=mode, allow_pickle=False)
    if array.dtype not in kinds or array.ndim != dims:
        raise InputError(f"{path} is damaged; remove its folder, and it is made anew")
    return array


class Entry:
    """One cached data set: `x.npy`, `y.npy` where there are labels, `meta.json`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.folder = cache_folder() / re.sub("[^0-9a-f]", "-", key[:24])

    def exists(self) -> bool:
        """Whether the entry is there and whole; what a kill, a copy or a full disk damaged is made anew."""
        if not (self.folder / "meta.json").exists():
            return False
        try:
            self.read()
        except InputError:
            return False
        return True

    def read(self) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
        """Return the memory-mapped pixels `[n, H, W, C]`, the labels `[n]` or None, and the notes of `write`.

        Raises:
            InputError: the entry is damaged.
        """
        meta = read_json(self.folder / "meta.json", META)
        pixels = stored(self.folder / "x.npy", KINDS, 4, "c")  # copy-on-write: torch wants writable memory
        labels = self.folder / "y.npy"
        y = np.array(stored(labels, (np.int64,), 1, "r")) if labels.exists() else None
        if (
            not len(pixels)
            or bool(meta["classes"]) != (y is not None)
            or (y is not None and (len(y) != len(pixels) or y.min() < 0 or y.max() >= len(meta["classes"])))
        ):
            raise InputError(f"{self.folder} is damaged; remove it, and it is made anew")
        return torch.from_numpy(pixels), None if y is None else torch.from_numpy(y), meta

    def write(
        self,
        shape: tuple[int, ...],
        fill: Callable[[np.ndarray], dict[str, Any]],
        labels: np.ndarray | None,
        bits: int = 8,
    ) -> None:
        """Make the entry: `fill` writes into the mapped pixels of this shape and returns the notes to keep.

        `fill` may return `"kept"`, the row numbers that stay; the others are dropped.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=self.folder.parent))
        except OSError as error:
            raise InputError(f"cannot write the cache {self.folder.parent}: {error.strerror}; set GENLOOM_CACHE") from None
        try:
            self.fill(temporary, shape, fill, labels, bits)
            if not self.exists():  # another process may have made the same entry meanwhile
                shutil.rmtree(self.folder, ignore_errors=True)
                temporary.chmod(0o777 & ~umask())  # a shared cache serves others too
                temporary.rename(self.folder)
        except OSError as error:
            raise InputError(
                f"cannot write the cache {self.folder.parent}: {error.strerror or error}; free some space "
                "or set GENLOOM_CACHE to another disk"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def fill(
        self,
        folder: Path,
        shape: tuple[int, ...],
        fill: Callable[[np.ndarray], dict[str, Any]],
        labels: np.ndarray | None,
        bits: int,
    ) -> None:
        pixels = np.lib.format.open_memmap(folder / "x.npy", "w+", KINDS[bits > 8], shape)
        reserve(folder / "x.npy")
        notes = fill(pixels)
        kept = notes.pop("kept", None)
        if kept is not None and len(kept) < len(pixels):
            np.save(folder / "x.npy.part.npy", np.asarray(pixels[kept]))
            (folder / "x.npy.part.npy").replace(folder / "x.npy")
            labels = labels if labels is None else labels[kept]
        else:
            pixels.flush()
        if labels is not None:
            np.save(folder / "y.npy", labels.astype(np.int64))
        arrays = [path for path in (folder / "x.npy", folder / "y.npy") if path.exists()]
        extra = [notes["classes"], notes["places"]] if "places" in notes else notes["classes"]
        notes["content"] = content_key(arrays, [path.name for path in arrays], extra)
        (folder / "meta.json").write_text(json.dumps(notes))
