"""Pieces of music as notes one after the other, by numbers: how long, how high, how loud, how long after the one before.

So Mogren has them (2016, arXiv 1611.09904). Chords are notes with no time between; there is no grid.
"""

# n pieces, T notes

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.scores.score import Metre, Score, as_notes
from genloom.scores.voices import on_grid
from genloom.shapes.score import DOWN, MusicShape, rolls, steps_of

A4, LOUDEST = 69, 127  # the pitch of 440 Hz, and the largest velocity, as MIDI counts
SHORTEST = 1 / 32  # quarter notes
LENGTH, HEIGHT, LOUDNESS, GAP = range(4)
GRID, AT_ONCE = 4, 8  # of a picture: steps of a quarter note, and voices


@dataclass(frozen=True)
class EventShape(MusicShape):
    """Notes in the order of their starts `[T, 4]`: length and time since the one before in quarter notes, octaves above 440
    Hz, and loudness from 0 to 1.

    Attributes:
        notes: of an example.
        low, high: the lowest and the highest pitch, as MIDI counts.
        tempo: quarter notes a minute, of most pieces.
        beats, part: of the metre that most pieces have.
    """

    kind: ClassVar[str] = "events"
    form: ClassVar[Any] = {
        "classes?": [str],
        "notes": int,
        "low": int,
        "high": int,
        "tempo?": (int, float),
        "beats?": int,
        "part?": int,
    }
    notes: int = 100
    low: int = 0
    high: int = 127
    tempo: float = 100.0
    beats: int = 4
    part: int = 4

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.notes, 4)

    def describe(self) -> str:
        return f"{self.notes} notes one after the other"

    def encode(self, values: Any) -> Tensor:
        """Return a piece as numbers `[T, 4]`; of notes that begin together the highest comes first."""
        notes = values.notes[np.lexsort((-values.notes["pitch"], values.notes["start"]))]
        gap = np.diff(notes["start"], prepend=notes["start"][:1])
        columns = notes["length"], (notes["pitch"] - A4) / 12, notes["velocity"] / LOUDEST, gap
        return torch.as_tensor(np.stack(columns, 1)).float()

    def decode(self, samples: Tensor) -> list[Score]:
        """Return numbers `[n, T, 4]` as notes: the nearest pitches within the range, none shorter than a 32nd of a beat."""
        return [self.score(each, f"piece {i + 1}") for i, each in enumerate(samples.double().numpy())]

    def score(self, events: Any, name: str) -> Score:
        """Return a piece `[T, 4]` as notes."""
        start = np.cumsum(events[:, GAP].clip(0))
        pitch = np.round(events[:, HEIGHT] * 12 + A4).clip(self.low, self.high).astype(int)
        loud = np.round(events[:, LOUDNESS] * LOUDEST).clip(1, LOUDEST).astype(int)
        length = events[:, LENGTH].clip(SHORTEST)
        rows = zip(start.tolist(), length.tolist(), pitch.tolist(), loud.tolist(), [0] * len(start), strict=True)
        return Score(as_notes(rows), ("piece",), self.tempo, Metre(self.beats, self.part), name=name)

    def drawing(self, samples: Tensor, zoom: int | None = None) -> Any:
        pieces = [on_grid(score, GRID, AT_ONCE) for score in self.decode(samples[:DOWN])]
        return rolls(pieces, self.low, self.high, steps_of(Metre(self.beats, self.part), GRID), zoom)
