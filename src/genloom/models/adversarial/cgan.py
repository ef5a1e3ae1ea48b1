"""Conditional Generative Adversarial Nets.

Mirza, Osindero. 2014. arXiv 1411.1784. Section 4.1, the MNIST experiment.

Labels enter both players as one-hot vectors: the generator maps noise and label to hidden layers of
their own before a joint one; the discriminator does the same with maxout layers.

Dropout in the generator, which the paper applies to both nets, is most of its randomness: nets trained
so draw one digit a class, over and over, once it is switched off.
So its masks are part of the code: a code is z and one number a hidden unit, which keeps the unit where
it is below `keep`. The same code gives the same picture.

What the paper leaves open is taken from the code of Goodfellow et al. 2014: how weights start, that the output begins at
the data's mean, and over how many examples momentum grows (12.5 million; the paper says that it grows to 0.7, not when).
That code takes half of the discriminator's loss (`discriminator_weight`); here it is eq. (2) as printed. The authors have
not published the code of this experiment.

What differs from the paper: the fakes of a round serve both moves. Everything is computed on logits; on processors with
fast bf16 the hidden layers run in bf16 by autocast. Samples, those of our figures too, are drawn with the generator's
dropout on; whether the published figure's were is not known.
"""

# B batch, z latent width, H hidden units under dropout, K classes

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

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
from genloom.models.fitting import no_labels, no_pictures
from genloom.nn.dense import Maxout, dense, even_labels, exactly, one_hot, start_at_mean, uniform
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class CGANHyper(AnnealedSGD):
    """Section 4.1 of the paper."""

    z: int = hp(100, "width of the latent code, uniform on the unit hypercube", low=1)
    z_hidden: int = hp(200, "units of the generator's layer for the noise", low=1)
    y_hidden: int = hp(1000, "units of the generator's layer for the label", low=1)
    joint: int = hp(1200, "units of the generator's joint layer", low=1)
    x_maxout: int = hp(240, "maxout units of the discriminator for the picture", low=1)
    y_maxout: int = hp(50, "maxout units of the discriminator for the label", low=1)
    joint_maxout: int = hp(240, "maxout units of the discriminator's joint layer", low=1)
    pieces: int = hp(5, "linear pieces of the first maxout layers", low=1)
    joint_pieces: int = hp(4, "linear pieces of the joint maxout layer", low=1)
    keep: float = hp(0.5, "share of hidden units that dropout keeps, in both nets", low=0.01, high=1)
    discriminator_weight: float = hp(1.0, "factor of the discriminator's loss; 0.5 is the GAN authors' code", low=0)
    decay: float = hp(1.00004, "the rate is divided by this at every update", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Dropout in the discriminator only matters to training; samples come from averaged weights."""
        return cls(ema=500_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Small layers with larger weights at the start, so that learning begins at once."""
        return cls(
            z=16,
            z_hidden=64,
            y_hidden=64,
            joint=128,
            x_maxout=64,
            y_maxout=16,
            joint_maxout=64,
            pieces=2,
            joint_pieces=2,
            spread_g=0.1,
            spread_d=0.05,
            ema=5_000.0,
        )


class Generator(nn.Module):
    """Code `[B, z + H]`, z and the dropout masks, and one-hot y `[B, K]` to x `[B, D]` in (0, 1)."""

    def __init__(self, hyper: CGANHyper, classes: int, outputs: int) -> None:
        super().__init__()
        self.z = dense(hyper.z, hyper.z_hidden, hyper.spread_g)
        self.y = dense(classes, hyper.y_hidden, hyper.spread_g)
        self.joint = dense(hyper.z_hidden + hyper.y_hidden, hyper.joint, hyper.spread_g)
        self.x = dense(hyper.joint, outputs, hyper.spread_g)
        self.parts = [hyper.z, hyper.z_hidden + hyper.y_hidden, hyper.joint]
        self.keep = hyper.keep

    def forward(self, code: Tensor, y: Tensor) -> Tensor:
        z, first, second = code.split(self.parts, 1)
        h = torch.cat([F.relu(self.z(z)), F.relu(self.y(y))], 1)
        h = F.relu(self.joint(self.drop(h, first)))
        return torch.sigmoid(exactly(self.x, self.drop(h, second)))

    def drop(self, h: Tensor, mask: Tensor) -> Tensor:
        """Keep the units whose number in `mask`, uniform on [0, 1], is below `keep`."""
        return h * (mask < self.keep) / self.keep


class Discriminator(nn.Module):
    """x `[B, D]` and one-hot y `[B, K]` to the logit `[B]` of being real."""

    def __init__(self, hyper: CGANHyper, classes: int, inputs: int) -> None:
        super().__init__()
        self.x = Maxout(inputs, hyper.x_maxout, hyper.pieces, hyper.spread_d)
        self.y = Maxout(classes, hyper.y_maxout, hyper.pieces, hyper.spread_d)
        self.joint = Maxout(hyper.x_maxout + hyper.y_maxout, hyper.joint_maxout, hyper.joint_pieces, hyper.spread_d)
        self.out = dense(hyper.joint_maxout, 1, hyper.spread_d)
        self.drop = nn.Dropout(1 - hyper.keep)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.drop(torch.cat([self.x(x), self.y(y)], 1))
        return exactly(self.out, self.drop(self.joint(h))).squeeze(1)


class CGAN(Model, Latent):
    """Mirza & Osindero 2014."""

    Hyper = CGANHyper
    hyper: CGANHyper
    law = "uniform"
    conditional = True
    notes = objectives.ACCURACY

    def __init__(self, hyper: CGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.classes = len(shape.classes)
        self.generator = Generator(hyper, self.classes, shape.width)
        self.discriminator = Discriminator(hyper, self.classes, shape.width)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return no_pictures(shape, "cgan") or no_labels(shape, "cgan learns from labels") or shape

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Start the generator's output at the mean of the data."""
        start_at_mean(self.generator.x, data, remember)
        return data

    def players(self) -> Sequence[Player]:
        return self.hyper.players(self.generator, self.discriminator)

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x, y = batch["x"].flatten(1), one_hot(batch["y"], self.classes)
        x_fake = self.generator(self.prior(len(x)), y)
        real, fake = self.discriminator(x, y), self.discriminator(x_fake.detach(), y)
        loss = self.hyper.discriminator_weight * objectives.discriminate(real, fake)  # eq. (2)
        yield Move("discriminator", loss, objectives.accuracy(real, fake))
        yield Move("generator", objectives.non_saturating(self.discriminator(x_fake, y)))

    @property
    def code_width(self) -> int:
        return sum(self.generator.parts)

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        return uniform(n, self.code_width, self.device, noise)

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        noise, masks = z.split([self.hyper.z, z.shape[1] - self.hyper.z], 1)
        return torch.cat([(noise - 0.5) * temperature + 0.5, masks], 1)  # masks are no noise to scale

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        z = z.to(self.device)
        y = even_labels(len(z), self.classes, z.device) if given is None else given.to(z.device)
        return self.generator(z, one_hot(y, self.classes)).unflatten(1, self.shape.dims)
