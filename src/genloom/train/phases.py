"""Which phase a training is in: by the examples that each phase lasts, never by the budget."""

from __future__ import annotations

from collections.abc import Sequence

from genloom.core.clock import Clock
from genloom.core.model import Phase


class Phases:
    """A model's phases, entered one after the other. Where a run is stands in its clock, and nowhere else."""

    def __init__(self, phases: Sequence[Phase], clock: Clock) -> None:
        for phase in phases[:-1]:
            if phase.examples is None:
                raise RuntimeError(f"phase {phase.name!r} has no end: only the last phase may go on as long as the budget")
        self.phases = phases
        clock.length = phases[clock.phase].examples

    def current(self, clock: Clock) -> Phase:
        """Return the phase that the clock is in."""
        return self.phases[clock.phase]

    def over(self, clock: Clock) -> bool:
        """Whether the phase that the clock is in has lasted its examples."""
        return clock.length is not None and clock.within >= clock.length

    def enter(self, clock: Clock) -> set[str]:
        """Go on to the phase in which the next round is played; return the players that start it afresh."""
        fresh: set[str] = set()
        while self.over(clock) and clock.phase + 1 < len(self.phases):
            clock.phase, clock.start = clock.phase + 1, clock.examples
            clock.length = self.current(clock).examples
            fresh |= set(self.current(clock).fresh)
        return fresh

    def finished(self, clock: Clock) -> bool:
        """Whether the last phase is over, for models whose last phase has an end."""
        return clock.phase + 1 == len(self.phases) and self.over(clock)
