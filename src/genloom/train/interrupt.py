"""Ctrl-C as a wish: the first one lets the round end and the run be saved, a later one stops at once.

Before anybody asks for wishes, when rounds begin, there is nothing to save: then the first one stops at once too.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Generator, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 2.0  # seconds in which a second signal is the same wish: torchrun passes on what the terminal sent already


class Interrupt:
    """`with Interrupt() as interrupt:` turns SIGINT and SIGTERM into `interrupt.asked()`."""

    def __init__(self) -> None:
        self.heard_at: float | None = None
        self.minded = False  # whether anybody has asked yet
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.asked() and kind is None:
            raise KeyboardInterrupt  # the run is saved; the caller learns that it was stopped

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal, where somebody asks for it; one that comes later raises."""
        if not self.minded:
            raise KeyboardInterrupt
        if self.heard_at is None:
            self.heard_at = time.monotonic()
        elif time.monotonic() - self.heard_at > GRACE:
            raise KeyboardInterrupt

    def during(self, reports: Generator[T, None, None]) -> Iterator[T]:
        """Yield the reports of a training; from the first on there is something to save, so that a signal is a wish."""
        with contextlib.closing(reports):
            for report in reports:
                self.minded = True
                yield report

    def asked(self) -> bool:
        """Whether a signal has come."""
        self.minded = True
        return self.heard_at is not None
