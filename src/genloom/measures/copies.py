"""Memorisation: are samples nearer to one training example than fresh real examples are?

Distances alone mislead: a blurred sample is near to many training examples without copying one. So each
distance to the nearest training example is set against that to the fifth nearest; a copy stands out by a
small ratio. What is small is read from real examples that were never trained on.
"""

# n probes, m training examples, D features

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genloom.measures.distances import square_distances
from genloom.measures.figure import Figure, around, half_error, share_figure

NEIGHBOURS = 5
TAIL = 0.01  # share of held-out examples that count as near-copies
PROBES = 2000
AXES, CANDIDATES = 128, 64  # of a sketch: its axes, and how many examples are looked at closely
AT_ONCE = 1 << 23  # numbers of candidates that are held at once
ROUNDING = 1e-4  # by which a bound may be wrong, relative


@dataclass(frozen=True)
class Nearest:
    """Distances `[n, k]` of probes to their nearest training examples, rising, and where those are, `[n, k]`."""

    distance: Tensor
    index: Tensor

    @property
    def ratio(self) -> Tensor:
        """Nearest distance over the k-th `[n]`; 1 where all are zero."""
        first, last = self.distance[:, 0], self.distance[:, -1]
        return torch.where(last > 0, first / last.clamp_min(1e-12), torch.ones_like(first))


def nearest_training(probes: Tensor, blocks: Iterable[Tensor], itself: Sequence[Tensor] | None = None) -> Nearest:
    """Find the nearest training examples of probes `[n, D]`, block `[b, D]` by block.

    Args:
        itself: where each probe stands in the training set `[n]`, if it does, so that it is not its own neighbour; more
            than one where a mirrored copy of it stands there too.
    """
    n = len(probes)
    distance = torch.full((n, NEIGHBOURS), float("inf"))
    index = torch.zeros(n, NEIGHBOURS, dtype=torch.long)
    start = 0
    for block in blocks:
        gap = square_distances(probes, block)
        for own in () if itself is None else itself:
            here = (own >= start) & (own < start + len(block))
            gap[here.nonzero()[:, 0], own[here] - start] = float("inf")
        some = (gap.amin(1) < distance[:, -1]).nonzero().flatten()  # of ever fewer a block holds something nearer
        place = torch.arange(start, start + len(block)).expand(len(some), -1)
        best = torch.cat([distance[some], gap[some]], 1).topk(NEIGHBOURS, largest=False)
        distance[some], index[some] = best.values, torch.cat([index[some], place], 1).gather(1, best.indices)
        start += len(block)
    held = distance.isfinite().all(0)
    return Nearest(distance[:, held].clamp_min(0).sqrt(), index[:, held])


@dataclass(frozen=True)
class Sketch:
    """Training examples `[m, D]` by their places along a few axes, and how far off the axes they lie.

    The distance of two sketches is never longer than that of the examples, so what is far by it need not be looked at.

    Attributes:
        mean, axes: the origin `[D]` and orthonormal directions `[D, d]`.
        codes: the sketches `[m, d + 1]`.
    """

    mean: Tensor
    axes: Tensor
    codes: Tensor

    @classmethod
    def of(cls, blocks: Iterable[Tensor], mean: Tensor, axes: Tensor) -> Sketch:
        """Sketch examples `[b, D]`, block by block."""
        return cls(mean, axes, torch.cat([sketched(block, mean, axes) for block in blocks]))

    def nearest(
        self, probes: Tensor, fetch: Callable[[Tensor], Tensor], itself: Sequence[Tensor] | None = None
    ) -> tuple[Nearest, Tensor]:
        """Find the nearest training examples of probes `[n, D]`, and whether they are surely the nearest, `[n]`.

        Args:
            fetch: gives the training examples `[b, D]` at places `[b]`.
            itself: as in `nearest_training`.
        """
        parts = []
        for rows in torch.arange(len(probes)).split(max(1, AT_ONCE // (CANDIDATES * probes.shape[1]))):
            x = probes[rows]
            square = square_distances(sketched(x, self.mean, self.axes), self.codes)
            for own in itself or ():
                square[torch.arange(len(x)), own[rows]] = float("inf")
            bound, places = square.topk(min(CANDIDATES, square.shape[1]), largest=False)
            found = fetch(places.flatten()).view(*places.shape, -1)
            distance, best = (found - x[:, None]).square().sum(2).topk(NEIGHBOURS, largest=False)
            parts.append((distance.sqrt(), places.gather(1, best), distance[:, -1] <= bound[:, -1] * (1 - ROUNDING)))
        distances, index, sure = (torch.cat(each) for each in zip(*parts, strict=True))
        return Nearest(distances, index), sure


def sketched(x: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    """Return the sketches `[b, d + 1]` of examples `[b, D]`."""
    centred = x - mean
    along = centred @ axes
    off = (centred.square().sum(1) - along.square().sum(1)).clamp_min(0).sqrt()
    return torch.cat([along, off[:, None]], 1)


def copy_figures(fake: Nearest, held_out: Nearest, protocol: str) -> dict[str, Figure]:
    """Return the share of near-copies and the median distance to the nearest training example, held-out being 1.

    A near-copy is a sample whose ratio of distances is smaller than that of 99 % of the held-out examples.
    """
    protocol = f"{protocol}, {len(held_out.distance)} held out"
    distinct = held_out.ratio[held_out.ratio > 0]  # duplicates in the data would make the threshold zero
    threshold = torch.quantile(distinct, TAIL) if len(distinct) else torch.tensor(0.0)
    near, far = fake.distance[:, 0], held_out.distance[:, 0]
    ratio = float(near.median() / far.median())
    error = half_error(lambda i, j: float(near[i].median() / far[j].median()), (len(near), len(far)))
    return {
        "near-copies": share_figure(fake.ratio <= threshold, f"{protocol}, whose share is {TAIL:.0%}", "lower"),
        "nearest distance": around(ratio, error, len(near), f"{protocol}, whose median is 1", "nearer"),
    }
