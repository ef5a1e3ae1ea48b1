"""Directions of codes along which examples change most: what a page's sliders move."""

# n codes, Z their width, K axes

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from genloom.core.capabilities import Infers, Latent
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.use.export.entries import Told, numbers_used
from genloom.use.export.plain import draws_levels

AXES = 8
STUDIED = 256  # codes, for the KL of each place
MOST = 1024  # examples made to see how they change
AT_ONCE = 16  # examples
STEP = 0.1  # deviations by which a code is moved to see how
SIDE = 64  # of pictures as they are compared
LEAST = 0.01  # nats: a place of less says nothing


def axes(model: Any) -> dict[str, Any] | None:
    """Return what the sliders of a model with codes move; None for another model.

    `directions` `[K, Z]` are moved along, `span` times at most to either side; `low` and `high` `[Z]` bound a uniform code.
    """
    if not isinstance(model, Latent):
        return None
    with torch.no_grad():
        free = moved(model)
        if isinstance(model, Infers) and not draws_levels(model):
            directions, titles, means = by_kl(model)
        else:
            directions, titles, means = by_change(model, free)
    low, high = bounds(model)
    deviation = float(model.prior(STUDIED, Noise.of(2, STUDIED))[:, free].std())
    return {
        "directions": [[round(float(each), 5) for each in row] for row in directions],
        "titles": titles,
        "means": means,
        "span": round(3 * deviation, 4),
        "low": low,
        "high": high,
    }


def moved(model: Latent) -> Tensor:
    """Return which places of a code are noise `[Z]`: those that a temperature scales, or all where it scales none. Masks and
    instances are not.
    """
    z = model.prior(8, Noise.of(1, 8))
    try:
        return (model.scaled(z, 0.5) != z).any(0)
    except InputError:  # of these codes the direction alone counts
        return torch.ones(z.shape[1], dtype=torch.bool)


def bounds(model: Latent) -> tuple[list[float] | None, list[float] | None]:
    """Return the least and the greatest numbers of a uniform code; None for one without."""
    if model.law != "uniform":
        return None, None
    used = numbers_used(lambda noise: model.prior(2, noise))
    ends = [model.prior(1, Told(torch.full((1, used), value)))[0] for value in (0.0, 1 - 2**-24)]
    return ends[0].minimum(ends[1]).tolist(), ends[0].maximum(ends[1]).tolist()


def by_kl(model: Any) -> tuple[Tensor, list[str], str]:
    """Return the places of a code of whose posterior the KL is largest, over examples that the model makes."""
    z = model.prior(STUDIED, Noise.of(1, STUDIED))
    last = getattr(model, "levels", 256) - 1
    x = (model.generate(z, labels(model, STUDIED)) * last).round() / last
    mean, logvar = model.infer(x)
    nats = 0.5 * (mean.square() + logvar.exp() - logvar - 1).mean(0)
    order = [int(i) for i in nats.argsort(descending=True)[:AXES] if nats[i] >= LEAST]
    titles = [f"place {i}, {float(nats[i]):.2g} nats" for i in order]
    return torch.eye(len(nats))[order], titles, "Places of the code that say most about a picture, by their KL."


def by_change(model: Latent, free: Tensor) -> tuple[Tensor, list[str], str]:
    """Return the directions along which examples change most: those of the largest eigenvalues of J'J, averaged over codes.

    J, how an example changes with its code, is taken by differences.
    """
    places = free.nonzero()[:, 0]
    count = max(2, min(16, MOST // max(len(places), 1)))
    z = model.prior(count, Noise.of(1, count))
    step = STEP * float(z[:, places].std())
    total = torch.zeros(len(places), len(places))
    for i in range(count):
        around = z[i].repeat(len(places) + 1, 1)
        around[torch.arange(len(places)) + 1, places] += step
        y = labels(model, count)
        made = torch.cat([made_of(model, part, None if y is None else y[i]) for part in around.split(AT_ONCE)])
        change = (made[1:] - made[:1]) / step
        total += change @ change.T
    values, vectors = torch.linalg.eigh(total / count)
    best = vectors.flip(1)[:, : min(AXES, len(places))].T
    best = best * best.gather(1, best.abs().argmax(1, keepdim=True)).sign()  # the same way round each time
    share = values.flip(0) / values.sum().clamp_min(1e-12)
    directions = torch.zeros(len(best), z.shape[1])
    directions[:, places] = best
    titles = [f"direction {i + 1}, {100 * float(share[i]):.2g} % of what changes" for i in range(len(best))]
    return directions, titles, "Directions of the code along which pictures change most."


def labels(model: Any, n: int) -> Tensor | None:
    """Return labels that go round, for a model that takes them."""
    return torch.arange(n) % len(model.shape.classes) if model.conditional else None


def made_of(model: Latent, z: Tensor, label: Tensor | None) -> Tensor:
    """Return the examples of codes `[n, Z]`, flat, all of a label; of large pictures their means over squares."""
    y = None if label is None else label.expand(len(z))
    x = model.generate(z, y).float()
    if x.ndim == 4 and max(x.shape[2:]) > SIDE:
        x = adaptive_avg_pool2d(x, SIDE)
    return x.flatten(1)
