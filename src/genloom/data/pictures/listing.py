"""Listings: what names, sizes and times say of a source, so that opening the same one again reads no picture.

Any change shows in a file's size, in its times (nanoseconds; that of a change cannot be set by hand) or in its inode. Only
what changed in the last moments might hide within one tick of the clock; a source so fresh is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SETTLED = 2 * 10**9  # nanoseconds since the last change after which a listing tells the content


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
        return hashlib.blake2b(f"{self.digest} {json.dumps(options, sort_keys=True)}".encode(), digest_size=16).hexdigest()


def list_files(path: Path, beside: str = "") -> Listing | None:
    """Return the listing of a folder, or of a file and of those beside it whose names hold a word; None where it is lost."""
    names: list[str] = []
    facts: list[tuple[int, int, int, int]] = []
    try:
        if path.is_dir():
            collect(os.fspath(path), "", names, facts, frozenset())
        else:
            for each in sorted({path, *(path.parent.glob(f"*{beside}*") if beside else ())}):
                names.append(each.name)
                facts.append(facts_of(each.stat()))
    except OSError:
        return None
    digest = hashlib.blake2b(os.fspath(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=16)
    digest.update("\0".join(names).encode("utf-8", "surrogateescape"))
    table = np.array(facts, np.int64).reshape(-1, 4)
    digest.update(table.tobytes())
    newest = int(table[:, 1:3].max()) if len(table) else 0
    return Listing(digest.hexdigest(), time.time_ns() - newest > SETTLED)


def collect(
    folder: str, prefix: str, names: list[str], facts: list[tuple[int, int, int, int]], around: frozenset[tuple[int, int]]
) -> None:
    """Add the files below a folder, by name; links to folders are followed, unless they lead back to where they lie."""
    own = os.stat(folder)
    if (own.st_dev, own.st_ino) in around:
        return
    around |= {(own.st_dev, own.st_ino)}
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name
        if name[0] == ".":
            continue
        if entry.is_dir():
            collect(entry.path, f"{prefix}{name}/", names, facts, around)
        else:
            names.append(prefix + name)
            facts.append(facts_of(entry.stat()))


def facts_of(state: os.stat_result) -> tuple[int, int, int, int]:
    """Return size, times and inode of a file."""
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
