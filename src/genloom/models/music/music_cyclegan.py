"""Music from one style into another, both ways: CycleGAN over piano rolls.

Brunner, Wang, Wattenhofer, Zhao. 2018. Symbolic Music Genre Transfer with CycleGAN. ICTAI.

Two generators turn rolls of one style into rolls of the other and back; what went there and back is to be what it was.
`paper` has their convolutions over phrases of 64 steps and 84 pitches from C1 on: a generator of ten residual blocks, a
discriminator of kernels of 7, and for either style one more that sees made phrases beside real ones of both (`mixed`, their
partial model), least squares, noise added to all that discriminators see, Adam for 100 epochs, the rate falling from the
tenth on.

`modern` puts recurrent networks in their place. A generator is a GRU that reads both ways and sees of a piece what it is in
any style alone: the highest note of each step, the pitch classes of each quarter note, and where anything begins. So it
learns its style first, without a game, by telling each piece of that style from its content (`identity`), and goes on to;
then both play, also over what comes back (`cycle`) and over pitch classes and onsets, which are to stay. What discriminators
see are zeros and ones, with the gradient of the probabilities (straight-through), so that half tones tell nothing.

What differs in `paper` from the published code: its generators never saw what the further discriminators say, and here they
do, as the text has it; the sets that these see are the two styles alone, not a third; the generator's last layer is a
hyperbolic tangent brought to 0 and 1, which is its sigmoid at twice the slope; pieces in other metres are left in, unless
`--metre 4/4` is said, but only the usual metre is learnt from; examples begin with every bar and so overlap, the styles are
not cut to equal size, and an epoch is one of the first; a note that goes on is not told from one struck again; what lies
beyond the 84 pitches is left out.
"""

# B batch, C channels: what sounds, and, where it is told, what begins; T steps, V voices, P pitches

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Restyles
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Phase, Player
from genloom.models.music.stepwise import drawn_shifts
from genloom.models.translation.pool import ImagePool
from genloom.models.translation.training import FallingAdam
from genloom.nn.conv import normal_weights
from genloom.nn.resnet import ResidualGenerator
from genloom.nn.rolls import (
    RecurrentCritic,
    RecurrentTranslator,
    RollCritic,
    begun,
    content_of,
    pitch_classes,
    roll_of,
    voices_in_roll,
)
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, sounding
from genloom.shapes.styles import StyleShape

LOWEST, PITCHES, PHRASE = 24, 84, 64  # of the paper's rolls: from C1 to B7, four bars of 16 steps
MULTIPLE = 4  # of steps and pitches, for convolutions that halve twice


@dataclass(frozen=True)
class MusicCycleGANHyper(FallingAdam):
    """The paper's values."""

    net: Literal["convolution", "recurrent"] = hp("convolution", "of the generators and discriminators")
    width: int = hp(64, "channels of the largest map, or units of a recurrent layer", low=2)
    blocks: int = hp(10, "residual blocks of a generator, of convolutions", low=1)
    layers: int = hp(2, "recurrent layers", low=1)
    identity: float = hp(0.0, "weight of how unlikely generators find pieces of their own style, given their content", low=0)
    pretrain: int = hp(0, "examples that recurrent generators see of their own style before the game", low=0)
    cycle: float = hp(10.0, "weight of what comes back different from what it was", low=0)
    mixed: float = hp(1.0, "weight of the discriminators that see real phrases of both styles, 0 for none", low=0)
    classes: float = hp(0.0, "weight of the pitch classes of each quarter note, which are to stay", low=0)
    onsets: float = hp(0.0, "weight of the steps at which anything begins, which are to stay", low=0)
    noise: float = hp(1.0, "deviation of the noise of which the size is added to what discriminators see", low=0)
    transpose: int = hp(0, "semitones that examples are moved up or down by at most", low=0, high=12)
    pool: int = hp(50, "made phrases of before that are kept for either discriminator, 0 for none", low=0, high=10_000)
    epochs: int = hp(100, "epochs, the rate falling from a tenth of them on; 0 to take `hold` and `fall`", low=0)
    batch: int = hp(16, "examples a batch", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Recurrent networks that see a piece's content alone, and learn their style before the game; averaged weights."""
        net = cls(net="recurrent", width=192, mixed=0.0, noise=0.1, identity=0.3, pretrain=8000, cycle=0.2)
        return replace(net, classes=0.3, onsets=0.1, transpose=5, epochs=0, rate=1e-3, ema=1000.0)

    @classmethod
    def tiny(cls) -> Self:
        """The modern one in small."""
        return replace(cls.modern(), width=32, layers=1, pool=8, batch=8, pretrain=256, rate=2e-3)


class MusicCycleGAN(Model, Restyles):
    """Two generators, and for either style a discriminator, or two."""

    Hyper = MusicCycleGANHyper
    hyper: MusicCycleGANHyper
    shape: StyleShape
    reads: ClassVar = "styles"
    compilable: ClassVar = False  # the recurrence would be unrolled
    notes: ClassVar = objectives.ACCURACY | {
        "own": Note("nats", "generator"),
        "cycle": Note("error", "generator"),
        "changed": Note("change", "generator"),
        "classes": Note("error", "generator", shown=False),
        "onsets": Note("error", "generator", shown=False),
    }

    def __init__(self, hyper: MusicCycleGANHyper, shape: StyleShape) -> None:
        super().__init__(hyper, shape)
        self.recurrent = hyper.net == "recurrent"
        self.channels = 2 if self.recurrent else 1
        self.up = 0 if self.recurrent else shape.low - LOWEST
        self.pitches = shape.high - shape.low + 1 if self.recurrent else PITCHES
        self.to_b, self.to_a = self.translator(), self.translator()
        self.judges = nn.ModuleList(self.critic() for _ in range(4 if hyper.mixed else 2))
        dims = (self.channels, shape.window, self.pitches)
        self.pools = nn.ModuleList(ImagePool(hyper.pool, dims) for _ in range(2))
        if not self.recurrent:
            normal_weights(self, hyper.deviation)

    def translator(self) -> nn.Module:
        hyper = self.hyper
        if self.recurrent:
            inputs, voices = self.pitches + 13 + self.shape.bar, len(self.shape.voices)
            return RecurrentTranslator(inputs, self.pitches, voices, hyper.width, hyper.layers)
        return ResidualGenerator(1, 1, hyper.width, hyper.blocks)

    def critic(self) -> nn.Module:
        hyper = self.hyper
        return RecurrentCritic(2, self.pitches, hyper.width, 1) if self.recurrent else RollCritic(1, hyper.width)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, MusicCycleGANHyper)
        if not isinstance(shape, StyleShape):
            return Misfit(f"music_cyclegan learns from pieces of music in two styles, this data is {shape.describe()}")
        if hyper.net == "convolution" and shape.window % MULTIPLE:
            return Misfit(f"convolutions take a multiple of {MULTIPLE} steps: say --steps {PHRASE}", remedy=True)
        return shape

    @classmethod
    def settle(cls, hyper: MusicCycleGANHyper, data: Dataset) -> MusicCycleGANHyper:  # type: ignore[override]
        """Count the epochs of the rate's fall in examples of the first style."""
        if not hyper.epochs:
            return hyper
        whole = hyper.epochs * size(data)
        return replace(hyper, hold=whole // 10, fall=whole - whole // 10)

    def players(self) -> Sequence[Player]:
        return self.hyper.players([self.to_b, self.to_a], list(self.judges))

    # -- training ----------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        first = [Phase("own style", self.own_style, self.hyper.pretrain)] if self.hyper.pretrain and self.recurrent else []
        return [*first, Phase("game", self.round)]

    def own_style(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let each generator tell pieces of its own style from their content."""
        batch = next(batches)
        own = self.own(self.moved(batch["x"]), self.moved(batch["b"]))
        yield Move("generator", own, {"own": own.detach() / 2})

    def own(self, a: Tensor, b: Tensor) -> Tensor:
        """Return how unlikely recurrent generators find pieces of their own style, as codes, given their content."""
        return self.back(self.to_a, self.rolls(a), a) + self.back(self.to_b, self.rolls(b), b)

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper, batch = self.hyper, next(batches)
        codes = self.moved(batch["x"]), self.moved(batch["b"])
        reals = a, b = self.rolls(codes[0]), self.rolls(codes[1])
        fake_b, fake_a = self.made(self.to_b, a), self.made(self.to_a, b)
        back = self.back(self.to_a, fake_b, codes[0]) + self.back(self.to_b, fake_a, codes[1])
        loss = hyper.cycle * back
        for k, fake in enumerate((fake_a, fake_b)):
            loss = loss + objectives.least_squares(self.seen(k, fake), 1.0)
            if hyper.mixed:
                loss = loss + hyper.mixed * objectives.least_squares(self.seen(2 + k, fake), 1.0)
        kept = {"classes": self.classes_apart(a, fake_b) + self.classes_apart(b, fake_a)}
        kept["onsets"] = onsets_apart(a, fake_b) + onsets_apart(b, fake_a)
        loss = loss + hyper.classes * kept["classes"] + hyper.onsets * kept["onsets"]
        if hyper.identity:
            kept["own"] = self.own(*codes)
            loss = loss + hyper.identity * kept["own"]
        changed = (fake_b - a).abs().sum() / a.sum().clamp_min(1)
        notes = {name: value.detach() / 2 for name, value in kept.items()}
        yield Move("generator", loss, {"cycle": back.detach() / 2, "changed": changed.detach()} | notes)

        loss, said = a.new_zeros(()), []
        for k, fake in enumerate((fake_a, fake_b)):
            fake = self.pools[k](fake.detach())
            real, made = self.seen(k, reals[k]), self.seen(k, fake)
            loss = loss + objectives.least_squares(real, 1.0) + objectives.least_squares(made, 0.0)
            said.append((real, made))
            if hyper.mixed:
                both = torch.cat([a[: (len(a) + 1) // 2], b[: len(b) // 2]])
                real, made = self.seen(2 + k, both), self.seen(2 + k, fake)
                loss = loss + hyper.mixed * (objectives.least_squares(real, 1.0) + objectives.least_squares(made, 0.0))
        real, made = (torch.cat([each.flatten() for each in side]) for side in zip(*said, strict=True))
        yield Move("discriminator", loss / 2, objectives.accuracy(real - 0.5, made - 0.5))

    def moved(self, codes: Tensor) -> Tensor:
        """Return examples `[B, T, V]`, each moved up or down by chance."""
        codes = codes.long()
        shift = drawn_shifts(codes, self.hyper.transpose, self.shape.codes)
        return torch.where(codes >= FIRST, codes + shift[:, None, None], codes)

    def rolls(self, codes: Tensor) -> Tensor:
        """Return codes `[B, T, V]` as rolls `[B, C, T, P]`."""
        return roll_of(codes.long(), self.pitches, self.up)[:, : self.channels]

    def made(self, net: nn.Module, x: Tensor) -> Tensor:
        """Return what a generator makes of rolls: zeros and ones of voices, else shares."""
        if self.recurrent:
            return voices_in_roll(*net(content_of(x, self.shape.grid, self.shape.bar)))
        p: Tensor = net(2 * x - 1)
        return p.float() / 2 + 0.5

    def back(self, net: nn.Module, fake: Tensor, codes: Tensor) -> Tensor:
        """Return how far pieces come back from what they were; of voices by how unlikely a step of them was, in nats."""
        if not self.recurrent:
            return F.l1_loss(self.made(net, fake), self.rolls(codes))
        sounds, begins = net(content_of(fake, self.shape.grid, self.shape.bar))
        was = (sounding(codes) - FIRST + 1).clamp_min(0)
        nats = F.cross_entropy(sounds.flatten(0, 2), was.flatten())
        struck = F.binary_cross_entropy_with_logits(begins, (codes >= FIRST).float(), (was > 0).float())
        return (nats + struck) * codes.shape[2]

    def seen(self, judge: int, x: Tensor) -> Tensor:
        """Return a discriminator's answers of rolls with noise upon them."""
        x = x + self.hyper.noise * torch.randn_like(x).abs() if self.hyper.noise else x
        answers: Tensor = self.judges[judge](x)
        return answers

    def classes_apart(self, x: Tensor, fake: Tensor) -> Tensor:
        """Return how far the pitch classes of each quarter note are apart, relative to those there were."""
        a, b = (pitch_classes(each[:, 0], self.shape.grid) for each in (x, fake))
        return (a - b).abs().sum() / a.sum().clamp_min(1)

    # -- translating -------------------------------------------------------------------------------

    @torch.no_grad()
    def restyle(self, x: Tensor, to: int) -> Tensor:
        net, steps = (self.to_b if to else self.to_a), len(x)
        roll = self.rolls(x[None].to(self.device))
        if self.recurrent:
            roll = self.made(net, roll)
        else:  # phrase by phrase, as it learnt
            roll = F.pad(roll, (0, 0, 0, -steps % self.shape.window))
            phrases = roll[0].unflatten(1, (-1, self.shape.window)).transpose(0, 1)
            roll = self.made(net, phrases).transpose(0, 1).flatten(1, 2)[None]
        sounds, begins = roll[0, 0, :steps] > 0.5, roll[0, -1, :steps] > 0.5
        if not self.recurrent:
            begins = sounds & ~F.pad(sounds[:-1], (0, 0, 1, 0))
        first = max(self.up, 0)
        both = F.pad(torch.stack([sounds, begins & sounds]), (max(-self.up, 0), 0))
        return both[..., first : first + self.shape.high - self.shape.low + 1].cpu()


def onsets_apart(x: Tensor, fake: Tensor) -> Tensor:
    """Return how far the steps are apart at which anything begins, relative to those there were."""
    a, b = (begun(each) for each in (x, fake))
    return (a - b).abs().sum() / a.sum().clamp_min(1)
