"""Notes on a grid of even steps, one at a time in each of a few voices; and back."""

# T steps, V voices

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
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
    begin, end = steps_of_notes(score, grid)
    found = Voices(np.full((int(end.max(initial=0)), voices), SILENT, np.int64), np.zeros((0, voices), bool))
    found.struck = np.zeros(found.pitch.shape, bool)
    own = own_voices(notes, begin, end, voices)
    order = np.lexsort((-notes["pitch"], begin))
    rows = list(zip(*(each[order].tolist() for each in (begin, end, notes["pitch"], notes["voice"])), strict=True))
    free_at, last = [0] * voices, [None] * voices
    for first, together in groupby(rows, key=itemgetter(0)):
        chord = list(together)
        if own is not None:
            places: list[int | None] = [own[voice] for *_, voice in chord]
        else:
            free = [place for place in range(voices) if free_at[place] <= first]
            places = matched([pitch for _, _, pitch, _ in chord], free, last)
        for (_, until, pitch, _), place in zip(chord, places, strict=True):
            if place is None:
                found.left += 1
                continue
            found.pitch[first:until, place] = pitch
            found.struck[first, place] = True
            free_at[place], last[place] = until, pitch
    return found


def steps_of_notes(score: Score, grid: int) -> tuple[Steps, Steps]:
    """Return the steps at which notes begin and end `[n]`, the nearest ones, one apart at least."""
    begin, end = score.notes["start"], score.notes["start"] + score.notes["length"]
    first, last = (np.floor(at * grid + 0.5 + HALF_A_STEP).astype(np.int64) for at in (begin, end))
    return first, np.maximum(last, first + 1)


def at_once(score: Score, grid: int) -> Steps:
    """Return how many notes sound at each step `[T]`."""
    begin, end = steps_of_notes(score, grid)
    change = np.zeros(int(end.max(initial=0)) + 1, np.int64)
    np.add.at(change, begin, 1)
    np.add.at(change, end, -1)
    return change.cumsum()[:-1]


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


def matched(pitches: Sequence[int], free: Sequence[int], last: Sequence[int | None]) -> list[int | None]:
    """Return a free voice for each pitch, both high first and neither order crossed, with the least motion in all.

    Where there are fewer voices than pitches the lowest and the highest go first; one that has not sounded moves nowhere.
    """
    n, m = len(pitches), len(free)
    if n >= m:
        kept = [*range((m + 1) // 2), *range(n - m // 2, n)]
        found: list[int | None] = [None] * n
        for i, place in zip(kept, free, strict=True):
            found[i] = place
        return found
    best = [0.0] * (m + 1)  # the least motion of the pitches so far in the first voices
    ways = []
    for pitch in pitches:
        row, way = [math.inf], [False]
        for j, place in enumerate(free):
            was = last[place]
            taken = best[j] + (abs(was - pitch) if was is not None else 0.0)
            row.append(min(taken, row[j]))
            way.append(taken < row[j])
        best = row
        ways.append(way)
    found, j = [None] * n, m
    for i in reversed(range(n)):
        while not ways[i][j]:
            j -= 1
        j -= 1
        found[i] = free[j]
    return found


def skyline(score: Score, grid: int) -> Voices:
    """Return the highest note of each step of a piece as one voice; what is below a higher one is left out."""
    begin, end = steps_of_notes(score, grid)
    steps = int(end.max(initial=0))
    found = Voices(np.full((steps, 1), SILENT, np.int64), np.zeros((steps, 1), bool))
    owner = np.full(steps, -1)
    for i in np.lexsort((begin, score.notes["pitch"])):  # the higher ones come last
        found.pitch[begin[i] : end[i], 0] = score.notes["pitch"][i]
        owner[begin[i] : end[i]] = i
    found.struck[:, 0] = (owner >= 0) & (np.diff(owner, prepend=-1) != 0)
    found.left = len(score.notes) - len(np.unique(owner[owner >= 0]))
    return found


def off_grid(found: Voices, grid: int, names: tuple[str, ...] = (), **said: Any) -> Score:
    """Return the notes of a piece on a grid; `said` are other attributes of the score."""
    rows = []
    for voice in range(found.pitch.shape[1]):
        pitch, struck = found.pitch[:, voice], found.struck[:, voice]
        edges = np.flatnonzero(struck | (np.diff(pitch, prepend=SILENT) != 0))
        for begin, end in pairwise([*edges, len(pitch)]):
            if pitch[begin] >= 0:
                rows.append((begin / grid, (end - begin) / grid, int(pitch[begin]), LOUD, voice))
    return Score(as_notes(rows), names, **said)
