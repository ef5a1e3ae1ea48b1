"""Schedules: pure functions of the clock, and the annealing that the first GAN papers share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from genloom.core.clock import Clock
from genloom.core.hyper import Hyper, hp
from genloom.core.model import Player


def decayed(clock: Clock, start: float, factor: float, batch: int, floor: float = 0.0) -> float:
    """A value divided by `factor` at every update of `batch` examples, not below `floor`."""
    return max(start * math.exp(-math.log(factor) * clock.examples / batch), floor)


def ramp(clock: Clock, start: float, end: float, examples: float) -> float:
    """A value that moves linearly from `start` to `end` over so many examples, then stays."""
    return start + (end - start) * min(clock.examples / examples, 1.0)


@dataclass(frozen=True)
class Descent(Hyper):
    """How a model with one player descends its loss."""

    optimizer: Literal["adam", "rmsprop", "adagrad"] = hp("adam", "descends the loss")
    rate: float = hp(1e-3, "learning rate", low=0)
    beta2: float = hp(0.999, "decay of Adam's mean square of the gradient", low=0, high=0.999999)
    clip: float | None = hp(None, "largest norm of the gradient", low=1e-9)
    warmup: int = hp(0, "examples over which the learning rate rises from zero", low=0)
    anneal: int = hp(0, "examples over which the rate falls to a hundredth by a cosine, 0 for never", low=0)
    batch: int = hp(100, "examples a batch", low=1)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    def player(self, name: str, *modules: nn.Module) -> Player:
        """Return the player that descends so."""
        return Player(name, modules, self.build, self.schedule, self.clip, self.ema)

    def build(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of parameters."""
        if self.optimizer == "rmsprop":
            return torch.optim.RMSprop(weights, self.rate, alpha=0.9)
        if self.optimizer == "adagrad":
            return torch.optim.Adagrad(weights, self.rate)
        return torch.optim.Adam(weights, self.rate, betas=(0.9, self.beta2), fused=True)

    def schedule(self, clock: Clock) -> dict[str, float]:
        """Return the learning rate, which may rise at first and may fall."""
        share = min(1.0, (clock.examples + 1) / self.warmup) if self.warmup else 1.0
        if self.anneal:
            share *= 0.505 + 0.495 * math.cos(math.pi * min(1.0, clock.examples / self.anneal))
        return {"lr": self.rate * share}


@dataclass(frozen=True)
class AnnealedSGD(Hyper):
    """SGD whose rate falls at every update and whose momentum grows, and how weights start, in Goodfellow et al. 2014."""

    spread_g: float = hp(0.05, "the generator's weights start uniform in [-spread_g, spread_g]", low=0)
    spread_d: float = hp(0.005, "the discriminator's weights start uniform in [-spread_d, spread_d]", low=0)
    rate: float = hp(0.1, "learning rate at the start", low=0)
    decay: float = hp(1.000004, "the rate is divided by this at every update", low=1)
    floor: float = hp(1e-6, "least learning rate", low=0)
    momentum: float = hp(0.5, "momentum at the start", low=0, high=0.999)
    momentum_end: float = hp(0.7, "momentum after `momentum_examples`", low=0, high=0.999)
    momentum_examples: float = hp(12.5e6, "examples over which momentum grows: 250 epochs of 50,000", low=1)
    batch: int = hp(100, "examples a batch", low=1)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    def schedule(self, clock: Clock) -> dict[str, float]:
        """Learning rate and momentum at this clock."""
        return {
            "lr": decayed(clock, self.rate, self.decay, self.batch, self.floor),
            "momentum": ramp(clock, self.momentum, self.momentum_end, self.momentum_examples),
        }

    def players(self, generator: nn.Module, discriminator: nn.Module) -> list[Player]:
        """Return the two players, trained so."""
        sgd = partial(torch.optim.SGD, lr=self.rate, momentum=self.momentum)
        return [
            Player("generator", (generator,), sgd, self.schedule, ema=self.ema),
            Player("discriminator", (discriminator,), sgd, self.schedule),
        ]
