"""Reading what a person names, or what lies in a run folder or the cache: guarded, bounded, and checked. Light.

Nothing here waits for a pipe, follows a device, or unpacks more than `--limit` allows; and whatever is wrong with a file is
one sentence that names it.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from genloom.errors import InputError

GB = 1 << 30
LIMIT = 1.0  # GB that one file may take in memory, where nobody says otherwise
MOST_JSON = 64 << 20  # bytes of a JSON file of ours
LONGEST_NAME, LONGEST_PATH = 255, 4000  # bytes, of one part of a path and of all of it
DEEPEST = 250  # parts of a path
PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")


# -- names -----------------------------------------------------------------------------------------


def named(name: str | os.PathLike[str]) -> Path:
    """Return what a person named as a path, `~` written out; InputError where no file can be called so."""
    text = os.fspath(name)
    if not text.strip():
        raise InputError("an empty name was given where a file or a folder is wanted")
    if "\0" in text:
        raise InputError(f"{text[:40]!r} is no name of a file: it holds a zero byte")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"there is no user {text[1:].split('/')[0]!r}; for a folder of that name write ./{text}") from None
    encoded = os.fsencode(path)
    if len(path.parts) > DEEPEST or len(encoded) > LONGEST_PATH or max(map(len, encoded.split(b"/"))) > LONGEST_NAME:
        raise InputError(f"the name {text[:40]}... is too long for a file: {len(text):,} letters")
    return path


def found(name: str | os.PathLike[str], what: str = "file") -> Path:
    """Return the path of a plain file that is there; InputError where there is none, or a folder, a pipe or a device.

    Args:
        what: what was looked for, for the sentence.
    """
    path = named(name)
    kind = kind_of(path)
    if kind != "file":
        raise InputError(
            f"no {what} at {name}: " + ("no such file" if not kind else f"that is a {kind}, and a plain file is needed")
        )
    return path


def kind_of(path: Path) -> str:
    """Return what is at a path: "file", "folder", "pipe", "device", "socket", or "" where there is nothing.

    Raises:
        InputError: the system does not let us look.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


# -- bytes -----------------------------------------------------------------------------------------


def limit() -> int:
    """Return how many bytes one file may take in memory once it is unpacked: `--limit`, in GB."""
    said = os.environ.get("GENLOOM_LIMIT", str(LIMIT))
    try:
        gigabytes = float(said)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < 1e6:
        raise InputError(f"--limit takes gigabytes above 0, got {said[:40]!r}")
    return int(gigabytes * GB)


def refuse_large(size: int, what: str) -> None:
    """Raise InputError where `what` would take more bytes than the limit."""
    if size > limit():
        needed = math.ceil(min(size / GB, 10**9))
        raise InputError(
            f"{what} would take {in_words(size)} of memory, and {in_words(limit())} are allowed: if you trust the file, "
            f"say --limit {needed}"
        )


def in_words(size: int) -> str:
    """Return a number of bytes as text."""
    for unit, name in ((10**15, "PB"), (10**12, "TB"), (10**9, "GB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}" if size < 1000 * 10**15 else "millions of GB"
    return f"{size / 1e6:,.0f} MB" if size >= 10**6 else f"{size / 1e3:,.0f} kB"


@contextmanager
def opened(path: Path, what: str = "file") -> Iterator[BinaryIO]:
    """Open a plain file to read bytes; what the system says while it is read becomes one sentence."""
    found(path, what)
    try:
        # What is a plain file now might have been a pipe's name a moment ago: opening must never wait.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def content_of(path: Path, what: str = "file", most: int | None = None) -> bytes:
    """Return the bytes of a plain file; InputError where it is larger than `most`, or than the limit."""
    with opened(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if most is None:
            refuse_large(size, os.fspath(path))
        elif size > most:
            raise InputError(f"{path} is no {what}: {in_words(size)} are more than any has")
        return file.read(size)


@contextmanager
def parsing(path: str | os.PathLike[str], what: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a reader of a file format says of a damaged or hostile file into one sentence.

    Such readers raise dozens of kinds of errors, and each means the same to the person. Only calls of such a reader belong
    inside: an error of our own must not hide here.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except MemoryError:
        raise InputError(f"{path} cannot be read as {what}: it asks for more memory than there is{remedy}") from None
    except Exception as error:
        text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        raise InputError(f"{path} cannot be read as {what} ({text[:160]}){remedy}") from None


# -- JSON ------------------------------------------------------------------------------------------

Form = Any
"""What a JSON value must be: a type, a tuple of types, a dictionary of forms by key (`name?` may be missing, `*` is every
key), or a list of the one form of every item."""


def read_json(path: Path, form: Form = dict, remedy: str = "") -> Any:
    """Return the content of a JSON file of this form; InputError that names the file and what is wrong in it."""
    return parse_json(content_of(path, "JSON file", MOST_JSON), path, form, remedy)


def parse_json(content: bytes | str, path: Path, form: Form = dict, remedy: str = "") -> Any:
    """Return JSON of this form; raises as `read_json`."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one of the first
        raise InputError(f"{path} is cut short or no JSON ({reason(error)}){remedy}") from None
    if wrong := misfit(value, form):
        raise InputError(f"{path} is damaged: {wrong}{remedy}")
    return value


def reason(error: Exception) -> str:
    """Say in a few words why text is no JSON."""
    return "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:120]


def misfit(value: Any, form: Form, place: str = "it") -> str:
    """Return in words where a JSON value differs from its form, "" where it does not."""
    if isinstance(form, list):
        wrong = "" if isinstance(value, list | tuple) else f"{place} is no list"
        return wrong or next(filter(None, (misfit(each, form[0], f"{place}[{i}]") for i, each in enumerate(value))), "")
    if isinstance(form, dict):
        return "" if isinstance(value, dict) and not form else object_misfit(value, form, place)
    kinds = form if isinstance(form, tuple) else (form,)
    if isinstance(value, bool):
        return "" if bool in kinds else f"{place} is {value}"
    if isinstance(value, int | float) and not math.isfinite(value):
        return f"{place} is no finite number"
    if isinstance(value, int) and (int in kinds or float in kinds):
        return "" if abs(value) < 1 << 63 else f"{place} is out of range"
    return "" if isinstance(value, kinds) else f"{place} is {'missing' if value is None else 'of the wrong kind'}"


def object_misfit(value: Any, form: Mapping[str, Form], place: str) -> str:
    """Return in words where a JSON object differs from its form."""
    if not isinstance(value, dict):
        return f"{place} is no object"
    every = {name: form["*"] for name in value} if "*" in form else {}
    for key, inner in {**every, **{key: inner for key, inner in form.items() if key != "*"}}.items():
        name = key.removesuffix("?")
        where = name if place == "it" else f"{place}.{name}"
        if name not in value:
            if key == name:
                return f"{where} is missing"
        elif wrong := misfit(value[name], inner, where):
            return wrong
    return ""


# -- pickles ---------------------------------------------------------------------------------------


def refuse_pickle(path: Path, what: str) -> None:
    """Raise InputError for a name that is a pickle's, which can run code when it is read."""
    if path.suffix in PICKLES:
        raise InputError(f"{path} looks like a pickle, which can run code when it is read: genloom {what}")
