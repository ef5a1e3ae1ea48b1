"""What a person may say about a repair."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from genloom.data.tables.layout import missing_words
from genloom.errors import InputError

Method = Literal["auto", "gain", "mean", "knn", "ridge", "trees", "boosted"]

METHODS: tuple[str, ...] = ("mean", "knn", "ridge", "trees", "boosted", "gain")

RESERVED = 0.8  # of the minutes, what is planned with: reading, writing and wrong guesses take the rest


@dataclass(frozen=True)
class Settings:
    """What a person may say about a repair.

    Attributes:
        method: one for all columns, or `auto`: for each column the weighted mean of methods that did best in the self-test.
        minutes: about the most that all of it may take, or None for as long as the table's size suggests.
        began: when those minutes began, by the clock of `time.monotonic`.
        kinds: as `Layout.study` takes them.
        missing: a further word or number, or several, that stand for a missing cell.
        known: words that are values, though they usually stand for a missing cell.
        keys: columns that name rows.
        seed: all randomness follows from it.

    Raises:
        InputError: one of them makes no sense.
    """

    method: Method = "auto"
    minutes: float | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    missing: Any = ()
    known: Any = ()
    keys: Sequence[str] = ()
    seed: int = 0
    threads: int | None = None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.method not in ("auto", *METHODS):
            raise InputError(f"the method is auto, {', '.join(METHODS)}, not {self.method!r}")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"--minutes takes a number above 0, got {self.minutes}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed takes a number from 0 to {2**31 - 1}, got {self.seed}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"--threads takes a number from 1 on, got {self.threads}")

    def left(self) -> float:
        """Return how many seconds are left to plan with, infinite where nothing was said."""
        return math.inf if self.minutes is None else RESERVED * 60 * self.minutes - (time.monotonic() - self.began)

    def words(self) -> frozenset[str]:
        """Return the words that stand for a missing cell."""
        return missing_words(self.missing, self.known)
