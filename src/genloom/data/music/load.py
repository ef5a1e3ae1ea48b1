"""Pieces of music from whatever a person named: read, laid onto one grid, some held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from genloom.data.music.dataset import ScoreData
from genloom.data.music.files import Found, holds_music, read_pieces
from genloom.data.options import Options as AnyOptions
from genloom.data.options import ScoreOptions
from genloom.data.source import Source
from genloom.errors import InputError
from genloom.scores.score import Metre, Score
from genloom.scores.voices import at_once, on_grid
from genloom.shapes.base import Shape
from genloom.shapes.score import ScoreShape, steps_of

GRID, BARS = 4, 4  # steps of a quarter note, and bars of an example, where nobody says
HELD = 5  # one piece in so many is held out
MOST_VOICES, NEARLY_ALL = 8, 0.99  # notes at once where nobody says, and the share of steps that they must do for
MARGIN = 6  # semitones that pieces may be moved by in training, beyond what they have
SHOWN = 3  # reasons that are told
OWN = ("grid", "voices", "steps", "metre")


class ScoreSource(Source):
    """Music in files of MIDI, MusicXML or ABC, one or a folder of them, of music21's composers, or steps in JSON."""

    wanted: ClassVar = "MIDI, MusicXML or ABC files, one or a folder of them"
    Options: ClassVar[type[AnyOptions]] = ScoreOptions
    options: ScoreOptions

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        return bool(given.keys() & set(OWN)) or holds_music(name)

    def shape(self) -> ScoreShape:
        """Return what an example is; all pieces are read for it."""
        return self.data.shape

    def load(self, shape: Shape | None = None) -> ScoreData:
        """Return the pieces."""
        return self.data

    @cached_property
    def found(self) -> Found:
        """The pieces, before they are laid onto a grid.

        Raises:
            InputError: there are none, or files cannot be read and nobody said to leave them out.
        """
        found, options = read_pieces(self.name, self.options.split), self.options
        if found.broken and not options.skip_broken:
            more = f" and {len(found.broken) - SHOWN:,} more" if len(found.broken) > SHOWN else ""
            raise InputError(
                f"of the files {len(found.broken):,} cannot be read: {'; '.join(found.broken[:SHOWN])}{more}; mend them, or "
                "leave them out with --skip-broken"
            )
        if options.metre is not None:
            kept = [i for i, score in enumerate(found.scores) if str(score.metre or Metre()) == options.metre]
            if not kept:
                there = Counter(str(score.metre or Metre()) for score in found.scores)
                raise InputError(
                    f"no piece of {self.name} is in {options.metre}: there are "
                    + ", ".join(f"{count:,} in {metre}" for metre, count in there.most_common(4))
                )
            found.scores, found.labels = [found.scores[i] for i in kept], [found.labels[i] for i in kept]
        if not found.scores:
            why = f": {'; '.join(found.broken[:SHOWN])}" if found.broken else ""
            raise InputError(f"no piece of {self.name} can be read{why}")
        return found

    @cached_property
    def in_order(self) -> tuple[list[Score], list[str], int | None]:
        """The pieces, the labels of each, and how many of the last are held out."""
        found = self.found
        if found.held is None and self.options.split == "train":
            return some_last(found.scores, found.labels)
        return found.scores, found.labels, found.held

    @property
    def scores(self) -> list[Score]:
        """The pieces as notes, those held out at the end."""
        return self.in_order[0]

    def onto(self, shape: ScoreShape) -> ScoreData:
        """Return the pieces on the grid and in the voices of a shape, those beyond its range octaves away; none held out.

        Of composers that the shape does not know nothing is said.
        """
        scores, labels = self.found.scores, self.found.labels
        if not set(labels) <= set(shape.classes):
            shape, labels = replace(shape, classes=()), []
        laid = [shape.on_grid(shape.held(shape.encode(score))) for score in scores]
        places = [shape.classes.index(each) for each in labels] or [0] * len(scores)
        return ScoreData.of(scores, laid, shape, places, 0, self.name)

    @cached_property
    def data(self) -> ScoreData:
        """The pieces on their grid."""
        found, options = self.found, self.options
        scores, labels, held = self.in_order
        grid = options.grid or found.grid or GRID
        voices = voices_of(scores, grid, options.voices)
        laid = [on_grid(score, grid, len(voices)) for score in scores]
        pitches = np.concatenate([score.notes["pitch"] for score in scores])
        metre = Counter(score.metre or Metre() for score in scores).most_common(1)[0][0]
        classes = tuple(sorted(set(labels))) if len(set(labels)) > 1 else ()
        shape = ScoreShape(
            classes=tuple(each or "others" for each in classes),
            voices=voices,
            low=max(int(pitches.min()) - MARGIN, 0),
            high=min(int(pitches.max()) + MARGIN, 127),
            grid=grid,
            window=options.steps or BARS * steps_of(metre, grid),
            chords=found.chords,
            repeats=found.grid is None,
            tempo=float(np.median([score.tempo for score in scores])),
            beats=metre.beats,
            part=metre.part,
        )
        data = ScoreData.of(
            scores, laid, shape, [classes.index(each) if classes else 0 for each in labels], held or 0, self.name
        )
        data.notes += notes_on(scores, found, shape, held or 0, sum(each.left for each in laid))
        return data


def some_last(scores: list[Score], labels: list[str]) -> tuple[list[Score], list[str], int]:
    """Return pieces with every fifth at the end, and how many these are; of fewer than five, none."""
    held = [i for i in range(len(scores)) if i % HELD == HELD - 1]
    order = [i for i in range(len(scores)) if i % HELD != HELD - 1] + held
    return [scores[i] for i in order], [labels[i] for i in order], len(held)


def voices_of(scores: list[Score], grid: int, said: int | None) -> tuple[str, ...]:
    """Return the names of as many voices as nearly all steps need, or as are said."""
    own = {score.voices for score in scores}
    if said is None:
        counts = np.concatenate([at_once(score, grid) for score in scores])
        said = max(1, min(int(np.quantile(counts, NEARLY_ALL)), MOST_VOICES))
    named = next(iter(own)) if len(own) == 1 and len(next(iter(own))) == said else None
    return named or tuple(f"voice {i + 1}" for i in range(said))


def notes_on(scores: list[Score], found: Found, shape: ScoreShape, held: int, left: int) -> list[str]:
    """Say how pieces were read, and what is not there."""
    total = sum(len(score.notes) for score in scores)
    lines = [f"{len(scores) - held:,} pieces to learn from, {held:,} held out; {shape.grid} steps a quarter note"]
    if left:
        lines.append(f"{left:,} of {total:,} notes are left out: more than {len(shape.voices)} at once; --voices takes more")
    off = sum(int((np.abs(score.notes["start"] * shape.grid % 1 - 0.5) < 0.4).sum()) for score in scores)
    if off > total / 50:
        lines.append(f"{off:,} of {total:,} notes begin beside the grid and are moved to it; --grid takes a finer one")
    said = Counter(text.split(" ", 1)[1] if text[0].isdigit() else text for score in scores for text in score.dropped)
    lines += [f"left out, in {count:,} pieces: {text}" for text, count in said.most_common(SHOWN)]
    return lines + [f"left out {text}" for text in found.broken]
