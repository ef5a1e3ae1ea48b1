"""What the mixture of usual windows says of given ones: how their gaps were filled, and how unusual their last rows are."""

# n windows, T rows of a window, D columns, W numbers of a row that are made, K components

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Unusual
from genloom.core.random import Noise
from genloom.models.series.usual import UsualNets

BLOCK = 512  # windows whose posteriors are held at once
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


class Scorer:
    """Says how unusual the last rows of windows are."""

    def __init__(self, nets: UsualNets) -> None:
        self.nets = nets
        self.tags = [nets.made[int(d)] for d in nets.cells.owner[: len(nets.cells.numbers)]]  # of numbers, which come first

    def __call__(self, x: Tensor, mask: Tensor) -> Unusual:
        """Score windows `[n, T, D]`; short gaps are bridged, what lies in longer ones is not known."""
        nets, seen = self.nets, known_or_bridged(mask)
        w, g, _ = nets.entered(x, mask)
        surprise = x.new_empty(len(x))
        expected, spread, rest = (torch.full_like(x[:, -1], torch.nan) for _ in range(3))
        kinds, owner = nets.numbers(seen).flatten(1).unique(dim=0, return_inverse=True)
        for i, kind in enumerate(kinds.view(-1, *w.shape[1:])):
            for rows in (owner == i).nonzero()[:, 0].split(BLOCK):
                told: Any = nets.posterior(w[rows], torch.zeros_like(kind), g[rows]).density if nets.given else 0.0
                density = nets.posterior(w[rows], kind, g[rows]).density
                surprise[rows] = ((told - density) / kind.sum().clamp_min(1)).to(w)
                for place, tag in enumerate(self.tags):
                    said = self.expect(w[rows], kind, g[rows], told, place)
                    expected[rows, tag], spread[rows, tag], rest[rows, tag] = said
        return Unusual(surprise.cpu(), expected.cpu(), spread.cpu(), rest.cpu())

    def expect(self, w: Tensor, known: Tensor, g: Tensor, told: Any, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean and the deviation of a number of the last row, given the known ones of all other columns.

        And how unlikely these are, given the conditions, whose density is `told`.
        """
        nets, mixture, known = self.nets, self.nets.mixture, known.clone()
        known[:, place] = False
        number = (nets.window - 1) * nets.cells.width + place
        posterior = nets.posterior(w, known, g)
        v = mixture.directions[number].double()
        wide = v.expand(len(posterior.factors), -1)[..., None]
        half = torch.linalg.solve_triangular(posterior.factors, wide, upper=False)
        within = half.square().sum((1, 2)) + mixture.left[number].double()  # of each Gaussian
        means = posterior.means @ v
        mean = (posterior.weights * means).sum(1)
        variance = (posterior.weights * (within + (means - mean[:, None]).square())).sum(1)
        mean = mean + mixture.mean[number].double() + nets.shift(g)[:, number]
        rest = (told - posterior.density) / known.sum().clamp_min(1)
        return mean.to(w), variance.sqrt().to(w), rest.to(w)


def known_or_bridged(mask: Tensor) -> Tensor:
    """Return the cells of windows `[n, T, D]` that are known, or lie in a gap of a few rows between known ones."""
    t = mask.shape[1]
    place = torch.arange(t, device=mask.device)[None, :, None]
    before = torch.where(mask, place, -t).cummax(1).values
    after = torch.where(mask, place, 2 * t).flip(1).cummin(1).values.flip(1)
    return mask | (after - before <= BRIDGED + 1)
