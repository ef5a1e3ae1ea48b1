"""C-RNN-GAN: Continuous recurrent neural networks with adversarial training.

Mogren. 2016. arXiv 1611.09904.

A piece is notes one after the other, each four numbers: how long, at what frequency, how loud, and how long after the one
before. The generator, two LSTM layers of 350 units, makes each from the one before and four numbers uniform in [0, 1]; the
discriminator, two layers that read both ways, gives a probability a note, of which the mean judges the piece. The generator
is trained first to say the next note, on beginnings that grow; then both play, by SGD at a rate of .1 with weights decayed,
each waiting while its loss is less than .7 of the other's. Feature matching: what the discriminator's last layer holds of
made pieces is to be what it holds of real ones. `--hyper.tones 3` makes three notes a cell, C-RNN-GAN-3.

What the paper leaves open is as in its author's code: 100 notes a piece, batches of 20, gradients cut at a norm of 5, half
of the units dropped, how beginnings grow (4 notes an epoch), the generator's loss -log D(G(z)).

What differs: the numbers are brought to mean 0 and deviation 1, for frequencies in hertz are thousands of times as large as
lengths; the discriminator's loss is the mean of its halves, or the rule of waiting would stop the generator where both are
even; errors and features apart are summed over a piece and averaged over a batch; the weights decay by 1e-4, for by the
code's .1 both networks shrink until all notes are the same; epochs are of examples that begin ten notes apart. The code's
faults are left out: optimizers that are swapped, so that neither network is trained by its own; a generator that never
learns while a loss is below 2; log 0; notes that close others.
"""

# B batch, T notes, C cells, F numbers of a cell, H units

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.capabilities import Samples
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Phase, Player, Remember
from genloom.core.random import Noise
from genloom.shapes.base import Shape
from genloom.shapes.events import HEIGHT, EventShape

HERTZ, STUDIED = 440.0, 2000  # of the pitch that heights are counted from; examples that means are taken from
RARELY = 1e-6  # the least probability, of which the logarithm is taken
NUMBERS = 4  # of a note


@dataclass(frozen=True)
class CRNNGANHyper(AnyHyper):
    """The paper's values; of what it leaves open, its author's code's."""

    units: int = hp(350, "units of a recurrent layer", low=1)
    layers: int = hp(2, "recurrent layers of each network", low=1)
    tones: int = hp(1, "notes that a cell makes", low=1, high=10)
    dropout: float = hp(0.5, "share of units left out between layers", low=0, high=0.9)
    hertz: bool = hp(True, "heights as frequencies, in which a semitone is the wider the higher; else in octaves")
    matching: bool = hp(True, "whether the generator matches features, rather than being taken for real")
    epochs: int = hp(6, "times that the examples are seen before the game", low=0)
    grows: int = hp(4, "notes by which beginnings grow an epoch, before the game", low=1)
    waits: float = hp(0.7, "a player waits while its loss is less than so much of the other's, 0 for never", low=0, high=1)
    l2: float = hp(1e-4, "weight of half the sum of squares of the weights", low=0)
    optimizer: Literal["sgd", "adam"] = hp("sgd", "descends the losses")
    rate: float = hp(0.1, "learning rate", low=0)
    clip: float | None = hp(5.0, "largest norm of the gradient", low=1e-9)
    batch: int = hp(20, "examples a batch", low=2)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)
    pretrained: int = hp(0, "examples before the game; settled by the data", low=0)

    @classmethod
    def modern(cls) -> Self:
        """Adam, heights in octaves, three notes a cell, no weight decay, twenty epochs before the game."""
        own = {"tones": 3, "hertz": False, "epochs": 20, "grows": 10, "l2": 0.0, "optimizer": "adam", "rate": 5e-4}
        return cls(**own, units=256, dropout=0.1, waits=0.0, batch=32, ema=2000.0)  # type: ignore[arg-type]

    @classmethod
    def tiny(cls) -> Self:
        """The modern one in small."""
        return cls.modern().with_values({"units": 24, "epochs": 2, "rate": 2e-3})

    def player(self, name: str, *modules: nn.Module, ema: float | None = None) -> Player:
        """Return a player of these networks."""
        adam = partial(torch.optim.Adam, lr=self.rate, betas=(0.5, 0.99))
        sgd = partial(torch.optim.SGD, lr=self.rate)
        return Player(name, modules, adam if self.optimizer == "adam" else sgd, clip=self.clip, ema=ema)


class Generator(nn.Module):
    """Makes notes, those of a cell from those of the one before and noise."""

    def __init__(self, numbers: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * numbers, units, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.out = nn.Linear(units, numbers)

    def forward(self, z: Tensor) -> Tensor:
        """Return cells `[B, C, F]` of noise `[B, C, F]`."""
        state, made, cell = None, [], torch.zeros_like(z[:, :1])
        for t in range(z.shape[1]):
            h, state = self.lstm(torch.cat([z[:, t : t + 1], cell], -1), state)
            cell = self.out(h)
            made.append(cell)
        return torch.cat(made, 1)

    def following(self, z: Tensor, x: Tensor) -> Tensor:
        """Return what follows each cell `[B, C, F]` that is given."""
        return self.out(self.lstm(torch.cat([z, F.pad(x[:, :-1], (0, 0, 1, 0))], -1))[0])


class Discriminator(nn.Module):
    """Reads a piece both ways and says how likely it is real: the mean of what each cell says."""

    def __init__(self, numbers: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        both = {"bidirectional": True, "batch_first": True}
        self.lstm = nn.LSTM(numbers, units, layers, dropout=dropout if layers > 1 else 0.0, **both)
        self.out = nn.Linear(2 * units, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer holds `[B, C, 2H]`."""
        held: Tensor = self.lstm(x)[0]
        return held

    def probability(self, features: Tensor) -> Tensor:
        """Return how likely pieces are real `[B]`."""
        said: Tensor = self.out(features).float()
        return said[..., 0].sigmoid().mean(1).clamp(RARELY, 1 - RARELY)


class CRNNGAN(Model, Samples):
    """Two recurrent networks that play over notes."""

    Hyper = CRNNGANHyper
    hyper: CRNNGANHyper
    shape: EventShape
    reads: ClassVar = "events"
    compilable: ClassVar = False  # the recurrence would be unrolled
    notes: ClassVar[Mapping[str, Note]] = {
        "next": Note("error", "generator"),
        "real": Note("accuracy", "discriminator"),
        "fake": Note("accuracy", "discriminator"),
        "fool": Note("loss", "generator", shown=False),
        "matching": Note("distance", "generator"),
    }
    mean: Tensor
    spread: Tensor

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        events = isinstance(shape, EventShape)
        return shape if events else Misfit(f"crnngan learns from the notes of pieces, this data is {shape.describe()}")

    @classmethod
    def settle(cls, hyper: CRNNGANHyper, data: Dataset) -> CRNNGANHyper:  # type: ignore[override]
        notes = data.shape.notes if isinstance(data.shape, EventShape) else hyper.tones
        found = hyper.with_values({"pretrained": hyper.epochs * size(data), "tones": min(hyper.tones, notes)})
        return found.with_values({"batch": min(hyper.batch, size(data))}) if size(data) > 1 else found

    def __init__(self, hyper: CRNNGANHyper, shape: EventShape) -> None:
        super().__init__(hyper, shape)
        self.cells = -(-shape.notes // hyper.tones)
        sizes = (NUMBERS * hyper.tones, hyper.units, hyper.layers, hyper.dropout)
        self.generator, self.discriminator = Generator(*sizes), Discriminator(*sizes)
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("spread", torch.ones(NUMBERS))

    # -- training ----------------------------------------------------------------------------------

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Learn means and deviations of a note's numbers."""

        def make() -> dict[str, Tensor]:
            rows = torch.linspace(0, size(data) - 1, min(size(data), STUDIED)).round().long()
            x = self.as_heard(take(data, rows)["x"].double()).flatten(0, 1)
            return {"mean": x.mean(0).float(), "spread": x.std(0).clamp_min(1e-3).float()}

        found = remember("notes", make)
        self.mean.copy_(found["mean"])
        self.spread.copy_(found["spread"])
        return data

    def players(self) -> Sequence[Player]:
        hyper = self.hyper
        return [
            hyper.player("generator", self.generator, ema=hyper.ema),
            hyper.player("discriminator", self.discriminator),
        ]

    def phases(self) -> Sequence[Phase]:
        before = [Phase("next notes", self.next_notes, self.hyper.pretrained)] if self.hyper.pretrained else []
        return [*before, Phase("game", self.round, fresh=("generator",) if before else ())]

    def next_notes(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let the generator descend its error about the next notes of beginnings that grow."""
        x = self.entered(next(batches)["x"])
        epoch = clock.within * self.hyper.epochs // max(self.hyper.pretrained, 1)
        x = x[:, : max(1, self.hyper.grows * (epoch + 1) // self.hyper.tones)]
        error = (self.generator.following(torch.rand_like(x), x) - x).square()
        loss = error.sum((1, 2)).mean()  # a mean of notes, too, would be nothing beside the weight decay
        yield Move("generator", loss + self.decayed(self.generator), {"next": error.mean()})

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper, d, x = self.hyper, self.discriminator, self.entered(next(batches)["x"])
        with torch.no_grad():
            fake = self.generator(torch.rand_like(x))
        real, made = d.probability(d.features(x)), d.probability(d.features(fake))
        loss = -(real.log() + (1 - made).log()).mean() / 2
        moves = (loss >= hyper.waits * -made.log().mean()).to(loss).detach()
        right = {"real": (real > 0.5).float().mean(), "fake": (made < 0.5).float().mean()}
        yield Move("discriminator", moves * (loss + self.decayed(d)), right)

        held = d.features(self.generator(torch.rand_like(x)))
        made = d.probability(held)
        fool = -made.log().mean()
        with torch.no_grad():
            wanted = d.features(x)
            other = -(d.probability(wanted).log() + (1 - made).log()).mean() / 2
        gap = (held - wanted).square().sum((1, 2)).mean()
        moves = (fool >= hyper.waits * other).to(fool).detach()
        aim = gap if hyper.matching else fool
        yield Move("generator", moves * (aim + self.decayed(self.generator)), {"fool": fool, "matching": gap})

    def decayed(self, net: nn.Module) -> Tensor:
        """Return half the sum of squares of a network's weights, times its weight in the loss."""
        squares = [p.square().sum() for p in net.parameters()] if self.hyper.l2 else []
        return self.hyper.l2 * torch.stack(squares).sum() / 2 if squares else torch.zeros((), device=self.device)

    # -- notes and cells ---------------------------------------------------------------------------

    def as_heard(self, x: Tensor) -> Tensor:
        """Return notes `[..., 4]` with heights as frequencies where they are told so."""
        if not self.hyper.hertz:
            return x
        hertz = HERTZ * 2.0 ** x[..., HEIGHT : HEIGHT + 1]
        return torch.cat([x[..., :HEIGHT], hertz, x[..., HEIGHT + 1 :]], -1)

    def entered(self, x: Tensor) -> Tensor:
        """Return the cells `[B, C, F]` of notes `[B, T, 4]`, the last filled up with notes from the beginning."""
        x = (self.as_heard(x) - self.mean) / self.spread
        x = torch.cat([x, x[:, : self.cells * self.hyper.tones - x.shape[1]]], 1)
        return x.reshape(x.shape[0], self.cells, -1)

    def left(self, cells: Tensor) -> Tensor:
        """Return the notes `[B, T, 4]` of cells; the inverse of `entered`."""
        x = cells.reshape(cells.shape[0], -1, NUMBERS)[:, : self.shape.notes] * self.spread + self.mean
        if not self.hyper.hertz:
            return x
        octaves = (x[..., HEIGHT : HEIGHT + 1] / HERTZ).clamp_min(1e-3).log2()
        return torch.cat([x[..., :HEIGHT], octaves, x[..., HEIGHT + 1 :]], -1)

    @torch.no_grad()
    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        noise = Noise.fresh(n) if noise is None else noise
        z = noise.uniform(self.cells, NUMBERS * self.hyper.tones, device=self.device)
        return self.left(self.generator((z - 0.5) * temperature + 0.5)).float().cpu()
