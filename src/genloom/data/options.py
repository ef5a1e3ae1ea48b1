"""What a person may say about a source, a dataclass a kind of data. Light: the command line reads its flags from here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from genloom.bounds import above_zero, numeral, short, whole
from genloom.errors import InputError


@dataclass(frozen=True)
class Options:
    """Base of the options of every kind.

    Attributes:
        named: the kind, as one speaks of it: "pictures", "tables".
        live: fields that change batches and not what is stored; a run must repeat them.
    """

    @classmethod
    def named(cls) -> str:
        """Return the kind, as one speaks of it."""
        return cls.__name__.removesuffix("Options").lower() + "s"

    @classmethod
    def live(cls) -> tuple[str, ...]:
        """Return the fields that change batches and not what is stored; a run must repeat them."""
        return ()

    def given(self) -> dict[str, Any]:
        """Return what differs from saying nothing."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != getattr(type(self)(), f.name)}

    def to_json(self) -> dict[str, Any]:
        """Return the options that decide what is stored, as plain JSON."""
        return {name: value for name, value in asdict(self).items() if name not in self.live()}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the options that are given by name."""
        if odd := given.keys() - {f.name for f in fields(cls)}:
            raise InputError(f"there is no option {sorted(odd)[0]!r} of {cls.named()}")
        return replace(cls(), **given)


@dataclass(frozen=True)
class PictureOptions(Options):
    """What to do to pictures.

    Attributes:
        size: to crop and resize to: one number for squares, or height x width, such as 64x96; left out, their own
        channels: 1 grey, 3 colour, 4 with transparency; left out, what the pictures are
        flip: mirror half of the pictures left to right while training
        squeeze: resize without cutting the middle out
        skip_broken: leave out pictures that cannot be read
        split: which part, where the source has train and test
    """

    size: str | int | tuple[int, int] | None = None
    channels: Literal[1, 3, 4] | None = None
    flip: bool = False
    squeeze: bool = False
    skip_broken: bool = False
    split: Literal["train", "test"] = "train"

    def __post_init__(self) -> None:
        # Numpy's numbers, too, become what JSON takes.
        object.__setattr__(self, "size", read_size(self.size))
        if self.split not in ("train", "test"):
            raise InputError(f"--split takes train or test, got {self.split!r}")
        if self.channels not in (None, 1, 3, 4):
            raise InputError(f"--channels takes 1, 3 or 4, got {self.channels!r}")

    @classmethod
    def live(cls) -> tuple[str, ...]:
        return ("flip",)

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The size as height and width, or None for the pictures' own."""
        if self.size is None:
            return None
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return int(height), int(width)

    def key(self) -> dict[str, Any]:
        """Return what decides which pixels are stored."""
        stored = {"size": self.height_and_width, "channels": self.channels, "crop": not self.squeeze, "split": self.split}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()}


def read_size(said: Any) -> int | tuple[int, int] | None:
    """Return a size as a number or a height and a width, given as such, as numpy has them, or as text.

    Raises:
        InputError: it is none.
    """
    if said is None:
        return None
    parts = said.lower().split("x") if isinstance(said, str) else list(said) if isinstance(said, tuple | list) else [said]
    sides = [side_of(part.strip()) if isinstance(part, str) else part for part in parts]
    if len(sides) not in (1, 2) or None in sides:
        raise InputError(f"--size takes a whole number, or a height and a width such as 64x96, got {short(said)}")
    read = [whole("size", side) for side in sides]
    return read[0] if len(read) == 1 else (read[0], read[1])


def side_of(text: str) -> int | None:
    """Return a number, negative ones too, so that the sentence is about its size; None for other text."""
    number = numeral(text.removeprefix("-"))
    return -number if number is not None and text.startswith("-") else number


@dataclass(frozen=True)
class PairOptions(PictureOptions):
    """What to do to pairs of pictures, or to two domains of them.

    Attributes:
        to: a second folder, of the pictures to turn these into
        side_by_side: each file holds a pair: its left half is A, its right half B
    """

    to: str | None = None
    side_by_side: bool = False


@dataclass(frozen=True)
class TagOptions(PictureOptions):
    """What belongs to pictures that have tags.

    Attributes:
        tags: a .csv with a picture and its tags in each line
        words: vectors of the words, of `genloom words` or word2vec's text
        skip_unknown: leave out tags that have no vector
    """

    tags: str | None = None
    words: str | None = None
    skip_unknown: bool = False

    @classmethod
    def named(cls) -> str:
        return "pictures with tags"


@dataclass(frozen=True)
class TableOptions(Options):
    """What the columns of a table are, where the guess is wrong.

    Attributes:
        kind: what a column is, by name: numeric, categorical, boolean, date, date:%d/%m/%Y, or passed, to leave it alone
        missing: a word or number that stands for a missing cell, such as -999
        known: a word that is a value here, though it usually stands for a missing cell: NA, None, ?
    """

    kind: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"kind": dict(self.kind), "missing": list(self.missing), "known": list(self.known)}


@dataclass(frozen=True)
class RecordOptions(Options):
    """How the rows of a record follow each other in time.

    Attributes:
        time: the column that says when a row is; row, where rows follow each other at even steps and none says it
        group: the column that says which run a row is of
        step: seconds from row to row; left out, what is usual in the data
        window: rows of a window, of which models learn; left out, 60, or a third of a usual run
        condition: a column that is given when runs are drawn, not made: a mode, a product, what the weather is
    """

    time: str | None = None
    group: str | None = None
    step: float | None = None
    window: int | None = None
    condition: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.step is not None:
            above_zero("step", self.step)
        if self.window is not None and self.window < 2:
            raise InputError(f"--window takes 2 rows or more, got {self.window}")
        object.__setattr__(self, "condition", tuple(self.condition))

    @classmethod
    def named(cls) -> str:
        return "records"


@dataclass(frozen=True)
class SeriesOptions(RecordOptions, TableOptions):
    """What may be said of a record, and of its columns."""

    def to_json(self) -> dict[str, Any]:
        return {**RecordOptions.to_json(self), **TableOptions.to_json(self), "condition": list(self.condition)}


@dataclass(frozen=True)
class ScoreOptions(Options):
    """How pieces of music are read.

    Attributes:
        grid: steps of a quarter note that notes are moved to; left out, 4, or what the file has
        voices: notes at once, at most; left out, as many as nearly all of the music has
        steps: steps of an example, of which models learn, or notes for a model of notes; left out, four bars, or 100 notes
        metre: of which pieces are taken alone, such as 4/4 or 3/4
        split: which part, where the source has train and test
        skip_broken: leave out files that cannot be read
    """

    grid: int | None = None
    voices: int | None = None
    steps: int | None = None
    metre: str | None = None
    split: Literal["train", "test"] = "train"
    skip_broken: bool = False

    def __post_init__(self) -> None:
        for name in ("grid", "voices", "steps"):
            if (value := getattr(self, name)) is not None:
                whole(name, value)
        if self.metre is not None and not re.fullmatch(r"[1-9]\d?/(1|2|4|8|16|32)", self.metre):
            raise InputError(f"--metre takes beats and their part of a whole note, such as 3/4, got {short(self.metre)}")

    @classmethod
    def named(cls) -> str:
        return "pieces of music"


@dataclass(frozen=True)
class AllOptions(SeriesOptions, PairOptions, TagOptions, ScoreOptions):
    """What may be said of a source whose kind is not known yet: the options of every kind."""


# Whose an option is: the first that has it, the most general first.
OPTIONS = [kind for kind in reversed(AllOptions.__mro__) if issubclass(kind, Options) and kind not in (Options, AllOptions)]
NAMES = {f.name for f in fields(AllOptions)}
