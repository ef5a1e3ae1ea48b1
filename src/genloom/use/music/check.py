"""What there is in a person's music: keys, metres, tempi, notes at once, ranges; and rolls of a few pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genloom.data.music.dataset import ScoreData
from genloom.data.music.load import ScoreSource
from genloom.data.options import ScoreOptions
from genloom.files import replaced
from genloom.scores.keys import key_of
from genloom.scores.score import Metre
from genloom.shapes.score import FIRST, REST

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SHOWN, ROLLS = 5, 6  # of each list, and pieces that are drawn
FEW = 20  # pieces below which a word of warning is due


def check(name: str, said: Mapping[str, Any], out: Path) -> list[str]:
    """Look at all pieces of a source, draw the beginnings of some, and return what was found, in sentences.

    Raises:
        InputError: there is no piece that can be read.
    """
    source = ScoreSource(name, ScoreOptions.of({**said, "skip_broken": True}))
    data, scores = source.data, source.found.scores
    pitches = np.concatenate([score.notes["pitch"] for score in scores])
    tempi = [score.tempo for score in scores]
    at_once = (data.x != REST).sum(1)
    shape = data.shape
    lines = [
        f"{len(scores):,} pieces, {len(pitches):,} notes, {sum(score.length for score in scores):,.0f} quarter notes",
        f"keys: {common(str(key_of(score.notes)) for score in scores)}",
        f"metres: {common(str(score.metre or Metre()) for score in scores)}",
        f"tempi: {min(tempi):.0f} to {max(tempi):.0f} quarter notes a minute, in the middle {np.median(tempi):.0f}",
        f"notes at once: {float(at_once.float().mean()):.1f} on average, {int(at_once.max())} at most",
        f"range: {pitch_name(int(pitches.min()))} to {pitch_name(int(pitches.max()))}",
        *ranges(data),
        *data.notes,
    ]
    if shape.classes:
        lines.append(f"by sub-folders: {common(shape.classes[int(label)] for label in data.labels)}")
    if len(scores) < FEW:
        lines.append(f"{len(scores):,} pieces are few: what is composed may be what was learnt by heart")
    rows = torch.linspace(0, len(data) - 1, min(ROLLS, len(data))).round().long()
    with replaced(out) as path:
        shape.drawing(data.batch({"x": rows})["x"], 2).save(path, "PNG")
    lines.append(f"to train: genloom fit music {name} -o runs/music --minutes 30")
    return lines


def ranges(data: ScoreData) -> list[str]:
    """Say the range of each voice on the grid."""
    found = []
    for v, voice in enumerate(data.shape.voices):
        told = data.sounding[:, v]
        told = told[told >= FIRST]
        if len(told):
            low, high = (int(end) - FIRST + data.shape.low for end in (told.min(), told.max()))
            found.append(f"{voice}: {pitch_name(low)} to {pitch_name(high)}")
    return found


def common(values: Any) -> str:
    """Say how often the commonest values come."""
    counts = Counter(values)
    rest = len(counts) - SHOWN
    told = ", ".join(f"{value} {count:,}" for value, count in counts.most_common(SHOWN))
    return told + (f" and {rest:,} more" if rest > 0 else "")


def pitch_name(pitch: int) -> str:
    """Return how a pitch is called: 60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"
