"""Telling one kind of failure from another."""

from __future__ import annotations

import errno


def in_one_sentence(error: BaseException) -> str | None:
    """Return what to do about a failure that the machine gave rise to, None for one that is our own."""
    if out_of_memory(error):
        return (
            "out of memory: hold fewer examples at once with --micro 16 (slower, much the same result) or a smaller --batch"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full, or what the output was sent to: make room, or send it elsewhere"
    if isinstance(error, OSError) and error.filename:
        return f"cannot use {error.filename}: {error.strerror or error}"
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the processor or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return "not enough memory" in text or "can't allocate memory" in text or "out of memory" in text
