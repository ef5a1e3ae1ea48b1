"""Projected GANs Converge Faster.

Sauer, Chitta, Müller, Geiger. 2021. arXiv 2111.01007.

The discriminators see pictures through a frozen ImageNet network, whose maps are mixed at random across channels and scales
(`nn/projected.py`). The generator is FastGAN's light one. Hinge loss, real and made pictures augmented alike, Adam without
momentum.

What differs from the paper: pictures without labels alone; squares of 8, 16, ... 1024 pixels; the noise in the generator is
left out in use, so that a code always becomes the same picture; a code serves both moves of a round, the discriminator's
first, and so does what the frozen network sees; gated units by two convolutions in place of one, of the same weights; the
last convolutions in fp32, bf16 by autocast where the processor is good at it; the network's weights are those of its public
port, of the package index. `modern` has a narrow generator without noise, shows the network pictures at their own size where
they are small, and has a discriminator of the pixels beside it.

A generator flatters the features it was trained with, and their kin: look at others too (`--features random`, SWD).
"""

# B batch, C channels, z latent width

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Player, Remember
from genloom.models.adversarial.codes import DirectionCodes
from genloom.models.fitting import other_channels, square
from genloom.nn.augment import augment
from genloom.nn.dcgan import StridedDiscriminator
from genloom.nn.efficientnet_lite import EfficientNetLite, pretrained
from genloom.nn.fastgan import FastGenerator
from genloom.nn.projected import ProjectedDiscriminator
from genloom.shapes.base import Shape

COARSEST = 32  # pixels to a side of what the frozen network's smallest map sees


@dataclass(frozen=True)
class ProjectedHyper(Hyper):
    """Section 4 of the paper, and its authors' code where that is silent."""

    z: int = hp(256, "width of the latent code, normal, of which the direction alone counts", low=1)
    width: int = hp(128, "channels of the generator's map of 128 pixels; smaller ones have up to 16 times as many", low=1)
    noisy: bool = hp(True, "add noise to the generator's maps while training")
    backbone: Literal["lite0", "lite1"] = hp("lite1", "the frozen ImageNet network")
    seen: int = hp(224, "pixels of a side that pictures are enlarged to for it, where they are smaller", low=32, high=1024)
    pixels: int = hp(0, "channels of the largest map of a discriminator of the pixels beside it, 0 for none", low=0)
    share: float = hp(1.0, "weight of that discriminator", low=0)
    augment: bool = hp(True, "change real and made pictures alike before they are judged")
    rate: float = hp(2e-4, "learning rate of Adam", low=0)
    batch: int = hp(64, "examples a batch", low=2)
    ema: float | None = hp(20_000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """A narrow generator, pictures seen as they are, a discriminator of the pixels beside it."""
        return cls(z=128, width=16, noisy=False, backbone="lite0", seen=64, pixels=32, rate=5e-4, batch=16, ema=5_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return replace(cls.modern(), z=16, width=8, seen=32, pixels=16, ema=1_000.0)


class Projected(DirectionCodes):
    """Sauer et al. 2021."""

    Hyper = ProjectedHyper
    hyper: ProjectedHyper
    notes = objectives.ACCURACY

    def __init__(self, hyper: ProjectedHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, side, _ = shape.dims
        self.generator = FastGenerator(hyper.z, channels, side, hyper.width, hyper.noisy)
        self.discriminator = ProjectedDiscriminator(max(side, hyper.seen))
        if hyper.pixels:
            self.pixel_discriminator = StridedDiscriminator(channels, (side, side), hyper.pixels, kernel=4)
        self.frozen: list[EfficientNetLite] = []  # in a list, so that it is no part of the model: neither trained nor saved

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, ProjectedHyper)
        if hyper.seen % COARSEST:
            return Misfit(f"--hyper.seen is a multiple of {COARSEST}, such as 224, not {hyper.seen}", remedy=True)
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
        self.frozen = [pretrained(self.hyper.backbone)]
        return data

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(0.0, 0.99), eps=1e-8, fused=True)
        judges = (self.discriminator, self.pixel_discriminator) if self.hyper.pixels else (self.discriminator,)
        return [
            Player("generator", (self.generator,), adam, ema=self.hyper.ema),
            Player("discriminator", judges, adam),
        ]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        seen = augment if self.hyper.augment else nn.Identity()
        x = seen(next(batches)["x"] * 2 - 1)
        x_fake = seen(self.generator(self.prior(len(x))))
        views = self.views(x_fake)  # the frozen network sees them once for both moves
        real, fake = self.judged(self.views(x)), self.judged([view.detach() for view in views])
        losses = [weight * objectives.hinge(a, b) for (a, weight), (b, _) in zip(real, fake, strict=True)]
        logits = [torch.cat([part.flatten() for part, _ in each]) for each in (real, fake)]
        yield Move("discriminator", torch.stack(losses).sum(), objectives.accuracy(*logits))
        yield Move("generator", torch.stack([-weight * part.mean() for part, weight in self.judged(views)]).sum())

    def views(self, x: Tensor) -> list[Tensor]:
        """Return what the discriminators judge of pictures `[B, C, H, W]`: the mixed maps, and the pictures themselves."""
        if not self.frozen:
            self.frozen = [pretrained(self.hyper.backbone)]
        return [*self.discriminator.views(x, self.frozen[0].to(x.device)), x]

    def judged(self, views: Sequence[Tensor]) -> list[tuple[Tensor, float]]:
        """Return the logits of each discriminator, and its weight: the heads share 1."""
        *maps, x = views
        heads = self.discriminator(maps)
        found = [(logits, 1 / len(heads)) for logits in heads]
        return [*found, (self.pixel_discriminator(x), self.hyper.share)] if self.hyper.pixels else found

    @property
    def taught_by(self) -> str:
        return self.hyper.backbone

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator(z.to(self.device))
        return (made / 2 + 0.5).clamp(0, 1)
