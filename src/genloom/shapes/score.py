"""Pieces of music on a grid of even steps, a note at a time in each of a few voices."""

# n pieces, T steps, V voices

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.files import replaced
from genloom.scores.midi import midi_of
from genloom.scores.roll import WIDE, roll_picture
from genloom.scores.score import Metre, Notes, Score, as_notes
from genloom.scores.voices import SILENT, Voices, off_grid, on_grid
from genloom.shapes.base import Shape

REST, HELD, FIRST = 0, 1, 2  # codes of a cell: nothing sounds, the note before goes on, the lowest pitch begins
DOWN, BETWEEN = 6, 12  # rolls of a picture, and pixels between them


class MusicShape(Shape):
    """Pieces of music, however they are told, which `decode` gives as scores: how they are written."""

    named: ClassVar[str] = "pieces of music"
    suffixes: ClassVar[tuple[str, ...]] = (".mid", ".png", ".npy", "/")

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write pieces `[n, *dims]`: one after the other (`.mid`), rolls of a few (`.png`), or as numbers (`.npy`)."""
        suffix = path.suffix.lower()
        if suffix == ".png":
            return self.drawing(torch.cat(list(parts)), zoom).save(path, "PNG")
        if suffix == ".npy":
            return super().write(parts, n, path)
        scores = [score for part in parts for score in self.decode(part)]
        path.write_bytes(midi_of(following(scores, path.stem)))
        return None

    def preview(self, samples: Tensor) -> Any:
        return self.drawing(samples)

    @abstractmethod
    def drawing(self, samples: Tensor, zoom: int | None = None) -> Any:
        """Return the rolls of a few pieces below each other, so many times larger, as a pillow picture."""

    def write_each(self, parts: Iterable[Tensor], folder: Path, zoom: int | None = None) -> None:
        """Write one MIDI file a piece into `folder`."""
        for i, x in enumerate(x for part in parts for x in part):
            with replaced(folder / f"{i:05d}.mid") as path:
                path.write_bytes(midi_of(self.decode(x[None])[0]))


def rolls(pieces: Sequence[Voices], low: int, high: int, bar: int, zoom: int | None = None) -> Any:
    """Return the rolls of a few pieces below each other, as a pillow picture."""
    from PIL import Image

    pictures = [roll_picture(each, low, high, bar, WIDE) for each in pieces[:DOWN]]
    width = max(each.shape[1] for each in pictures)
    parts = []
    for each in pictures:
        parts.append(np.pad(each, ((0, BETWEEN), (0, width - each.shape[1]), (0, 0)), constant_values=255))
    picture = Image.fromarray(np.concatenate(parts)[:-BETWEEN])
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST) if zoom else picture


@dataclass(frozen=True)
class ScoreShape(MusicShape):
    """Steps of music `[T, V]`: in each voice a rest (0), a note held (1), or the pitch that begins there (from 2 on).

    Attributes:
        voices: what they are called, the highest first.
        low, high: the lowest and the highest pitch, as MIDI counts.
        grid: steps of a quarter note.
        window: steps of an example.
        chords: whether the notes of each step begin there, the highest first, and none is held.
        repeats: whether a pitch may begin anew right after itself; else it is held.
        tempo: quarter notes a minute, of most pieces.
        beats, part: of the metre that most pieces have.
    """

    kind: ClassVar[str] = "score"
    form: ClassVar[Any] = {
        "classes?": [str],
        "voices": [str],
        "low": int,
        "high": int,
        "grid": int,
        "window": int,
        "chords?": bool,
        "repeats?": bool,
        "tempo?": (int, float),
        "beats?": int,
        "part?": int,
    }
    voices: tuple[str, ...] = ()
    low: int = 0
    high: int = 127
    grid: int = 4
    window: int = 64
    chords: bool = False
    repeats: bool = True
    tempo: float = 100.0
    beats: int = 4
    part: int = 4

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.window, len(self.voices))

    @property
    def codes(self) -> int:
        """How many codes a cell may have."""
        return FIRST + self.high - self.low + 1

    @property
    def metre(self) -> Metre:
        return Metre(self.beats, self.part)

    @property
    def bar(self) -> int:
        """Steps of a bar of the usual metre."""
        return steps_of(self.metre, self.grid)

    def describe(self) -> str:
        what = "chords" if self.chords else "voices"
        return f"{self.window} steps of {len(self.voices)} {what}, {self.grid} steps a quarter note"

    # -- coding ------------------------------------------------------------------------------------

    def encode(self, values: Any) -> Tensor:
        """Return a piece, as notes or on its grid, as codes `[T, V]`; pitches beyond the range are an octave or more off."""
        found = on_grid(values, self.grid, len(self.voices)) if isinstance(values, Score) else values
        pitch = found.pitch + 12 * np.where(found.pitch < self.low, -(-(self.low - found.pitch) // 12), 0)
        pitch = pitch - 12 * np.where(pitch > self.high, -(-(pitch - self.high) // 12), 0)
        if self.chords:  # the highest first, rests after all of them
            pitch = -np.sort(-np.where(found.sounds, pitch, SILENT), axis=1)
            return torch.as_tensor(np.where(pitch >= 0, FIRST + pitch - self.low, REST))
        return torch.as_tensor(np.where(found.sounds, np.where(found.struck, FIRST + pitch - self.low, HELD), REST))

    def held(self, codes: Tensor) -> Tensor:
        """Return codes `[T, V]` as a model takes them: where no pitch may begin right after itself, it is held."""
        if self.repeats or self.chords:
            return codes
        now = torch.as_tensor(self.on_grid(codes).pitch)
        again = (codes[1:] >= FIRST) & (now[1:] == now[:-1])
        return torch.cat([codes[:1], torch.where(again, HELD, codes[1:])])

    def decode(self, samples: Tensor) -> list[Score]:
        """Return codes `[n, T, V]` as notes; a note that is held after a rest is a rest."""
        return [self.score(self.on_grid(codes), f"piece {i + 1}") for i, codes in enumerate(samples)]

    def on_grid(self, codes: Tensor) -> Voices:
        """Return codes `[T, V]` as a piece on the grid."""
        codes = codes.cpu().long()
        now = sounding(codes).numpy()
        return Voices(np.where(now >= FIRST, now - FIRST + self.low, SILENT), (codes >= FIRST).numpy())

    def score(self, found: Voices, name: str) -> Score:
        """Return a piece on the grid as notes."""
        return off_grid(found, self.grid, self.voices, tempo=self.tempo, metre=self.metre, name=name)

    def drawing(self, samples: Tensor, zoom: int | None = None) -> Any:
        return rolls([self.on_grid(codes) for codes in samples[:DOWN]], self.low, self.high, self.bar, zoom)


def sounding(codes: Tensor) -> Tensor:
    """Return codes `[..., T, V]` with each held note as one that begins: what sounds at each step."""
    rows = torch.arange(codes.shape[-2], device=codes.device)[:, None]
    last = torch.where(codes != HELD, rows, 0)
    now = codes.gather(-2, largest_yet(last))  # the last step that is not held says it
    return torch.where(now >= FIRST, now, REST)


def largest_yet(x: Tensor) -> Tensor:
    """Return the running maximum `[..., T, V]` of numbers from 0 on, over steps."""
    if not torch.compiler.is_exporting():
        return x.cummax(-2).values
    reach = 1
    while reach < x.shape[-2]:  # for graphs, which know no running maximum
        x = torch.maximum(x, F.pad(x[..., :-reach, :], (0, 0, reach, 0)))
        reach *= 2
    return x


def steps_of(metre: Metre, grid: int) -> int:
    """Return the steps of a bar, one at least."""
    return max(1, round(metre.quarters * grid))


def following(scores: list[Score], name: str) -> Score:
    """Return pieces one after the other, each from the beginning of a bar on, with a bar of rest between."""
    parts: list[Notes] = []
    now = 0.0
    for score in scores:
        notes = score.notes.copy()
        notes["start"] += now
        parts.append(notes)
        bar = (score.metre or Metre()).quarters
        now += (int(np.ceil(score.length / bar)) + 1) * bar
    first = scores[0]
    return Score(
        as_notes(map(tuple, np.concatenate(parts).tolist())), first.voices, first.tempo, first.metre, first.key, name
    )
