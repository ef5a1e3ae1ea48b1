"""What the mixture of usual windows says of given ones: how their gaps were filled, and how unusual their last rows are."""

# n windows, T rows of a window, D columns, W numbers of a row that are made, K components

from __future__ import annotations

import torch
from torch import Tensor

from genloom.core.capabilities import Unusual
from genloom.core.random import Noise
from genloom.models.series.usual import UsualNets
from genloom.nn.mixture import Posterior

BLOCK = 512  # windows whose posteriors are held at once


def fill(nets: UsualNets, x: Tensor, mask: Tensor, draws: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Fill windows `[n, T, D]`: the mean of the mixture given what is known, and draws that the generator has refined.

    Conditions that are unknown are bridged, and stay so.
    """
    w, g, c = nets.entered(x, mask)
    known, shift = nets.numbers(mask), nets.shift(g)
    best, drawn = w.clone(), w.new_empty(draws, *w.shape)
    kinds, owner = known.flatten(1).unique(dim=0, return_inverse=True)
    for i, kind in enumerate(kinds):
        rows = (owner == i).nonzero()[:, 0]
        own, posterior = Noise(noise.keys[rows]), posterior_of(nets, w[rows], kind, shift[rows])
        moved = shift[rows].float().view_as(w[rows])
        best[rows] = nets.mixture.decode(posterior.mean()).view_as(moved) + moved
        for k in range(draws):
            base = (nets.mixture.decode(posterior.draw(own)) + nets.mixture.own(own)).view_as(moved) + moved
            drawn[k, rows] = nets.refined(base, w[rows], kind.view(1, *w.shape[1:]), g[rows], own)
    best = torch.where(known, w, nets.sharpened(best.clamp(nets.low, nets.high)))
    keep = mask.clone()
    keep[..., nets.given] = True
    cells = torch.stack([nets.joined(each, c) for each in (best, *drawn)])
    whole = torch.where(keep & mask, x, cells)
    return whole[0], whole[1:]


def posterior_of(nets: UsualNets, w: Tensor, known: Tensor, shift: Tensor) -> Posterior:
    """Return the mixture given the known numbers `[T W]` of windows."""
    given = nets.mixture.given(known)
    return given.posterior((w.flatten(1).double() - shift)[:, given.known])


class Scorer:
    """Says how unusual the last rows of windows are. What it needs of the mixture is worked out once."""

    def __init__(self, nets: UsualNets) -> None:
        self.nets, t, w = nets, nets.window, nets.cells.width
        everything = torch.ones(t * w, dtype=torch.bool, device=nets.low.device)
        self.whole = nets.mixture.given(everything)
        n = len(nets.cells.numbers)  # of columns that are numbers, which come first
        self.tags = [nets.made[int(d)] for d in nets.cells.owner[:n]]
        self.others = []
        for place in range(n):
            known = everything.view(t, w).clone()
            known[:, place] = False
            self.others.append(nets.mixture.given(known.flatten()))

    def __call__(self, x: Tensor, mask: Tensor) -> Unusual:
        """Score windows `[n, T, D]`, their gaps bridged."""
        parts = [self.score(*part) for part in zip(x.split(BLOCK), mask.split(BLOCK), strict=True)]
        return Unusual(*(torch.cat(each).cpu() for each in zip(*parts, strict=True)))

    def score(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return surprise `[n]`, and what is expected of each cell of the last row and how surely `[n, D]`."""
        nets, mixture = self.nets, self.nets.mixture
        w, g, _ = nets.entered(x, mask)
        shift = nets.shift(g)
        rest = w.flatten(1).double() - shift
        surprise = -self.whole.posterior(rest).density / rest.shape[1]
        expected, spread = (x.new_full((len(x), x.shape[2]), torch.nan) for _ in range(2))
        for place, (tag, given) in enumerate(zip(self.tags, self.others, strict=True)):
            number = (nets.window - 1) * nets.cells.width + place
            posterior = given.posterior(rest[:, given.known])
            v = mixture.directions[number].double()
            half = torch.linalg.solve_triangular(given.factors, v.expand(len(given.factors), -1)[..., None], upper=False)
            within = half.square().sum((1, 2)) + mixture.left[number].double()  # of each Gaussian
            means = posterior.means @ v
            mean = (posterior.weights * means).sum(1)
            variance = (posterior.weights * (within + (means - mean[:, None]).square())).sum(1)
            expected[:, tag] = (mean + mixture.mean[number].double() + shift[:, number]).to(x)
            spread[:, tag] = variance.sqrt().to(x)
        return surprise.to(x), expected, spread
