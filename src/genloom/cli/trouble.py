"""Telling one kind of failure from another."""

from __future__ import annotations


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the processor or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return "not enough memory" in text or "can't allocate memory" in text or "out of memory" in text
