"""Writing files: whole or not at all, and what hinders it in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genloom.errors import InputError
from genloom.reading import kind_of, named


def check_writable(*paths: str | os.PathLike[str]) -> None:
    """Raise InputError where a file cannot be written: better before the work than after it. A name that ends in `/` is a
    folder's."""
    for name in paths:
        target = Path(os.path.abspath(named(name)))
        folder = target if os.fspath(name).endswith("/") else target.parent
        kind = kind_of(target) if folder != target else ""
        if kind not in ("", "file"):
            raise InputError(f"cannot write {name}: that is a {kind}")
        nearest = next(part for part in (folder, *folder.parents) if kind_of(part))
        try:
            tempfile.TemporaryFile(dir=nearest).close()
        except OSError:
            raise InputError(f"cannot write {name}: {nearest} is no folder that you may write to") from None


@contextmanager
def replaced(out: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `out` that ends as it does, and move it there if all goes well.

    A file is whole or not there, and what was there before stays until then.

    Raises:
        InputError: it cannot be written.
    """
    target, part = named(out), None
    try:
        if target.is_symlink() and kind_of(target):
            target = target.resolve()  # what the link leads to is written, and the link stays
        if kind_of(target) not in ("", "file"):
            raise InputError(f"cannot write {out}: that is a {kind_of(target)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=target.suffix[-20:], dir=target.parent)
        os.close(handle)
        part = Path(name)
        yield part
        part.chmod(0o666 & ~umask())
        part.replace(target)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; that file is as it was") from None
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def room(path: Path) -> int:
    """Return the free bytes of the disk on which a file would lie."""
    place = Path(os.path.abspath(path))
    return shutil.disk_usage(next(part for part in (place, *place.parents) if part.exists())).free


def umask() -> int:
    """Return the permissions that new files of this process do without."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file at once: a reader sees the old content or the new. Raises OSError where that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")  # several processes may write the same listing
    try:
        write_synced(temporary, (json.dumps(value, indent=1) + "\n").encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
