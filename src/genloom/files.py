"""Files: written whole or not at all, and read with care."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genloom.errors import InputError


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give a temporary name beside `out`, and move it there if all goes well: a file is whole or not there.

    Raises:
        InputError: it cannot be written.
    """
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
        os.close(handle)
        part = Path(name)
        yield part
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}; nothing was written") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
