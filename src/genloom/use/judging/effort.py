"""How much training a run has had, whether more would help, and the command that goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from genloom.catalogue import find_model
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement

LEAST_LOOKS = 6  # of the light judge, below which its curve says nothing
SURE = 2.0  # standard errors by which a slope must differ from zero
LITTLE = 1.0  # epochs, below which a training has hardly begun
MINUTES = 30  # to go on for, at least


@dataclass(frozen=True)
class Slope:
    """How the light judge's figure, lower being better, went over the later half of its looks.

    Attributes:
        change: by how much a straight line through them rises or falls, from its first to its last.
        error: the standard error of `change`.
        early, late: the means of the first and of the second half of them.
        looks: how many they are.
    """

    change: float
    error: float
    early: float
    late: float
    looks: int

    @property
    def falls(self) -> bool:
        """Whether the figure still gets better, by more than its noise."""
        return self.change < -SURE * self.error


def slope_of(examples: Sequence[float], scores: Sequence[float]) -> Slope | None:
    """Fit a line to the later half of a curve by least squares; None where there are too few looks.

    The error of the slope comes from the scatter about the line, by the usual formula.
    """
    looks = max(LEAST_LOOKS, (len(scores) + 1) // 2)
    if len(scores) < LEAST_LOOKS:
        return None
    x, y = (torch.tensor(values[-looks:], dtype=torch.float64) for values in (examples, scores))
    centred, span = x - x.mean(), float(x[-1] - x[0])
    square = float(centred.square().sum())
    if square == 0:
        return None
    slope = float(centred @ y) / square
    scatter = float((y - y.mean() - slope * centred).square().sum()) / (looks - 2)
    early, late = (float(half.mean()) for half in y.tensor_split(2))
    return Slope(slope * span, math.sqrt(scatter / square) * span, early, late, looks)


def with_effort(judgement: Judgement) -> Judgement:
    """Put first what is to be said of the training; not that it should go on, where a verdict says to train less."""
    run = judgement.run
    folder = run.folder / "checkpoints" / judgement.about.get("checkpoint", "")
    state = run.state(folder if (folder / "state.json").exists() else run.checkpoint("last"))  # training may go on meanwhile
    said = training_verdict(run, state, any("train less" in text for text in judgement.verdicts))
    judgement.verdicts.insert(0, said)
    return judgement


def training_verdict(run: Run, state: dict[str, Any], enough: bool = False) -> str:
    """Say how much training a checkpoint with this state has had and, unless it was enough, whether and how to go on."""
    if find_model(run.record["model"]).at_once:
        return "learnt all at once: there is no more to train"
    before = run.record.get("start") or {"examples": 0, "cpu_seconds": 0.0}
    examples, cpu = state["examples"] + before["examples"], state["cpu_seconds"] + before["cpu_seconds"]
    epochs = examples / run.record["data"]["examples"]
    amount = f"{number(epochs)} epochs ({examples:,} examples, {number(cpu / 60)} CPU minutes)"
    if enough:
        return f"trained for {amount}"
    history = [line for line in run.history() if line["examples"] <= state["examples"]]
    if history and any(verdict["name"] == "no-start" for verdict in history[-1].get("health", [])):
        return f"trained for {amount}, and not begun to learn: start again, in another folder, with other settings"
    curve = [line for line in history if "score" in line]
    name = curve[-1]["score"][0] if curve else ""
    slope = slope_of([line["examples"] for line in curve], [line["score"][1] for line in curve])
    minutes = max(MINUTES, math.ceil(2 * state["seconds"] / 600) * 10)
    go_on = f"go on with: genloom fit -o {run.folder} --minutes {minutes}"
    if slope is not None and slope.falls:
        fall = (
            f"{name} fell from {slope.early:.3g} to {slope.late:.3g} over its last {slope.looks} looks, more than its noise"
        )
        return f"trained for {amount}, and it still gets better: {fall}; {go_on}"
    if epochs < LITTLE:
        return f"trained for {amount}, which is very little; {go_on}"
    if slope is None:
        return f"trained for {amount}; too short a run to tell whether more training helps; to try, {go_on}"
    return (
        f"trained for {amount}; {name} falls no more, beyond its noise ({slope.early:.3g}, then {slope.late:.3g} over its "
        f"last {slope.looks} looks): more of the same may not help; other settings or more pictures may"
    )


def number(value: float) -> str:
    """Return a positive number with two digits that count, or whole from ten on."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
