"""What a mixture of Gaussians says of some numbers of examples, fast: their density, and one of them given the others.

What can be worked out before the numbers are seen is worked out in double precision, once; what is done with them is a few
products in single precision, of terms that do not cancel.
"""

# n examples, F numbers of each, O known ones, K components, C Gaussians, D numbers that are asked for

from __future__ import annotations

import math

import torch
from torch import Tensor

from genloom.nn.mixture import Mixture, own_part

FIRST = 60  # directions by which Gaussians are ruled out
FAR = 20.0  # nats below the likeliest, from which on a Gaussian counts for nothing


class Marginal:
    """The density of the numbers of a mask `[F]`, whatever the others are.

    Divided by the deviation of their own part, the numbers are Q R u and a standard Gaussian beside it, Q with columns that
    are orthogonal: what lies across Q has the same density in each Gaussian, what lies along it, w, is Gaussian with
    covariance R S R' + 1, of as many directions as there are components, or known numbers where these are fewer.
    """

    def __init__(self, mixture: Mixture, known: Tensor) -> None:
        self.known, loud = known, own_part(mixture)[known].sqrt()
        q, r = torch.linalg.qr(mixture.directions.double()[known] / loud[:, None])
        wide = r @ mixture.factors.double()
        eye = torch.eye(len(r), dtype=torch.float64, device=r.device)
        factors = torch.linalg.cholesky(wide @ wide.mT + eye)
        halves = torch.linalg.solve_triangular(factors, eye.expand_as(factors), upper=False)
        logs = mixture.weights.double().clamp_min(1e-30).log() - factors.diagonal(dim1=1, dim2=2).log().sum(1)
        self.constant = logs - 0.5 * len(loud) * math.log(2 * math.pi) - loud.log().sum()
        self.scale, self.along, self.whole = (1 / loud).float(), q.float(), bool(known.all())
        self.middle = (-mixture.mean.double()[known] / loud).float()
        self.halves = halves.float()
        self.centres = (halves @ (mixture.centres.double() @ r.T)[..., None])[..., 0].float()

    def __call__(self, x: Tensor) -> Tensor:
        """Return log p `[n, C]`, in double precision, of numbers `[n, F]` and of the Gaussian, in nats.

        That of a Gaussian that is `FAR` from mattering is minus infinity.
        """
        scaled = torch.addcmul(self.middle, x if self.whole else x[:, self.known], self.scale)
        w = scaled @ self.along
        across = torch.linalg.vector_norm(scaled.addmm_(w, self.along.T, alpha=-1), dim=1).double().square()
        first, gaussians = min(FIRST, w.shape[1]), len(self.halves)
        leading = self.halves[:, :first, :first].flatten(0, 1)  # lower triangles: the first depend on the first
        gaps = torch.addmm(self.centres[:, :first].flatten(), w[:, :first], leading.T, beta=-1)
        most = self.constant - 0.5 * torch.linalg.vector_norm(gaps.view(len(w), gaussians, first), dim=2).square()
        found = torch.full_like(most, -math.inf)
        self.fill_in(found, most.argmax(1)[:, None] == torch.arange(gaussians, device=w.device), w)
        self.fill_in(found, (most > found.amax(1, keepdim=True) - FAR) & found.isinf(), w)
        return found - 0.5 * across[:, None]

    def fill_in(self, found: Tensor, wanted: Tensor, w: Tensor) -> None:
        """Put the densities `[n, C]` of wanted Gaussians, but for what lies across, into `found`."""
        owner, rows = wanted.T.nonzero(as_tuple=True)
        gaps, counts = w.new_empty(len(rows), w.shape[1]), owner.bincount(minlength=len(self.halves)).tolist()
        for c, (part, gap) in enumerate(zip(w[rows].split(counts), gaps.split(counts), strict=True)):
            torch.addmm(self.centres[c], part, self.halves[c].T, beta=-1, out=gap)
        square = torch.linalg.vector_norm(gaps, dim=1).double().square()
        found[rows, owner] = self.constant[owner] - 0.5 * square


class Others:
    """What all known numbers but those that belong with each that is asked for say of u, in any Gaussian.

    Args:
        known: mask `[F]`.
        without: `[D, F]`, which numbers are left out for each.

    Attributes:
        weight: of each number `[D, F]`; `inner [D, K, K]`, the precision that they add.
    """

    def __init__(self, mixture: Mixture, known: Tensor, without: Tensor) -> None:
        self.mixture, v = mixture, mixture.directions.double()
        whole = torch.where(known, 1 / own_part(mixture), 0.0)
        self.weight = torch.where(without, 0.0, whole)
        own = [(each & known).nonzero()[:, 0] for each in without]
        total = v.T @ (whole[:, None] * v)
        self.inner = total - torch.stack([v[rows].T @ (whole[rows, None] * v[rows]) for rows in own]) if own else total[:0]


class Regression:
    """Numbers of examples `[D]`, at the places `asked`, given the others of each in one Gaussian c: linear in them."""

    def __init__(self, others: Others, asked: Tensor, c: int) -> None:
        mixture = others.mixture
        v, centre = mixture.directions.double(), mixture.centres[c].double()
        prior = torch.cholesky_inverse(mixture.factors[c].double())
        eye = 1e-9 * torch.eye(v.shape[1], dtype=torch.float64, device=v.device)
        wide = v[asked][..., None]
        back = torch.cholesky_solve(wide, torch.linalg.cholesky(prior + others.inner + eye))
        within = (wide * back).sum((1, 2)) + mixture.left[asked].double()
        gains = others.weight * (back[..., 0] @ v.T)
        moved = mixture.mean.double() + centre @ v.T
        self.gains, self.spread = gains.float(), within.sqrt().float()
        self.offset = (moved[asked] - (gains * moved).sum(1)).float()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the means `[n, D]` of numbers `[n, F]`; those that are not known are not looked at."""
        return torch.addmm(self.offset, x, self.gains.T)
