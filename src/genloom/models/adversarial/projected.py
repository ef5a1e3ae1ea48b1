"""Projected GANs Converge Faster.

Sauer, Chitta, Müller, Geiger. 2021. arXiv 2111.01007.

The discriminators see pictures through a frozen ImageNet network, whose maps are mixed at random across channels and scales
(`nn/projected.py`). The generator is FastGAN's light one. Hinge loss, real and made pictures augmented alike, Adam without
momentum.

What differs from the paper: pictures without labels alone; squares of 8, 16, ... 1024 pixels; the noise in the generator is
left out in use, so that a code always becomes the same picture; a code serves both moves of a round, the discriminator's
first, and so does what the frozen network sees; gated units by two convolutions in place of one, of the same weights; the
mean of the four discriminators' losses in place of their sum; the last convolutions in fp32, bf16 by autocast where the
processor is good at it; the network's weights are those of its public port, of the package index.

`modern` puts DCGAN's nets, losses and rates together with a small frozen network (docs/models/projected.md): the pixels'
discriminator, with batch norm and augmentation that follows its over-fitting, brings true colours and variety in the first
minutes, the network, shown pictures at their own size where they are small, outlines and objects.

A generator flatters the features it was trained with, and their kin: look at others too (`--features random`, SWD).
"""

# B batch, C channels, z latent width

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Player, Remember
from genloom.models.adversarial.codes import DirectionCodes
from genloom.models.fitting import other_channels, square
from genloom.nn.augment import AUGMENTED, GROWTH, Adaptive, augment
from genloom.nn.dcgan import StridedDiscriminator, StridedGenerator
from genloom.nn.efficientnet_lite import EfficientNetLite, pretrained
from genloom.nn.fastgan import FastGenerator
from genloom.nn.progressive import pixel_norm
from genloom.nn.projected import ProjectedDiscriminator
from genloom.shapes.base import Shape

COARSEST = 32  # pixels to a side of what the frozen network's smallest map sees


@dataclass(frozen=True)
class ProjectedHyper(Hyper):
    """Section 4 of the paper, and its authors' code where that is silent."""

    z: int = hp(256, "width of the latent code, normal, of which the direction alone counts", low=1)
    generator: Literal["light", "resized"] = hp(
        "light", "light: FastGAN's; resized: DCGAN's, of maps that are doubled and then convolved"
    )
    width: int = hp(
        128, "channels of the generator's map of 128 pixels, or of DCGAN's largest; smaller ones have more", low=1
    )
    noisy: bool = hp(True, "add noise to the light generator's maps while training")
    backbone: Literal["lite0", "lite1"] = hp("lite1", "the frozen ImageNet network")
    seen: int = hp(224, "pixels of a side that pictures are enlarged to for it, where they are smaller", low=32, high=1024)
    pixels: int = hp(0, "width of another discriminator, DCGAN's, that sees the pictures themselves; 0 leaves it out", low=0)
    share: float = hp(1.0, "weight of that one beside the frozen network's", low=0)
    augment: bool = hp(True, "change real and made pictures alike before the frozen network sees them")
    adaptive_augment: float = hp(0.0, "for that one " + GROWTH, low=0)
    rate: float = hp(2e-4, "learning rate of Adam", low=0)
    beta1: float = hp(0.0, "Adam's decay of the first moment", low=0, high=0.999)
    beta2: float = hp(0.99, "and of the second", low=0, high=0.99999)
    batch: int = hp(64, "examples a batch", low=2)
    ema: float | None = hp(20_000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """DCGAN as its `modern` has it, and a small frozen network that sees pictures as they are."""
        dcgan = cls(z=100, generator="resized", width=64, pixels=64, rate=5e-4, beta1=0.5, beta2=0.999, batch=16)
        return replace(dcgan, backbone="lite0", seen=64, adaptive_augment=50_000.0, ema=10_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return replace(cls.modern(), z=16, width=16, seen=32, pixels=16, rate=1e-3, ema=1_000.0)


class Projected(DirectionCodes):
    """Sauer et al. 2021."""

    Hyper = ProjectedHyper
    hyper: ProjectedHyper
    notes = objectives.ACCURACY | AUGMENTED

    def __init__(self, hyper: ProjectedHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, side, _ = shape.dims
        self.generator: FastGenerator | StridedGenerator
        if hyper.generator == "light":
            self.generator = FastGenerator(hyper.z, channels, side, hyper.width, hyper.noisy)
        else:
            self.generator = StridedGenerator(hyper.z, channels, (side, side), hyper.width, kernel=4, resized=True)
        self.discriminator = ProjectedDiscriminator(max(side, hyper.seen))
        if hyper.pixels:
            self.pixel_discriminator = StridedDiscriminator(channels, (side, side), hyper.pixels, 4, spectrally=False)
        self.adaptive = Adaptive(hyper.adaptive_augment)
        self.frozen: list[EfficientNetLite] = []  # in a list, so that it is no part of the model: neither trained nor saved

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, ProjectedHyper)
        if hyper.seen % COARSEST:
            return Misfit(f"--hyper.seen is a multiple of {COARSEST}, such as 224, not {hyper.seen}", remedy=True)
        if hyper.adaptive_augment and not hyper.pixels:
            return Misfit(
                "--hyper.adaptive_augment is for the pixels' discriminator: say --hyper.pixels 64 too", remedy=True
            )
        found = square(shape, "projected")
        return found if isinstance(found, Misfit) else other_channels(found, "projected") or found

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Read the frozen network once: better now than after the run began."""
        assert isinstance(hyper, ProjectedHyper)
        pretrained(hyper.backbone)
        return hyper

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Read the frozen network."""
        self.adaptive.pictures = size(data)
        self.frozen = [pretrained(self.hyper.backbone)]
        return data

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(self.hyper.beta1, self.hyper.beta2), fused=True)
        judges = (self.discriminator, self.pixel_discriminator) if self.hyper.pixels else (self.discriminator,)
        return [
            Player("generator", (self.generator,), adam, ema=self.hyper.ema),
            Player("discriminator", judges, adam),
        ]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x = next(batches)["x"] * 2 - 1
        x_fake = self.made(self.prior(len(x)))
        views = self.views(x_fake)  # the frozen network sees them once for both moves
        real, fake = self.discriminator(self.views(x)), self.discriminator([view.detach() for view in views])
        loss = torch.stack([objectives.hinge(a, b) for a, b in zip(real, fake, strict=True)]).mean()
        if not self.hyper.pixels:
            notes = objectives.accuracy(*(torch.cat([logits.flatten() for logits in each]) for each in (real, fake)))
        else:  # it is the pixels' discriminator that can over-fit and win
            seen = self.adaptive(x), self.adaptive(x_fake)
            real, fake = self.pixel_discriminator(seen[0]), self.pixel_discriminator(seen[1].detach())
            loss = loss + self.hyper.share * objectives.discriminate(real, fake)
            notes = objectives.accuracy(real, fake) | self.adaptive.follow(real, clock)
        yield Move("discriminator", loss, notes)
        loss = torch.stack([-logits.mean() for logits in self.discriminator(views)]).mean()
        if self.hyper.pixels:
            loss = loss + self.hyper.share * objectives.non_saturating(self.pixel_discriminator(seen[1]))
        yield Move("generator", loss)

    def views(self, x: Tensor) -> list[Tensor]:
        """Return what the frozen network sees in pictures `[B, C, H, W]`: its mixed maps."""
        if not self.frozen:
            self.frozen = [pretrained(self.hyper.backbone)]
        return self.discriminator.views(augment(x) if self.hyper.augment else x, self.frozen[0].to(x.device))

    def made(self, z: Tensor) -> Tensor:
        """Return the pictures `[B, C, H, W]`, near [-1, 1], of codes of which the direction alone counts."""
        made: Tensor = self.generator(pixel_norm(z))
        return made

    @property
    def taught_by(self) -> str:
        return self.hyper.backbone

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return (self.made(z.to(self.device)) / 2 + 0.5).clamp(0, 1)
