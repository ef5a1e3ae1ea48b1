"""Time-series Generative Adversarial Networks.

Yoon, Jarrett, van der Schaar. 2019. NeurIPS.

Five recurrent networks: an embedder and a recovery, which are an autoencoder of rows; a generator of embedded rows from
noise, a supervisor that says the next embedded row, and a discriminator of embedded rows, each with one logit a row. Three
phases: the autoencoder alone, the supervisor alone, then all together.

`paper` is the authors' published code, by which their figures were made, where it and the paper part: weights of the losses
(the paper has lambda 1 and eta 10), a loss of the batch's means and deviations at every place (`--hyper.moments 0` leaves it
out), uniform noise as wide as a row and anew for each, no static features, the discriminator waiting while its loss is .15
or less, two steps of generator and autoencoder for one of the discriminator. In its second phase the generator is said to
learn and has no gradient, here as there.

What differs from the code: windows come in epochs, where it draws each batch anew; torch's GRU, whose reset gate acts after
the product with the state where TensorFlow 1 has it before, and which has a second bias; a phase's length is counted in
examples; the moments' loss is of a micro-batch where a batch is cut; categories enter as as many numbers, of which the
largest is read. It takes no missing cells.
"""

# B batch, T rows of a window, D columns, W numbers of a row, H hidden units

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import objectives
from genloom.core.capabilities import Samples
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Phase, Player
from genloom.core.random import Noise
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.models.fitting import no_windows
from genloom.nn.cells import UnitCells
from genloom.nn.recurrent_stacks import Stack
from genloom.shapes.base import Shape
from genloom.shapes.series import SeriesShape

PHASE = 50_000 * 128  # examples: the code's iterations of a phase, and its batch


@dataclass(frozen=True)
class TimeGANHyper(Descent):
    """The values of the authors' code for stock prices."""

    hidden: int = hp(24, "units of every recurrent layer, and width of an embedded row", low=1)
    layers: int = hp(3, "recurrent layers; the supervisor has one less", low=2)
    embedding: int = hp(PHASE, "examples of the phase of the autoencoder, 0 to leave it out", low=0)
    supervised: int = hp(PHASE, "examples of the phase of the supervisor, 0 to leave it out", low=0)
    gamma: float = hp(1.0, "weight of what the discriminator says of rows that the supervisor has not seen", low=0)
    eta: float = hp(100.0, "weight of the supervisor's error in the generator's loss", low=0)
    moments: float = hp(100.0, "weight of the error of means and deviations in the generator's loss", low=0)
    recovered: float = hp(10.0, "weight of the autoencoder's error", low=0)
    lam: float = hp(0.1, "weight of the supervisor's error beside the autoencoder's", low=0)
    least: float = hp(0.15, "loss of the discriminator up to which it waits", low=0)
    batch: int = hp(128, "examples a batch", low=2)

    @classmethod
    def tiny(cls) -> Self:
        """The paper's in small."""
        return cls(hidden=12, layers=2, embedding=20_000, supervised=20_000, batch=64)


class Waiting(torch.optim.Adam):
    """Adam that leaves weights and its own state as they are where the gradient is zero."""

    def step(self, closure: Any = None) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if any(bool(gradient.any()) for gradient in gradients):
            return super().step(closure)
        return None


class TimeGAN(Model, Samples):
    """Yoon et al. 2019."""

    Hyper = TimeGANHyper
    hyper: TimeGANHyper
    shape: SeriesShape
    reads: ClassVar = "series"
    compilable: ClassVar = False
    notes: ClassVar = {
        "recovery": Note("error", "autoencoder"),
        "supervision": Note("error", "generator"),
        "fool": Note("loss", "generator"),
        "moments": Note("loss", "generator", shown=False),
        **objectives.ACCURACY,
    }

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return shape if isinstance(shape, SeriesShape) else no_windows(shape, "timegan")

    def __init__(self, hyper: TimeGANHyper, shape: SeriesShape) -> None:
        super().__init__(hyper, shape)
        self.cells = UnitCells(shape.columns)
        w, h, layers = self.cells.width, hyper.hidden, hyper.layers
        self.embedder, self.recovery = Stack(w, h, layers, h), Stack(h, h, layers, w)
        self.generator, self.supervisor = Stack(w, h, layers, h), Stack(h, h, layers - 1, h)
        self.discriminator = Stack(h, h, layers, 1, sigmoid=False)

    @classmethod
    def settle(cls, hyper: TimeGANHyper, data: Dataset) -> TimeGANHyper:  # type: ignore[override]
        """Return the hyper-parameters with a batch that small data can fill; InputError where cells are missing."""
        if getattr(data.shape, "conditions", ()):
            raise InputError("timegan takes no conditions: leave --condition away, or take rtsgan")
        mask = getattr(data, "mask", None)
        if mask is not None and not bool(mask.all()):
            raise InputError(
                f"timegan learns from whole windows, and {float((~mask).float().mean()):.1%} of the cells of {data.source} "
                "are unknown: rtsgan takes them as they are"
            )
        return hyper.with_values({"batch": min(hyper.batch, size(data))}) if size(data) > 1 else hyper

    def players(self) -> Sequence[Player]:
        return [
            self.hyper.player("autoencoder", self.embedder, self.recovery),
            self.hyper.player("generator", self.generator, self.supervisor),
            replace(self.hyper.player("discriminator", self.discriminator), optimizer=partial(Waiting, lr=self.hyper.rate)),
        ]

    def phases(self) -> Sequence[Phase]:
        hyper = self.hyper
        found = [Phase("embedding", self.embedding, hyper.embedding)] if hyper.embedding else []
        found += [Phase("supervision", self.supervision, hyper.supervised)] if hyper.supervised else []
        return [*found, Phase("joint", self.round, fresh=("autoencoder", "generator"))]

    def embedding(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let the autoencoder descend its error."""
        x = self.cells.enter(next(batches)["x"])
        error = F.mse_loss(self.recovery(self.embedder(x)), x).sqrt()
        yield Move("autoencoder", self.hyper.recovered * error, {"recovery": error})

    def supervision(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let the supervisor descend its error on embedded rows; the generator has no part in it."""
        with torch.no_grad():
            h = self.embedder(self.cells.enter(next(batches)["x"]))
        error = self.next_error(h)
        yield Move("generator", error, {"supervision": error.sqrt()})

    def next_error(self, h: Tensor) -> Tensor:
        """Return the mean squared error of the supervisor about the next of embedded rows `[B, T, H]`."""
        return F.mse_loss(self.supervisor(h)[:, :-1], h[:, 1:])

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        for _ in range(2):
            x = self.cells.enter(next(batches)["x"])
            yield self.generate_better(x)
            h = self.embedder(x)
            error = F.mse_loss(self.recovery(h), x).sqrt()
            loss = self.hyper.recovered * error + self.hyper.lam * self.next_error(h)
            yield Move("autoencoder", loss, {"recovery": error})
        x = self.cells.enter(next(batches)["x"])
        with torch.no_grad():
            h, e = self.embedder(x), self.generator(self.noise(len(x)))
            made = self.supervisor(e)
        real, fake, raw = (self.discriminator(each) for each in (h, made, e))
        loss = objectives.discriminate(real, fake) + self.hyper.gamma * F.softplus(raw).mean()
        moves = (loss.detach() > self.hyper.least).to(loss)  # all parts of a batch, and all processes, have a say
        yield Move("discriminator", moves * loss, objectives.accuracy(real, fake))

    def generate_better(self, x: Tensor) -> Move:
        """Return the move of generator and supervisor, given rows `[B, T, W]`."""
        hyper, e = self.hyper, self.generator(self.noise(len(x)))
        made = self.supervisor(e)
        with torch.no_grad():
            h = self.embedder(x)
        fool = objectives.non_saturating(self.discriminator(made))
        raw = objectives.non_saturating(self.discriminator(e))
        error, gap = self.next_error(h).sqrt(), moments(self.recovery(made), x)
        loss = fool + hyper.gamma * raw + hyper.eta * error + hyper.moments * gap
        return Move("generator", loss, {"fool": fool, "supervision": error, "moments": gap})

    def noise(self, n: int, noise: Noise | None = None) -> Tensor:
        """Return uniform noise `[n, T, W]` in [0, 1)."""
        dims = (self.shape.window, self.cells.width)
        return torch.rand(n, *dims, device=self.device) if noise is None else noise.uniform(*dims, device=self.device)

    @torch.no_grad()
    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        z = (self.noise(n, Noise.fresh(n) if noise is None else noise) - 0.5) * temperature + 0.5
        return self.cells.leave(self.recovery(self.supervisor(self.generator(z)))).cpu()


def moments(made: Tensor, x: Tensor) -> Tensor:
    """Return how far the mean and the deviation at each place of windows `[B, T, W]` are apart, on average."""
    spread = [(each.var(0, correction=0) + 1e-6).sqrt() for each in (made, x)]
    return (spread[0] - spread[1]).abs().mean() + (made.mean(0) - x.mean(0)).abs().mean()
