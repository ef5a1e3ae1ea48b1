"""What a VAE claims: its decoder is a law, its KL is that of its draws, its bounds lie in their order below the truth."""

# N pictures, K draws, Z axes of the code

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genloom.core.capabilities import Claim
from genloom.core.random import Noise
from genloom.models.likelihood.vae import VAE, divergence

PICTURES, DRAWS, INTEGRAL_DRAWS = 32, 512, 8192
SURE = 4.0  # standard errors


@torch.no_grad()
def bounds(model: VAE) -> Iterator[Claim]:
    """Yield each claim of a VAE with its verdict, on pictures that it draws itself."""
    mean = model.sample(PICTURES, noise=Noise.of(1, PICTURES))
    x = model.pictures((mean * (model.levels - 1)).round().long()).cpu()
    yield decoder_is_a_law(model)
    yield divergence_of_draws(model, x)
    yield bounds_in_order(model, x)
    if model.hyper.z <= 2:
        yield below_the_integral(model, x[:6])


def decoder_is_a_law(model: VAE) -> Claim:
    """Check that the probabilities of every value's levels sum to one, or to no more where they are bounds."""
    z, noise = model.prior(4, Noise.of(2, 4)), Noise.of(3, 4)
    exact = model.hyper.decoder != "gaussian"
    times = 1 if exact else 256  # dequantisation draws its noise
    total = torch.zeros(4, *model.shape.dims, dtype=torch.float64)
    for level in range(model.levels):
        levels = torch.full((4, *model.shape.dims), level, device=model.device)
        total += sum(model.each(levels, z, noise).double().exp().cpu() for _ in range(times)) / times
    low, high = float(total.min()), float(total.max())
    holds = (high < 1 + 1e-5 and low > 1 - 1e-5) if exact else float(total.mean()) < 1.01
    text = "probabilities of a value's levels, given the code, sum to one"
    return Claim(
        text if exact else text + " at most",
        holds,
        f"between {low:.7f} and {high:.7f}, on the mean {float(total.mean()):.7f}",
    )


def divergence_of_draws(model: VAE, x: Tensor) -> Claim:
    """Check the closed form of the KL against the mean of log q(z|x) - log p(z) over draws."""
    mu, logvar = model.infer(x)
    z = mu + (0.5 * logvar).exp() * Noise.of(4, DRAWS).normal(*mu.shape, device=mu.device)
    each = 0.5 * (z.square() - (z - mu).square() / logvar.exp() - logvar).sum(2).mean(1)  # [K]
    found, error = float(each.mean()), float(each.std()) / math.sqrt(DRAWS)
    closed = float(divergence(mu, logvar).mean())
    return Claim(
        "the KL in closed form is that of draws",
        abs(found - closed) < SURE * error + 1e-6,
        f"{closed:.4f} nats, by {DRAWS} draws {found:.4f} +- {error:.4f}",
    )


def bounds_in_order(model: VAE, x: Tensor) -> Claim:
    """Check that the importance-weighted bound of one draw is the ELBO, and that it rises with the draws."""
    levels, noise = model.evaluated(x), Noise.of(5, len(x))
    posterior = model.posterior(levels)
    elbo = torch.stack([model.elbo(x, noise) for _ in range(64)]).mean(0)
    one = torch.stack([model.log_weights(levels, *posterior, 1, noise)[0] for _ in range(64)]).mean(0)
    few, many = model.importance(x, 8), model.importance(x, DRAWS)

    def error(step: Tensor) -> float:
        return SURE * float(step.std()) / math.sqrt(len(step)) + 1e-4

    holds = abs(float((one - elbo).mean())) < error(one - elbo)
    holds &= all(float(step.mean()) > -error(step) for step in (few - one, many - few))
    found = ", ".join(f"{float(bound.mean()):.3f}" for bound in (elbo, one, few, many))
    return Claim("one draw gives the ELBO, more draws raise it", holds, f"{found} nats: ELBO, 1, 8, {DRAWS} draws")


def below_the_integral(model: VAE, x: Tensor, side: int = 241, reach: float = 7.0) -> Claim:
    """Check that the importance-weighted bound lies below log p(x) by integration over all codes, and comes near to it."""
    steps = torch.linspace(-reach, reach, side)
    z = torch.cartesian_prod(*[steps] * model.hyper.z).view(-1, model.hyper.z).to(model.device)
    levels = model.evaluated(x)
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    cell = model.hyper.z * math.log(2 * reach / (side - 1))
    exact = []
    for picture in levels:
        parts = [model.likelihood(picture.expand(len(part), -1, -1, -1), part) for part in z.split(2000)]
        exact.append((torch.cat(parts) + log_prior).logsumexp(0) + cell)
    gap = float((torch.stack(exact) - model.importance(x, INTEGRAL_DRAWS, at_once=512)).mean())
    return Claim(
        f"the bound of {INTEGRAL_DRAWS:,} draws comes up to the integral over all codes",
        -0.2 < gap < 0.5,
        f"{float(torch.stack(exact).mean()):.3f} nats by integration, {gap:.3f} more than the bound",
    )
