"""Generative Adversarial Nets.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio. 2014. arXiv 1406.2661.

The paper's MNIST nets, whose numbers stand in the configuration its authors published: a generator
of two rectified layers and a discriminator of two maxout layers with dropout, trained by plain SGD
with momentum. Both generator objectives are here; the default is the non-saturating one, which section 3
recommends.

From that configuration, not from the paper's text: the discriminator descends half of eq. (1)
(`discriminator_weight`), the output starts at the data's mean, and the fakes of a round serve both moves, where
Algorithm 1 draws new noise for the generator.

What differs from both: the discriminator moves before the generator does, as in Algorithm 1, where the
authors' code moves both at once, under the same dropout; everything is computed on logits (the same losses, without the
overflow); on processors with fast bf16 the hidden layers run in bf16 by autocast.
"""

# B batch, z latent width

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Latent
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Player, Remember
from genloom.core.random import Noise
from genloom.core.schedules import AnnealedSGD
from genloom.models.fitting import no_pictures
from genloom.nn.dense import Maxout, dense, exactly, start_at_mean, uniform
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class GANHyper(AnnealedSGD):
    """The authors' MNIST configuration."""

    z: int = hp(100, "width of the latent code, uniform with variance 1", low=1)
    objective: Literal["non-saturating", "minimax"] = hp("non-saturating", "what the generator descends")
    generator: int = hp(1200, "units of each of the generator's two hidden layers", low=1)
    maxout: int = hp(240, "units of each of the discriminator's two maxout layers", low=1)
    pieces: int = hp(5, "linear pieces of a maxout unit", low=1)
    keep_input: float = hp(0.8, "share of the discriminator's inputs that dropout keeps", low=0.01, high=1)
    keep_hidden: float = hp(0.5, "share of its hidden units that dropout keeps", low=0.01, high=1)
    discriminator_weight: float = hp(0.5, "factor of the discriminator's loss; its authors take half of eq. (1)", low=0)

    @classmethod
    def modern(cls) -> Self:
        """Averaged weights for sampling: the same training, steadier samples."""
        return cls(ema=1_000_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Small layers with larger weights at the start, so that learning begins at once."""
        return cls(
            z=16,
            generator=256,
            maxout=64,
            pieces=2,
            spread_g=0.15,
            spread_d=0.1,
            keep_input=0.9,
            keep_hidden=0.5,
            discriminator_weight=1.0,
            momentum=0.7,
            ema=5_000.0,
        )


class Generator(nn.Module):
    """z `[B, z]` to x `[B, D]` in (0, 1): z -> ReLU -> ReLU -> sigmoid."""

    def __init__(self, hyper: GANHyper, outputs: int) -> None:
        super().__init__()
        self.h0 = dense(hyper.z, hyper.generator, hyper.spread_g)
        self.h1 = dense(hyper.generator, hyper.generator, hyper.spread_g)
        self.y = dense(hyper.generator, outputs, hyper.spread_g)

    def forward(self, z: Tensor) -> Tensor:
        h = F.relu(self.h1(F.relu(self.h0(z))))
        return torch.sigmoid(exactly(self.y, h))


class Discriminator(nn.Module):
    """x `[B, D]` to the logit `[B]` of being real: maxout -> maxout -> linear, with dropout before each."""

    def __init__(self, hyper: GANHyper, inputs: int) -> None:
        super().__init__()
        self.h0 = Maxout(inputs, hyper.maxout, hyper.pieces, hyper.spread_d)
        self.h1 = Maxout(hyper.maxout, hyper.maxout, hyper.pieces, hyper.spread_d)
        self.y = dense(hyper.maxout, 1, hyper.spread_d)
        self.drop_input = nn.Dropout(1 - hyper.keep_input)
        self.drop_hidden = nn.Dropout(1 - hyper.keep_hidden)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop_hidden(self.h0(self.drop_input(x)))
        return exactly(self.y, self.drop_hidden(self.h1(h))).squeeze(1)


class GAN(Model, Latent):
    """Goodfellow et al. 2014."""

    Hyper = GANHyper
    hyper: GANHyper
    law = "uniform"
    notes = objectives.ACCURACY

    def __init__(self, hyper: GANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.generator = Generator(hyper, shape.width)
        self.discriminator = Discriminator(hyper, shape.width)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return no_pictures(shape, "gan") or shape

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Start the generator's output at the mean of the data, as the authors' code does."""
        start_at_mean(self.generator.y, data, remember)
        return data

    def players(self) -> Sequence[Player]:
        return self.hyper.players(self.generator, self.discriminator)

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x = next(batches)["x"].flatten(1)  # Algorithm 1, k = 1
        x_fake = self.generator(self.prior(len(x)))
        real, fake = self.discriminator(x), self.discriminator(x_fake.detach())
        loss = self.hyper.discriminator_weight * objectives.discriminate(real, fake)
        yield Move("discriminator", loss, objectives.accuracy(real, fake))
        objective = objectives.minimax if self.hyper.objective == "minimax" else objectives.non_saturating
        yield Move("generator", objective(self.discriminator(x_fake)))

    @property
    def code_width(self) -> int:
        return self.hyper.z

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        # The authors' "uniform" noise has variance 1: [-sqrt(3), sqrt(3)].
        return (2 * uniform(n, self.hyper.z, self.device, noise) - 1).mul_(3**0.5)

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return self.generator(z.to(self.device)).unflatten(1, self.shape.dims)
