"""The clock of a training: what schedules are pure functions of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Where a training is, counted in examples seen over all processes.

    Attributes:
        examples: seen since the first round; schedules count in these.
        rounds: played since the first one.
        phase: the place of the phase among the model's phases.
        start: examples that had been seen when the phase began.
        length: examples that the phase lasts, None for an open one.

    A fade-in is `clock.within / clock.length`.
    """

    examples: int = 0
    rounds: int = 0
    phase: int = 0
    start: int = 0
    length: int | None = None

    @property
    def within(self) -> int:
        """Examples seen since the phase began."""
        return self.examples - self.start
