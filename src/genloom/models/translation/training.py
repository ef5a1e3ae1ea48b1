"""How translators are trained: what the papers of Isola and of Zhu et al. share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from genloom.core.clock import Clock
from genloom.core.hyper import Hyper, hp
from genloom.core.model import Misfit, Player
from genloom.core.schedules import ramp
from genloom.nn.patches import STRIDED


@dataclass(frozen=True)
class FallingAdam(Hyper):
    """Adam, and a rate that may fall to zero."""

    rate: float = hp(2e-4, "learning rate of Adam", low=0)
    beta1: float = hp(0.5, "Adam's decay of the first moment", low=0, high=0.999)
    hold: int = hp(0, "examples before the rate falls to zero", low=0)
    fall: int = hp(0, "examples over which it falls, 0 for never", low=0)
    deviation: float = hp(0.02, "standard deviation of the weights at the start", low=0)
    batch: int = hp(1, "examples a batch", low=1)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    def schedule(self, clock: Clock) -> dict[str, float]:
        """Return the learning rate, which falls to zero where that is asked for."""
        share = ramp(Clock(max(clock.examples - self.hold, 0)), 1.0, 0.0, self.fall) if self.fall else 1.0
        return {"lr": self.rate * share}

    def players(self, generators: Sequence[nn.Module], discriminators: Sequence[nn.Module]) -> list[Player]:
        """Return the generator and, where there are any, the discriminator, trained so."""
        adam = partial(torch.optim.Adam, lr=self.rate, betas=(self.beta1, 0.999), fused=True)
        found = [Player("generator", tuple(generators), adam, self.schedule, ema=self.ema)]
        return [*found, Player("discriminator", tuple(discriminators), adam, self.schedule)] if discriminators else found


@dataclass(frozen=True)
class TranslatorHyper(FallingAdam):
    """The same, and how pictures are changed while a translator learns."""

    jitter: float = hp(286 / 256, "pictures are enlarged so much before a part of their size is cut out", low=1, high=2)
    mirror: bool = hp(True, "mirror half of the pictures left to right")


def too_small(size: tuple[int, int], patch: int, least: int, name: str) -> Misfit | None:
    """Return why pictures of this size are too small for a net that needs `least` pixels, or for patches of so many."""
    least = max(least, 3 << STRIDED[patch])  # so that a discriminator has an answer left
    if min(size) >= least:
        return None
    reason = (
        f"with patches of {patch} pixels {name} needs pictures of {least} or more: say --size {least} or --hyper.patch 16"
    )
    return Misfit(reason, remedy=True)
