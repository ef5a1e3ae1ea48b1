"""Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network.

Ledig, Theis, Huszar, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi. 2017. arXiv 1609.04802.

SRResNet learns to undo a bicubic shrinking, by the mean square error; then, as SRGAN, to do so convincingly: it is near the
picture in features (`content`) and a discriminator cannot tell what it made from pictures that were never shrunk. Without
`adversary` it stays SRResNet, which wins by PSNR; with it pictures are sharp, and PSNR falls: the paper's point.

It learns from pieces cut out of pictures of any size, and enlarges pictures of any size.

What differs from the paper: pieces come from all over the data, so that two of a batch may be of one picture; shrunk pieces
are rounded to 8 bits as files are, each mirrored at its own edge; losses on logits, the adversary's a mean over the batch,
and of features over all their numbers; total variation of absolute differences; He's first weights; Adam starts afresh with
the second phase; the rectifiers' slopes are learnt for each channel; bf16 by autocast where the processor is good at it, the
discriminator's last layer in fp32. VGG19's weights are a person's own file. `modern` leaves batch norm and slopes out of the
generator and has it make what a bicubic enlargement lacks, all pixels of a square at once, which is little more than half
of the products; it descends the absolute error at a higher rate that falls, turns and mirrors pieces, uses averaged weights,
and takes the discriminator's own maps for content, which need no other network.
"""

# B batch, C channels, H height, W width, s scale

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import objectives
from genloom.core.capabilities import Upscales
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Phase, Player, Remember
from genloom.models.fitting import no_pieces
from genloom.models.resolution.content import Content, Loss, loss_of, maps_loss, total_variation
from genloom.nn.imresize import grown, shrunk
from genloom.nn.srresnet import HALVED, Discriminator, SRResNet
from genloom.placing import there
from genloom.shapes.base import Shape
from genloom.shapes.pictures import grid, rounded, to_picture

SHOWN = 6
NETWORKS = {"vgg22", "vgg54", "lite"}  # content losses that take a network for photographs
FLOOR = 0.01  # share of the rate that is left where it has fallen


@dataclass(frozen=True)
class SRGANHyper(AnyHyper):
    """Sections 2 and 3.2 of the paper; its updates are of 16 examples."""

    scale: Literal[2, 4, 8] = hp(4, "by how much pictures become larger")
    pretrain: int = hp(
        16_000_000, "examples of SRResNet's own training, which goes first; without `adversary` all of it", low=0
    )
    pretrain_content: Literal["mse", "l1", "vgg22", "vgg54", "lite"] = hp("mse", "the loss of that")
    adversary: float = hp(1e-3, "weight of fooling the discriminator; 0 for SRResNet alone", low=0)
    adversarial: int = hp(3_200_000, "examples of the training against the discriminator, 0 until the budget ends", low=0)
    content: Literal["mse", "l1", "vgg22", "vgg54", "lite", "discriminator"] = hp("vgg54", "what is to stay the same in it")
    pixels: float = hp(0.0, "weight of the mean absolute difference beside that", low=0)
    variation: float = hp(0.0, "weight of total variation in pre-training; 2e-8 for the paper's SRResNet-VGG22", low=0)
    vgg: str = hp("", "file of VGG19's weights, a .safetensors")
    width: int = hp(64, "channels of the generator's maps", low=4, high=1024)
    blocks: int = hp(16, "residual blocks", low=1, high=256)
    norm: Literal["batch", "none"] = hp("batch", "of the generator")
    slopes: Literal["prelu", "relu"] = hp("prelu", "learnt for negative numbers, or none")
    enlarging: Literal["stepwise", "direct"] = hp("stepwise", "by doublings, or all at once by the last convolution")
    residual: bool = hp(False, "make what a bicubic enlargement lacks")
    icnr: bool = hp(False, "start without a checkerboard")
    judge_width: int = hp(64, "channels of the discriminator's largest map", low=4, high=1024)
    judge_head: Literal["dense", "pooled"] = hp("dense", "over all places of the last map, or over their mean")
    turn: bool = hp(False, "turn and mirror pieces")
    rate: float = hp(1e-4, "learning rate of Adam in pre-training", low=0)
    fall: bool = hp(False, "let it fall to a hundredth by half a cosine over the pre-training")
    adversarial_rate: float = hp(
        1e-4, "learning rate against the discriminator; a tenth from half of `adversarial` on", low=0
    )
    batch: int = hp(16, "examples a batch", low=1)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Fewer products an example, and a few minutes of pre-training."""
        return cls(
            pretrain=16_000, pretrain_content="l1", adversarial=0, content="discriminator", pixels=5.0, adversary=0.02,
            norm="none", slopes="relu", enlarging="direct", residual=True, icnr=True, judge_width=32, judge_head="pooled",
            turn=True, rate=5e-4, fall=True, ema=2_000.0,
        )  # fmt: skip

    @classmethod
    def tiny(cls) -> Self:
        """Learns small pieces in seconds."""
        return replace(cls.modern(), width=16, blocks=2, pretrain=2_000, judge_width=8, rate=2e-3, ema=500.0)

    def contents(self) -> set[Content]:
        """Return the content losses of the phases that there are."""
        first: set[Content] = {self.pretrain_content} if self.pretrain or not self.adversary else set()
        return first | ({self.content} if self.adversary else set())

    def phase_rate(self, clock: Clock, adversarial: bool) -> dict[str, float]:
        """Return the generator's learning rate."""
        done = clock.within / clock.length if clock.length else 0.0
        if adversarial:
            return {"lr": self.adversarial_rate * (0.1 if done >= 0.5 else 1.0)}
        return {"lr": self.rate * (FLOOR + (1 - FLOOR) * (0.5 + 0.5 * math.cos(math.pi * done)) if self.fall else 1.0)}


class SRGAN(Model, Upscales):
    """Ledig et al. 2017."""

    Hyper = SRGANHyper
    hyper: SRGANHyper
    reads = "pieces"
    late = ("discriminator.",)
    notes = objectives.ACCURACY | {"l1": Note("error", "generator")}

    def __init__(self, hyper: SRGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, *sides = shape.dims
        self.generator = SRResNet(
            channels,
            hyper.scale,
            hyper.width,
            hyper.blocks,
            hyper.norm,
            hyper.enlarging,
            hyper.residual,
            hyper.icnr,
            hyper.slopes,
        )
        if hyper.adversary:
            self.discriminator = Discriminator(channels, (sides[0], sides[1]), hyper.judge_width, hyper.judge_head)
        self.losses: dict[str, Loss] = {}
        self.shown: Batch | None = None

    @property
    def scale(self) -> int:
        return self.hyper.scale

    @property
    def reach(self) -> int:
        return self.generator.reach

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, SRGANHyper)
        if misfit := no_pieces(shape, "srgan"):
            return misfit
        whole = max(HALVED if hyper.adversary else 1, hyper.scale)
        if shape.dims[0] not in (1, 3) and hyper.contents() & NETWORKS:
            return Misfit("networks that judge content see grey or colour pictures: say --channels 3", remedy=True)
        height, width = (side // whole * whole for side in shape.dims[1:])
        if min(height, width) < 2 * whole:
            return Misfit(f"srgan needs pieces of {2 * whole} pixels or more: say --size {2 * whole}", remedy=True)
        return replace(shape, height=height, width_px=width)  # type: ignore[call-arg]

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Read the weights of the content losses once: better now than after the run began."""
        assert isinstance(hyper, SRGANHyper)
        for kind in hyper.contents():
            loss_of(kind, hyper.vgg)
        return hyper

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Read what judges the content, and choose the pieces to look at."""
        self.losses = {kind: loss_of(kind, self.hyper.vgg) for kind in self.hyper.contents() if kind != "discriminator"}
        index = torch.linspace(0, size(data) - 1, min(SHOWN, size(data))).long()
        self.shown = take(data, index, torch.Generator().manual_seed(0))
        return data

    def players(self) -> Sequence[Player]:
        hyper, phases = self.hyper, self.phases()
        adam = partial(torch.optim.Adam, betas=(0.9, 0.999), fused=True)

        def rate(clock: Clock) -> dict[str, float]:
            return hyper.phase_rate(clock, phases[clock.phase].name == "adversarial")

        found = [Player("generator", (self.generator,), adam, rate, ema=hyper.ema)]
        return [*found, Player("discriminator", (self.discriminator,), adam, rate)] if hyper.adversary else found

    def phases(self) -> Sequence[Phase]:
        hyper = self.hyper
        found = [Phase("pre-training", self.pretraining, hyper.pretrain or None)]
        if not hyper.adversary:
            return found
        last = Phase("adversarial", self.round, hyper.adversarial or None, fresh=("generator",))
        return [*(found if hyper.pretrain else []), last]

    def pretraining(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Play one round of SRResNet's own training."""
        small, real = self.pieces(next(batches))
        made = self.generator(small) / 2 + 0.5
        loss = self.content(self.hyper.pretrain_content)(made, real)
        if self.hyper.variation:
            loss = loss + self.hyper.variation * total_variation(made * 2)
        yield Move("generator", loss, {"l1": F.l1_loss(made.detach(), real)})

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper, judge = self.hyper, self.discriminator
        small, real = self.pieces(next(batches))
        made = self.generator(small) / 2 + 0.5
        # Real and made pictures in batches of their own: batch norm would tell them apart by the mixture otherwise.
        right, wrong = judge(real * 2 - 1), judge(made.detach() * 2 - 1)
        yield Move("discriminator", objectives.discriminate(right, wrong), objectives.accuracy(right, wrong))
        maps = judge.maps(made * 2 - 1)
        loss = hyper.adversary * objectives.non_saturating(judge.judge(maps[-1]))
        if hyper.content == "discriminator":
            with torch.no_grad():
                wanted = judge.maps(real * 2 - 1)
            loss = loss + maps_loss(maps, wanted)
        else:
            loss = loss + self.content(hyper.content)(made, real)
        away = F.l1_loss(made, real)
        yield Move("generator", loss + hyper.pixels * away if hyper.pixels else loss, {"l1": away.detach()})

    def content(self, kind: Content) -> Loss:
        """Return what judges the content."""
        return self.losses[kind] if kind in self.losses else loss_of(kind, self.hyper.vgg)

    def pieces(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return small pictures `[B, C, H / s, W / s]`, rounded to 8 bits, and what they were, both in [0, 1]."""
        real = turned(batch["x"]) if self.hyper.turn else batch["x"]
        return rounded(shrunk(real, self.scale)), real

    @torch.no_grad()
    def upscale(self, x: Tensor) -> Tensor:
        made: Tensor = self.generator(x.to(self.device)).cpu() / 2 + 0.5
        return made.clamp(0, 1)

    def strip(self) -> Any:
        if self.shown is None:
            return None
        real = self.shown["x"].float().cpu()
        small = rounded(shrunk(real, self.scale))
        rows = [grown(small, self.scale).clamp(0, 1), self.upscale(small), real]
        return to_picture(grid(torch.cat(rows), columns=len(real)))


def turned(x: Tensor) -> Tensor:
    """Mirror each of `[B, C, H, W]` either way and, where they are square, about the diagonal, each half of the time."""
    chances = there(torch.rand(3, len(x), 1, 1, 1) < 0.5, x)
    x = torch.where(chances[0], x.flip(2), x)
    x = torch.where(chances[1], x.flip(3), x)
    return torch.where(chances[2], x.transpose(2, 3), x) if x.shape[2] == x.shape[3] else x
