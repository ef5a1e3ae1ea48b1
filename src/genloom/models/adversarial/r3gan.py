"""The GAN is dead; long live the GAN! A Modern Baseline GAN.

Huang, Gokaslan, Kuleshov, Tompkin. 2024. arXiv 2501.05441.

Both players see real and made pictures in pairs: the discriminator is to value each real one above a made one, the generator
the other way round, and zero-centred gradient penalties on real (R1) and on made pictures (R2) hold the game together. With
that loss plain residual nets without norms are enough (`nn/plain_residual.py`). Rate, Adam's second decay, the weight of the
penalties and the share of augmented pictures follow half a cosine.

What differs from the paper: pictures without labels alone; squares of 8 to 1024 pixels; the half-life of averaged weights is
fixed, and short at first, where theirs grows by the same cosine; augmentation is that of Zhao et al. 2020, of a share of the
pictures, drawn anew for the penalties, where theirs is the pipe of Karras et al. 2020; bf16 by autocast where the processor
is good at it, in all layers but the last and for the penalties too, where theirs has it in the three largest sizes. The
defaults are of CIFAR-10 at 32x32; the authors' gamma is 2 for faces at 64x64 and 150 at 256x256. `modern` has narrow nets,
short schedules, and takes the penalties every eighth round, eight times as heavy.
"""

# B batch, C channels, z latent width

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Note, Player
from genloom.models.adversarial.codes import NormalCodes
from genloom.models.fitting import square
from genloom.nn.augment import augment
from genloom.nn.plain_residual import Discriminator, Generator, widths
from genloom.shapes.base import Shape

END = {"rate": 0.25, "gamma": 0.1}  # times what they start at
BETA2 = (0.9, 0.99)


@dataclass(frozen=True)
class R3GANHyper(Hyper):
    """The authors' settings for CIFAR-10."""

    z: int = hp(64, "width of the latent code, normal", low=1)
    width: int = hp(768, "channels of the maps up to 32 pixels; they halve at each doubling beyond", low=8)
    gamma: float = hp(0.05, "weight of the gradient penalties at the start; a tenth at the end", low=0)
    every: int = hp(1, "rounds from one taking of the penalties to the next, so many times as heavy", low=1, high=64)
    augmented: float = hp(0.55, "share of the pictures that are augmented at the end; none at the start", low=0, high=1)
    rate: float = hp(2e-4, "learning rate of Adam at the start; a quarter at the end", low=0)
    horizon: int = hp(20_000_000, "examples over which all that changes", low=1)
    batch: int = hp(512, "examples a batch", low=2)
    ema: float | None = hp(5_000_000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Narrow nets, short schedules, penalties every eighth round."""
        return cls(width=48, gamma=1.0, every=8, augmented=0.3, rate=5e-4, horizon=200_000, batch=32, ema=10_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return replace(cls.modern(), z=16, width=32, rate=1e-3, ema=2_000.0)


class R3GAN(NormalCodes):
    """Huang et al. 2024."""

    Hyper = R3GANHyper
    hyper: R3GANHyper
    compilable = False  # torch.compile takes no gradient of a gradient
    notes: ClassVar[dict[str, Note]] = {"d_real": Note("accuracy"), "gradient": Note("loss", "discriminator", shown=False)}

    def __init__(self, hyper: R3GANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, side, _ = shape.dims
        maps = widths(side, hyper.width)
        self.generator = Generator(hyper.z, channels, maps)
        self.discriminator = Discriminator(channels, maps)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return square(shape, "r3gan")

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, eps=1e-8, fused=True)
        return [
            Player("generator", (self.generator,), adam, self.descent, ema=self.hyper.ema),
            Player("discriminator", (self.discriminator,), adam, self.descent),
        ]

    def descent(self, clock: Clock) -> dict[str, float | tuple[float, float]]:
        """Return the optimizer's settings."""
        rate = self.hyper.rate
        return {"lr": self.between(clock, rate, END["rate"] * rate), "betas": (0.0, self.between(clock, *BETA2))}

    def between(self, clock: Clock, start: float, end: float) -> float:
        """Return a value that goes from `start` to `end` by half a cosine."""
        done = min(1.0, clock.examples / self.hyper.horizon)
        return end + (start - end) * (0.5 + 0.5 * math.cos(math.pi * done))

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper, share = self.hyper, self.between(clock, 0.0, self.hyper.augmented)
        x = next(batches)["x"] * 2 - 1
        with torch.no_grad():
            x_fake = self.generator(self.prior(len(x)))
        real, fake = self.valued(x, share), self.valued(x_fake, share)
        loss, notes = objectives.non_saturating(real - fake), {"d_real": (real > fake).float().mean()}
        if hyper.gamma and clock.rounds % hyper.every == 0:
            valued = partial(self.valued, share=share)
            steep = torch.stack([objectives.gradient_penalty(valued, each) for each in (x, x_fake)]).sum()
            gamma = self.between(clock, hyper.gamma, END["gamma"] * hyper.gamma)
            loss, notes = loss + hyper.every * gamma / 2 * steep, notes | {"gradient": steep.detach()}
        yield Move("discriminator", loss, notes)
        made = self.valued(self.generator(self.prior(len(x))), share)
        with torch.no_grad():
            real = self.valued(x, share)
        yield Move("generator", objectives.non_saturating(made - real))

    def valued(self, x: Tensor, share: float) -> Tensor:
        """Return what the discriminator values pictures at `[B]`, a share of which are augmented."""
        return self.discriminator(partly(x, share))

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator(z.to(self.device))
        return (made / 2 + 0.5).clamp(0, 1)


def partly(x: Tensor, share: float) -> Tensor:
    """Augment a share of the pictures `[B, C, H, W]`, differentiably."""
    if share == 0:
        return x
    chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < share
    return torch.where(chosen, augment(x), x)
