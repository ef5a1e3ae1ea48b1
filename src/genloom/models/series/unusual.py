"""What the mixture of usual windows says of given ones: how their gaps were filled, and how unusual their last rows are."""

# n windows, T rows of a window, D columns, W numbers of a row that are made, K components

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Unusual
from genloom.core.random import Noise
from genloom.models.series.usual import UsualNets
from genloom.nn.gaps import all_known
from genloom.nn.marginal import Marginal, Others, Regression

BLOCK = 1024  # windows that are worked on at once
KINDS = 8  # masks for which what was worked out is kept
LEAST_SHARE = 1e-6  # of a window, from which on a Gaussian is asked
BRIDGED = 3  # rows of a gap that a line across it is trusted for


def fill(nets: UsualNets, x: Tensor, mask: Tensor, draws: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Fill windows `[n, T, D]`: the mean of the mixture given what is known, and draws that the generator has refined.

    Conditions that are unknown are bridged, and stay so.
    """
    w, g, c = nets.entered(x, mask)
    known = nets.numbers(mask)
    best, drawn = w.clone(), w.new_empty(draws, *w.shape)
    kinds, owner = known.flatten(1).unique(dim=0, return_inverse=True)
    for i, kind in enumerate(kinds.view(-1, *w.shape[1:])):
        rows = (owner == i).nonzero()[:, 0]
        own, posterior = Noise(noise.keys[rows.cpu()]), nets.posterior(w[rows], kind, g[rows])
        best[rows] = nets.moved(posterior.mean(), g[rows])
        for k in range(draws):
            base = nets.moved(posterior.draw(own), g[rows], own)
            drawn[k, rows] = nets.refined(base, w[rows], kind[None], g[rows], own)
    best = torch.where(known, w, nets.sharpened(best.clamp(nets.low, nets.high)))
    keep = mask.clone()
    keep[..., nets.given] = True
    cells = torch.stack([nets.joined(each, c) for each in (best, *drawn)])
    whole = torch.where(keep & mask, x, cells)
    return whole[0].cpu(), whole[1:].cpu()


class Kind:
    """What can be worked out of windows whose numbers of one mask `[T, W]` are known, before they are seen."""

    def __init__(self, nets: UsualNets, known: Tensor, tags: int) -> None:
        (t, width), device = known.shape, known.device
        told = torch.ones(t * nets.told.width, dtype=torch.bool, device=device)
        self.mixture, self.known = nets.mixture, torch.cat([known.flatten(), told])
        own = torch.arange(t * width, device=device) % width == torch.arange(tags, device=device)[:, None]
        self.own = torch.cat([own, torch.zeros(tags, len(told), dtype=torch.bool, device=device)], 1)
        self.asked = (t - 1) * width + torch.arange(tags, device=device)
        self.count = known.sum().clamp_min(1)
        self.counts = (known.flatten() & ~own).sum(1).clamp_min(1)  # of all tags but one
        self.marginal = Marginal(nets.mixture, self.known)
        self.others = Others(nets.mixture, self.known, self.own)
        self.regressions: dict[int, Regression] = {}
        self.marginals: dict[int, Marginal] = {}

    def regression(self, c: int) -> Regression:
        """The number of each tag in the last row, given all of the others, in one Gaussian."""
        if c not in self.regressions:
            self.regressions[c] = Regression(self.others, self.asked, c)
        return self.regressions[c]

    def without(self, place: int) -> Marginal:
        """All that is known but the numbers of one tag."""
        if place in self.marginals:
            return self.marginals[place]
        marginal = Marginal(self.mixture, self.known & ~self.own[place])
        if bool(self.known.all()):  # kept of every mask they would take gigabytes
            self.marginals[place] = marginal
        return marginal


class Scorer:
    """Says how unusual the last rows of windows are."""

    def __init__(self, nets: UsualNets) -> None:
        self.nets = nets
        self.tags = [nets.made[int(d)] for d in nets.cells.owner[: len(nets.cells.numbers)]]  # of numbers, which come first
        self.kinds: dict[tuple[bytes, int, int], Kind] = {}

    def __call__(self, x: Tensor, mask: Tensor, closely: bool) -> Unusual:
        """Score windows `[n, T, D]`; short gaps are bridged, what lies in longer ones is not known."""
        nets, n = self.nets, len(x)
        w, g, _ = nets.entered(x, mask)
        numbers = nets.centred(w, g).float()
        surprise, found = x.new_empty(n), x.new_full((3, n, x.shape[2]), torch.nan)
        for known, part in self.alike(mask):
            kind, r = self.kind(known), numbers[part]
            told: Any = self.kind(torch.zeros_like(known)).marginal(r).logsumexp(1) if nets.given else 0.0
            logs = kind.marginal(r)
            surprise[part] = ((told - logs.logsumexp(1)) / kind.count).to(surprise)
            if not self.tags:
                continue
            said = self.leave_out(kind, r, told) if closely else self.of_likeliest(kind, r, logs.argmax(1))
            shift = w[part, -1, : len(self.tags)] - r[:, kind.asked]  # by conditions
            for whole, each in zip(found, (said[0] + shift, *said[1:]), strict=False):
                rows = whole[part]
                rows[:, self.tags] = each
                whole[part] = rows
        expected, spread, rest = found.cpu()
        return Unusual(surprise.cpu(), expected, spread, rest)

    def alike(self, mask: Tensor) -> Iterator[tuple[Tensor, Any]]:
        """Yield which numbers `[T, W]` are known, and at most `BLOCK` windows of which these are, by their place."""
        if all_known(mask):
            whole = torch.ones(mask.shape[1], self.nets.cells.width, dtype=torch.bool, device=mask.device)
            yield from ((whole, slice(begin, begin + BLOCK)) for begin in range(0, len(mask), BLOCK))
            return
        known = self.nets.numbers(known_or_bridged(mask))
        kinds, owner = known.flatten(1).unique(dim=0, return_inverse=True)
        for i, kind in enumerate(kinds.view(-1, *known.shape[1:])):
            yield from ((kind, part) for part in (owner == i).nonzero()[:, 0].split(BLOCK))

    def kind(self, known: Tensor) -> Kind:
        """Return what was worked out of a mask `[T, W]`; the latest few are kept."""
        learnt = self.nets.mixture.factors
        key = (known.cpu().numpy().tobytes(), learnt.data_ptr(), learnt._version)  # other weights may be read into it
        kind = self.kinds.pop(key, None) or Kind(self.nets, known, len(self.tags))
        self.kinds[key] = kind
        if len(self.kinds) > KINDS:
            del self.kinds[next(iter(self.kinds))]
        return kind

    @staticmethod
    def of_likeliest(kind: Kind, r: Tensor, likeliest: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation of the last numbers of tags `[n, D]`, each given all others, in a Gaussian."""
        gaussians, lengths = likeliest.unique_consecutive(return_counts=True)  # rows that follow each other share theirs
        regressions, parts = [kind.regression(c) for c in gaussians.tolist()], r.split(lengths.tolist())
        mean = torch.cat([regression(part) for regression, part in zip(regressions, parts, strict=True)])
        spread = torch.stack([regression.spread for regression in regressions]).repeat_interleave(lengths, 0)
        return mean, spread

    @staticmethod
    def leave_out(kind: Kind, r: Tensor, told: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same in the whole mixture, each tag left out of it, and how unlikely all the others are `[n, D]`.

        Given the conditions, whose density is `told`.
        """
        found: list[list[Tensor]] = [[], [], []]
        means = cache(lambda c: kind.regression(c)(r).double())
        for place in range(len(kind.asked)):
            logs = kind.without(place)(r)
            share = logs.softmax(1)
            there = (share.amax(0) > LEAST_SHARE).nonzero()[:, 0].tolist()
            share, own = share[:, there], torch.stack([means(c)[:, place] for c in there], 1)
            spreads = torch.stack([kind.regression(c).spread[place] for c in there]).double()
            mean = (share * own).sum(1)
            variance = (share * (spreads.square() + (own - mean[:, None]).square())).sum(1)
            rest = (told - logs.logsumexp(1)) / kind.counts[place]
            for parts, each in zip(found, (mean, variance.sqrt(), rest), strict=True):
                parts.append(each.to(r))
        mean, spread, rest = (torch.stack(parts, 1) for parts in found)
        return mean, spread, rest


def known_or_bridged(mask: Tensor) -> Tensor:
    """Return the cells of windows `[n, T, D]` that are known, or lie in a gap of a few rows between known ones."""
    t = mask.shape[1]
    place = torch.arange(t, device=mask.device)[None, :, None]
    before = torch.where(mask, place, -t).cummax(1).values
    after = torch.where(mask, place, 2 * t).flip(1).cummin(1).values.flip(1)
    return mask | (after - before <= BRIDGED + 1)
