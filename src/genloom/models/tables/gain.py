"""GAIN: a generator fills in the missing cells of a row, a discriminator tries to tell which they were.

Yoon, Jordon, van der Schaar. 2018. GAIN: Missing Data Imputation using Generative Adversarial Nets. ICML, PMLR 80:5689.

`paper`: columns scaled to [0, 1], small noise in the missing cells, both players with two hidden layers as wide as the
table, a hint to the discriminator, and alpha times the squared error of the known cells. The paper's hint tells all but
one cell of a row, and losses are taken at that cell; the authors' published code tells the known cells only, each with
probability 0.9, and takes losses at all cells: `--hyper.hint code`. Both are here: the code came after the paper and was
changed since, so neither is for certain what made the published figures.

Layers, initialisation, noise, Adam, batch and one step of either player on the same batch are the code's, as are the hint
of 0.9 and alpha of 100, which the paper chooses by cross-validation. What differs from both: batches go through the rows in
epochs, where the code draws each anew; categories enter by their index, scaled like a number, where the paper has one output
and cross-entropy for binary columns; with the paper's hint the known cells' error is summed over a row, as there, so that
alpha weighs more than in the code, by the number of known cells; the logarithms need no 1e-8, being taken of logits; the
1e-6 added to a column's range is in units of its deviation; best guesses are made with one row of noise for all rows, so
that a row's answer is its own.
Whole numbers are rounded when they are written, by `GAINImputer` as the code does: columns of fewer than 20 values.

`modern` keeps the two players and the hint, and changes what they learn:
- Known cells are hidden at random, a new share of each row each time, and the error is taken there: reconstructing cells
  that are among the inputs teaches nothing about those that are not.
- The generator is a residual net on standardised columns. One head gives the mean, or the probabilities of categories;
  it alone is asked for the best guess. A second head turns noise into draws around it, taught by the energy score, which
  is least where draws scatter as the truth does (Gneiting & Raftery 2007, eq. 22), and by the adversaries.
- The critics see the draws: one tells which cells are drawn, with the hint; the other sees whole rows, those with hidden
  cells drawn against those with the true values there. Their gradient moves the second head alone.
"""

# B batch, D columns, W numbers that cells become, z noise, m known cells, k those shown to the generator, h hint

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.capabilities import Imputes
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Player, Remember
from genloom.core.random import Noise
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.models.tables.gaussian import Gaussian
from genloom.nn.cells import Bounded, Calendar, Cells, Exact, Residual
from genloom.nn.dense import Chain, full_precision
from genloom.shapes.base import Shape
from genloom.shapes.table import TableShape

STUDIED = 20_000  # rows from which the linear guess is learnt
LINEAR = 96  # numbers in a row up to which the generator starts from the best linear guess


@dataclass(frozen=True)
class GAINHyper(Descent):
    """The paper's, with alpha of the published code."""

    kind: Literal["paper", "modern"] = hp("paper", "the paper's nets and losses, or those described as modern")
    hint: Literal["paper", "code"] = hp("paper", "all but one cell told, or the known ones each with probability `told`")
    told: float = hp(0.9, "probability with which a cell is told to the discriminator", low=0, high=1)
    alpha: float = hp(100.0, "paper: weight of the squared error of known cells", low=0)
    noise: float = hp(0.01, "paper: noise in missing cells is uniform in [0, noise]", low=0)
    width: int = hp(384, "modern: units of the generator's layers", low=4)
    blocks: int = hp(3, "modern: residual blocks of the generator", low=1)
    z: int = hp(16, "modern: width of the noise of draws", low=1)
    hide: float = hp(0.5, "modern: largest share of a row's cells that are hidden", low=0, high=1)
    visible: float = hp(0.2, "modern: weight of the error of shown cells beside that of hidden ones", low=0)
    adversary: float = hp(0.05, "modern: weight of the critics beside the energy score, 0 for none", low=0)
    jury: int = hp(128, "modern: rows of a batch that the critics see", low=2)
    batch: int = hp(128, "examples a batch", low=2)

    @classmethod
    def modern(cls) -> Self:
        """Hidden cells, a residual generator, calibrated draws, averaged weights."""
        return cls(kind="modern", hint="code", rate=1e-3, clip=1.0, batch=384, ema=130_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Modern, small enough to learn a small table in seconds."""
        return cls(kind="modern", hint="code", rate=3e-3, clip=1.0, width=64, blocks=1, z=8, batch=64, jury=64, ema=5e3)


class GAIN(Model, Imputes):
    """Yoon et al. 2018."""

    Hyper = GAINHyper
    hyper: GAINHyper
    notes: ClassVar = {
        "fool": Note("loss", "generator"),
        "rmse_known": Note("error", "generator"),
        "error": Note("error", "generator"),
        "energy": Note("loss", "generator", shown=False),
        "fooled": Note("loss", "generator", shown=False),
    }

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        table = isinstance(shape, TableShape)
        return shape if table else Misfit(f"gain fills in tables, this data is {shape.describe()}")

    def __init__(self, hyper: GAINHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        assert isinstance(shape, TableShape)
        build = PaperNets if hyper.kind == "paper" else ModernNets
        self.nets: PaperNets | ModernNets = build(hyper, shape)

    @classmethod
    def settle(cls, hyper: GAINHyper, data: Dataset) -> GAINHyper:  # type: ignore[override]
        """Return the hyper-parameters with a batch that small data can fill."""
        return hyper.with_values({"batch": min(hyper.batch, size(data))}) if size(data) > 1 else hyper

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        if isinstance(self.nets, ModernNets):
            batch = take(data, torch.linspace(0, size(data) - 1, min(size(data), STUDIED)).long())
            self.nets.study(batch["x"].cpu(), batch["mask"].cpu().to(batch["x"].dtype), remember)
        return data

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("generator", self.nets.generator), self.hyper.player("discriminator", self.nets.critics)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        yield from self.nets.round(batch["x"], batch["mask"].to(batch["x"].dtype))

    @torch.no_grad()
    def impute(self, x: Tensor, mask: Tensor) -> Tensor:
        x, mask, m = self.entered(x, mask)
        return torch.where(mask, x, self.nets.guess(x, m))

    @torch.no_grad()
    def draw(self, x: Tensor, mask: Tensor, draws: int, noise: Noise | None = None) -> Tensor:
        x, mask, m = self.entered(x, mask)
        ways = self.nets.draws(x, m, draws, Noise.fresh(len(x)) if noise is None else noise)
        return torch.stack([torch.where(mask, x, filled) for filled in ways])

    def entered(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return cells, zero where missing, the mask, and the mask as numbers, all of the weights' kind and device."""
        if x.shape[1:] != self.shape.dims:
            raise InputError(f"rows of {self.shape.dims[0]} columns are wanted, these have {x.shape[1]}")
        kind, mask = next(self.parameters()).dtype, mask.to(self.device)
        return torch.where(mask, x.to(self.device), 0).to(kind), mask, mask.to(kind)


def hinted(m: Tensor, hint: Literal["paper", "code"], told: float) -> tuple[Tensor, Tensor]:
    """Return the hint `[B, D]` about known cells `m`, and where losses are taken.

    `paper`: 1 known, 0 missing, 1/2 at the one cell that is not told, and the losses there (Yoon et al. 2018, eq. 3, 5).
    `code`: 1 for known cells that are told, 0 for all others, and the losses everywhere.
    """
    if hint == "code":
        return m * (torch.rand_like(m) < told), torch.ones_like(m)
    b = torch.ones_like(m).scatter(1, torch.randint(m.shape[1], (len(m), 1), device=m.device), 0.0)
    return b * m + 0.5 * (1 - b), 1 - b


# -- the paper -------------------------------------------------------------------------------------


class PaperNets(nn.Module):
    """Algorithm 1 on columns scaled to [0, 1]."""

    low: Tensor
    span: Tensor
    choices: Tensor

    def __init__(self, hyper: GAINHyper, shape: TableShape) -> None:
        super().__init__()
        self.hyper = hyper
        ends = [
            (0.0, column.levels - 1.0)
            if column.levels
            else ((column.low - column.mean) / column.scale, (column.high - column.mean) / column.scale)
            for column in shape.columns
        ]
        self.register_buffer("low", torch.tensor([low for low, _ in ends]), persistent=False)
        self.register_buffer("span", torch.tensor([high - low for low, high in ends]) + 1e-6, persistent=False)
        self.register_buffer("choices", torch.tensor([column.levels > 0 for column in shape.columns]), persistent=False)
        self.generator, self.critics = paper_net(shape.width), paper_net(shape.width)

    def round(self, x: Tensor, m: Tensor) -> Iterator[Move]:
        x = m * (x - self.low) / self.span
        generated = self.fill(x, m)
        hint, where = hinted(m, self.hyper.hint, self.hyper.told)
        told = torch.cat([m * x + (1 - m) * generated.detach(), hint], 1)  # eq. (2)
        loss = F.binary_cross_entropy_with_logits(self.critics(told), m, reduction="none")  # eq. (5)
        yield Move("discriminator", mean(loss, where))
        logits = self.critics(torch.cat([m * x + (1 - m) * generated, hint], 1))
        fool = mean((1 - m) * F.softplus(-logits), where)  # eq. (7)
        known = (m * (x - generated).square()).sum() / m.sum().clamp_min(1)  # eq. (8)
        if self.hyper.hint == "paper":
            known = known * m.sum(1).mean()  # the paper's sums run over a row, of whose cells one is not told
        yield Move("generator", fool + self.hyper.alpha * known, {"fool": fool, "rmse_known": known.sqrt()})

    def fill(self, x: Tensor, m: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the generator's cells in [0, 1], given known ones and noise in place of the others."""
        drawn = torch.rand(x.shape, device=x.device) if noise is None else noise.uniform(x.shape[1], device=x.device)
        z = drawn.to(x) * self.hyper.noise
        return self.generator(torch.cat([m * x + (1 - m) * z, m], 1)).sigmoid()

    def guess(self, x: Tensor, m: Tensor) -> Tensor:
        """Return the cells of rows, with the same noise for each, so that a row's answer is its own."""
        z = Noise.of(0, 1).uniform(x.shape[1], device=x.device).to(x) * self.hyper.noise
        unit = m * (x - self.low) / self.span
        return self.said(self.generator(torch.cat([unit + (1 - m) * z, m], 1)).sigmoid())

    def draws(self, x: Tensor, m: Tensor, draws: int, noise: Noise) -> Iterator[Tensor]:
        """Yield ways to fill rows in; they hardly differ, since the noise is small beside the data."""
        unit = m * (x - self.low) / self.span
        for _ in range(draws):
            yield self.said(self.fill(unit, m, noise))

    def said(self, unit: Tensor) -> Tensor:
        """Return cells in [0, 1] as codes: of categories the nearest index."""
        codes = unit * self.span + self.low
        return torch.where(self.choices, codes.round(), codes)


def mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of values `[B, D]` over the cells of a mask."""
    return (values * where).sum() / where.sum().clamp_min(1)


def paper_net(d: int) -> Chain:
    """2D inputs, two hidden layers of D, D outputs; weights normal with variance 2 / inputs."""
    layers = [nn.Linear(2 * d, d), nn.ReLU(), nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d)]
    for layer in layers[::2]:
        assert isinstance(layer, nn.Linear)
        nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
        nn.init.zeros_(layer.bias)
    return Chain(*layers)


# -- modern ----------------------------------------------------------------------------------------


class ModernNets(nn.Module):
    """Hidden cells, one head for the mean, one for draws, two critics of the draws."""

    def __init__(self, hyper: GAINHyper, shape: TableShape) -> None:
        super().__init__()
        self.hyper = hyper
        self.cells, self.calendar = Cells(shape.columns), Calendar(shape.columns)
        d, w = shape.width, self.cells.width
        self.linear = Gaussian(w) if w <= LINEAR else None
        self.generator = Generator(w + self.calendar.width + d + (w if self.linear else 0), w, hyper)
        self.critics = nn.ModuleDict({"cells": critic(w + d, d, hyper.width // 2), "rows": critic(w, 1, hyper.width // 2)})

    def round(self, x: Tensor, m: Tensor) -> Iterator[Move]:
        hyper, cells = self.hyper, self.cells
        k = m * (torch.rand_like(m) >= hyper.hide * torch.rand_like(m[:, :1]))
        hidden = m - k
        features, point = self.generated(x, k)
        pair = [self.generator.drawn(features, point, self.noise(point)) for _ in range(2)]
        loss = cells.loss(point, x, hidden) + hyper.visible * cells.loss(point, x, k)
        spread = energy(cells, pair, x, hidden)
        notes = {"error": loss, "energy": spread}
        if hyper.adversary:
            jury = slice(min(hyper.jury, len(x)))
            fake = cells.pick(pair[0][jury], torch.rand_like(pair[0][jury]))
            real, m, k = cells.spread(x[jury]), m[jury], k[jury]
            hint = hinted(k, hyper.hint, hyper.told)
            yield Move("discriminator", self.accuse(real, fake.detach(), m, k, hint))
            fooled = self.fool(self.merged(real, fake, k), k, hint)
            loss, notes = loss + hyper.adversary * fooled, notes | {"fooled": fooled}
        yield Move("generator", loss + spread, notes)

    def generated(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return features, and the mean of each number or the logits `[B, W]`, given the cells `k` of rows `[B, D]`."""
        w = self.cells.spread(x, k)
        shown = [w, self.calendar(x, k), k]
        if self.linear is None:
            return self.generator(torch.cat(shown, 1))
        with full_precision(w):
            base = self.linear(w, k[:, self.cells.owner])
        features, point = self.generator(torch.cat([*shown, base], 1))
        n = len(self.cells.numbers)
        return features, torch.cat([base[:, :n] + point[:, :n], point[:, n:]], 1)

    def study(self, x: Tensor, m: Tensor, remember: Remember) -> None:
        """Learn how the numbers hang together linearly."""
        if (linear := self.linear) is not None:
            known = m[:, self.cells.owner]
            linear.load_state_dict(remember("linear", lambda: linear.fitted(self.cells.spread(x, m), known)))

    def noise(self, point: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the noise `[B, W + z]` of a draw around outputs `[B, W]`."""
        width = point.shape[1] + self.hyper.z
        if noise is not None:
            return noise.normal(width, device=point.device).to(point)
        return torch.randn(len(point), width, device=point.device).to(point)

    def merged(self, real: Tensor, fake: Tensor, known: Tensor) -> Tensor:
        """Return rows `[B, W]` with drawn cells outside of a mask `[B, D]`."""
        known = known[:, self.cells.owner]
        return known * real + (1 - known) * fake

    def accuse(self, real: Tensor, fake: Tensor, m: Tensor, k: Tensor, hint: tuple[Tensor, Tensor]) -> Tensor:
        """Return the critics' loss: which cells are drawn, and which rows have their hidden cells drawn."""
        drawn, h = self.merged(real, fake, k), hint[0]
        cells = F.binary_cross_entropy_with_logits(self.critics["cells"](torch.cat([drawn, h], 1)), k, reduction="none")
        truer, falser = self.critics["rows"](torch.cat([self.merged(real, fake, m), drawn])).chunk(2)
        return mean(cells, hint[1]) + F.relu(1 - truer).mean() + F.relu(1 + falser).mean()

    def fool(self, drawn: Tensor, k: Tensor, hint: tuple[Tensor, Tensor]) -> Tensor:
        """Return the generator's loss before the critics; that of cells is a mean over drawn cells, however few."""
        logits = self.critics["cells"](torch.cat([drawn, hint[0]], 1))
        return mean(F.softplus(-logits), (1 - k) * hint[1]) - self.critics["rows"](drawn).mean()

    def guess(self, x: Tensor, m: Tensor) -> Tensor:
        """Return the cells that the first head finds best."""
        return self.cells.read(self.generated(x, m)[1])

    def draws(self, x: Tensor, m: Tensor, draws: int, noise: Noise) -> Iterator[Tensor]:
        """Yield ways to fill rows in, each from noise of its own."""
        features, point = self.generated(x, m)
        for _ in range(draws):
            w = self.generator.drawn(features, point, self.noise(point, noise))
            yield self.cells.read(self.cells.pick(w, noise.uniform(w.shape[1], device=w.device).to(w)))


class Generator(nn.Module):
    """A residual net with a head for the mean or the logits, and one that moves them by noise."""

    def __init__(self, inputs: int, outputs: int, hyper: GAINHyper) -> None:
        super().__init__()
        width = hyper.width
        self.trunk = nn.Sequential(
            nn.Linear(inputs, width), *(Residual(width) for _ in range(hyper.blocks)), nn.LayerNorm(width), nn.SiLU()
        )
        self.point = Exact(width, outputs)
        self.spread = Exact(width, outputs)
        self.mixer = nn.Sequential(nn.Linear(width + hyper.z, width // 2), nn.SiLU(), Exact(width // 2, outputs))

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `[B, width]` of shown cells, and the mean of each number or the logits, `[B, W]`."""
        features = self.trunk(shown)
        return features, self.point(features)

    def drawn(self, features: Tensor, point: Tensor, z: Tensor) -> Tensor:
        """Return outputs `[B, W]` moved by noise `[B, W + z]`: one for each number, and z that move the row as a whole.

        No gradient goes back past the second head.
        """
        own, shared = z[:, : point.shape[1]], z[:, point.shape[1] :]
        features = features.detach()
        moved = self.mixer(torch.cat([features.to(z.dtype), shared], 1))
        return point.detach() + F.softplus(self.spread(features)) * own + moved


def energy(cells: Cells, pair: Sequence[Tensor], x: Tensor, weight: Tensor) -> Tensor:
    """The energy score of two draws of each number, and the cross-entropy of moved logits, a mean over cells."""
    n = len(cells.numbers)
    a, b = (w[:, :n] for w in pair)
    truth, where = x[:, cells.numbers], weight[:, cells.numbers]
    score = ((a - truth).abs() + (b - truth).abs() - (a - b).abs()) / 2
    total = (score * where).sum()
    for w in pair:
        for d, part in zip(cells.chosen, cells.parts(w), strict=True):
            total = total + (F.cross_entropy(part, x[:, d].long(), reduction="none") * weight[:, d]).sum() / 2
    return total / weight.sum().clamp_min(1)


def critic(inputs: int, outputs: int, width: int) -> Chain:
    """Two hidden layers, each of spectral norm one, which keeps the critic's slope bounded."""
    return Chain(
        Bounded(inputs, width), nn.LeakyReLU(0.2), Bounded(width, width), nn.LeakyReLU(0.2), Bounded(width, outputs)
    )
