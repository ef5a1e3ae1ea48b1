"""Image-to-Image Translation with Conditional Adversarial Networks.

Isola, Zhu, Zhou, Efros. 2017. arXiv 1611.07004.

A U-Net turns a picture of A into one of B; it is near its partner by L1, and a discriminator that sees A and B together
cannot tell patches of it from real ones. `adversarial`, `l1`, `generator` and `patch` give every row of the paper's
ablations.

The paper keeps dropout at test time for its only randomness and takes a test picture's own statistics for batch norm; so
does `translate`, picture by picture, whatever the batch (`test_dropout` false leaves the dropout out).

What differs from the paper: pictures of any size, padded by reflection to what the net halves and cropped back, and halved
no more often than their longer side allows; the innermost map has no norm, as the authors' erratum has it; jitter enlarges
the stored picture bilinearly; losses on logits; bf16 by autocast where the processor is good at it, the discriminator's
last layer in fp32. `modern` has instance norm, no dropout, and averaged weights for use.
"""

# B batch, C channels of A, C' of B, H height, W width

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Move, Note, Player
from genloom.core.random import Noise
from genloom.models.fitting import no_pairs
from genloom.models.translation.jitter import jittered
from genloom.models.translation.looked_at import LookedAt
from genloom.models.translation.training import TranslatorHyper, too_small
from genloom.nn.conv import normal_weights
from genloom.nn.patches import PatchDiscriminator
from genloom.nn.unet import UNet
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape


@dataclass(frozen=True)
class Pix2PixHyper(TranslatorHyper):
    """Sections 3 and 6.1 of the paper."""

    generator: Literal["unet", "encoder-decoder"] = hp("unet", "with or without skips between mirrored maps")
    adversarial: Literal["conditional", "unconditional", "none"] = hp(
        "conditional", "whether the discriminator sees A beside B, or there is none"
    )
    l1: float = hp(100.0, "weight of the mean absolute difference to the partner", low=0)
    patch: Literal[1, 16, 70, 286] = hp(70, "side in pixels of the squares that the discriminator judges")
    width: int = hp(64, "channels of the largest map; they double at each halving, up to 8 times", low=1)
    depth: int = hp(8, "halvings, or as many as the longer side allows", low=2, high=12)
    norm: Literal["batch", "instance"] = hp("batch", "of both nets")
    dropout: float = hp(0.5, "share dropped of the generator's innermost maps", low=0, high=0.9)
    test_dropout: bool = hp(True, "drop at test time too")

    @classmethod
    def modern(cls) -> Self:
        """Instance norm, no dropout, averaged weights."""
        return cls(norm="instance", dropout=0.0, test_dropout=False, ema=2_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns small pictures in seconds."""
        return cls(
            width=16, depth=3, patch=16, norm="instance", dropout=0.0, test_dropout=False, batch=8, rate=1e-3, ema=1_000.0
        )


class Pix2Pix(LookedAt):
    """Isola et al. 2017."""

    Hyper = Pix2PixHyper
    hyper: Pix2PixHyper
    sides, margin = ("B",), 4
    reads = "pairs"
    notes = objectives.ACCURACY | {"l1": Note("error", "generator")}

    def __init__(self, hyper: Pix2PixHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        assert isinstance(shape, PairShape)
        depth = min(hyper.depth, int(math.log2(max(shape.size))))
        a, b = shape.channels, shape.channels_b
        self.generator = UNet(a, b, hyper.width, depth, hyper.generator == "unet", hyper.norm, hyper.dropout)
        self.multiple = self.generator.multiple
        normal_weights(self.generator, hyper.deviation)
        if hyper.adversarial != "none":
            seen = a + b if hyper.adversarial == "conditional" else b
            self.discriminator = PatchDiscriminator(seen, hyper.width, hyper.patch, hyper.norm)
            normal_weights(self.discriminator, hyper.deviation)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, Pix2PixHyper)
        if misfit := no_pairs(shape, "pix2pix"):
            return misfit
        assert isinstance(shape, PairShape)
        if hyper.adversarial == "none" and hyper.l1 == 0:
            return Misfit("without a discriminator and with --hyper.l1 0 there is nothing to learn from", remedy=True)
        judged = hyper.adversarial != "none"
        return too_small(shape.size, hyper.patch if judged else 1, 4, "pix2pix") or shape

    def players(self) -> Sequence[Player]:
        judges = [] if self.hyper.adversarial == "none" else [self.discriminator]
        return self.hyper.players([self.generator], judges)

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        a, b = self.changed(batch["x"], batch["b"])
        made = self.generator(a)
        loss, notes = made.new_zeros(()), {}
        if self.hyper.adversarial != "none":
            real, fake = self.judged(a, b), self.judged(a, made.detach())
            # Half, so that the discriminator learns no faster than the generator.
            yield Move("discriminator", objectives.discriminate(real, fake) / 2, objectives.accuracy(real, fake))
            loss = objectives.non_saturating(self.judged(a, made))
        if self.hyper.l1:
            away = F.l1_loss(made, b)
            loss, notes = loss + self.hyper.l1 * away, {"l1": away.detach() / 2}  # as of pictures in [0, 1]
        yield Move("generator", loss, notes)

    def judged(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the discriminator's logits of pictures of B, which it may see beside those of A."""
        return self.discriminator(torch.cat([a, b], 1) if self.hyper.adversarial == "conditional" else b)

    def changed(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return both sides in [-1, 1], enlarged, cut and mirrored alike, each pair in its own way."""
        assert isinstance(self.shape, PairShape)
        sides = [(a, bool(self.shape.palette)), (b, bool(self.shape.palette_b))]
        a, b = jittered(sides, self.hyper.jitter, self.hyper.mirror)
        return a, b

    @torch.no_grad()
    def translate(self, x: Tensor, to: str = "B", noise: Noise | None = None, tile: tuple[int, int] | None = None) -> Tensor:
        masks = None
        if self.hyper.test_dropout:
            own = Noise.fresh(len(x)) if noise is None else noise
            masks = partial(dropout_numbers, own, self.device)
        net = self.generator
        if tile:
            return net.in_tiles(x.to(self.device), *tile, masks).cpu().div_(2).add_(0.5)
        return net(x.to(self.device) * 2 - 1, masks).cpu() / 2 + 0.5


def dropout_numbers(noise: Noise, device: torch.device, size: tuple[int, ...]) -> Tensor:
    """Return uniform numbers `[n, *size]` of each picture's own noise."""
    return noise.uniform(*size, device=device)
