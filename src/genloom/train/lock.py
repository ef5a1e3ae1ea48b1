"""The lock of a run folder, so that two processes do not train one run."""

from __future__ import annotations

import errno
import os
import time
import warnings
from pathlib import Path
from typing import Any

from genloom.errors import InputError, Notice

PATIENCE = 120  # seconds that a restarted group of processes waits for the lock of a dead node to go


class Lock:
    """A lock that the kernel undoes when the process dies. Windows has none such, and knows no lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: Any = None

    def take(self) -> None:
        """Lock the folder until `release`.

        Raises:
            InputError: another process trains it.
            OSError: the folder cannot be written.
        """
        try:
            import fcntl
        except ImportError:
            return
        patience = time.monotonic() + (PATIENCE if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0)
        try:
            # Not to wait where the name is a pipe's.
            self.file = os.fdopen(os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666), "w")
            while not self.locked(fcntl):
                if time.monotonic() >= patience:
                    raise InputError(
                        f"{self.folder} is being trained by another process; wait for it or name another folder"
                    )
                time.sleep(1)
        except (OSError, InputError):
            self.release()
            raise

    def locked(self, fcntl: Any) -> bool:
        """Try to lock the folder; False where another process holds it. Some file systems of clusters know no locks."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
            text = f"{self.folder} lies on a file system without locks: do not train it twice at once"
            warnings.warn(text, Notice, stacklevel=2)
        return True

    def release(self) -> None:
        """Let other processes train here."""
        if self.file is not None:
            self.file.close()
            self.file = None
