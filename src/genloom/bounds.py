"""Which numbers make sense, in one place: the same for the command line, for Python and in a dry run."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from genloom.errors import InputError

WHOLE = {  # option: least, most
    "n": (1, 10**9),
    "examples": (1, 2**53),
    "batch": (1, 2**20),
    "micro": (1, 2**20),
    "size": (1, 2**14),
    "threads": (1, 1024),
    "processes": (1, 1024),
    "save_examples": (1, 2**53),
    "report_examples": (1, 2**53),
    "frames": (1, 10_000),
    "rows": (1, 1000),
    "draws": (0, 100),
    "unlabelled": (0, 10**7),
    "seeds": (1, 1000),
    "scale": (1, 64),
    "width": (1, 4096),
    "window": (1, 100_000),
    "grid": (1, 48),
    "voices": (1, 16),
    "steps": (2, 4096),
    "least": (1, 10**6),
    "epochs": (1, 10_000),
    "port": (0, 65_535),
    "queue": (1, 100_000),
    "count": (1, 1000),
    "seed": (-(2**63), 2**63 - 1),
}
DIGITS = 20  # of a number, with its sign: the longest that any option takes


def whole(name: str, value: Any) -> int:
    """Return the value of an option as a whole number; InputError where it is none, or lies outside its bounds."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{flag(name)} takes a whole number, got {short(value)}")
    (low, high), value = WHOLE[name], int(value)
    if low <= value <= high:
        return value
    if name == "seed":
        raise InputError(f"--seed takes a number of at most 63 bits, got {short(value)}")
    bounds = f"from {low} on" if value < low else f"of at most {high:,}"
    raise InputError(f"{flag(name)} takes a number {bounds}, got {short(value)}")


def above_zero(name: str, value: float) -> None:
    """Raise InputError where an option is no finite number above zero; not-a-number is refused too."""
    if not 0 < value < float("inf"):
        raise InputError(f"{flag(name)} takes a number above 0, got {value}")


def numeral(text: str) -> int | None:
    """Return the number that plain digits write, None for any other text: `²` and 5,000 digits are none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS else None


def flag(name: str) -> str:
    """Return how the command line calls an option."""
    return f"-{'' if len(name) == 1 else '-'}{name.replace('_', '-')}"


def short(value: Any, most: int = 60) -> str:
    """Return a value as a sentence shows it, cut where it is long."""
    if isinstance(value, str):
        return repr(cut(value, most))
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to write out thousands of digits
        return f"a number of {value.bit_length():,} bits"
    return cut(repr(value), most)


def cut(text: str, most: int) -> str:
    """Return text, its end left out where it is long."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
