"""The referee: plain-word verdicts on a training from cheap statistics, written with every report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Samples
from genloom.core.clock import Clock
from genloom.core.model import Dataset, Model
from genloom.core.random import mix
from genloom.train.learner import Seat
from genloom.train.run import fixed_samples

LOOK = 64  # fakes and reals compared
LEAST_DIVERSITY = 0.25
ROUNDS_TO_PART = 1000  # a generator that starts with equal samples is given so many rounds
PATIENCE = 4  # reports in a row before a verdict is spoken


@dataclass(frozen=True)
class Verdict:
    """What is wrong, since when, and what helps."""

    name: str
    text: str
    since: int
    fatal: bool = False


@dataclass(frozen=True)
class Rule:
    """A condition on the figures of one report, and the verdict once it has held `patience` times."""

    name: str
    text: str
    patience: int = PATIENCE
    fatal: bool = False


RULES = {
    "not-a-number": Rule("not-a-number", "numbers have gone bad (not-a-number or infinite): nothing learnt from here "
                         "on; go back to the last checkpoint with a smaller learning rate or --precision fp32", 1, True),
    "discriminator-won": Rule("discriminator-won", "the discriminator has won: it tells real from fake every time and "
                              "teaches the generator nothing; weaken it (smaller rate, dropout, --preset modern)"),
    "collapse": Rule("collapse", "the generator has collapsed: its samples differ from each other far less than real "
                     "examples do; go back to an earlier checkpoint with a smaller rate, or use --preset modern"),
    "plateau": Rule("plateau", "no better by the light judge in the last half of its looks: more of the same training "
                    "may not help; `best` names the checkpoint to use", 1),
    "no-gradient": Rule("no-gradient", "a gradient is exactly zero, from a saturated output or dead units: nothing more is "
                        "learnt; start again with a smaller learning rate"),
    "stalled": Rule("stalled", "learning has stalled: weights no longer move; check the learning rate of {players}"),
}  # fmt: skip


class Referee:
    """Looks at each report and remembers for how long each condition has held."""

    def __init__(self, model: Model, data: Dataset, seats: Mapping[str, Seat], history: Sequence[Mapping[str, Any]]) -> None:
        self.samples = isinstance(model, Samples)
        self.fatal = False
        self.widest = 0.0
        self.spread = float("nan")
        if self.samples and len(data) > 1:
            index = torch.randperm(len(data), generator=torch.Generator().manual_seed(mix(4)))[:LOOK]
            self.spread = mean_distance(data.batch(index)["x"])
        self.weights: dict[str, list[Tensor]] = {}
        self.held: dict[str, int] = {}
        self.since: dict[str, int] = {}
        self.names: dict[str, list[str]] = {}
        self.turns: dict[str, int] = {}
        self.scores: list[float] = []  # of the light judge, lower is better
        for name, seat in seats.items():
            self.movement(name, seat)
        for line in history:  # a resumed run goes on counting
            notes = line["notes"]
            moved = {name.removeprefix("moved_"): value for name, value in notes.items() if name.startswith("moved_")}
            clock = Clock(line["examples"], line["rounds"])
            self.scores += [line["score"][1]] if "score" in line else []
            self.count({name for name, holds in self.signs(clock, notes, moved).items() if holds}, clock.examples)

    def look(
        self, model: Model, seats: Mapping[str, Seat], clock: Clock, notes: Mapping[str, float]
    ) -> tuple[list[Verdict], dict[str, float]]:
        """Return the verdicts that hold now, and the figures they rest on."""
        figures: dict[str, float] = {}
        if self.samples:
            x = fixed_samples(model, LOOK)
            if self.spread > 0:  # else all real examples looked at are equal
                figures["diversity"] = mean_distance(x) / self.spread
        moved = {name: self.movement(name, seat) for name, seat in seats.items()}
        figures |= {f"moved_{name}": value for name, value in moved.items() if value is not None}
        signs = {name for name, holds in self.signs(clock, {**notes, **figures}, moved).items() if holds}
        still = [name for name, value in moved.items() if value == 0]
        self.count(signs, clock.examples)
        verdicts = [
            Verdict(name, rule.text.format(players=" and ".join(still)), self.since[name], rule.fatal)
            for name, rule in RULES.items()
            if self.held.get(name, 0) >= rule.patience
        ]
        self.fatal = any(verdict.fatal for verdict in verdicts)
        return verdicts, {name: value for name, value in figures.items() if math.isfinite(value)}

    def signs(self, clock: Clock, figures: Mapping[str, float], moved: Mapping[str, float | None]) -> dict[str, bool]:
        """Return which conditions hold in this report."""
        playing = clock.rounds > 0
        return {
            "not-a-number": any(not math.isfinite(value) for value in figures.values()),
            "discriminator-won": min(figures.get("d_real", 0), figures.get("d_fake", 0)) > 0.995,
            "collapse": self.collapsed(clock, figures.get("diversity", float("nan"))),
            "plateau": plateaued(self.scores),
            "no-gradient": playing and any(value == 0 for name, value in figures.items() if name.startswith("grad_")),
            "stalled": playing and any(value == 0 for value in moved.values()),
        }

    def collapsed(self, clock: Clock, diversity: float) -> bool:
        """Whether samples are too alike: they were not before, or have had time to part."""
        self.widest = max(self.widest, diversity)  # comparisons with not-a-number are false
        return diversity < LEAST_DIVERSITY and (self.widest > 2 * LEAST_DIVERSITY or clock.rounds >= ROUNDS_TO_PART)

    def count(self, signs: set[str], examples: int) -> None:
        """Count the reports in a row for which each sign has held."""
        for name in RULES:
            self.held[name] = self.held.get(name, 0) + 1 if name in signs else 0
            if self.held[name] == 1:
                self.since[name] = examples

    def movement(self, name: str, seat: Seat) -> float | None:
        """Return how far a player's weights moved since the last report, relative to their size; None if it sat out."""
        turns, self.turns[name] = self.turns.get(name), seat.turns
        if turns == seat.turns:
            return None
        now = [p.detach().clone() for p in seat.parameters]
        before, self.weights[name] = self.weights.get(name), now
        if before is None:
            return None
        gap = torch.stack(torch._foreach_norm(torch._foreach_sub(now, before))).norm()
        return float(gap / torch.stack(torch._foreach_norm(now)).norm().clamp_min(1e-12))


def plateaued(scores: Sequence[float], least: int = 20) -> bool:
    """Whether the best of at least twenty scores, lower being better, is not among the last half."""
    return len(scores) >= least and min(scores[-(len(scores) // 2) :]) > min(scores)


def mean_distance(x: Tensor) -> float:
    """Mean Euclidean distance between different examples of a batch `[n, ...]`."""
    flat = x.flatten(1).float()
    n = len(flat)
    return (
        float(torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").sum() / (n * (n - 1)))
        if n > 1
        else float("nan")
    )
