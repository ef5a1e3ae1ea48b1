"""Notes of pieces one after the other, as a data set: examples are so many notes in a row."""

# N notes of all pieces, n examples, T notes of an example

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from genloom.data.music.dataset import ScoreData
from genloom.data.music.load import ScoreSource
from genloom.errors import InputError
from genloom.placing import has_room, there
from genloom.shapes.base import Shape
from genloom.shapes.events import GAP, EventShape

NOTES, APART = 100, 10  # notes of an example, and from the beginning of one to that of the next
FEW = 0.1  # share of the pieces that may have fewer notes


@dataclass
class EventData:
    """Notes of pieces.

    Attributes:
        x: of all pieces that are trained on, one after the other `[N, 4]`.
        starts: where examples begin `[n]`.
        music: the same pieces on a grid, those held out among them.
    """

    x: Tensor
    starts: Tensor
    shape: EventShape
    music: ScoreData
    source: str
    fingerprint: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.starts)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return examples `x [n, T, 4]`; the first note of each comes after no time."""
        begin = self.starts[there(indices["x"], self.starts)]
        x = self.x[begin[:, None] + torch.arange(self.shape.notes, device=begin.device)]
        x[:, 0, GAP] = 0
        return {"x": x}

    def quarters(self) -> Tensor:
        """Return how many quarter notes each example lasts, until its last note begins `[n]`."""
        until = self.x[:, GAP].cumsum(0)
        return until[self.starts + self.shape.notes - 1] - until[self.starts]

    def to(self, device: torch.device) -> EventData:
        """Return the notes on a GPU that has room for them; elsewhere they stay."""
        if not has_room(device, 2 * self.x.nbytes):
            return self
        return replace(self, x=self.x.to(device), starts=self.starts.to(device))


class EventSource(ScoreSource):
    """The same files, as notes one after the other."""

    def shape(self) -> EventShape:  # type: ignore[override]
        """Return what an example is."""
        own = self.data.shape
        pitches = [int(end) for score in self.scores for end in (score.notes["pitch"].min(), score.notes["pitch"].max())]
        counts = [len(score.notes) for score in self.scores[: self.data.trained]]
        notes = self.options.steps or max(2, min(NOTES, int(np.quantile(counts, FEW))))
        return EventShape((), notes, min(pitches), max(pitches), own.tempo, own.beats, own.part)

    def load(self, shape: Shape | None = None) -> EventData:  # type: ignore[override]
        """Return the notes; InputError where no piece has as many as an example."""
        shape = self.shape()
        parts = [shape.encode(score) for score in self.scores[: self.data.trained]]
        starts: list[int] = []
        at = 0
        for part in parts:
            starts += range(at, at + len(part) - shape.notes + 1, APART)
            at += len(part)
        if not starts:
            most = max(map(len, parts))
            raise InputError(
                f"{self.name}: an example has {shape.notes} notes one after the other, and no piece has more than {most}"
            )
        x = torch.cat(parts)
        digest = hashlib.blake2b(x.numpy().tobytes() + str((shape, starts)).encode(), digest_size=16).hexdigest()
        long = sum(len(part) >= shape.notes for part in parts)
        notes = [
            f"{long:,} of {len(parts):,} pieces have {shape.notes} notes or more, which an example takes",
            *self.data.notes,
        ]
        return EventData(x, torch.tensor(starts), shape, self.data, self.name, digest, notes)
