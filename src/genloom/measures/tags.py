"""How well pictures are tagged, and what tags them without learning much: frequency, neighbours, ridge regression."""

# n pictures, m training pictures, t tags, V words, F features, D width of a word's vector

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.measures.figure import Figure, mean_figure

COUNT = 5  # tags that a picture is given
HELD = 10  # one training picture in so many is held out to choose a baseline's number by
NEIGHBOURS = (1, 3, 5, 10, 20)
RIDGES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
BLOCK = 100  # pictures whose scores of all words are held at once, of which there may be hundreds of thousands
Scorer = Callable[[Tensor], Tensor]  # from features [n, F] to scores of words [n, V]


@dataclass(frozen=True)
class Truth:
    """Which words are tags of which pictures.

    Attributes:
        pairs: the place of a picture and that of one of its words `[t, 2]`, each once.
        pictures: how many there are, n; `words`, V.
    """

    pairs: Tensor
    pictures: int
    words: int

    @cached_property
    def counts(self) -> Tensor:
        """How many tags each picture has `[n]`."""
        return torch.bincount(self.pairs[:, 0], minlength=self.pictures)

    @cached_property
    def frequencies(self) -> Tensor:
        """How many pictures have each word `[V]`."""
        return torch.bincount(self.pairs[:, 1], minlength=self.words)

    def holds(self, first: Tensor) -> Tensor:
        """Return which of the words given to each picture `[n, k]`, -1 for none, are its tags."""
        keys = torch.arange(self.pictures)[:, None] * self.words + first
        return torch.isin(keys, self.pairs[:, 0] * self.words + self.pairs[:, 1]) & (first >= 0)

    def part(self, chosen: Tensor) -> Truth:
        """Return that of some pictures, booleans `[n]`."""
        kept, places = self.pairs[chosen[self.pairs[:, 0]]], chosen.cumsum(0) - 1
        return Truth(torch.stack([places[kept[:, 0]], kept[:, 1]], 1), int(chosen.sum()), self.words)


def tag_figures(first: Tensor, truth: Truth) -> dict[str, Figure]:
    """Return the figures of the words given to each picture, places `[n, k]`, -1 for none, against its tags.

    Precision, recall and their harmonic mean are of each picture's k words, averaged over pictures; N+ is how many words
    were given rightly at least once, variety, how many were given at all.
    """
    hits, count = truth.holds(first), first.shape[1]
    right, total = hits.sum(1).double(), truth.counts.double()
    protocol = f"first {count} words"
    per_picture = {
        f"P@{count}": right / count,
        f"R@{count}": right / total.clamp_min(1),
        f"F1@{count}": 2 * right / (count + total),
    }
    figures = {name: mean_figure(values, protocol, "higher") for name, values in per_picture.items()}
    for name, found in (("N+", hits), ("variety", first >= 0)):
        value = float(len(first[found].unique()))
        figures[name] = Figure(value, value, value, len(first), f"{protocol}, words", "higher")
    return figures


def first_words(scores: Tensor, count: int = COUNT) -> Tensor:
    """Return the places of the words with the highest scores `[n, V]`, of scores above 0: `[n, count]`, -1 for none."""
    values, places = scores.topk(min(count, scores.shape[1]), dim=1)
    return F.pad(places.masked_fill(values <= 0, -1), (0, count - places.shape[1]), value=-1)


def given_by(score: Scorer, h: Tensor, count: int = COUNT) -> Tensor:
    """Return the first words of pictures by their features `[n, F]`, as `first_words` does."""
    return torch.cat([first_words(score(part), count) for part in h.split(BLOCK)])


def by_frequency(truth: Truth) -> Scorer:
    """Give every picture the words that most training pictures have."""
    return lambda h: truth.frequencies.float().expand(len(h), -1)


def by_neighbours(h: Tensor, truth: Truth, count: int) -> Scorer:
    """Let the nearest training pictures, by cosine of features `[m, F]` about their mean, vote with their likeness."""
    mean, size = h.mean(0), (truth.words, truth.pictures)
    known = F.normalize(h - mean, dim=1)
    votes = torch.sparse_coo_tensor(truth.pairs.flip(1).T, torch.ones(len(truth.pairs)), size, check_invariants=True)

    def score(other: Tensor) -> Tensor:
        near = (F.normalize(other - mean, dim=1) @ known.T).topk(min(count, len(known)), dim=1)
        weights = torch.zeros(len(other), len(known)).scatter_(1, near.indices, near.values.clamp_min(1e-6))
        return torch.sparse.mm(votes, weights.T).T

    return score


def by_ridge(h: Tensor, truth: Truth, vectors: Tensor, ridge: float) -> Scorer:
    """Go from features `[m, F]` to the mean direction of a picture's words by ridge regression; score words by cosine.

    Args:
        vectors: of the words `[V, D]`; words that no training picture has are never given.
    """
    words, used = F.normalize(vectors, dim=1).double(), truth.frequencies > 0
    sums = torch.zeros(truth.pictures, words.shape[1], dtype=torch.float64)
    target = sums.index_add_(0, truth.pairs[:, 0], words[truth.pairs[:, 1]]) / truth.counts[:, None].clamp_min(1)
    mean, offset = h.double().mean(0), target.mean(0)
    centred = h.double() - mean
    moments = centred.T @ centred + ridge * torch.eye(h.shape[1], dtype=torch.float64)
    kernel = torch.linalg.solve(moments, centred.T @ (target - offset))

    def score(other: Tensor) -> Tensor:
        made = F.normalize((other.double() - mean) @ kernel + offset, dim=1)
        return (made @ words.T + 1).masked_fill(~used, 0).float()

    return score


def chosen(h: Tensor, truth: Truth, numbers: Sequence[float], fit: Callable[[Tensor, Truth, float], Scorer]) -> Scorer:
    """Return a baseline fitted on all training pictures, by the number that tags held-out ones best."""
    held = torch.arange(len(h)) % HELD == 0

    def quality(number: float) -> float:
        score = fit(h[~held], truth.part(~held), number)
        return tag_figures(given_by(score, h[held]), truth.part(held))[f"F1@{COUNT}"].value

    return fit(h, truth, max(numbers, key=quality) if len(h) >= 2 * HELD else numbers[0])
