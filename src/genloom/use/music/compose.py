"""New pieces from a run, and how a person's piece may go on: what is asked of them holds, or a sentence says why not."""

# n pieces, T steps, V voices

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Composes
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError, nearest
from genloom.files import check_writable, replaced
from genloom.scores.audio import wav_of
from genloom.scores.keys import key_of
from genloom.scores.midi import midi_of, read_midi
from genloom.scores.roll import roll_picture
from genloom.scores.score import Key, Score
from genloom.scores.voices import on_grid, skyline
from genloom.shapes.score import FIRST, ScoreShape

ATTEMPTS = 40  # times that a piece is drawn anew until it is what was asked for
MOST_BARS, MOST_PIECES = 1000, 1000
COLDEST, HOTTEST = 0.05, 20.0


@dataclass
class Wish:
    """What is asked of pieces.

    Attributes:
        bars: how many each has, of the metre that most of the training music has.
        key: that it is in, as `key_of` finds it; `density`, low, medium or high; `composer`, a class of the training data.
    """

    bars: int = 16
    key: Key | None = None
    density: str | None = None
    composer: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is told to the model."""
        return {name: value for name in ("key", "density", "composer") if (value := getattr(self, name)) is not None}


def composer_of(model: Model) -> tuple[Composes, ScoreShape]:
    """Return a model that composes, and its shape; InputError for another."""
    if not isinstance(model, Composes) or not isinstance(model.shape, ScoreShape):
        other = {"events": "`genloom sample` draws from it", "styles": "`genloom translate` turns a piece of yours"}
        does = other.get(model.shape.kind, "`music` does, trained on MIDI files")
        raise InputError(f"{type(model).__name__} composes no pieces of so many bars: {does}")
    return model, model.shape


def compose(
    model: Model, n: int, wish: Wish, seed: int = 0, temperature: float = 1.0, known: Tensor | None = None
) -> list[Score]:
    """Return pieces, each of exactly so many bars and with what is asked for.

    Each is drawn anew until it has the density and the mode that are asked for, then moved to the key.

    Args:
        known: codes of their beginning `[T, V]`, which stays as it is.

    Raises:
        InputError: what is asked for is not there, or does not come.
    """
    composes, shape = composer_of(model)
    if not 1 <= wish.bars <= MOST_BARS:
        raise InputError(f"--bars takes from 1 to {MOST_BARS:,}, got {wish.bars:,}")
    if not 1 <= n <= MOST_PIECES:
        raise InputError(f"-n takes from 1 to {MOST_PIECES:,} pieces, got {n:,}")
    check_heat(temperature)
    steps = wish.bars * shape.bar
    if known is not None and len(known) >= steps:
        raise InputError(
            f"the beginning has {-(-len(known) // shape.bar):,} bars, and the whole is to have {wish.bars:,}: ask for more "
            "--bars"
        )
    found: list[Tensor | None] = [None] * n
    for attempt in range(ATTEMPTS):
        left = [i for i, each in enumerate(found) if each is None]
        if not left:
            break
        own = Noise.of(seed, n, start=attempt * MOST_PIECES).of_rows(left)
        begun = None if known is None else shape.held(known).expand(len(left), -1, -1)
        drawn = composes.compose(len(left), steps, wish.given, temperature, own, begun)
        for i, codes in zip(left, drawn, strict=True):
            if known is not None:
                codes[: len(known)] = known  # with the notes that the run would have held
            found[i] = settled(codes, composes, shape, wish, known is not None)
    pieces = [each for each in found if each is not None]
    if len(pieces) < n:
        raise InputError(
            f"{n - len(pieces):,} of {n:,} pieces did not come out as asked for in {ATTEMPTS} attempts ({said(wish)}): ask "
            "for less, or train for longer"
        )
    scores = shape.decode(torch.stack(pieces))
    for score in scores:
        score.key, score.lasts = wish.key or key_of(score.notes), wish.bars * shape.metre.quarters
    return scores


def harmonise(
    model: Model, melody: Path, voice: str | None, n: int, wish: Wish, seed: int = 0, temperature: float = 1.0
) -> list[Score]:
    """Return a melody with the other voices of a run around it; the melody stays as it is.

    Args:
        voice: which one the melody is; the first where None.

    Raises:
        InputError: the run has one voice or none of that name, or the melody lies beyond its range.
    """
    composes, shape = composer_of(model)
    names = shape.voices
    if len(names) < 2 or shape.chords:
        raise InputError("this run knows no separate voices to add to a melody")
    if voice is not None and voice not in names:
        raise InputError(f"no voice {voice!r}{nearest(voice, names)}: the run has {', '.join(names)}")
    if not 1 <= n <= MOST_PIECES:
        raise InputError(f"-n takes from 1 to {MOST_PIECES:,} pieces, got {n:,}")
    check_heat(temperature)
    score = within(read_midi(melody)[0], shape, melody)
    told = replace(shape, voices=(voice or names[0],)).encode(skyline(score, shape.grid))
    if len(told) > MOST_BARS * shape.bar:
        raise InputError(f"{melody} is longer than {MOST_BARS:,} bars: give a part of it")
    known = torch.full((len(told), len(names)), -1)
    place = names.index(voice) if voice else 0
    known[:, place] = shape.held(told)[:, 0]
    drawn = composes.harmonise(known, n, wish.given, temperature, Noise.of(seed, n))
    drawn[..., place] = told[:, 0]  # with the notes that the run would have held
    scores = shape.decode(drawn)
    for each in scores:
        each.key, each.tempo = key_of(each.notes), score.tempo
    return scores


def within(score: Score, shape: ScoreShape, path: Path) -> Score:
    """Return a person's piece; InputError where it lies beyond what a run knows."""
    low, high = int(score.notes["pitch"].min()), int(score.notes["pitch"].max())
    if low < shape.low or high > shape.high:
        raise InputError(
            f"{path} has pitches from {low} to {high}, and the run knows those from {shape.low} to {shape.high}: "
            "transpose it"
        )
    return score


def settled(codes: Tensor, composes: Composes, shape: ScoreShape, wish: Wish, begun: bool) -> Tensor | None:
    """Return a piece `[T, V]` in the key that is asked for; None where it is not what is asked for, or nothing sounds."""
    score = shape.decode(codes[None])[0]
    if not len(score.notes):
        return None
    if wish.density is not None and composes.density_of_piece(codes) != wish.density:
        return None
    if wish.key is None:
        return codes
    own = key_of(score.notes)
    if own.minor != wish.key.minor or (begun and own.tonic != wish.key.tonic):
        return None
    up = (wish.key.tonic - own.tonic + 6) % 12 - 6
    for shift in (up, up + 12 if up < 0 else up - 12):
        moved = torch.where(codes >= FIRST, codes + shift, codes)
        pitched = moved[codes >= FIRST]
        fits = int(pitched.min()) >= FIRST and int(pitched.max()) < shape.codes
        if fits and shows(moved, shape, wish.key):
            return moved
    return None


def shows(codes: Tensor, shape: ScoreShape, key: Key) -> bool:
    """Whether a piece `[T, V]` is in a key, as `key_of` finds it."""
    found = key_of(shape.decode(codes[None])[0].notes)
    return (found.tonic, found.minor) == (key.tonic, key.minor)


def check_heat(temperature: float) -> None:
    """Raise InputError for a temperature by which nothing or anything would be drawn."""
    if not COLDEST <= temperature <= HOTTEST:
        raise InputError(f"--temperature takes from {COLDEST:g} to {HOTTEST:g}, got {temperature:g}")


def said(wish: Wish) -> str:
    """Say what is asked for."""
    return ", ".join(f"{name} {value}" for name, value in wish.given.items()) or "a piece with notes"


def beginning(model: Model, start: Path) -> tuple[Tensor, float]:
    """Return the codes `[T, V]` of a person's piece, moved to the grid of a run, and its tempo.

    Raises:
        InputError: it has more notes at once than the run has voices, or pitches beyond what the run knows.
    """
    _, shape = composer_of(model)
    score = within(read_midi(start)[0], shape, start)
    found = on_grid(score, shape.grid, len(shape.voices))
    if found.left:
        raise InputError(
            f"{start} has more notes at once than the run's {len(shape.voices)} voices: {found.left:,} would be left out"
        )
    return shape.encode(found), score.tempo


def write(scores: list[Score], out: Path, shape: ScoreShape, wav: bool = False, png: bool = False) -> list[str]:
    """Write pieces as MIDI, several with a number each, and their sound and rolls beside; return what was written.

    Raises:
        InputError: the name is not one of a MIDI file, or cannot be written.
    """
    if out.suffix.lower() not in (".mid", ".midi"):
        raise InputError(f"music is written as MIDI: -o takes a name that ends with .mid, got {str(out)!r}")
    width = len(str(len(scores)))
    numbered = [out.with_name(f"{out.stem}-{i + 1:0{width}d}{out.suffix}") for i in range(len(scores))]
    names = [out] if len(scores) == 1 else numbered
    suffixes = [out.suffix, *([".wav"] if wav else []), *([".png"] if png else [])]
    check_writable(*(name.with_suffix(suffix) for name in names for suffix in suffixes))
    lines = []
    sounds = [wav_of(score) for score in scores] if wav else []
    for i, (score, name) in enumerate(zip(scores, names, strict=True)):
        score.name = name.stem
        with replaced(name) as path:
            path.write_bytes(midi_of(score))
        lines.append(str(name))
        if wav:
            content, player = sounds[i]
            with replaced(name.with_suffix(".wav")) as path:
                path.write_bytes(content)
            lines.append(f"{name.with_suffix('.wav')}, played by {player}")
        if png:
            from PIL import Image

            found = shape.on_grid(shape.encode(score))
            with replaced(name.with_suffix(".png")) as path:
                Image.fromarray(roll_picture(found, shape.low, shape.high, shape.bar)).save(path, "PNG")
            lines.append(str(name.with_suffix(".png")))
    return lines
