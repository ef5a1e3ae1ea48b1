"""Towards Generating Real-World Time Series Data.

Pei, Ren, Yang, Liu, Qin, Li. 2021. ICDM, arXiv 2111.08386.

`paper` is RTSGAN for complete series: a recurrent autoencoder turns a window into one code, then a Wasserstein GAN with a
gradient penalty learns the codes, and a decoded code is a sample. Widths, rates and the two phases are those of the authors'
code for stock prices. What differs: the critic's batches come in epochs, where each of theirs begins a new shuffle; the
second phase lasts as long as the budget, where theirs has 15,000 updates of the generator, of five batches of 512 each.
Missing cells of the data count for nothing in the autoencoder's error and enter as the mean, or as no category, with a mask
beside: the paper's network that decides which cells of a sample are missing is not here, so that samples are whole.

`modern` keeps the thought, a GAN on top of codes whose decoder is known, and starts where it would have to end: at principal
components of windows and a mixture of Gaussians of their codes, which is fitted in seconds and beats the published GANs by
their own measure (`genloom.nn.mixture`). A convolutional generator then adds what the mixture lacks, and a critic sees
windows and their differences. What is known of a window, its beginning or its gaps, conditions the mixture exactly: so
records of any length are drawn without seams, and gaps are filled. Columns named by `--condition` move the mixture by a
linear map and are shown to both players; in a long record they go on as those of some training window do, numbers that hold
for half a window hold on.
"""

# B batch, T rows of a window, D columns, W numbers of a row

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Follows, Unusual
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Phase, Player, Remember
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.fitting import no_windows
from genloom.models.series.unusual import Scorer, fill
from genloom.models.series.usual import UsualNets, components_of
from genloom.nn.cells import UnitCells
from genloom.nn.recurrent_stacks import Decoder, Encoder, LatentCritic, LatentGenerator
from genloom.shapes.base import Shape
from genloom.shapes.series import SeriesShape

EPOCHS = 1000  # of the paper's autoencoder
EACH = 5  # windows a component that a Gaussian has at least; of fewer it would know by heart how they go together


@dataclass(frozen=True)
class RTSGANHyper(AnyHyper):
    """The values of the authors' code for stock prices."""

    kind: Literal["paper", "modern"] = hp("paper", "the paper's nets and losses, or those described as modern")
    hidden: int = hp(24, "paper: units of a recurrent layer", low=1)
    layers: int = hp(3, "paper: recurrent layers", low=1)
    z: int = hp(96, "width of the noise; modern: of each row", low=1)
    pretrain: int = hp(0, "paper: examples of the autoencoder's phase; 0 for 1,000 epochs", low=0)
    pretrain_batch: int = hp(128, "paper: examples a batch of that phase", low=1)
    pretrain_rate: float = hp(1e-3, "paper: learning rate of that phase, of Adam", low=0)
    forcing: float = hp(0.5, "paper: chance that the decoder sees the true row before, not its own", low=0, high=1)
    holes: bool = hp(False, "paper: a mask enters beside the cells; true where the data has missing ones")
    critics: int = hp(5, "updates of the critic for one of the generator", low=1)
    penalty: float = hp(10.0, "weight of the critic's gradient penalty", low=0)
    components: int = hp(0, "modern: principal components; 0 for as many as keep 99.99 % of the variance", low=0, high=2048)
    gaussians: int = hp(20, "modern: most Gaussians of the mixture; fewer for few windows", low=1, high=1000)
    width: int = hp(64, "modern: channels of generator and critic", low=2)
    stay: float = hp(0.3, "modern: weight of the square of what the generator adds to the mixture", low=0)
    every: int = hp(4, "modern: the gradient penalty is taken once in so many rounds", low=1)
    rate: float = hp(1e-4, "learning rate of generator and critic", low=0)
    batch: int = hp(512, "examples a batch", low=2)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """A mixture of Gaussians, refined."""
        return cls(kind="modern", z=8, critics=1, penalty=1.0, rate=2e-4, batch=64, ema=20_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Modern, small enough to learn a small record in seconds."""
        return replace(cls.modern(), components=16, gaussians=4, width=16, batch=32, ema=2000.0)


class RTSGAN(Model, Follows):
    """Pei et al. 2021."""

    Hyper = RTSGANHyper
    hyper: RTSGANHyper
    shape: SeriesShape
    reads: ClassVar = "series"
    compilable: ClassVar = False
    notes: ClassVar = {
        "recovery": Note("error", "autoencoder"),
        "wasserstein": Note("loss", "critic"),
        "gradient": Note("loss", "critic", shown=False),
        "d_real": Note("accuracy", "critic"),
    }

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return shape if isinstance(shape, SeriesShape) else no_windows(shape, "rtsgan")

    def __init__(self, hyper: RTSGANHyper, shape: SeriesShape) -> None:
        super().__init__(hyper, shape)
        self.scorer: Scorer | None = None
        self.nets: PaperNets | UsualNets = PaperNets(hyper, shape) if hyper.kind == "paper" else UsualNets(hyper, shape)

    @classmethod
    def settle(cls, hyper: RTSGANHyper, data: Dataset) -> RTSGANHyper:  # type: ignore[override]
        """Return the hyper-parameters with batches that small data can fill, a length of the first phase, and a width."""
        n, shape = size(data), data.shape
        if n < 2 or not isinstance(shape, SeriesShape):
            return hyper
        small = {"batch": min(hyper.batch, n), "pretrain_batch": min(hyper.pretrain_batch, n)}
        if hyper.kind == "paper":
            mask = getattr(data, "mask", None)
            holes = hyper.holes or (mask is not None and not bool(mask.all()))
            return hyper.with_values({**small, "pretrain": hyper.pretrain or EPOCHS * n, "holes": holes})
        most, least = (
            components_of(data, shape),
            min(hyper.components or 2048, shape.window * UnitCells(shape.columns).width),
        )
        return hyper.with_values({**small, "components": max(1, min(most, least))})

    @classmethod
    def studies(cls, hyper: RTSGANHyper) -> str:  # type: ignore[override]
        return "rtsgan fits principal components and a mixture of Gaussians to the windows" if hyper.kind == "modern" else ""

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        if isinstance(self.nets, UsualNets):
            self.nets.study(data, remember)
        return data

    def players(self) -> Sequence[Player]:
        return self.nets.players()

    def phases(self) -> Sequence[Phase]:
        hyper = self.hyper
        if isinstance(self.nets, UsualNets):
            return super().phases()
        first = Phase("autoencoder", self.nets.pretraining, hyper.pretrain or None, hyper.pretrain_batch)
        return [first, Phase("adversarial", self.round)] if hyper.pretrain else [first]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        yield from self.nets.round(batches, clock)

    @torch.no_grad()
    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        return self.nets.sample(n, temperature, Noise.fresh(n) if noise is None else noise).cpu()

    @torch.no_grad()
    def run(
        self,
        n: int,
        rows: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
    ) -> Tensor:
        codes = {} if not given else self.shape.stated(given)
        return self.usual.run(n, rows, codes, temperature, Noise.fresh(n) if noise is None else noise).cpu()

    @torch.no_grad()
    def fill(self, x: Tensor, mask: Tensor, draws: int, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        return fill(
            self.usual, x.to(self.device), mask.to(self.device), draws, Noise.fresh(len(x)) if noise is None else noise
        )

    @torch.no_grad()
    def unusual(self, x: Tensor, mask: Tensor, closely: bool = False) -> Unusual:
        nets = self.usual
        self.scorer = self.scorer or Scorer(nets)
        return self.scorer(x.to(self.device), mask.to(self.device), closely)

    @property
    def usual(self) -> UsualNets:
        """The nets of `modern`; InputError for those of the paper, which know windows as a whole alone."""
        if isinstance(self.nets, PaperNets):
            raise InputError("rtsgan's preset paper makes whole windows and nothing else: train --preset modern for this")
        return self.nets


class PaperNets(nn.Module):
    """A recurrent autoencoder, and a Wasserstein GAN of its codes."""

    def __init__(self, hyper: RTSGANHyper, shape: SeriesShape) -> None:
        super().__init__()
        self.hyper, self.window, self.cells = hyper, shape.window, UnitCells(shape.columns)
        w, h, layers = self.cells.width, hyper.hidden, hyper.layers
        inputs = w + len(shape.columns) if hyper.holes else w
        self.encoder, self.decoder = Encoder(inputs, h, layers), Decoder(w, h, layers)
        self.generator, self.critic = LatentGenerator(hyper.z, h, layers), LatentCritic(h + layers * h)

    def players(self) -> Sequence[Player]:
        hyper = self.hyper
        adam = partial(torch.optim.Adam, lr=hyper.pretrain_rate)
        rmsprop = partial(torch.optim.RMSprop, lr=hyper.rate, alpha=0.99)
        return [
            Player("autoencoder", (self.encoder, self.decoder), adam),
            Player("generator", (self.generator,), rmsprop, ema=hyper.ema),
            Player("critic", (self.critic,), rmsprop),
        ]

    def pretraining(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let the autoencoder descend its error."""
        x, m = self.entered(next(batches))
        whole, states = self.decoder.begin(self.coded(x, m))
        before, rows = torch.zeros_like(x[:, 0]), []
        forced = (torch.rand(x.shape[1]) < self.hyper.forcing).tolist()
        for t in range(x.shape[1]):
            row, states = self.decoder(whole, before, states)
            rows.append(row)
            before = x[:, t] if forced[t] else self.said(row).detach()
        error = self.error(torch.stack(rows, 1), x, m)
        yield Move("autoencoder", error, {"recovery": error})

    def entered(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the numbers of windows `[B, T, W]`, and which cells are known `[B, T, D]`, as numbers."""
        x = batch["x"]
        if not self.hyper.holes:
            return self.cells.enter(x), torch.ones_like(x)
        m, n = batch["mask"].to(x.dtype), len(self.cells.low)
        w = self.cells.enter(x)
        return torch.cat([w[..., :n], w[..., n:] * m[..., self.cells.cells.owner[n:]]], 2), m

    def coded(self, x: Tensor, m: Tensor) -> Tensor:
        """Return the codes of windows."""
        code: Tensor = self.encoder(torch.cat([x, m], 2) if self.hyper.holes else x)
        return code

    def error(self, rows: Tensor, x: Tensor, m: Tensor) -> Tensor:
        """Return the mean error of rows before their activation: squared, of categories the cross-entropy."""
        cells, n = self.cells.cells, len(self.cells.low)
        weight, flat, truth = m.flatten(0, 1), rows.flatten(0, 1), x.flatten(0, 1)
        total = ((flat[:, :n].sigmoid() - truth[:, :n]).square() * weight[:, cells.numbers]).sum()
        for d, part, true in zip(cells.chosen, cells.parts(flat), cells.parts(truth), strict=True):
            total = total + (F.cross_entropy(part, true.argmax(1), reduction="none") * weight[:, d]).sum()
        return total / m.sum().clamp_min(1)

    def said(self, row: Tensor) -> Tensor:
        """Return a row's numbers `[B, W]`: in [0, 1], of categories their probabilities."""
        cells, n = self.cells.cells, len(self.cells.low)
        return torch.cat([row[:, :n].sigmoid(), *(part.softmax(1) for part in cells.parts(row))], 1)

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        hyper = self.hyper
        for _ in range(hyper.critics):
            with torch.no_grad():
                real = self.coded(*self.entered(next(batches)))
                fake = self.generator(torch.randn(len(real), hyper.z, device=real.device))
            gap = self.critic(fake).mean() - self.critic(real).mean()
            between = torch.lerp(real, fake, torch.rand(len(real), 1, device=real.device))
            steep = objectives.gradient_penalty(self.critic, between, 1.0)
            yield Move("critic", gap + hyper.penalty * steep, {"wasserstein": -gap, "gradient": steep.detach()})
        fake = self.generator(torch.randn(len(real), hyper.z, device=real.device))
        yield Move("generator", -self.critic(fake).mean())

    def sample(self, n: int, temperature: float, noise: Noise) -> Tensor:
        """Draw windows `[n, T, D]`."""
        z = noise.normal(self.hyper.z, device=next(self.parameters()).device) * temperature
        whole, states = self.decoder.begin(self.generator(z))
        before, rows = whole.new_zeros(n, self.cells.width), []
        for _ in range(self.window):
            row, states = self.decoder(whole, before, states)
            before = self.said(row)
            rows.append(before)
        return self.cells.leave(torch.stack(rows, 1))
