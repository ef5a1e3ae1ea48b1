"""A piece of music as notes, in quarter notes from its beginning."""

# n notes

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genloom.errors import InputError, nearest

NOTE = np.dtype([("start", "f8"), ("length", "f8"), ("pitch", "i8"), ("velocity", "i8"), ("voice", "i8")])
Notes = np.ndarray[Any, np.dtype[np.void]]

# Keys by their signature, from seven flats to seven sharps.
MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")
FLATS = 7  # of the first of them
RELATIVE = 3  # semitones from a major key down to the minor one with the same signature


@dataclass(frozen=True)
class Metre:
    """So many beats a bar, each one such a part of a whole note: 3/4 is three beats of a fourth."""

    beats: int = 4
    part: int = 4

    @property
    def quarters(self) -> float:
        """Quarter notes of a bar."""
        return 4.0 * self.beats / self.part

    def __str__(self) -> str:
        return f"{self.beats}/{self.part}"


@dataclass(frozen=True)
class Key:
    """A key by its signature: sharps above zero, flats below; and whether it is minor."""

    sharps: int = 0
    minor: bool = False

    @property
    def tonic(self) -> int:
        """The pitch class that it rests on, C being 0."""
        return (7 * self.sharps - (RELATIVE if self.minor else 0)) % 12

    @classmethod
    def of(cls, name: str) -> Key:
        """Return the key of a name such as G, Bb or F#m; InputError where it is none."""
        said = name.strip().replace("♯", "#").replace("♭", "b").replace(" minor", "m").replace(" major", "")
        said = said[:1].upper() + said[1:]
        for minor, names in ((False, MAJOR), (True, MINOR)):
            if said in names:
                return cls(names.index(said) - FLATS, minor)
        raise InputError(f"{name!r} is no key: C, G, Bb, Am or F#m are{nearest(said, (*MAJOR, *MINOR))}")

    def __str__(self) -> str:
        return (MINOR if self.minor else MAJOR)[self.sharps + FLATS]


@dataclass
class Score:
    """One piece.

    Attributes:
        notes: `[n]`, in the order of their starts: start and length in quarter notes, pitch as MIDI counts (60 is the
            middle C), velocity from 1 to 127, and the place of the voice.
        voices: what the voices are called.
        tempo: quarter notes a minute, at the beginning.
        metre, key: at the beginning; None where nobody says.
        name: what it is called, as messages name it.
        lasts: quarter notes that it lasts with the rest at its end, where somebody says.
        dropped: what of the file is not here, in words.
    """

    notes: Notes
    voices: tuple[str, ...] = ()
    tempo: float = 120.0
    metre: Metre | None = None
    key: Key | None = None
    name: str = ""
    lasts: float = 0.0
    dropped: list[str] = field(default_factory=list)

    @property
    def length(self) -> float:
        """Quarter notes until the last note ends."""
        return float((self.notes["start"] + self.notes["length"]).max()) if len(self.notes) else 0.0


def as_notes(rows: Iterable[tuple[float, float, int, int, int]]) -> Notes:
    """Return notes from their start, length, pitch, velocity and voice, in order."""
    notes = np.array(list(rows), dtype=NOTE)
    return notes[np.lexsort((notes["pitch"], notes["voice"], notes["start"]))]
