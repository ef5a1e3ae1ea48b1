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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Player, Remember
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.models.fitting import no_score
from genloom.models.music.stepwise import DENSITIES, Stepwise, drawn_shifts, thirds
from genloom.nn.voices import Rules, StepByStep, VoiceNet
from genloom.scores.score import Key
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, ScoreShape

KEYS, UNKNOWN = 24, 24  # tonics from C on, major and then minor; and what stands for none


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


class Music(Model, Stepwise):
    """A recurrent net over steps, and a small one a voice."""

    Hyper = MusicHyper
    hyper: MusicHyper
    shape: ScoreShape
    reads: ClassVar = "score"
    compilable: ClassVar = False  # the recurrence would be unrolled
    notes: ClassVar = {"nats": Note("nats", "network")}

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return no_score(shape, "music") or shape

    def __init__(self, hyper: MusicHyper, shape: ScoreShape) -> None:
        super().__init__(hyper, shape)
        rules = Rules(shape.high - shape.low + 1, shape.chords, shape.repeats)
        told = [KEYS + 1, len(DENSITIES) + 1, *([len(shape.classes) + 1] if shape.classes else [])]
        sizes = {"width": hyper.width, "layers": hyper.layers, "embedding": hyper.embedding}
        self.network = VoiceNet(len(shape.voices), rules, told, dropout=hyper.dropout, **sizes)
        self.register_buffer("dense", torch.zeros(2))

    @property
    def conditional(self) -> bool:
        return bool(self.shape.classes)

    # -- training ----------------------------------------------------------------------------------

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Learn how densely notes begin in a third and in two thirds of the examples."""
        self.dense.copy_(remember("density", lambda: {"dense": thirds(data)})["dense"])
        return data

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("network", self.network)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x, mask = batch["x"].long(), batch["mask"]
        shift = drawn_shifts(x, self.hyper.transpose, self.shape.codes)
        x = torch.where(x >= FIRST, x + shift[:, None, None], x)
        key = (batch["key"] + shift) % 12 + batch["key"] // 12 * 12
        told = [key, self.density_of(x, mask), *([batch["y"]] if self.shape.classes else [])]
        left_open = [torch.rand(len(x), device=x.device) < self.hyper.open for _ in told]
        told = [torch.where(each, count, value) for each, count, value in zip(left_open, self.unknown, told, strict=True)]
        nats = self.nats(x, batch["beat"], batch["bar"], told)
        loss = (nats.sum(2) * mask).sum() / mask.sum().clamp_min(1)
        yield Move("network", loss, {"nats": loss})

    @property
    def unknown(self) -> list[int]:
        """What stands for nothing told, for each that may be."""
        return [UNKNOWN, len(DENSITIES), *([len(self.shape.classes)] if self.shape.classes else [])]

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

    def begin(self, n: int, given: Mapping[str, Any]) -> StepByStep:
        bar = torch.full((n,), self.shape.bar, device=self.device)
        return StepByStep(self.network, n, bar, self.told_of(n, given))

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
