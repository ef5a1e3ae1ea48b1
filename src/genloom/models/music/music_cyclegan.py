"""Music from one style into another, both ways: CycleGAN over piano rolls.

Brunner, Wang, Wattenhofer, Zhao. 2018. Symbolic Music Genre Transfer with CycleGAN. ICTAI.

Two generators turn rolls of one style into rolls of the other and back; what went there and back is to be what it was.
`paper` has their convolutions over phrases of 64 steps and 84 pitches from C1 on: a generator of ten residual blocks, a
discriminator of kernels of 7, and for either style one more that sees made phrases beside real ones of both (`mixed`, their
partial model), least squares, noise added to all that discriminators see, Adam for 100 epochs, the rate falling from the
tenth on.

`modern` puts recurrent networks in their place: a GRU that reads both ways says, of each step, what is to change; it knows
what begins, too, so that notes may be struck again. What is made are zeros and ones, with the gradient of the probabilities
(straight-through), so that discriminators do not tell it by its half tones. Two terms keep what a piece is: the pitch
classes of each quarter note, and at which steps anything begins.

What differs in `paper` from the published code: its generators never saw what the further discriminators say, and here they
do, as the text has it; the sets that these see are the two styles alone, not a third; the generator's last layer is a
hyperbolic tangent brought to 0 and 1, which is its sigmoid at twice the slope; pieces in other metres are left in, unless
`--metre 4/4` is said; a note that goes on is not told from one struck again.
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
from genloom.core.model import Misfit, Model, Move, Note, Player
from genloom.models.translation.pool import ImagePool
from genloom.models.translation.training import FallingAdam
from genloom.nn.conv import normal_weights
from genloom.nn.resnet import ResidualGenerator
from genloom.nn.rolls import RecurrentCritic, RecurrentTranslator, RollCritic, binary, roll_of
from genloom.shapes.base import Shape
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
    keeps: float = hp(0.0, "how strongly recurrent generators leave rolls as they are, as a logit", low=0)
    begins: bool = hp(False, "whether rolls tell what begins, beside what sounds")
    hard: bool = hp(False, "whether discriminators see zeros and ones, with the gradient of the probabilities")
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
        """Recurrent networks, zeros and ones, pitch classes and onsets kept, averaged weights."""
        net = cls(net="recurrent", width=256, keeps=4.0, begins=True, hard=True, mixed=0.0, noise=0.1)
        return replace(net, classes=1.0, onsets=1.0, transpose=5, epochs=0, rate=5e-4, ema=2000.0)

    @classmethod
    def tiny(cls) -> Self:
        """The modern one in small."""
        return replace(cls.modern(), width=32, layers=1, pool=8, batch=8, rate=2e-3)


class MusicCycleGAN(Model, Restyles):
    """Two generators, and for either style a discriminator, or two."""

    Hyper = MusicCycleGANHyper
    hyper: MusicCycleGANHyper
    shape: StyleShape
    reads: ClassVar = "styles"
    compilable: ClassVar = False  # the recurrence would be unrolled
    notes: ClassVar = objectives.ACCURACY | {
        "cycle": Note("error", "generator"),
        "changed": Note("change", "generator"),
        "classes": Note("error", "generator", shown=False),
        "onsets": Note("error", "generator", shown=False),
    }

    def __init__(self, hyper: MusicCycleGANHyper, shape: StyleShape) -> None:
        super().__init__(hyper, shape)
        self.up = 0 if hyper.net == "recurrent" else shape.low - LOWEST
        self.pitches = shape.high - shape.low + 1 if hyper.net == "recurrent" else PITCHES
        channels = 2 if hyper.begins else 1
        self.to_b, self.to_a = self.translator(channels), self.translator(channels)
        self.judges = nn.ModuleList(self.critic(channels) for _ in range(4 if hyper.mixed else 2))
        dims = (channels, shape.window, self.pitches)
        self.pools = nn.ModuleList(ImagePool(hyper.pool, dims) for _ in range(2))
        if hyper.net == "convolution":
            normal_weights(self, hyper.deviation)

    def translator(self, channels: int) -> nn.Module:
        hyper = self.hyper
        if hyper.net == "recurrent":
            return RecurrentTranslator(channels, self.pitches, hyper.width, hyper.layers, hyper.keeps)
        return ResidualGenerator(channels, channels, hyper.width, hyper.blocks)

    def critic(self, channels: int) -> nn.Module:
        hyper = self.hyper
        if hyper.net == "recurrent":
            return RecurrentCritic(channels, self.pitches, hyper.width, 1)
        return RollCritic(channels, hyper.width)

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

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper, batch = self.hyper, next(batches)
        reals = a, b = self.rolls(batch["x"]), self.rolls(batch["b"])
        fake_b, fake_a = self.made(self.to_b, a), self.made(self.to_a, b)
        back = self.back(self.to_a, fake_b, a) + self.back(self.to_b, fake_a, b)
        loss = hyper.cycle * back
        for k, fake in enumerate((fake_a, fake_b)):
            loss = loss + objectives.least_squares(self.seen(k, fake), 1.0)
            if hyper.mixed:
                loss = loss + hyper.mixed * objectives.least_squares(self.seen(2 + k, fake), 1.0)
        kept = {"classes": self.classes_apart(a, fake_b) + self.classes_apart(b, fake_a)}
        kept["onsets"] = onsets_apart(a, fake_b) + onsets_apart(b, fake_a)
        loss = loss + hyper.classes * kept["classes"] + hyper.onsets * kept["onsets"]
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

    def rolls(self, codes: Tensor) -> Tensor:
        """Return codes `[B, T, V]` as rolls `[B, C, T, P]`, each moved up or down by chance."""
        x = roll_of(codes.long(), self.pitches, self.up)[:, : 2 if self.hyper.begins else 1]
        most = self.hyper.transpose
        if not (most and self.training):
            return x
        shift = torch.randint(-most, most + 1, (len(x),), device=x.device)
        place = torch.arange(self.pitches, device=x.device) - shift[:, None]
        kept = ((place >= 0) & (place < self.pitches))[:, None, None]
        place = place.clamp(0, self.pitches - 1)[:, None, None].expand_as(x)
        return x.gather(3, place) * kept

    def chances(self, net: nn.Module, x: Tensor) -> Tensor:
        """Return what a generator makes of rolls, as probabilities; what does not sound cannot begin."""
        p: Tensor = net(x) if self.hyper.net == "recurrent" else net(2 * x - 1).float() / 2 + 0.5
        return torch.cat([p[:, :1], p[:, 1:] * p[:, :1]], 1) if self.hyper.begins else p

    def made(self, net: nn.Module, x: Tensor) -> Tensor:
        """Return what discriminators and the other generator see of what a generator makes of rolls."""
        p = self.chances(net, x)
        return binary(p) if self.hyper.hard else p

    def back(self, net: nn.Module, fake: Tensor, x: Tensor) -> Tensor:
        """Return how far rolls come back from what they were; of zeros and ones by how unlikely these were, a note."""
        p = self.chances(net, fake)
        if not self.hyper.hard:
            return F.l1_loss(p, x)
        p = p.clamp(1e-4, 1 - 1e-4)
        return -(x * p.log() + (1 - x) * (1 - p).log()).sum() / x.sum().clamp_min(1)

    def seen(self, judge: int, x: Tensor) -> Tensor:
        """Return a discriminator's answers of rolls with noise upon them."""
        x = x + self.hyper.noise * torch.randn_like(x).abs() if self.hyper.noise else x
        answers: Tensor = self.judges[judge](x)
        return answers

    def classes_apart(self, x: Tensor, fake: Tensor) -> Tensor:
        """Return how far the pitch classes of each quarter note are apart, relative to those there were."""
        a, b = (self.pitch_classes(each) for each in (x, fake))
        return (a - b).abs().sum() / a.sum().clamp_min(1)

    def pitch_classes(self, x: Tensor) -> Tensor:
        """Return how much each pitch class is there in each quarter note of rolls `[B, Q, 12]`, 1 at most."""
        padded = F.pad(x[:, 0], (0, -self.pitches % 12, 0, -x.shape[2] % self.shape.grid))
        return padded.unflatten(2, (-1, 12)).sum(2).unflatten(1, (-1, self.shape.grid)).mean(2).clamp_max(1)

    # -- translating -------------------------------------------------------------------------------

    @torch.no_grad()
    def restyle(self, x: Tensor, to: int) -> Tensor:
        net, steps = (self.to_b if to else self.to_a), len(x)
        roll = self.rolls(x[None].to(self.device))
        if self.hyper.net == "convolution":  # phrase by phrase, as it learnt
            roll = F.pad(roll, (0, 0, 0, -steps % self.shape.window))
            phrases = roll[0].unflatten(1, (-1, self.shape.window)).transpose(0, 1)
            roll = self.chances(net, phrases).transpose(0, 1).flatten(1, 2)[None]
        else:
            roll = self.chances(net, roll)
        sounds, begins = roll[0, 0, :steps] > 0.5, roll[0, -1, :steps] > 0.5
        if not self.hyper.begins:
            begins = sounds & ~F.pad(sounds[:-1], (0, 0, 1, 0))
        first = max(self.up, 0)
        both = F.pad(torch.stack([sounds, begins & sounds]), (max(-self.up, 0), 0))
        return both[..., first : first + self.shape.high - self.shape.low + 1].cpu()


def onsets_apart(x: Tensor, fake: Tensor) -> Tensor:
    """Return how far the steps are apart at which anything begins, relative to those there were."""
    a, b = (begun(each) for each in (x, fake))
    return (a - b).abs().sum() / a.sum().clamp_min(1)


def begun(x: Tensor) -> Tensor:
    """Return whether anything begins at each step of rolls `[B, T]`: the largest of what does."""
    fresh = x[:, 1] if x.shape[1] > 1 else (x[:, 0] - F.pad(x[:, 0, :-1], (0, 0, 1, 0))).clamp_min(0)
    return fresh.amax(2)
