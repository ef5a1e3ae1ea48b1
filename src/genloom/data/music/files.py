"""The files of pieces that a person named: MIDI, notation, and JSON with the steps of pieces, as the JSB chorales are."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.music.notation import CORPUS, NOTATION, read_corpus, read_notation
from genloom.errors import InputError
from genloom.reading import content_of, kind_of, named, parse_json, parsing, refuse_large
from genloom.scores.midi import read_midi
from genloom.scores.score import Score
from genloom.scores.voices import SILENT, Voices, off_grid

MIDI, STEPS = (".mid", ".midi", ".smf", ".rmi"), (".json", ".json.gz")
PARTS = {"train": ("train",), "valid": ("valid", "validation"), "test": ("test",)}
LOOKED_AT = 2000  # files of a folder, to find out whether it holds music
MOST_AT_ONCE = 16  # notes of a step
GRIDS = {"16th": 4, "8th": 2, "quarter": 1}  # steps of a quarter note, as files of steps are called
VOICES = ("soprano", "alto", "tenor", "bass")


@dataclass
class Found:
    """Pieces that were read.

    Attributes:
        scores: the pieces; `labels`, of each the folder that it lies in, "" where that is the one that was named.
        held: how many of the last are for measuring alone; None where nobody says.
        grid: steps of a quarter note, where the file has such steps; `chords`, whether each step's notes begin there.
        broken: files that cannot be read, and why.
    """

    scores: list[Score] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    held: int | None = None
    grid: int | None = None
    chords: bool = False
    broken: list[str] = field(default_factory=list)


def holds_music(name: str) -> bool:
    """Whether what a person named is a file of music, or a folder with one, as far as names tell."""
    path, low = named(name), name.lower()
    if low.startswith(CORPUS):
        return True
    if kind_of(path) != "folder":
        return low.endswith((*MIDI, *STEPS, *NOTATION))
    return any(
        child.suffix.lower() in (*MIDI, *NOTATION) for child, _ in zip(path.rglob("*"), range(LOOKED_AT), strict=False)
    )


def read_pieces(name: str, split: str) -> Found:
    """Return the pieces of a file, or of a folder and its sub-folders, each a class; of a file of steps, those of one part.

    Raises:
        InputError: there is nothing of the kind.
    """
    if name.lower().startswith(CORPUS):
        found = Found()
        for composer, scores in read_corpus(name):
            found.scores, found.labels = found.scores + scores, found.labels + [composer] * len(scores)
        return found
    path = named(name)
    kind = kind_of(path)
    if not kind:
        raise InputError(f"no music at {name}: no such file or folder")
    if kind == "file" and name.lower().endswith(STEPS):
        return read_steps(path, split)
    read = (*MIDI, *NOTATION)
    files = [path] if kind == "file" else sorted(child for child in path.rglob("*") if child.suffix.lower() in read)
    if not files:
        raise InputError(f"{name} holds no music: {', '.join((*MIDI[:2], *NOTATION))} files are read")
    found = Found()
    for file in files:
        try:
            scores = (read_notation if file.suffix.lower() in NOTATION else read_midi)(file)
        except InputError as error:
            found.broken.append(str(error))
            continue
        found.scores += scores
        folder = file.parent.relative_to(path).parts if kind == "folder" else ()
        found.labels += [folder[0] if folder else ""] * len(scores)
    return found


def read_steps(path: Path, split: str) -> Found:
    """Return the pieces of a JSON file `{"train": [piece: [step: [pitches]]], ...}`; their last `held` are of `valid`."""
    data = content_of(path)
    if path.name.lower().endswith(".gz"):
        with parsing(path, "a gzip file"):
            stream = gzip.GzipFile(fileobj=io.BytesIO(data))
            data = b"".join(bounded_parts(stream, str(path)))
    content = parse_json(data, path, {"*": [[[(int, float)]]]}, "")
    lists: dict[str, list[Any]] = {
        part: next((content[key] for key in keys if key in content), []) for part, keys in PARTS.items()
    }
    wanted = [*lists["train"], *lists["valid"]] if split == "train" else lists["test"]
    if not wanted:
        raise InputError(f"{path} has no pieces under {split!r}: it has {', '.join(map(repr, content)) or 'nothing'}")
    grid = next((steps for word, steps in GRIDS.items() if word in path.name.lower()), None)
    steps = [step for piece in wanted for step in piece]
    separate = len({len(step) for step in steps}) == 1
    chords = not separate and grid == 1
    width = max(len(step) for step in steps)
    if not 1 <= width <= MOST_AT_ONCE:
        raise InputError(f"{path} has {width} notes in a step; {MOST_AT_ONCE} are the most")
    names = VOICES if width == len(VOICES) and not chords else tuple(f"voice {i + 1}" for i in range(width))
    scores = [score_of(piece, width, grid or 4, names, chords, f"{path.name} {i + 1}") for i, piece in enumerate(wanted)]
    held = len(lists["valid"]) if split == "train" else 0
    return Found(scores, [""] * len(scores), held or None, grid, chords)


def bounded_parts(stream: Any, name: str) -> Iterator[bytes]:
    """Yield what a compressed file holds; InputError once that is more than is held in memory."""
    size = 0
    while part := stream.read(1 << 20):
        size += len(part)
        refuse_large(size, name)
        yield part


def score_of(
    piece: Sequence[Sequence[float]], width: int, grid: int, names: tuple[str, ...], chords: bool, name: str
) -> Score:
    """Return the piece of steps with pitches: where a voice keeps its pitch the note is held, but for chords."""
    pitch = np.full((len(piece), width), SILENT, np.int64)
    for t, step in enumerate(piece):
        notes = [int(note) if 0 <= note <= 127 else SILENT for note in step]
        pitch[t, : len(notes)] = notes if len(step) == width and not chords else sorted(notes, reverse=True)
    before = np.vstack([np.full((1, width), SILENT), pitch[:-1]])
    struck = (pitch >= 0) & ((pitch != before) | chords)
    return off_grid(Voices(pitch, struck), grid, names, name=name)
