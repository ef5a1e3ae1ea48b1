"""The one-dimensional game of the GAN paper's first figure.

Goodfellow et al. 2014, arXiv 1406.2661, figure 1 and proposition 1: with D free to follow, the best
D is D*(x) = p_data(x) / (p_data(x) + p_g(x)), and the game ends where p_g = p_data and D = 1/2.

What differs from the paper: the paper prints no nets for its figure. These are small tanh nets with
several discriminator moves a round (Algorithm 1's k), an R1 penalty and a falling learning rate, so
that D stays near D* and the game comes to rest instead of circling.
"""

# B batch

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Latent
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Model, Move, Player
from genloom.core.random import Noise
from genloom.nn.dense import Chain, uniform
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class LineHyper(Hyper):
    """Chosen for a quiet picture."""

    hidden: int = hp(32, "units of each of the two hidden layers", low=1)
    critic_moves: int = hp(3, "discriminator moves a round: k of Algorithm 1", low=1)
    penalty: float = hp(0.01, "gamma of the R1 penalty", low=0)
    rate: float = hp(5e-3, "learning rate at the start", low=0)
    halving: float = hp(300_000.0, "examples after which the rate has halved", low=1)
    batch: int = hp(256, "examples a batch", low=1)

    @classmethod
    def tiny(cls) -> Self:
        """The same: it is small already."""
        return cls()


class Line(Model, Latent):
    """Numbers `[B, 1]` from z uniform on [-1, 1]."""

    Hyper = LineHyper
    hyper: LineHyper
    law = "uniform"
    notes = objectives.ACCURACY
    code_width = 1

    def __init__(self, hyper: LineHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.generator = tanh_net(hyper.hidden)
        first = self.generator[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            first.weight.mul_(3)  # bends enough for a uniform z to become a bell
        self.discriminator = tanh_net(hyper.hidden)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        one = shape.kind == "points" and shape.width == 1
        return shape if one else Misfit(f"line plays with single numbers, this data is {shape.describe()}")

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(0.0, 0.99))
        return [
            Player("generator", (self.generator,), adam, self.schedule),
            Player("discriminator", (self.discriminator,), adam, self.schedule),
        ]

    def schedule(self, clock: Clock) -> dict[str, float]:
        """A learning rate that halves every so often."""
        return {"lr": self.hyper.rate * 0.5 ** (clock.examples / self.hyper.halving)}

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        for _ in range(self.hyper.critic_moves):  # Algorithm 1, k steps
            x = next(batches)["x"]
            x_fake = self.generator(self.code(len(x))).detach()
            real, fake = self.discriminator(x), self.discriminator(x_fake)
            penalty = sum(objectives.gradient_penalty(self.discriminator, point) for point in (x, x_fake))
            loss = objectives.discriminate(real, fake) + self.hyper.penalty / 2 * penalty
            yield Move("discriminator", loss, objectives.accuracy(real, fake))
        yield Move("generator", objectives.non_saturating(self.discriminator(self.generator(self.code(len(x))))))

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        return 2 * uniform(n, 1, self.device, noise) - 1

    def code(self, n: int) -> Tensor:
        """Codes spread evenly: one in each n-th of [-1, 1], which steadies the small batches."""
        return (torch.arange(n, device=self.device)[:, None] + torch.rand(n, 1, device=self.device)) * 2 / n - 1

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return self.generator(z.to(self.device))


def tanh_net(hidden: int) -> Chain:
    """One number to one number."""
    return Chain(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
