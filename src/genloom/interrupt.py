"""Ctrl-C as a wish: the first one lets the round end and the run be saved, the second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """`with Interrupt() as interrupt:` turns SIGINT and SIGTERM into `interrupt.asked()`."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.signal == signal.SIGINT and kind is None:
            raise KeyboardInterrupt  # the run is saved; the caller learns that it was stopped

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; a second one raises."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None
