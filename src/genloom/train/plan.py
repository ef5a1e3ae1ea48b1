"""What is asked of a training, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from genloom.core.model import Model

# A measure of a model by name, lower is better. It may have `of_mean`: its value where only the data's mean is learnt.
Score = Callable[[Model], tuple[str, float]]
Start = Callable[[Model], None] | None


@dataclass(frozen=True)
class Plan:
    """How long and how to train; everything but the budget is part of what a resumed run must repeat.

    Attributes:
        examples: stop after so many examples, over all processes, or None.
        minutes: stop after so many minutes of training, over all resumptions, or None.
        cpu_minutes: the same in minutes of processor time of this process, which others on the machine do not use up.
        batch: examples of one whole batch, over all processes.
        micro: largest number of examples to compute on at once in a process, or None for all of its part.
        seed: all randomness follows from it.
        precision: of matrix products and convolutions.
        compile: compile the networks with torch.compile.
        save_every, report_every: seconds between checkpoints and between reports.
        save_examples, report_examples: the same in examples, in place of seconds, or None.
        stop_when: end once the referee speaks this verdict.
    """

    examples: int | None = None
    minutes: float | None = None
    cpu_minutes: float | None = None
    batch: int = 64
    micro: int | None = None
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    save_every: float = 60.0
    report_every: float = 2.0
    save_examples: int | None = None
    report_examples: int | None = None
    stop_when: Literal["plateau"] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is wrong, since when, and what helps."""

    name: str
    text: str
    since: int
    fatal: bool = False


@dataclass(frozen=True)
class Report:
    """What there is to say at one instant of training."""

    examples: int
    rounds: int
    phase: str
    notes: Mapping[str, float]
    health: Sequence[Verdict]
    seconds: float
    cpu_seconds: float
    examples_per_second: float
    grid: Path | None = None
    checkpoint: Path | None = None
    trouble: str | None = None
    score: tuple[str, float] | None = None

    @property
    def fatal(self) -> bool:
        """Whether training cannot go on."""
        return any(verdict.fatal for verdict in self.health)
