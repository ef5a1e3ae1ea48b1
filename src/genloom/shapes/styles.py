"""Pieces of music in two styles, which are not each other's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from genloom.scores.score import Score, as_notes
from genloom.scores.voices import SILENT, Voices, off_grid
from genloom.shapes.score import ScoreShape


@dataclass(frozen=True)
class StyleShape(ScoreShape):
    """A piece as `ScoreShape` has it; the two classes are the styles."""

    kind: ClassVar[str] = "styles"
    named: ClassVar[str] = "pieces of music in two styles"

    def describe(self) -> str:
        return f"{super().describe()}, in two styles"

    def of_roll(self, roll: Tensor, **said: Any) -> Score:
        """Return what sounds and what begins `[2, T, P]` as notes, all in one voice; `said` are attributes of the score."""
        sounds, begins = (each.cpu().numpy() for each in roll.bool())
        pitch = np.where(sounds, np.arange(self.low, self.low + sounds.shape[1]), SILENT)
        before = np.vstack([np.zeros_like(sounds[:1]), sounds[:-1]])
        found = off_grid(Voices(pitch, sounds & (begins | ~before)), self.grid)
        rows = [(float(n["start"]), float(n["length"]), int(n["pitch"]), int(n["velocity"]), 0) for n in found.notes]
        return Score(as_notes(rows), ("piece",), **{"tempo": self.tempo, "metre": self.metre, **said})
