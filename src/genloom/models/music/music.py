"""Music in a few voices, step by step: a recurrent net with the exact likelihood of each step.

log p(piece) = sum over steps and voices of log p(cell | all steps before, and the voices above it in the same step). A stack
of GRUs (Cho et al. 2014) remembers the steps; a small net a voice gives what it does next: rest, hold, or begin a pitch.
What cannot be has no probability: holding a rest, and in chords notes out of order. Recurrent nets beside a distribution
over each step's notes are Boulanger-Lewandowski, Bengio & Vincent's (ICML 2012, RNN-NADE); that each step's notes are
drawn voice by voice makes the likelihood exact and lets one voice be given.

Pieces are moved up and down by up to half an octave in training, so that what is learnt in one key holds in all. Key,
density and composer are told for a part of the examples alone, so that each may be left open, and a likelihood may be had
without.
Nobody published this model: it has no preset `paper`.
"""

# B batch, T steps, V voices, n pieces

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.capabilities import Composes
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Player, Remember
from genloom.core.random import Noise
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.nn.voices import NEVER, Rules, StepByStep, VoiceNet
from genloom.scores.score import Key
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, HELD, ScoreShape

KEYS, UNKNOWN = 24, 24  # tonics from C on, major and then minor; and what stands for none
DENSITIES = ("low", "medium", "high")  # of notes that begin: a third of the examples each
PARTICLES = 64  # pieces that are weighed against each other where a voice is given
STUDIED = 2000  # examples that densities are taken from


@dataclass(frozen=True)
class MusicHyper(Descent):
    """A net that learns 229 chorales in half an hour of one core."""

    paper = None  # type: ignore[assignment]  # nobody published it
    width: int = hp(256, "units of a recurrent layer, and of each voice's own net", low=2)
    layers: int = hp(2, "recurrent layers", low=1)
    embedding: int = hp(32, "width of a pitch's embedding", low=1)
    dropout: float = hp(0.3, "share of units that are left out in training", low=0, high=0.9)
    decay: float = hp(0.02, "weight decay, apart from the gradient as AdamW has it", low=0)
    transpose: int = hp(6, "semitones that examples are moved up or down by at most", low=0, high=12)
    open: float = hp(0.5, "share of examples whose key, density and composer are each left open", low=0, high=1)
    rate: float = hp(2e-3, "learning rate", low=0)
    clip: float | None = hp(1.0, "largest norm of the gradient", low=1e-9)
    warmup: int = hp(6000, "examples over which the learning rate rises from zero", low=0)
    anneal: int = hp(100_000, "examples over which the rate falls to a hundredth by a cosine, 0 for never", low=0)
    batch: int = hp(32, "examples a batch", low=1)
    ema: float | None = hp(4000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """The defaults."""
        return cls()

    @classmethod
    def tiny(cls) -> Self:
        """Learns a few pieces in seconds."""
        return cls(width=48, embedding=8, layers=1, dropout=0.1, rate=8e-3, warmup=300, anneal=0, batch=16, ema=500.0)

    def build(self, weights: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, self.rate, betas=(0.9, self.beta2), weight_decay=self.decay, fused=True)


class Music(Model, Composes):
    """A recurrent net over steps, and a small one a voice."""

    Hyper = MusicHyper
    hyper: MusicHyper
    shape: ScoreShape
    reads: ClassVar = "score"
    compilable: ClassVar = False  # the recurrence would be unrolled
    notes: ClassVar = {"nats": Note("nats", "network")}
    dense: Tensor

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        score = isinstance(shape, ScoreShape)
        return shape if score else Misfit(f"music learns from pieces of music, this data is {shape.describe()}")

    def __init__(self, hyper: MusicHyper, shape: ScoreShape) -> None:
        super().__init__(hyper, shape)
        rules = Rules(shape.high - shape.low + 1, shape.chords, shape.repeats)
        told = [KEYS + 1, len(DENSITIES) + 1, *([len(shape.classes) + 1] if shape.classes else [])]
        sizes = {"width": hyper.width, "layers": hyper.layers, "embedding": hyper.embedding}
        self.network = VoiceNet(len(shape.voices), rules, told, dropout=hyper.dropout, **sizes)
        self.register_buffer("dense", torch.zeros(2))

    # -- training ----------------------------------------------------------------------------------

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Learn how densely notes begin in a third and in two thirds of the examples."""

        def make() -> dict[str, Tensor]:
            rows = torch.linspace(0, size(data) - 1, min(size(data), STUDIED)).round().long()
            batch = take(data, rows)
            return {"dense": density(batch["x"], batch["mask"]).quantile(torch.tensor([1 / 3, 2 / 3])).cpu()}

        self.dense.copy_(remember("density", make)["dense"])
        return data

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("network", self.network)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x, mask = batch["x"].long(), batch["mask"]
        shift = self.shifts(x)
        x = torch.where(x >= FIRST, x + shift[:, None, None], x)
        key = (batch["key"] + shift) % 12 + batch["key"] // 12 * 12
        told = [key, self.density_of(x, mask), *([batch["y"]] if self.shape.classes else [])]
        left_open = [torch.rand(len(x), device=x.device) < self.hyper.open for _ in told]
        told = [torch.where(each, count, value) for each, count, value in zip(left_open, self.unknown, told, strict=True)]
        nats = self.nats(x, batch["beat"], batch["bar"], told)
        loss = (nats.sum(2) * mask).sum() / mask.sum().clamp_min(1)
        yield Move("network", loss, {"nats": loss})

    def shifts(self, x: Tensor) -> Tensor:
        """Draw by how many semitones examples `[B, T, V]` are moved `[B]`, so that all pitches stay within the range."""
        most = self.hyper.transpose
        pitched = x >= FIRST
        lowest = torch.where(pitched, x, self.shape.codes).amin((1, 2))
        highest = torch.where(pitched, x, FIRST).amax((1, 2))
        drawn = torch.randint(-most, most + 1, (len(x),), device=x.device)
        return drawn.clamp(FIRST - lowest.clamp_max(FIRST + most), self.shape.codes - 1 - highest)

    @property
    def unknown(self) -> list[int]:
        """What stands for nothing told, for each that may be."""
        return [UNKNOWN, len(DENSITIES), *([len(self.shape.classes)] if self.shape.classes else [])]

    def density_of(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the density of examples `[B]`: 0, 1 or 2."""
        return (density(x, mask)[:, None] > self.dense).sum(1)

    def density_of_piece(self, codes: Tensor) -> str:
        x = codes[None].to(self.device)
        return DENSITIES[int(self.density_of(x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)))]

    # -- likelihood --------------------------------------------------------------------------------

    def nats(self, x: Tensor, beat: Tensor, bar: Tensor, told: Sequence[Tensor]) -> Tensor:
        """Return -log p of each cell `[B, T, V]`, given all before it."""
        logits = self.network(x, beat, bar, told)
        return F.cross_entropy(logits.flatten(0, 2), x.flatten(), reduction="none").view(x.shape)

    @torch.no_grad()
    def step_nats(self, piece: Mapping[str, Tensor]) -> Tensor:
        x = piece["x"].long().to(self.device)
        told = [torch.full((len(x),), each, device=self.device) for each in self.unknown]
        return self.nats(x, piece["beat"].to(self.device), piece["bar"].to(self.device), told).sum(2).cpu()

    # -- drawing -----------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        said = {} if given is None else {"composer": given}
        return self.compose(n, self.shape.window, said, temperature, noise)

    @torch.no_grad()
    def compose(
        self,
        n: int,
        steps: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
        known: Tensor | None = None,
    ) -> Tensor:
        voices, bar = len(self.shape.voices), torch.full((n,), self.shape.bar, device=self.device)
        noise = Noise.fresh(n) if noise is None else noise
        player = StepByStep(self.network, n, bar, self.told_of(n, given or {}))
        parts = []
        for t in range(steps):
            drawn = noise.uniform(voices, device=self.device)
            fixed = None if known is None or t >= known.shape[1] else known[:, t].to(self.device)

            def choose(v: int, logits: Tensor, t: int = t, drawn: Tensor = drawn, fixed: Tensor | None = fixed) -> Tensor:
                if known is not None and t == known.shape[1]:
                    logits = ended(logits)
                own = picked(logits, drawn[:, v], temperature)
                return own if fixed is None else torch.where(fixed[:, v] < 0, own, fixed[:, v])

            parts.append(player.step(torch.full((n,), t % self.shape.bar, device=self.device), choose))
        return torch.stack(parts, 1).cpu()

    @torch.no_grad()
    def harmonise(
        self,
        known: Tensor,
        n: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
    ) -> Tensor:
        """Draw pieces around given voices by a particle filter (Gordon, Salmond & Smith 1993).

        Many pieces are drawn at once, each weighed by how likely it makes the voices that are given; every now and then the
        unlikely ones are dropped for copies of the others, so that what was written before fits what the melody does next.
        The more particles, the nearer to the exact law of the other voices given all of the melody.
        """
        noise = Noise.fresh(n) if noise is None else noise
        found = [self.one_harmony(known.to(self.device), given or {}, temperature, noise.of_rows([i])) for i in range(n)]
        return torch.stack(found).cpu()

    def one_harmony(self, known: Tensor, given: Mapping[str, Any], temperature: float, noise: Noise) -> Tensor:
        """Return one piece `[T, V]` around the given voices."""
        voices, device = len(self.shape.voices), self.device
        bar = torch.full((PARTICLES,), self.shape.bar, device=device)
        player = StepByStep(self.network, PARTICLES, bar, self.told_of(PARTICLES, given))
        weight, parts = torch.zeros(PARTICLES, dtype=torch.float64, device=device), []
        for t, step in enumerate(known):
            drawn = noise.uniform(PARTICLES, voices, device=device)[0]
            gained = torch.zeros_like(weight)

            def choose(
                v: int, logits: Tensor, drawn: Tensor = drawn, step: Tensor = step, gained: Tensor = gained
            ) -> Tensor:
                if int(step[v]) < 0:
                    return picked(logits, drawn[:, v], temperature)
                gained.add_(logits.double().log_softmax(1)[:, step[v]])
                return step[v].expand(len(logits))

            parts.append(player.step(torch.full((PARTICLES,), t % self.shape.bar, device=device), choose))
            weight = (weight + gained).log_softmax(0)
            if float((2 * weight).exp().sum()) > 2 / PARTICLES:  # half of them count for next to nothing
                rows = resampled(weight.exp(), noise.uniform(1, device=device)[0])
                player.select(rows)
                parts, weight = [each[rows] for each in parts], torch.zeros_like(weight)
        chosen = picked(weight[None], noise.uniform(1, device=device)[0])
        return torch.stack(parts, 1)[chosen[0]]

    def told_of(self, n: int, given: Mapping[str, Any]) -> list[Tensor]:
        """Return what is told of pieces, each `[n]`: key, density, and composer where there are any."""
        if odd := given.keys() - {"key", "density", "composer"}:
            raise InputError(f"music takes key, density and composer, not {sorted(odd)[0]}")
        said = list(self.unknown)
        if (name := given.get("key")) is not None:
            key = Key.of(name) if isinstance(name, str) else name
            said[0] = key.tonic + 12 * key.minor
        if (density_said := given.get("density")) is not None:
            if density_said not in DENSITIES:
                raise InputError(f"--density takes {', '.join(DENSITIES)}, got {density_said!r}")
            said[1] = DENSITIES.index(density_said)
        told = [torch.full((n,), each, device=self.device) for each in said]
        if (composer := given.get("composer")) is not None:
            if isinstance(composer, str):
                composer = torch.full((n,), self.shape.label(composer))
            if not self.shape.classes:
                raise InputError("a composer is named, and this run learnt from pieces without any: sub-folders name them")
            told[2] = composer.to(self.device)
        return told


def density(x: Tensor, mask: Tensor) -> Tensor:
    """Return how many notes begin at a step and voice of examples `[B]`, on average; all that sounds at the first begins."""
    begun = ((x >= FIRST) & mask[..., None])[:, 1:].sum((1, 2))
    return begun / (mask[:, 1:].sum(1).clamp_min(1) * x.shape[2])


def resampled(weight: Tensor, drawn: Tensor) -> Tensor:
    """Return places `[P]`, each as often as its share of the weight `[P]` says, by one number in [0, 1)."""
    marks = (torch.arange(len(weight), device=weight.device) + drawn) / len(weight)
    return torch.searchsorted(weight.cumsum(0) / weight.sum(), marks.double()).clamp_max(len(weight) - 1)


def ended(logits: Tensor) -> Tensor:
    """Return logits `[n, codes]` with no note held: those that were given have ended."""
    return logits.masked_fill(torch.arange(logits.shape[1], device=logits.device) == HELD, NEVER)


def picked(logits: Tensor, drawn: Tensor, temperature: float = 1.0) -> Tensor:
    """Draw codes `[n]` of logits `[n, codes]` by numbers in [0, 1) `[n]`; what is ruled out is so at any temperature."""
    logits = (logits.double() / temperature).masked_fill(logits <= NEVER / 2, -math.inf)
    sums = logits.softmax(1).cumsum(1)
    return (sums <= drawn[:, None] * sums[:, -1:]).sum(1).clamp_max(logits.shape[1] - 1)
