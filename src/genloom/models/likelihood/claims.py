"""What a model of pixels claims of its likelihood, proved on its own weights: causal, normalised, sampled as scored.

Nets of pixels are convolutions or run over a picture, so the same weights are examined on pictures of 8x8 and smaller,
where everything can be examined: every pair of values, every possible picture.
"""

# C channels, H height, W width

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from genloom.core.capabilities import Claim
from genloom.core.random import Noise
from genloom.models.likelihood.autoregressive import Autoregressive
from genloom.models.likelihood.levels import level_log_prob
from genloom.nn.dense import even_labels, exact_products
from genloom.shapes.pictures import ImageShape

SIDE = 8  # of the pictures on which every pair of values is checked
MOST_PICTURES = 70_000  # that are enumerated
TOLERANCE = 1e-5


def pixel_claims(model: Autoregressive) -> Iterator[Claim]:
    """Yield each claim with its verdict."""
    yield causality(model)
    yield normalisation(model)
    yield sampled_as_scored(model)
    yield same_by_both_methods(model)


def smaller(model: Autoregressive, height: int, width: int) -> Autoregressive:
    """Return the same weights in double precision for pictures of another size."""
    assert isinstance(model.shape, ImageShape)
    shape = replace(model.shape, height=height, width_px=width)
    small = type(model)(model.hyper, shape)
    small.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    return small.double().eval()  # on the CPU: a few thousand numbers


def given_for(model: Autoregressive, n: int) -> Tensor | None:
    """Return labels for `n` pictures where the model takes them."""
    return even_labels(n, len(model.shape.classes), model.device) if model.conditional else None


def influence(model: Autoregressive) -> Tensor:
    """Return `[N, N]`: whether the distribution of the i-th value moves with the j-th, in raster order."""
    channels, height, width = model.shape.dims
    x = torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    weights = torch.randn(model.outputs, 1, 1, generator=torch.Generator().manual_seed(1)).double()
    given = given_for(model, 1)

    def looked(x: Tensor) -> Tensor:  # a random mix of a value's logits moves whenever one of them does
        return (model.logits(x, given) * weights).sum(2)[0]

    jacobian = torch.autograd.functional.jacobian(looked, x)
    assert isinstance(jacobian, Tensor)
    n = channels * height * width
    return jacobian[:, :, :, 0].permute(1, 2, 0, 4, 5, 3).reshape(n, n) != 0


def causality(model: Autoregressive) -> Claim:
    """Check that no value sees itself or a later one, and count the earlier ones that it cannot see."""
    small = smaller(model, min(SIDE, model.height), min(SIDE, model.width))
    seen = influence(small)
    leaks = int(seen.triu().sum())
    every = torch.ones_like(seen)
    blind = int((every.tril(-1) & ~seen).sum())
    return Claim(
        "no value depends on itself or a later one",
        leaks == 0,
        f"{leaks} of {int(every.triu().sum())} pairs leak, by Jacobian on {small.height}x{small.width}; of "
        f"{int(every.tril(-1).sum())} earlier ones {blind} are not seen: reach and blind spot",
    )


def normalisation(model: Autoregressive) -> Claim:
    """Check that the probabilities of all pictures of a small size sum to one."""
    sizes = [(3, 3), (2, 3), (2, 2), (1, 3), (1, 2), (1, 1)]
    count = lambda size: model.levels ** (model.channels * size[0] * size[1])  # noqa: E731
    fitting = [size for size in sizes if count(size) <= MOST_PICTURES]
    if not fitting:
        return each_value_normalised(model)
    height, width = fitting[0]
    small = smaller(model, height, width)
    values = itertools.product(range(model.levels), repeat=model.channels * height * width)
    pictures = torch.tensor(list(values)).view(-1, model.channels, height, width)
    total = 0.0
    with torch.no_grad():
        for part in pictures.split(2000):
            given = None if not model.conditional else torch.zeros(len(part), dtype=torch.long)
            total += float(small.score(part, given).double().exp().sum())
    return Claim(
        "probabilities sum to one",
        abs(total - 1) < TOLERANCE,
        f"{total:.9f} over all {len(pictures):,} pictures of {height}x{width}",
    )


def each_value_normalised(model: Autoregressive) -> Claim:
    """Check that the probabilities of every value's levels sum to one: with causality, that settles it for all pictures."""
    small = smaller(model, min(4, model.height), min(4, model.width))
    levels = torch.randint(model.levels, (1, *small.shape.dims), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits = small.logits(small.inputs(levels), given_for(small, 1))
        each = [level_log_prob(logits, torch.full_like(levels, level)).exp() for level in range(model.levels)]
    gap = float((torch.stack(each).sum(0) - 1).abs().max())
    return Claim(
        "probabilities sum to one",
        gap < TOLERANCE,
        f"each value's levels to {gap:.0e}; whole pictures of "
        f"{model.levels} levels in {model.channels} channels are too many to enumerate",
    )


def sampled_as_scored(model: Autoregressive) -> Claim:
    """Check that the logits met while sampling are those by which the sample is scored."""
    n = 2
    given = given_for(model, n)
    with torch.no_grad(), exact_products(model.device):
        drawn = model.sample(n, given, noise=Noise.of(3, n))
        levels = torch.round(drawn * (model.levels - 1)).long().to(model.device)
        whole = model.logits(model.inputs(levels), given).float()
        step = model.cached(levels, given)
        gap = 0.0
        places = itertools.product(range(model.height), range(model.width), range(model.channels))
        for row, column, channel in places:
            found = step(row, column, channel, True)
            gap = max(gap, float((found - whole[:, channel, :, row, column]).abs().max()))
    scale = max(1.0, float(whole.abs().max()))
    return Claim(
        "logits while sampling equal logits while scoring",
        gap < TOLERANCE * scale,
        f"largest difference {gap:.1e} of logits up to {scale:.1f}, {model.height}x{model.width}",
    )


def same_by_both_methods(model: Autoregressive) -> Claim:
    """Check that cached and naive sampling make the same pictures of the same seed, on a small size."""
    small = smaller(model, min(6, model.height), min(6, model.width))
    given = given_for(model, 4)
    a, small.method = small.sample(4, given, noise=Noise.of(4, 4)), "naive"
    b = small.sample(4, given, noise=Noise.of(4, 4))
    differ = int((a != b).any(1).sum())
    return Claim(
        "cached and naive sampling make the same pictures",
        differ == 0,
        f"{differ} of {4 * small.height * small.width} pixels differ",
    )


def middle_sight(model: Autoregressive) -> Tensor:
    """Return what the middle pixel sees `[1, H, W]`: 0 not at all, up to 1 strongly; the pixel itself is 0.5."""
    channels, height, width = model.shape.dims
    x = torch.zeros(1, channels, height, width, requires_grad=True, device=model.device)
    middle = (height // 2, width // 2)
    logits = model.logits(x, given_for(model, 1))
    (gradient,) = torch.autograd.grad(logits[0, :, :, middle[0], middle[1]].float().square().sum(), x)
    strength = gradient[0].abs().sum(0)
    seen = torch.where(strength > 0, 0.35 + 0.65 * (strength / strength.max().clamp_min(1e-12)) ** 0.25, strength)
    seen[middle] = 0.5
    return seen[None].cpu()
