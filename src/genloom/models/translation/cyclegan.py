"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks.

Zhu, Park, Isola, Efros. 2017. arXiv 1703.10593.

Two generators turn pictures of A into pictures of B and back. Each is to fool a discriminator of patches of 70 pixels by
least squares, and what went there and back is to be what it was (`cycle`). `identity` also asks that a picture of B, taken
for one of A, stays as it is, which keeps colours; the paper has it for paintings alone, at half of `cycle`. A discriminator
sees made pictures of before too, from a pool of 50 that lies in the checkpoint.

Data with partners is taken as two domains: B comes in an order of its own.

What differs from the paper: pictures of any size, padded by reflection to multiples of 4; jitter enlarges the stored picture
bilinearly; the pool is in half precision; an epoch is one of A; bf16 by autocast where the processor is good at it, the
discriminators' last layer in fp32. `modern` doubles maps by even kernels in place of those of 3, which draw checkerboards,
adds what a generator makes to the picture (`skip`), so that detail needs not be learnt, with a cycle of 2 in place of 10,
whose kink would hold pictures as they are; it keeps the rate, and translates by averaged weights.
"""

# B batch, C channels of A, C' of B, H height, W width

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Move, Note, Player, Remember
from genloom.core.random import Noise
from genloom.models.fitting import no_two_sides
from genloom.models.translation.jitter import jittered
from genloom.models.translation.looked_at import LookedAt
from genloom.models.translation.pool import ImagePool
from genloom.models.translation.training import TranslatorHyper, too_small
from genloom.nn.augment import augment
from genloom.nn.conv import normal_weights
from genloom.nn.patches import PatchDiscriminator
from genloom.nn.resnet import LEAST, MARGIN, ResidualGenerator
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape

LARGE = 256  # pixels of the shorter side from which the paper takes nine blocks, else six


@dataclass(frozen=True)
class CycleGANHyper(TranslatorHyper):
    """Section 4 and the appendix of the paper."""

    cycle: float = hp(10.0, "weight of what comes back different from what it was", low=0)
    identity: float = hp(0.0, "weight, as a share of `cycle`, of what changes though it is of the other side already", low=0)
    width: int = hp(64, "channels of the largest map; they double at each of two halvings", low=1)
    blocks: int = hp(0, "residual blocks; 0 for the paper's nine from 256 pixels on, else six", low=0)
    up: Literal["transposed", "even", "resized"] = hp(
        "transposed", "how generators double maps: kernels of 3, of 4, resizing"
    )
    skip: bool = hp(
        False,
        "generators make the change of a picture, which is added to it, where both sides are pictures of the same channels",
    )
    patch: Literal[1, 16, 70, 286] = hp(70, "side in pixels of the squares that the discriminators judge")
    pool: int = hp(50, "made pictures of before that are kept for either discriminator, 0 for none", low=0, high=10_000)
    augment: bool = hp(False, "augment differentiably what the discriminators see")
    epochs: int = hp(100, "epochs before the rate falls, and over which it does; 0 to take `hold` and `fall`", low=0)

    @classmethod
    def modern(cls) -> Self:
        """Changes added to the picture, a lighter cycle, maps doubled by even kernels, averaged weights."""
        return cls(up="even", skip=True, cycle=2.0, epochs=0, ema=2_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns small pictures in seconds."""
        return cls(width=16, blocks=2, up="even", patch=16, identity=0.5, pool=16, epochs=0, batch=8, rate=1e-3, ema=1_000.0)


class CycleGAN(LookedAt):
    """Zhu et al. 2017."""

    Hyper = CycleGANHyper
    hyper: CycleGANHyper
    sides, margin, multiple = ("A", "B"), MARGIN, LEAST
    reads = "pairs"
    notes = objectives.ACCURACY | {"cycle": Note("error", "generator"), "changed": Note("change", "generator")}

    def __init__(self, hyper: CycleGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        assert isinstance(shape, PairShape)
        blocks = hyper.blocks or (9 if min(shape.size) >= LARGE else 6)
        a, b = shape.channels, shape.channels_b
        skip = hyper.skip and a == b and not (shape.palette or shape.palette_b)  # classes have nothing to add to
        self.to_b = ResidualGenerator(a, b, hyper.width, blocks, hyper.up, skip)
        self.to_a = ResidualGenerator(b, a, hyper.width, blocks, hyper.up, skip)
        self.judge_a = PatchDiscriminator(a, hyper.width, hyper.patch, "instance")
        self.judge_b = PatchDiscriminator(b, hyper.width, hyper.patch, "instance")
        self.pool_a, self.pool_b = ImagePool(hyper.pool, (a, *shape.size)), ImagePool(hyper.pool, (b, *shape.size))
        normal_weights(self, hyper.deviation)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, CycleGANHyper)
        if misfit := no_two_sides(shape, "cyclegan"):
            return misfit
        assert isinstance(shape, PairShape)
        if misfit := too_small(shape.size, hyper.patch, LEAST, "cyclegan"):
            return misfit
        if hyper.identity and shape.channels != shape.channels_b:
            return Misfit("colours are kept only between sides of the same channels: say --hyper.identity 0", remedy=True)
        return shape

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Count the epochs of the rate's fall in examples of A."""
        assert isinstance(hyper, CycleGANHyper)
        if not hyper.epochs:
            return hyper
        return replace(hyper, hold=hyper.epochs * size(data), fall=hyper.epochs * size(data))

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Choose the pictures to look at, and hide which are partners."""
        super().study(data, remember)
        return data.unpaired() if hasattr(data, "unpaired") else data

    def players(self) -> Sequence[Player]:
        return self.hyper.players([self.to_b, self.to_a], [self.judge_a, self.judge_b])

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        a, b = self.changed(next(batches))
        fake_b, fake_a = self.to_b(a), self.to_a(b)
        back = F.l1_loss(self.to_a(fake_b), a) + F.l1_loss(self.to_b(fake_a), b)
        loss = (
            objectives.least_squares(self.seen_b(fake_b), 1.0)
            + objectives.least_squares(self.seen_a(fake_a), 1.0)
            + self.hyper.cycle * back
        )
        if self.hyper.identity:
            kept = F.l1_loss(self.to_b(b), b) + F.l1_loss(self.to_a(a), a)
            loss = loss + self.hyper.cycle * self.hyper.identity * kept
        yield Move("generator", loss, {"cycle": back.detach() / 4} | changes(a, fake_b))  # as of pictures in [0, 1]
        reals = self.seen_a(a), self.seen_b(b)
        fakes = self.seen_a(self.pool_a(fake_a.detach())), self.seen_b(self.pool_b(fake_b.detach()))
        # Half of each, so that the discriminators learn no faster than the generators.
        loss = a.new_zeros(())
        for real, fake in zip(reals, fakes, strict=True):
            loss = loss + objectives.least_squares(real, 1.0) + objectives.least_squares(fake, 0.0)
        yield Move("discriminator", loss / 2, right(reals, fakes))

    def seen_a(self, x: Tensor) -> Tensor:
        """Return the logits of pictures of A."""
        return self.judge_a(augment(x) if self.hyper.augment else x)

    def seen_b(self, x: Tensor) -> Tensor:
        """Return the logits of pictures of B."""
        return self.judge_b(augment(x) if self.hyper.augment else x)

    def changed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return both sides in [-1, 1], each enlarged, cut and mirrored in its own way."""
        assert isinstance(self.shape, PairShape)
        sides = ((batch["x"], bool(self.shape.palette)), (batch["b"], bool(self.shape.palette_b)))
        a, b = (jittered([side], self.hyper.jitter, self.hyper.mirror)[0] for side in sides)
        return a, b

    @torch.no_grad()
    def translate(self, x: Tensor, to: str = "B", noise: Noise | None = None, tile: tuple[int, int] | None = None) -> Tensor:
        net = self.to_b if to == "B" else self.to_a
        if tile:
            return net.in_tiles(x.to(self.device), *tile).cpu().div_(2).add_(0.5)
        return net(x.to(self.device) * 2 - 1).cpu() / 2 + 0.5


def right(reals: Sequence[Tensor], fakes: Sequence[Tensor]) -> dict[str, Tensor]:
    """Notes on the discriminators: the share of patches that they call rightly, of which a half is the border."""
    real, fake = (torch.cat([x.flatten() for x in each]) for each in (reals, fakes))
    return objectives.accuracy(real - 0.5, fake - 0.5)


def changes(a: Tensor, made: Tensor) -> dict[str, Tensor]:
    """Note how far pictures have come from what they were; nothing where the sides have other channels."""
    return {"changed": (made - a).abs().mean().detach() / 2} if made.shape == a.shape else {}
