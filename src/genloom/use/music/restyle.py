"""A piece of a person's own in another style."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from genloom.core.capabilities import Restyles
from genloom.core.model import Model
from genloom.errors import InputError, nearest
from genloom.scores.keys import key_of
from genloom.scores.midi import read_midi
from genloom.scores.score import Score
from genloom.scores.voices import at_once
from genloom.shapes.styles import StyleShape
from genloom.use.music.compose import within


def style_of(shape: StyleShape, to: str | None) -> int:
    """Return the place of a style by its name; of the second where none is named."""
    if to is None:
        return 1
    if to not in shape.classes:
        raise InputError(f"no style {to!r}{nearest(to, shape.classes)}: the run knows {' and '.join(shape.classes)}")
    return shape.classes.index(to)


def restyle(model: Model, path: Path, to: str | None) -> Score:
    """Return a piece in another style, as long as it was and at its tempo.

    Raises:
        InputError: the model restyles nothing, there is no such style, or the piece lies beyond what the run knows; or
            nothing is left of it.
    """
    if not isinstance(model, Restyles) or not isinstance(model.shape, StyleShape):
        raise InputError(f"{type(model).__name__} turns no piece of music into another: music_cyclegan does")
    shape, place = model.shape, style_of(model.shape, to)
    score = within(read_midi(path)[0], shape, path)
    wide = replace(
        shape, voices=tuple(map(str, range(int(at_once(score, shape.grid).max()))))
    )  # so that no note is left out
    made = shape.of_roll(model.restyle(wide.encode(score), place), tempo=score.tempo, metre=score.metre)
    if not len(made.notes):
        raise InputError(f"nothing is left of {path} as {shape.classes[place]}: train for longer")
    made.key, made.lasts = key_of(made.notes), score.length
    return made
