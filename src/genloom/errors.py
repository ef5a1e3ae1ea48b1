"""The one exception for a person's input: its text is the sentence the command line prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What the person gave cannot be used. The message says what is wrong and what to do.

    The command line prints the message alone and exits with status 2.
    """


class Notice(UserWarning):
    """What a person should know though all goes well. The command line prints it as a sentence, and no other warning."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for a name close to a known one, otherwise the known names."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(known)})" if known else ""
