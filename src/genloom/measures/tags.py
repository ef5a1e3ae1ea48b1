"""How well pictures are tagged, and what tags them without learning much: frequency, neighbours, ridge regression."""

# n pictures, m training pictures, V words, F features, D width of a word's vector

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.measures.figure import Figure, mean_figure

COUNT = 5  # tags that a picture is given
HELD = 10  # one training picture in so many is held out to choose a baseline's number by
NEIGHBOURS = (1, 3, 5, 10, 20)
RIDGES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
Scorer = Callable[[Tensor], Tensor]  # from features [n, F] to scores of words [n, V]


def tag_figures(scores: Tensor, truth: Tensor, count: int = COUNT) -> dict[str, Figure]:
    """Return the figures of scores `[n, V]` against which words are tags, booleans `[n, V]`; only scores above 0 count.

    Precision, recall and their harmonic mean are of each picture's first `count` words, averaged over pictures; N+ is how
    many words were given rightly at least once, variety, how many were given at all.
    """
    hits, given = given_of(scores, truth, count)
    right, total = hits.sum(1).double(), truth.sum(1).double()
    protocol = f"first {count} words"
    per_picture = {
        f"P@{count}": right / count,
        f"R@{count}": right / total.clamp_min(1),
        f"F1@{count}": 2 * right / (count + total),
    }
    figures = {name: mean_figure(values, protocol, "higher") for name, values in per_picture.items()}
    for name, found in (("N+", hits.any(0)), ("variety", given.any(0))):
        value = float(found.sum())
        figures[name] = Figure(value, value, value, len(scores), f"{protocol}, words", "higher")
    return figures


def given_of(scores: Tensor, truth: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return which words are given rightly, and which are given at all, booleans `[n, V]`."""
    values, places = scores.topk(min(count, scores.shape[1]), dim=1)
    given = torch.zeros_like(truth).scatter_(1, places, values > 0)
    return given & truth, given


def by_frequency(truth: Tensor) -> Scorer:
    """Give every picture the words that most training pictures have, `truth [m, V]`."""
    counts = truth.float().sum(0)
    return lambda h: counts.expand(len(h), -1)


def by_neighbours(h: Tensor, truth: Tensor, count: int) -> Scorer:
    """Let the nearest training pictures, by cosine of features `[m, F]` about their mean, vote with their likeness."""
    mean, votes = h.mean(0), truth.float()
    known = F.normalize(h - mean, dim=1)

    def score(other: Tensor) -> Tensor:
        near = (F.normalize(other - mean, dim=1) @ known.T).topk(min(count, len(known)), dim=1)
        return torch.einsum("nk,nkv->nv", near.values.clamp_min(1e-6), votes[near.indices])

    return score


def by_ridge(h: Tensor, truth: Tensor, vectors: Tensor, ridge: float) -> Scorer:
    """Go from features `[m, F]` to the mean direction of a picture's words by ridge regression; score words by cosine.

    Args:
        vectors: of the words `[V, D]`; words that no training picture has are never given.
    """
    words, used = F.normalize(vectors, dim=1).double(), truth.any(0)
    target = (truth.double() @ words) / truth.sum(1, keepdim=True).clamp_min(1)
    mean, offset = h.double().mean(0), target.mean(0)
    centred = h.double() - mean
    moments = centred.T @ centred + ridge * torch.eye(h.shape[1], dtype=torch.float64)
    kernel = torch.linalg.solve(moments, centred.T @ (target - offset))

    def score(other: Tensor) -> Tensor:
        made = F.normalize((other.double() - mean) @ kernel + offset, dim=1)
        return (made @ words.T + 1).masked_fill(~used, 0).float()

    return score


def chosen(h: Tensor, truth: Tensor, numbers: Sequence[float], fit: Callable[[Tensor, Tensor, float], Scorer]) -> Scorer:
    """Return a baseline fitted on all training pictures, by the number that tags held-out ones best."""
    held = torch.arange(len(h)) % HELD == 0

    def quality(number: float) -> float:
        score = fit(h[~held], truth[~held], number)
        return tag_figures(score(h[held]), truth[held])[f"F1@{COUNT}"].value

    return fit(h, truth, max(numbers, key=quality) if len(h) >= 2 * HELD else numbers[0])
