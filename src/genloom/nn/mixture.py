"""A mixture of Gaussians in the principal components of examples: fitted by EM, drawn from, conditioned on known numbers.

An example is x = mean + V u + e: u of a mixture of Gaussians, e the little that the components leave, apart in each number.
All that is asked of it is exact: draws, densities, and both given any of the numbers. Tipping & Bishop 1999 (Neural
Computation 11), of which this has one set of directions and full covariances.
"""

# n examples, F numbers of each, K components, C Gaussians, O known numbers

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genloom.core.random import Noise
from genloom.nn.clusters import medoids, nearest

ROUNDS, SETTLED = 60, 1e-5  # of EM at most, and the gain in nats a number and example below which it ends
SHRUNK = 0.05  # examples a component that each Gaussian's covariance is drawn towards that of all with
BLOCK = 2048  # examples that are worked on at once
FLOOR = 1e-4  # least share of a number's variance that its own part is taken to have where numbers are known


@dataclass(frozen=True)
class Posterior:
    """The mixture, given some numbers of examples.

    Attributes:
        weights: of the Gaussians `[n, C]`; `means [n, C, K]` of u in each.
        factors: Cholesky factors `[C, K, K]` of the precisions.
        density: log p of the known numbers `[n]`, in nats.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    density: Tensor

    def mean(self) -> Tensor:
        """Return the mean of u `[n, K]`."""
        return torch.einsum("nc,nck->nk", self.weights, self.means)

    def draw(self, noise: Noise, heat: float = 1.0) -> Tensor:
        """Draw u `[n, K]`; `heat` scales what scatters within a Gaussian."""
        chosen = choose(self.weights, noise)
        normal = noise.normal(self.means.shape[2]).to(self.means) * heat
        u = self.means[torch.arange(len(chosen)), chosen]
        for c in chosen.unique().tolist():
            rows = chosen == c
            u[rows] += torch.linalg.solve_triangular(self.factors[c].T, normal[rows].T, upper=True).T
        return u


class Mixture(nn.Module):
    """The mixture of examples `[n, F]`; in double precision, and not trained by gradients."""

    mean: Tensor
    directions: Tensor
    left: Tensor
    weights: Tensor
    centres: Tensor
    factors: Tensor

    def __init__(self, width: int, components: int, gaussians: int) -> None:
        super().__init__()
        self.width, self.components, self.gaussians = width, components, gaussians
        shapes = {
            "mean": (width,),
            "directions": (width, components),
            "left": (width,),
            "weights": (gaussians,),
            "centres": (gaussians, components),
            "factors": (gaussians, components, components),  # of the covariances, in the components' own scale
        }
        for name, dims in shapes.items():
            self.register_buffer(name, torch.zeros(dims))
        self.weights.fill_(1 / gaussians)  # before anything is learnt, u is a standard Gaussian, and some numbers are u
        self.factors += torch.eye(components)
        nn.init.eye_(self.directions)

    # -- fitting -----------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
        """Learn from examples `[n, F]`, and return what was learnt by name."""
        mean, values, vectors = principal(x)
        vectors, scale = vectors[:, : self.components], values[: self.components].clamp_min(1e-12).sqrt()
        u = torch.cat([(part.double() - mean) @ vectors / scale for part in x.split(BLOCK)])
        parts = zip(x.split(BLOCK), u.split(BLOCK), strict=True)
        rest = sum((part.double() - mean - v * scale @ vectors.T).square().sum(0) for part, v in parts) / len(x)
        weights, centres, factors = em(u, scale, self.gaussians, seed)
        learnt = {
            "mean": mean,
            "directions": vectors * scale,
            "left": rest,
            "weights": weights,
            "centres": centres,
            "factors": factors,
        }
        found = {name: value.float() for name, value in learnt.items()}
        self.take(found)
        return found

    def take(self, learnt: dict[str, Tensor]) -> None:
        """Put in what was learnt."""
        for name, value in learnt.items():
            getattr(self, name).copy_(value)

    # -- use ---------------------------------------------------------------------------------------

    def draw(self, noise: Noise, heat: float = 1.0) -> Tensor:
        """Draw examples `[n, F]` in fp32; `heat` scales what scatters within a Gaussian."""
        chosen = choose(self.weights.double().expand(len(noise), -1), noise)
        normal = noise.normal(self.components).to(self.centres) * heat
        u = self.centres[chosen]
        for c in chosen.unique().tolist():
            rows = chosen == c
            u[rows] += normal[rows] @ self.factors[c].T
        return self.decode(u) + heat * self.own(noise)

    def own(self, noise: Noise) -> Tensor:
        """Draw the numbers' own part `[n, F]`."""
        return noise.normal(self.width).to(self.left) * self.left.sqrt()

    def decode(self, u: Tensor) -> Tensor:
        """Return the examples `[n, F]` of u `[n, K]`, in fp32."""
        return (u.double() @ self.directions.double().T + self.mean.double()).float()

    def given(self, known: Tensor) -> Given:
        """Return the mixture as it is once the numbers of a mask `[F]` are known."""
        return Given(self, known)


class Given:
    """The mixture, given the numbers of one mask: what can be worked out before they are seen is worked out once."""

    def __init__(self, mixture: Mixture, known: Tensor) -> None:
        self.known, self.mixture = known, mixture
        self.mean = mixture.mean.double()[known]
        v = mixture.directions.double()[known]
        self.left = own_part(mixture)[known]
        self.centres, self.logits = mixture.centres.double(), mixture.weights.double().clamp_min(1e-30).log()
        eye = torch.eye(mixture.components, dtype=torch.float64, device=v.device)
        prior = torch.cholesky_inverse(mixture.factors.double())
        self.scaled = v / self.left[:, None]
        inner = v.T @ self.scaled
        self.shifts = self.centres @ inner  # what the centres take from the numbers' projections
        self.squares = (self.shifts * self.centres).sum(1)
        self.factors = torch.linalg.cholesky(prior + inner + 1e-9 * eye)
        logs = [f.double().diagonal(dim1=-2, dim2=-1).log().sum(-1) for f in (self.factors, mixture.factors)]
        self.constant = -0.5 * (len(self.left) * math.log(2 * math.pi) + self.left.log().sum()) - logs[0] - logs[1]

    def posterior(self, x: Tensor) -> Posterior:
        """Return the mixture given numbers `[n, O]`."""
        r = x.double() - self.mean
        p = r @ self.scaled
        b = p[:, None] - self.shifts
        half = torch.linalg.solve_triangular(self.factors, b.permute(1, 2, 0), upper=False)  # [C, K, n]
        shift = torch.linalg.solve_triangular(self.factors.mT, half, upper=True).permute(2, 0, 1)
        whole = (r.square() / self.left).sum(1, keepdim=True) - 2 * p @ self.centres.T + self.squares
        square = whole - half.square().sum(1).T
        logs = self.logits + self.constant - 0.5 * square
        return Posterior(logs.softmax(1), self.centres + shift, self.factors, logs.logsumexp(1))


def own_part(mixture: Mixture) -> Tensor:
    """Return the variance of each number's own part `[F]` as it is taken to be where numbers are known."""
    v, own = mixture.directions.double(), mixture.left.double()
    return torch.maximum(own, FLOOR * (v.square().sum(1) + own)).clamp_min(1e-10)


def choose(weights: Tensor, noise: Noise) -> Tensor:
    """Draw which Gaussian `[n]` by their weights `[n, C]`."""
    drawn = noise.uniform(1).to(weights)
    return (weights.cumsum(1) < drawn * weights.sum(1, keepdim=True)).sum(1).clamp_max(weights.shape[1] - 1)


def principal(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean `[F]`, and the variances `[F]` and directions `[F, F]` of the components, the widest first."""
    mean = x.mean(0, dtype=torch.float64)
    spread = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for part in x.split(BLOCK):  # all at once in double precision takes several times the memory of the examples
        gap = part.double() - mean
        spread.addmm_(gap.T, gap)
    values, vectors = torch.linalg.eigh(spread / len(x))
    return mean, values.flip(0), vectors.flip(1)


def em(u: Tensor, scale: Tensor, gaussians: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights `[C]`, centres `[C, K]` and Cholesky factors `[C, K, K]` of a mixture of examples `[n, K]` of spread 1.

    Covariances are drawn towards the mean of all within the Gaussians, the more the fewer examples there are.
    """
    n, k = u.shape
    loud = u * scale  # as the examples have them: else what hardly varies would part them
    places = medoids(loud, min(gaussians, n), 20, seed)
    owners, _ = nearest(loud, loud[places].float())
    u, share = u.float(), torch.zeros(n, gaussians)
    share[torch.arange(n), owners] = 1.0
    before = -math.inf
    for _ in range(ROUNDS):
        weights, centres, factors = maximised(u, share)
        logs = weights.log() + densities(u, centres, factors)
        now = float(logs.logsumexp(1).mean()) / k
        share = logs.softmax(1).float()
        if now - before < SETTLED:
            break
        before = now
    return weights, centres, factors


def maximised(u: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mixture of examples `[n, K]`, in fp32, that belong to Gaussians by shares `[n, C]`."""
    n, k = u.shape
    counts = share.double().sum(0).clamp_min(1e-9)
    centres = (share.T @ u).double() / counts[:, None]
    spreads = []
    for c in range(share.shape[1]):
        gap = (u - centres[c].float()) * share[:, c, None].sqrt()
        spreads.append((gap.T @ gap).double())
    whole = torch.stack(spreads).sum(0) / n
    strength = SHRUNK * k
    eye = 1e-6 * torch.eye(k, dtype=torch.float64)
    covariances = [(s + strength * whole) / (m + strength) + eye for s, m in zip(spreads, counts, strict=True)]
    return counts / n, centres, torch.linalg.cholesky(torch.stack(covariances))


def densities(u: Tensor, centres: Tensor, factors: Tensor) -> Tensor:
    """Return log p `[n, C]` of examples `[n, K]`, in fp32, under each Gaussian."""
    found, eye = [], torch.eye(u.shape[1], dtype=torch.float64)
    for centre, factor in zip(centres, factors, strict=True):
        inverse = torch.linalg.solve_triangular(factor, eye, upper=False).float()
        half = (u - centre.float()) @ inverse.T
        constant = factor.diagonal().log().sum() + 0.5 * len(centre) * math.log(2 * math.pi)
        found.append(-0.5 * half.square().sum(1).double() - constant)
    return torch.stack(found, 1)
