"""The ledger: what rounds noted since the last report, what training has cost, and when reports and checkpoints are due."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genloom.core.clock import Clock
from genloom.core.model import Model, Move
from genloom.train.plan import Plan

SHARE = 30  # reports take at most one part in so many of the time


class Ledger:
    """Notes and times of one training.

    Attributes:
        past_seconds, past_cpu: spent before this resumption.
        score_cpu: seconds that the light judge took in all.
    """

    def __init__(self, plan: Plan, model: Model, players: Sequence[str], clock: Clock) -> None:
        self.plan, self.clock = plan, clock
        self.declared = {*players, *model.notes}
        self.model_name = type(model).__name__
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.past_seconds = self.past_cpu = self.score_cpu = 0.0
        self.began, self.began_cpu = time.monotonic(), time.process_time()
        self.saved_at = self.reported_at = self.scored_at = self.began
        self.saved_examples = self.reported_examples = clock.examples
        self.report_cost = self.score_cost = 0.0

    # -- notes -------------------------------------------------------------------------------------

    def write(self, move: Move) -> None:
        """Add a move's loss and notes to the means of the next report, without waiting for the device."""
        for name, value in {move.player: move.loss, **move.notes}.items():
            if name not in self.declared:
                raise RuntimeError(f"a round notes {name!r}, which {self.model_name} does not declare in its `notes`")
            value = value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self, norms: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the means since the last report, and gradient norms, in one transfer; begin anew."""
        named = {name: total / self.counts[name] for name, total in self.sums.items()}
        named |= {f"grad_{name}": norm.detach().float() for name, norm in norms.items()}
        self.sums, self.counts = {}, {}
        if not named:
            return {}
        device = next((value.device for value in named.values() if value.device.type != "cpu"), torch.device("cpu"))
        values = torch.stack(
            [
                value.double() if device.type != "mps" else value
                for value in (value.to(device, non_blocking=True) for value in named.values())
            ]
        ).tolist()
        return dict(zip(named, values, strict=True))

    # -- time --------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Return the wall seconds of training, over all resumptions."""
        return self.past_seconds + time.monotonic() - self.began

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of training, over all resumptions."""
        return self.past_cpu + time.process_time() - self.began_cpu

    def out_of_time(self) -> bool:
        """Whether a budget of minutes is used up; a round at least is played."""
        budgets = ((self.plan.minutes, self.seconds), (self.plan.cpu_minutes, self.cpu_seconds))
        return self.clock.rounds > 0 and any(most is not None and spent() >= 60 * most for most, spent in budgets)

    def out_of_examples(self) -> bool:
        """Whether the budget of examples is used up."""
        return self.plan.examples is not None and self.clock.examples >= self.plan.examples

    def save_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.due(self.saved_at, self.saved_examples, self.plan.save_every, self.plan.save_examples)

    def report_due(self) -> bool:
        """Whether it is time for a report."""
        patience = max(self.plan.report_every, SHARE * self.report_cost)
        return self.due(self.reported_at, self.reported_examples, patience, self.plan.report_examples)

    def due(self, since: float, since_examples: int, seconds: float, examples: int | None) -> bool:
        """Whether it is time again, by examples where these are given, else by the clock on the wall."""
        if examples is not None:
            return self.clock.examples // examples > since_examples // examples  # the same instants after a resume
        return time.monotonic() - since >= seconds

    def speed(self, now: float) -> float:
        """Return examples a second since the last report."""
        elapsed = now - self.reported_at
        return (self.clock.examples - self.reported_examples) / elapsed if elapsed > 0 else 0.0

    def reported(self, started: float, saved: bool) -> None:
        """Note that a report was made, and a checkpoint with it."""
        now = time.monotonic()
        if saved:
            self.saved_at, self.saved_examples = now, self.clock.examples
        else:  # what a checkpoint costs has a patience of its own
            self.report_cost = now - started
        self.reported_at, self.reported_examples = now, self.clock.examples

    def score_due(self, now: float) -> bool:
        """Whether the light judge may look: it takes at most a twentieth of the time."""
        return self.plan.save_examples is not None or now - self.scored_at >= 20 * self.score_cost

    def scored(self, began: float, cpu: float) -> None:
        """Note what the light judge cost."""
        self.scored_at = time.monotonic()
        self.score_cost = self.scored_at - began
        self.score_cpu += time.process_time() - cpu
