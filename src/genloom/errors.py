"""The one exception for a person's input: its text is the sentence the command line prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral


class InputError(ValueError):
    """What the person gave cannot be used. The message says what is wrong and what to do.

    The command line prints the message alone and exits with status 2.
    """


def refuse_wide_seed(seed: int) -> None:
    """Raise InputError for a seed that torch does not take."""
    if not isinstance(seed, Integral):
        raise InputError(f"seed takes a whole number, got {seed!r}")
    if not -(2**63) <= seed < 2**63:
        raise InputError(f"--seed takes a number of at most 63 bits, got {seed}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for a name close to a known one, otherwise the known names."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(known)})" if known else ""
