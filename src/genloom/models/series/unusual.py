"""What the mixture of usual windows says of given ones: how their gaps were filled, and how unusual their last rows are."""

# n windows, T rows of a window, D columns, W numbers of a row that are made, K components

from __future__ import annotations

import torch
from torch import Tensor

from genloom.core.capabilities import Unusual
from genloom.core.random import Noise
from genloom.models.series.usual import UsualNets

BLOCK = 512  # windows whose posteriors are held at once


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
        own, posterior = Noise(noise.keys[rows]), nets.posterior(w[rows], kind, g[rows])
        best[rows] = nets.moved(posterior.mean(), g[rows])
        for k in range(draws):
            base = nets.moved(posterior.draw(own), g[rows], own)
            drawn[k, rows] = nets.refined(base, w[rows], kind[None], g[rows], own)
    best = torch.where(known, w, nets.sharpened(best.clamp(nets.low, nets.high)))
    keep = mask.clone()
    keep[..., nets.given] = True
    cells = torch.stack([nets.joined(each, c) for each in (best, *drawn)])
    whole = torch.where(keep & mask, x, cells)
    return whole[0], whole[1:]


class Scorer:
    """Says how unusual the last rows of windows are. What it needs of the mixture is worked out once."""

    def __init__(self, nets: UsualNets) -> None:
        self.nets = nets
        self.all = torch.ones(nets.window, nets.cells.width, dtype=torch.bool, device=nets.low.device)
        n = len(nets.cells.numbers)  # of columns that are numbers, which come first
        self.tags = [nets.made[int(d)] for d in nets.cells.owner[:n]]
        self.others = [self.all.clone() for _ in range(n)]
        for place, known in enumerate(self.others):
            known[:, place] = False

    def __call__(self, x: Tensor, mask: Tensor) -> Unusual:
        """Score windows `[n, T, D]`, their gaps bridged."""
        parts = [self.score(*part) for part in zip(x.split(BLOCK), mask.split(BLOCK), strict=True)]
        return Unusual(*(torch.cat(each).cpu() for each in zip(*parts, strict=True)))

    def score(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return surprise `[n]`, and what is expected of each cell of the last row and how surely `[n, D]`."""
        nets, mixture = self.nets, self.nets.mixture
        w, g, _ = nets.entered(x, mask)
        shift = nets.shift(g)
        told = nets.posterior(w, ~self.all, g).density if nets.given else 0.0
        surprise = (told - nets.posterior(w, self.all, g).density) / w[0].numel()
        expected, spread = (x.new_full((len(x), x.shape[2]), torch.nan) for _ in range(2))
        for place, (tag, known) in enumerate(zip(self.tags, self.others, strict=True)):
            number = (nets.window - 1) * nets.cells.width + place
            posterior = nets.posterior(w, known, g)
            v = mixture.directions[number].double()
            wide = v.expand(len(posterior.factors), -1)[..., None]
            half = torch.linalg.solve_triangular(posterior.factors, wide, upper=False)
            within = half.square().sum((1, 2)) + mixture.left[number].double()  # of each Gaussian
            means = posterior.means @ v
            mean = (posterior.weights * means).sum(1)
            variance = (posterior.weights * (within + (means - mean[:, None]).square())).sum(1)
            expected[:, tag] = (mean + mixture.mean[number].double() + shift[:, number]).to(x)
            spread[:, tag] = variance.sqrt().to(x)
        return surprise.to(x), expected, spread
