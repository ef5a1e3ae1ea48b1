"""The cache: pictures decoded once into one uint8 file, keyed by the content of their source."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.files import write_json

FORMAT = "2"  # part of every key: raise it when what is written changes


def cache_folder() -> Path:
    """Return the folder of the cache: `GENLOOM_CACHE`, or `genloom` in the person's cache folder."""
    if named := os.environ.get("GENLOOM_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "genloom"


def content_key(paths: Iterable[Path], names: Iterable[str], extra: Any) -> str:
    """Hash the bytes of files, their names (which carry the classes) and the options into one key."""
    digest = hashlib.blake2b(digest_size=16)
    for path, name in zip(paths, names, strict=True):
        digest.update(name.encode() + b"\0")
        try:
            for block in blocks_of(path):
                digest.update(block)
        except OSError as error:  # which is part of the content, and said of this picture when it is decoded
            digest.update(f"\0{error.strerror}".encode())
    digest.update(json.dumps([FORMAT, extra], sort_keys=True).encode())
    return digest.hexdigest()


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, a megabyte at a time."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def remembered(digest: str) -> dict[str, Any]:
    """Return what is known of a source by the digest of its listing, `{}` where nothing is."""
    try:
        known = json.loads((cache_folder() / "listings" / f"{digest}.json").read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


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


class Entry:
    """One cached data set: `x.npy`, `y.npy` where there are labels, `meta.json`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.folder = cache_folder() / key[:24]

    def meta(self) -> dict[str, Any]:
        """Return the notes of `write`, and `shape`, that of the stored pixels."""
        return json.loads((self.folder / "meta.json").read_text())

    def exists(self) -> bool:
        """Whether the entry is whole; it appears only when finished."""
        return (self.folder / "meta.json").exists()

    def read(self) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
        """Return the memory-mapped pixels `[n, H, W, C]`, the labels `[n]` or None, and the notes of `write`."""
        pixels = np.load(self.folder / "x.npy", mmap_mode="c")  # copy-on-write: torch wants writable memory
        labels = self.folder / "y.npy"
        y = torch.from_numpy(np.load(labels)) if labels.exists() else None
        return torch.from_numpy(pixels), y, json.loads((self.folder / "meta.json").read_text())

    def write(self, shape: tuple[int, ...], fill: Callable[[np.ndarray], dict[str, Any]], labels: np.ndarray | None) -> None:
        """Make the entry: `fill` writes into the mapped pixels of this shape and returns the notes to keep.

        `fill` may return `"kept"`, the row numbers that stay; the others are dropped.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=self.folder.parent))
        except OSError as error:
            raise InputError(f"cannot write the cache {self.folder.parent}: {error.strerror}; set GENLOOM_CACHE") from None
        try:
            self.fill(temporary, shape, fill, labels)
            if not self.exists():  # another process may have made the same entry meanwhile
                shutil.rmtree(self.folder, ignore_errors=True)
                mask = os.umask(0)
                os.umask(mask)
                temporary.chmod(0o777 & ~mask)  # a shared cache serves others too
                temporary.rename(self.folder)
        except OSError as error:
            raise InputError(
                f"cannot write the cache {self.folder.parent}: {error.strerror or error}; free some space "
                "or set GENLOOM_CACHE to another disk"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def fill(
        self, folder: Path, shape: tuple[int, ...], fill: Callable[[np.ndarray], dict[str, Any]], labels: np.ndarray | None
    ) -> None:
        pixels = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, shape)
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
        notes["content"] = content_key(arrays, [path.name for path in arrays], notes["classes"])
        (folder / "meta.json").write_text(json.dumps(notes))
