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
from genloom.core.dataset import Dataset, size, take
from genloom.core.model import Model
from genloom.core.random import generator
from genloom.train.learner import Learner
from genloom.train.plan import Verdict
from genloom.train.run import fixed_samples

COMPARED = 64  # fakes and reals
LEAST_DIVERSITY = 0.25
LOOKS = 2  # of the light judge, a minute apart unless told otherwise, by which more than the mean must be learnt
ROUNDS_TO_PART = 1000  # a generator that starts with equal samples is given so many rounds
STILL, ROUNDS_TO_MOVE = 0.02, 200  # mean change below which a picture was left as it is, and rounds before that is said
PATIENCE = 4  # reports in a row before a verdict is spoken


@dataclass(frozen=True)
class Rule:
    """A condition on the figures of one report, and the verdict once it has held `patience` times."""

    name: str
    text: str
    patience: int = PATIENCE
    fatal: bool = False


RULES = {
    "not-a-number": Rule(
        "not-a-number",
        "numbers have gone bad (not-a-number or infinite): nothing learnt from here "
        "on; start again, or from an earlier checkpoint, with a smaller --hyper.rate, or with --precision fp32",
        1,
        True,
    ),
    "discriminator-won": Rule(
        "discriminator-won",
        "the discriminator has won: it tells real from fake every time and "
        "teaches the generator nothing; weaken it (smaller rate, dropout, --preset modern)",
    ),
    "collapse": Rule(
        "collapse",
        "the generator has collapsed: its samples differ from each other far less than real "
        "examples do; go back to an earlier checkpoint with a smaller rate, or use --preset modern",
    ),
    "no-start": Rule(
        "no-start",
        "what it makes is still no nearer to the data than the data's mean is: this may take very long; try a smaller "
        "--batch (more steps in the same time), another learning rate, or --preset modern where it is not that already",
        1,
    ),
    "plateau": Rule(
        "plateau",
        "no better by the light judge in the last half of its looks: more of the same training "
        "may not help; `best` names the checkpoint to use",
        1,
    ),
    "no-gradient": Rule(
        "no-gradient",
        "a gradient is exactly zero, from a saturated output or dead units: nothing more is "
        "learnt; start again with a smaller learning rate",
    ),
    "unchanged": Rule(
        "unchanged",
        "pictures come out as they went in: the cycle holds them where they are; lower --hyper.cycle, say "
        "--hyper.identity 0, or use --preset modern",
    ),
    "stalled": Rule("stalled", "learning has stalled: weights no longer move; check the learning rate of {players}"),
}


class Referee:
    """Examines each report and remembers for how long each condition has held."""

    def __init__(
        self,
        model: Model,
        data: Dataset,
        learners: Mapping[str, Learner],
        history: Sequence[Mapping[str, Any]],
        of_mean: float = math.inf,
    ) -> None:
        self.samples = isinstance(model, Samples)
        self.fatal = False
        self.widest = 0.0
        self.spread = float("nan")
        self.accuracies: dict[str, list[str]] = {}  # of each player that tells real from fake, the shares called rightly
        for name, note in model.notes.items():
            if note.kind == "accuracy" and note.player is not None:
                self.accuracies.setdefault(note.player, []).append(name)
        self.changes = [name for name, note in model.notes.items() if note.kind == "change"]
        if self.samples and size(data) > 1:
            index = torch.randperm(size(data), generator=generator("health"))[:COMPARED]
            self.spread = mean_distance(take(data, index)["x"])
        self.weights: dict[str, list[Tensor]] = {}
        self.held: dict[str, int] = {}
        self.since: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        self.scores: list[float] = []  # of the light judge, lower is better
        self.of_mean = of_mean
        for name, learner in learners.items():
            self.movement(name, learner)
        for line in history:  # a resumed run goes on counting
            notes = line["notes"]
            moved = {name.removeprefix("moved_"): value for name, value in notes.items() if name.startswith("moved_")}
            clock = Clock(line["examples"], line["rounds"])
            self.scores += [line["score"][1]] if "score" in line else []
            self.count({name for name, holds in self.signs(clock, notes, moved).items() if holds}, clock.examples)

    def examine(
        self, model: Model, learners: Mapping[str, Learner], clock: Clock, notes: Mapping[str, float]
    ) -> tuple[list[Verdict], dict[str, float]]:
        """Return the verdicts that hold now, and the figures they rest on."""
        figures: dict[str, float] = {}
        if self.samples:
            x = fixed_samples(model, COMPARED)
            if self.spread > 0:  # else all real examples compared with are equal
                figures["diversity"] = mean_distance(x) / self.spread
        moved = {name: self.movement(name, learner) for name, learner in learners.items()}
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
            "discriminator-won": any(
                min(figures.get(name, 0.0) for name in names) > 0.995 for names in self.accuracies.values()
            ),
            "collapse": self.collapsed(clock, figures.get("diversity", float("nan"))),
            "unchanged": clock.rounds >= ROUNDS_TO_MOVE and any(figures.get(name, 1.0) < STILL for name in self.changes),
            "no-start": len(self.scores) >= LOOKS and min(self.scores) >= self.of_mean,
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

    def movement(self, name: str, learner: Learner) -> float | None:
        """Return how far a player's weights moved since the last report, relative to their size; None if it sat out."""
        steps, self.steps[name] = self.steps.get(name), learner.steps
        if steps == learner.steps:
            return None
        moved, self.weights[name] = learner.movement(self.weights.get(name))
        return moved


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
