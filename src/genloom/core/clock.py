"""The clock of a training: what schedules are functions of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """How far training is: examples dealt over all ranks (schedules count in these) and rounds played."""

    examples: int = 0
    rounds: int = 0
