"""Files: written whole or not at all, and read with care."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from genloom.errors import InputError

PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")


@contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Make the folder of a file, and turn what goes wrong while it is written into one sentence.

    Args:
        remedy: what to do about it, where a free disk or another name is not all.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:  # pillow's and matplotlib's, for a name that is no picture's
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}{remedy}") from None


def check_writable(*paths: str | Path) -> None:
    """Raise InputError where a file cannot be written: better before the work than after it."""
    for path in paths:
        target = Path(path).expanduser().absolute()
        folder = next(part for part in target.parents if part.exists())
        if target.exists() and not target.is_file():
            raise InputError(f"cannot write {path}: {'that is a folder' if target.is_dir() else 'no plain file'}")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            raise InputError(f"cannot write {path}: {folder} is no folder that you may write to") from None


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give a temporary name beside `out`, and move it there if all goes well: a file is whole or not there.

    Raises:
        InputError: it cannot be written.
    """
    part: Path | None = None
    try:
        with writing(out, "; nothing was written"):
            handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
            os.close(handle)
            part = Path(name)
            yield part
            mask = os.umask(0)
            os.umask(mask)
            part.chmod(0o666 & ~mask)
            part.replace(out)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file at once: a reader sees the old content or the new. Raises OSError where that fails."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        write_synced(temporary, (json.dumps(value, indent=1) + "\n").encode())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def refuse_pickle(path: Path, what: str) -> None:
    """Raise InputError for a name that is a pickle's, which can run code when it is read."""
    if path.suffix in PICKLES:
        raise InputError(f"{path} looks like a pickle, which can run code when it is read: genloom {what}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; InputError where it is missing, cut short or a pickle."""
    refuse_pickle(path, "reads .safetensors only")
    with tensors_of(path):
        return load_file(path)


def parse_tensors(content: bytes, path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of the bytes of a safetensors file; InputError where they are cut short."""
    with tensors_of(path):
        return load(content)


@contextmanager
def tensors_of(path: Path) -> Iterator[None]:
    """Turn what goes wrong while tensors are read into one sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read, it is missing or cut short ({error}); use an older checkpoint") from None
