"""Progressive Growing of GANs for Improved Quality, Stability, and Variation.

Karras, Aila, Laine, Lehtinen. 2018. arXiv 1710.10196.

Both nets begin at 4x4 and double: a new level is faded in, then settles, each with new optimizer state. Real pictures are
faded like made ones. Weights are scaled as they are used, the generator's maps are normalised pixel by pixel, and the
discriminator sees how much a batch varies. The critic is Wasserstein's with a gradient penalty and a small pull to zero.

What differs from the paper: pictures without labels alone; squares of 4, 8, ... 1024 pixels, at most as large as the data;
a batch of one size throughout (the paper makes it smaller from 256x256 on, for memory); output layers in fp32, bf16 by
autocast where the processor is good at it. `modern` has narrower nets, shorter levels, the
non-saturating objective with R1 every sixteenth round (Mescheder et al. 2018; lazily, Karras et al. 2020), which needs no
gradient of a gradient in the other rounds.
"""

# B batch, C channels, H height, z latent width

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Note, Phase, Player
from genloom.models.adversarial.codes import DirectionCodes
from genloom.models.fitting import LARGEST, square
from genloom.nn.progressive import SMALLEST, Discriminator, Generator, at_level, maps_of
from genloom.shapes.base import Shape

LAZY = 16  # rounds from one R1 to the next


@dataclass(frozen=True)
class ProGANHyper(Hyper):
    """Appendix A of the paper."""

    z: int = hp(512, "width of the latent code, normal, of which the direction alone counts", low=1)
    base: int = hp(8192, "channels times half of the pixels of a side, where `most` is not less", low=8)
    most: int = hp(512, "channels of the widest maps", low=1)
    stop_at: int = hp(0, "pixels of a side at which growth ends, 0 for the data's own", low=0, high=LARGEST)
    grow: bool = hp(True, "begin at 4x4; without it the whole nets are trained from the start")
    stage: int = hp(800_000, "examples for which a level settles, and as many for which the next is faded in", low=1)
    objective: Literal["wgan-gp", "r1"] = hp("wgan-gp", "Wasserstein with a penalty, or non-saturating with R1")
    penalty: float = hp(10.0, "weight of the gradient penalty: lambda of wgan-gp, gamma of R1", low=0)
    drift: float = hp(1e-3, "weight of the critic's mean square on real pictures, of wgan-gp", low=0)
    rate: float = hp(1e-3, "learning rate of Adam", low=0)
    batch: int = hp(16, "examples a batch", low=2)
    ema: float | None = hp(11_085.0, "half-life in examples of averaged weights: .999 a batch of 16", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Narrower nets, short levels, R1; weights averaged over a part of a level, or the one before would show in them."""
        return cls(z=128, base=1024, most=128, stage=6_000, objective="r1", penalty=1.0, rate=2e-3, batch=32, ema=1_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return replace(cls.modern(), z=16, base=256, most=32, stage=2_000, ema=300.0)


class ProGAN(DirectionCodes):
    """Karras et al. 2018."""

    Hyper = ProGANHyper
    hyper: ProGANHyper
    compilable = False  # nets that grow, and a gradient of a gradient
    notes = objectives.ACCURACY | {"gradient": Note("loss", "discriminator", shown=False)}
    grown: Tensor
    growth_noted: tuple[int, float]  # the same, for graphs

    def __init__(self, hyper: ProGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, side, _ = shape.dims
        self.levels = int(math.log2(side)) - 1
        maps = maps_of(self.levels, hyper.base, hyper.most)
        self.generator = Generator(hyper.z, channels, maps)
        self.discriminator = Discriminator(channels, maps)
        # Level and fade of the round before, in a checkpoint so that a run is drawn from as it was trained.
        self.register_buffer("grown", torch.zeros(2))

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, ProGANHyper)
        found = square(shape, "progan")
        if isinstance(found, Misfit) or not hyper.stop_at:
            return found
        side, wanted = found.height, hyper.stop_at
        if wanted < 2 * SMALLEST or wanted & (wanted - 1):
            return Misfit(f"progan grows to 8, 16, 32, ... pixels, not {wanted}: say --hyper.stop_at {side}", remedy=True)
        if wanted > side:
            return Misfit(
                f"the pictures have {side} pixels of a side, and --hyper.stop_at {wanted} would grow beyond what they show: "
                f"say --hyper.stop_at {side}, or --size {wanted} to have them enlarged",
                remedy=True,
            )
        return replace(found, height=wanted, width_px=wanted)

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(0.0, 0.99), eps=1e-8, fused=True)
        return [
            Player("generator", (self.generator,), adam, ema=self.hyper.ema),
            Player("discriminator", (self.discriminator,), adam),
        ]

    def phases(self) -> Sequence[Phase]:
        """Settle at 4x4, then fade in and settle every other level; the last as long as the budget lasts."""
        fresh, found = ("generator", "discriminator"), []
        if not self.hyper.grow:
            return [Phase("training", self.round)]
        for level in range(self.levels):
            name, last = f"{SMALLEST * 2**level}x{SMALLEST * 2**level}", level == self.levels - 1
            if level:
                found.append(Phase(f"{name}, fading in", self.round, self.hyper.stage, fresh=fresh))
            found.append(Phase(name, self.round, None if last else self.hyper.stage, fresh=fresh))
        return found

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        level, fade = self.growth(clock)
        self.grown[0], self.grown[1] = level, fade
        x = at_level(next(batches)["x"] * 2 - 1, level, fade)
        judge = partial(self.discriminator, level=level, fade=fade)
        z = self.prior(len(x))
        with torch.no_grad():
            x_fake = self.generator(z, level, fade)
        real, fake = judge(x), judge(x_fake)
        loss, notes = self.criticise(judge, x, x_fake, real, fake, clock)
        yield Move("discriminator", loss, notes)
        fake = judge(self.generator(self.prior(len(x)), level, fade))
        wasserstein = self.hyper.objective == "wgan-gp"
        yield Move("generator", -fake.mean() if wasserstein else objectives.non_saturating(fake))

    def criticise(
        self, judge: partial[Tensor], x: Tensor, x_fake: Tensor, real: Tensor, fake: Tensor, clock: Clock
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return the discriminator's loss, and notes."""
        hyper = self.hyper
        if hyper.objective == "wgan-gp":
            between = x_fake.lerp(x, torch.rand(len(x), 1, 1, 1, device=x.device))
            steep = objectives.gradient_penalty(judge, between, 1.0)
            loss = fake.mean() - real.mean() + hyper.penalty * steep + hyper.drift * real.square().mean()
            return loss, {"gradient": steep.detach()}
        loss = objectives.discriminate(real, fake)
        if hyper.penalty and clock.rounds % LAZY == 0:
            loss = loss + LAZY * hyper.penalty / 2 * objectives.gradient_penalty(judge, x)
        return loss, {**objectives.accuracy(real, fake)}

    def growth(self, clock: Clock) -> tuple[int, float]:
        """Return the level, and how far it is faded in, in [0, 1]."""
        if not self.hyper.grow:
            return self.levels - 1, 1.0
        level = (clock.phase + 1) // 2
        return level, clock.within / clock.length if clock.phase % 2 and clock.length else 1.0

    def before_export(self) -> None:
        self.growth_noted = int(self.grown[0]), float(self.grown[1])

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        exporting = torch.compiler.is_exporting()
        level, fade = self.growth_noted if exporting else (int(self.grown[0]), float(self.grown[1]))
        x: Tensor = self.generator(z.to(self.device), level, fade)
        large = x.repeat_interleave(self.shape.dims[1] // x.shape[2], 2)  # what is not grown yet is shown in squares
        return (large.repeat_interleave(self.shape.dims[1] // x.shape[3], 3) / 2 + 0.5).clamp(0, 1)
