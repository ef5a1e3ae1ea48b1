"""How much of a piece is another's: the longest run of intervals and onsets that both have, whatever the key."""

# T steps, V voices

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from genloom.scores.voices import Voices

Tokens = np.ndarray[Any, np.dtype[np.int64]]


def melodies(found: Voices) -> list[list[Hashable]]:
    """Return of each voice from note to note: by how many semitones it moves, and after how many steps."""
    lines: list[list[Hashable]] = []
    for v in range(found.pitch.shape[1]):
        begun = np.flatnonzero(found.struck[:, v])
        lines.append(list(zip(np.diff(found.pitch[begun, v]).tolist(), np.diff(begun).tolist(), strict=True)))
    return lines


def passages(found: Voices) -> list[list[Hashable]]:
    """Return of all voices together, wherever one begins: what each does from the lowest on, how that moves, and when."""
    begun = np.flatnonzero(found.struck.any(1))
    pitch, struck = found.pitch[begun], found.struck[begun]
    lowest = np.where(pitch >= 0, pitch, 999).min(1)
    shape = np.where(pitch >= 0, pitch - lowest[:, None], -1)
    rows = zip(shape.tolist(), struck.tolist(), strict=True)
    told = [(tuple(a), tuple(b)) for a, b in rows]
    return [list(zip(told[1:], np.diff(lowest).tolist(), np.diff(begun).tolist(), strict=True))]


def longest_shared(made: Sequence[Sequence[Hashable]], known: Sequence[Sequence[Hashable]]) -> list[int]:
    """Return of each sequence the length of its longest run that is somewhere in the known ones; exact.

    Runs of one length are numbered, and lengthened by what follows, for as long as some are left.
    """
    numbers: dict[Hashable, int] = {}
    lines = [np.array([numbers.setdefault(each, len(numbers)) for each in line], np.int64) for line in (*made, *known)]
    symbols = np.concatenate([np.append(line, -1) for line in lines] or [np.zeros(0, np.int64)])  # -1 ends a sequence
    owner = np.repeat(np.arange(len(lines)), [len(line) + 1 for line in lines])
    longest = np.zeros(len(made), np.int64)
    rows, run = np.flatnonzero(symbols >= 0), symbols[symbols >= 0]
    length = 1
    while True:
        mine = owner[rows] < len(made)
        both = np.intersect1d(run[mine], run[~mine])
        kept = np.isin(run, both)
        rows, run = rows[kept], run[kept]
        if not len(rows):
            return longest.tolist()
        longest[np.unique(owner[rows][owner[rows] < len(made)])] = length
        following = symbols[rows + length]
        rows, run, following = (each[following >= 0] for each in (rows, run, following))
        run = np.unique(run * (len(numbers) + 1) + following, return_inverse=True)[1]
        length += 1
