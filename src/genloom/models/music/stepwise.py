"""Composing step by step: what models share that give each cell of a step its distribution, given all before it."""

# n pieces, B batch, T steps, V voices, P particles

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from genloom.core.capabilities import Composes
from genloom.core.dataset import Dataset, size, take
from genloom.core.random import Noise
from genloom.nn.voices import NEVER
from genloom.shapes.score import FIRST, HELD, ScoreShape

DENSITIES = ("low", "medium", "high")  # of notes that begin: a third of the examples each
PARTICLES = 64  # pieces that are weighed against each other where a voice is given
STUDIED = 2000  # examples that densities are taken from


class Hand(Protocol):
    """What plays pieces `[n]` a step after the other, and remembers what has been played."""

    def step(self, beat: Tensor, choose: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Play one step `[n, V]` at a step of the bar `[n]`; `choose(v, logits [n, codes])` picks the codes of a voice."""

    def select(self, rows: Tensor) -> None:
        """Go on with some of the pieces, by their places; one may come several times."""


class Stepwise(Composes):
    """Composes by drawing cell after cell, and harmonises by weighing what is drawn so.

    A model registers a buffer `dense` for the two densities `[2]` that thirds of its examples lie between.
    """

    shape: ScoreShape
    dense: Tensor

    @abstractmethod
    def begin(self, n: int, given: Mapping[str, Any]) -> Hand:
        """Return what plays so many pieces, of which this is told."""

    def density_of(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the density of examples `[B]`: 0, 1 or 2."""
        return (density(x, mask)[:, None] > self.dense).sum(1)

    def density_of_piece(self, codes: Tensor) -> str:
        x = codes[None].to(self.dense.device)
        return DENSITIES[int(self.density_of(x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)))]

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
        voices, device = len(self.shape.voices), self.dense.device
        noise = Noise.fresh(n) if noise is None else noise
        hand = self.begin(n, given or {})
        parts = []
        for t in range(steps):
            drawn = noise.uniform(voices, device=device)
            fixed = None if known is None or t >= known.shape[1] else known[:, t].to(device)

            def choose(v: int, logits: Tensor, t: int = t, drawn: Tensor = drawn, fixed: Tensor | None = fixed) -> Tensor:
                if known is not None and t == known.shape[1]:
                    logits = ended(logits)
                own = picked(logits, drawn[:, v], temperature)
                return own if fixed is None else torch.where(fixed[:, v] < 0, own, fixed[:, v])

            parts.append(hand.step(torch.full((n,), t % self.shape.bar, device=device), choose))
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
        found = [
            self.one_harmony(known.to(self.dense.device), given or {}, temperature, noise.of_rows([i])) for i in range(n)
        ]
        return torch.stack(found).cpu()

    def one_harmony(self, known: Tensor, given: Mapping[str, Any], temperature: float, noise: Noise) -> Tensor:
        """Return one piece `[T, V]` around the given voices."""
        voices, device = len(self.shape.voices), self.dense.device
        hand = self.begin(PARTICLES, given)
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

            parts.append(hand.step(torch.full((PARTICLES,), t % self.shape.bar, device=device), choose))
            weight = (weight + gained).log_softmax(0)
            if float((2 * weight).exp().sum()) > 2 / PARTICLES:  # half of them count for next to nothing
                rows = resampled(weight.exp(), noise.uniform(1, device=device)[0])
                hand.select(rows)
                parts, weight = [each[rows] for each in parts], torch.zeros_like(weight)
        chosen = picked(weight[None], noise.uniform(1, device=device)[0])
        return torch.stack(parts, 1)[chosen[0]]


def drawn_shifts(x: Tensor, most: int, codes: int) -> Tensor:
    """Draw by how many semitones examples `[B, T, V]` are moved `[B]`, at most so many, so that none leaves the range."""
    pitched = x >= FIRST
    lowest = torch.where(pitched, x, codes).amin((1, 2))
    highest = torch.where(pitched, x, FIRST).amax((1, 2))
    drawn = torch.randint(-most, most + 1, (len(x),), device=x.device)
    return drawn.clamp(FIRST - lowest.clamp_max(FIRST + most), codes - 1 - highest)


def density(x: Tensor, mask: Tensor) -> Tensor:
    """Return how many notes begin at a step and voice of examples `[B]`, on average; all that sounds at the first begins."""
    begun = ((x >= FIRST) & mask[..., None])[:, 1:].sum((1, 2))
    return begun / (mask[:, 1:].sum(1).clamp_min(1) * x.shape[2])


def thirds(data: Dataset) -> Tensor:
    """Return the densities `[2]` that thirds of the examples lie between."""
    batch = take(data, torch.linspace(0, size(data) - 1, min(size(data), STUDIED)).round().long())
    return density(batch["x"], batch["mask"]).quantile(torch.tensor([1 / 3, 2 / 3])).cpu()


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
