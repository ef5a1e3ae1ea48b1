"""Progress of a judgement: what is being done, and about how much time is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

DOUBT = 20.0  # seconds of a usual machine that weigh against what the first stages took: reading is slow by chance


class Progress:
    """Says each stage as it begins, with the time left: what the later ones usually take, on the scale of those before.

    Args:
        say: takes a line of text.
        stages: the usual seconds of each stage, by name, in their order; one that turns out to be in the cache is not begun.
    """

    def __init__(self, say: Callable[[str], None], stages: Mapping[str, float]) -> None:
        self.say, self.stages = say, dict(stages)
        self.usual, self.took = DOUBT, DOUBT  # seconds, of the stages that are over; equal to begin with
        self.begun: tuple[str, float] | None = None

    def __call__(self, stage: str) -> None:
        """Begin a stage."""
        now = time.monotonic()
        if self.begun is not None:
            self.usual += self.stages.get(self.begun[0], 0.0)
            self.took += now - self.begun[1]
        self.begun = (stage, now)
        names = list(self.stages)
        later = names[names.index(stage) :] if stage in names else []
        left = sum(self.stages[name] for name in later) * self.took / self.usual
        self.say(f"{stage}; about {in_words(left)} left" if later else stage)


def in_words(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
