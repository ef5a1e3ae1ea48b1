"""Notes on a grid of even steps, one at a time in each of a few voices; and back."""

# T steps, V voices

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genloom.scores.score import Notes, Score, as_notes

Steps = np.ndarray[Any, np.dtype[np.int64]]
Bits = np.ndarray[Any, np.dtype[np.bool_]]
SILENT = -1
LOUD = 80  # the velocity of notes that come from a grid
HALF_A_STEP = 1e-6  # what a start may be off and still count as half a step


@dataclass
class Voices:
    """A piece on a grid.

    Attributes:
        pitch: what sounds in each voice `[T, V]`, -1 where nothing does.
        struck: whether it begins there `[T, V]`, and is not held from the step before.
        left: notes that found no voice, for all were taken.
    """

    pitch: Steps
    struck: Bits
    left: int = 0

    @property
    def sounds(self) -> Bits:
        """Where something sounds `[T, V]`."""
        return self.pitch >= 0


def on_grid(score: Score, grid: int, voices: int) -> Voices:
    """Return a piece in so many steps a quarter note and so many voices, the highest first.

    Starts and ends go to the nearest step; a note keeps one step at least. Voices of the file are kept where each has one
    note at a time and there are not too many; else notes that begin together go to free voices in the order of their pitch,
    so as to be near to what these had before.
    """
    notes = score.notes
    begin = np.floor(notes["start"] * grid + 0.5 + HALF_A_STEP).astype(np.int64)
    end = np.maximum(np.floor((notes["start"] + notes["length"]) * grid + 0.5 + HALF_A_STEP).astype(np.int64), begin + 1)
    found = Voices(np.full((int(end.max(initial=0)), voices), SILENT, np.int64), np.zeros((0, voices), bool))
    found.struck = np.zeros(found.pitch.shape, bool)
    own = own_voices(notes, begin, end, voices)
    free_at, last = np.zeros(voices, np.int64), np.full(voices, np.nan)
    order = np.lexsort((-notes["pitch"], begin))
    for together in np.split(order, np.flatnonzero(np.diff(begin[order])) + 1):
        if own is not None:
            places: list[int | None] = [own[int(notes["voice"][i])] for i in together]
        else:
            free = np.flatnonzero(free_at <= begin[together[0]])
            places = matched(notes["pitch"][together], free, last)
        for i, place in zip(together, places, strict=True):
            if place is None:
                found.left += 1
                continue
            found.pitch[begin[i] : end[i], place] = notes["pitch"][i]
            found.struck[begin[i], place] = True
            free_at[place], last[place] = end[i], notes["pitch"][i]
    return found


def own_voices(notes: Notes, begin: Steps, end: Steps, most: int) -> dict[int, int] | None:
    """Return the place of each voice of a file, the highest first; None where a voice has two notes at once."""
    parts = np.unique(notes["voice"])
    if len(parts) > most:
        return None
    for part in parts:
        chosen = np.flatnonzero(notes["voice"] == part)
        chosen = chosen[np.argsort(begin[chosen], kind="stable")]
        if (begin[chosen][1:] < end[chosen][:-1]).any():
            return None
    order = sorted(parts, key=lambda part: -float(notes["pitch"][notes["voice"] == part].mean()))
    return {int(part): place for place, part in enumerate(order)}


def matched(pitches: Steps, free: Steps, last: Any) -> list[int | None]:
    """Return a free voice for each pitch, both high first and neither order crossed, with the least motion in all.

    Where there are fewer voices than pitches the lowest and the highest go first; one that has not sounded moves nowhere.
    """
    n, m = len(pitches), len(free)
    if n > m:
        kept = [*range((m + 1) // 2), *range(n - m // 2, n)]
        found: list[int | None] = [None] * n
        for i, place in zip(kept, free, strict=True):
            found[i] = int(place)
        return found
    cost = np.zeros((n + 1, m + 1))  # of the first pitches in the first voices
    cost[1:, 0] = np.inf
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            gap = np.nan_to_num(abs(last[free[j - 1]] - pitches[i - 1]))
            cost[i, j] = min(cost[i - 1, j - 1] + gap, cost[i, j - 1])
    found, i, j = [None] * n, n, m
    while i:
        if cost[i, j] == cost[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found[i] = int(free[j])
    return found


def off_grid(found: Voices, grid: int, names: tuple[str, ...] = (), **said: Any) -> Score:
    """Return the notes of a piece on a grid; `said` are other attributes of the score."""
    rows = []
    for voice in range(found.pitch.shape[1]):
        pitch, struck = found.pitch[:, voice], found.struck[:, voice]
        edges = np.flatnonzero(struck | (np.diff(pitch, prepend=SILENT) != 0))
        for begin, end in zip(edges, [*edges[1:], len(pitch)], strict=True):
            if pitch[begin] >= 0:
                rows.append((begin / grid, (end - begin) / grid, int(pitch[begin]), LOUD, voice))
    return Score(as_notes(rows), names, **said)
