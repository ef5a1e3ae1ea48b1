"""Listings: what names, sizes and times say of a source, so that opening the same one again reads no picture.

Any change shows in a file's size, in its times (nanoseconds; that of a change cannot be set by hand) or in its inode. Only
what changed in the last moments might hide within one tick of the clock; a source so fresh is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from genloom.data.cache import FORMAT

SETTLED = 2 * 10**9  # nanoseconds since the last change after which a listing tells the content
FACTS = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


@dataclass(frozen=True)
class Listing:
    """The state of a source's files.

    Attributes:
        digest: of their names, sizes, times and inodes.
        settled: whether the last change is long enough ago for the digest to stand for the content.
    """

    digest: str
    settled: bool

    def key(self, options: Any) -> str:
        """Return a name for these files with these options."""
        return hashlib.blake2b(
            f"{FORMAT} {self.digest} {json.dumps(options, sort_keys=True)}".encode(), digest_size=16
        ).hexdigest()


def list_files(path: Path, beside: Sequence[Path] = ()) -> Listing | None:
    """Return the listing of a folder, or of a file with those that belong to it; None where it cannot be had."""
    names: list[str] = []
    facts = array("q")
    try:
        if path.is_dir():
            collect(os.fspath(path), "", names, facts, frozenset())
        else:
            for each in sorted({path, *beside}):
                names.append(each.name)
                facts.extend(FACTS(each.stat()))
    except (
        OSError,
        OverflowError,
        RecursionError,
    ):  # folders nested by the hundred, a number of 64 bits or a far date: such a source is hashed each time
        return None
    digest = hashlib.blake2b(os.fspath(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=16)
    digest.update("\0".join(names).encode("utf-8", "surrogateescape"))
    digest.update(facts)
    newest = max(facts[2::5], default=0), max(facts[3::5], default=0)
    return Listing(digest.hexdigest(), time.time_ns() - max(newest) > SETTLED)


def collect(folder: str, prefix: str, names: list[str], facts: array[int], around: frozenset[tuple[int, int]]) -> None:
    """Add the names and the states of the files below a folder.

    Links to folders are followed, unless they lead back to where they lie.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        own = os.stat(handle)
        if (own.st_dev, own.st_ino) in around:
            return
        around |= {(own.st_dev, own.st_ino)}
        found = [name for name in sorted(os.listdir(handle)) if name[0] != "."]
        names.append(prefix + "\0".join(found))
        stat, facts_of, folders = os.stat, FACTS, []  # looked up once: this is done 60,000 times
        for name in found:
            state = facts_of(stat(name, dir_fd=handle))  # by the folder's handle: no path to walk
            if S_ISDIR(state[0]):
                folders.append(name)
            else:
                facts.extend(state)
        for name in folders:
            collect(f"{folder}/{name}", f"{prefix}{name}/", names, facts, around)
    finally:
        os.close(handle)
