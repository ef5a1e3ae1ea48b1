"""Auto-Encoding Variational Bayes.

Kingma, Welling. 2013. arXiv 1312.6114.

An encoder gives q(z|x), a Gaussian with diagonal covariance, a decoder p(x|z); both climb the lower bound
E_q log p(x|z) - KL(q(z|x) | p(z)) by the reparameterised gradient (algorithm 1, estimator B, one draw).

`paper` is the MNIST net of section 5: one hidden layer of 500 tanh units on either side, Adagrad, batches of
100, all parameters from N(0, 0.01), a Gaussian prior on the decoder's by decay. `modern` is convolutional, with Adam and
averaged weights. The bound is per picture and in nats, and beta multiplies the KL literally.

What the paper leaves open is ours: the rate, 0.02, of the three it tries, z of 20 of its five, N(0, 0.01) read as a standard
deviation. What differs from it: log-variances are kept within [-10, 10]; besides Bernoulli pixels and Gaussian ones with a
learnt scale there are discretised logistic ones for grey levels (Kingma et al. 2016, 1606.04934, appendix); `draws` above
1 trains on the importance-weighted bound of Burda et al. 2015 (1509.00519),
and `path` takes the gradient of Roeder et al. 2017 (1703.09194); the paper has neither.
"""

# B batch, K draws, C channels, D = C H W values, z latent width

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.capabilities import Certifies, Claim, Infers, Latent
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Move, Note, Player, Remember
from genloom.core.random import Noise
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.models.likelihood.levels import LevelHyper, Levelled, seed_of
from genloom.nn.coder import ConvDecoder, ConvEncoder, gaussian, reparameterised, stack
from genloom.shapes.base import Shape

SCORED_DRAWS = 64  # importance-weighted draws by which `log_prob` scores


@dataclass(frozen=True)
class VAEHyper(LevelHyper, Descent):
    """Section 5 of the paper, MNIST."""

    net: Literal["mlp", "conv"] = hp("mlp", "fully connected or convolutional coders")
    hidden: tuple[int, ...] = hp((500,), "units of the hidden layers of either mlp, the decoder's in reverse", low=1)
    activation: Literal["tanh", "softplus", "relu"] = hp("tanh", "of the mlps")
    features: int = hp(32, "channels of the convolutional nets", low=8)
    z: int = hp(20, "width of the latent code", low=1)
    decoder: Literal["bernoulli", "gaussian", "logistic"] = hp("bernoulli", "the law of a pixel given z")
    beta: float = hp(1.0, "weight of the KL in the objective", low=0)
    path: bool = hp(False, "leave the posterior's own score, which is zero on average, out of the gradient")
    draws: int = hp(1, "draws of z; more than one trains on the importance-weighted bound", low=1)
    optimizer: Literal["adam", "rmsprop", "adagrad"] = hp("adagrad", "descends the bound")
    rate: float = hp(0.02, "learning rate", low=0)
    deviation: float | None = hp(
        0.01, "standard deviation of the mlp's weights and biases at the start, none for Glorot's", low=0
    )
    centred: bool = hp(False, "add the mean picture's log odds to the decoder's output")
    decay: float = hp(1.0, "precision of the Gaussian prior on the decoder's weights, spread over the examples", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, odd in (("path", self.path), ("beta", self.beta != 1)):
            if odd and self.draws > 1:
                raise InputError(f"--hyper.{name} is for the bound of one draw: leave out --hyper.draws or --hyper.{name}")

    @classmethod
    def modern(cls) -> Self:
        """Convolutional coders, Adam, averaged weights."""
        return cls(net="conv", z=32, optimizer="adam", rate=2e-3, deviation=None, centred=True, decay=0.0, ema=20_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return cls(
            hidden=(256,),
            z=8,
            decoder="logistic",
            optimizer="adam",
            rate=3e-3,
            deviation=None,
            centred=True,
            decay=0.0,
            batch=64,
            ema=5000.0,
        )


class VAE(Levelled, Latent, Certifies, Infers):
    """Kingma & Welling 2013."""

    Hyper = VAEHyper
    hyper: VAEHyper
    offset: Tensor
    examples: Tensor  # of the training set
    law = "gaussian"
    notes: ClassVar = {name: Note("nats", "coders", name != "likelihood") for name in ("likelihood", "kl", "elbo", "bound")}
    bound = f"iw-{SCORED_DRAWS}"

    def __init__(self, hyper: VAEHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        size = (self.height, self.width)
        if hyper.net == "conv":
            self.encoder: nn.Module = ConvEncoder(self.channels, size, hyper.features, 2 * hyper.z)
            self.decoder: nn.Module = ConvDecoder(hyper.z, size, hyper.features, self.channels)
        else:
            self.encoder = stack([shape.width, *hyper.hidden, 2 * hyper.z], hyper.activation)
            self.decoder = stack([hyper.z, *hyper.hidden[::-1], shape.width], hyper.activation)
            self.start()
        self.register_buffer("offset", torch.zeros(shape.dims))
        self.register_buffer("examples", torch.tensor(1), persistent=hyper.decay > 0)
        self.log_scale = nn.Parameter(torch.full((self.channels, 1, 1), -2.0)) if hyper.decoder != "bernoulli" else None

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, VAEHyper)
        levels = 2 if hyper.binarise != "none" else hyper.levels
        if hyper.decoder == "bernoulli" and levels not in (2, None):  # None: not settled yet
            return Misfit(
                f"a Bernoulli decoder needs black and white pictures, these have {levels} levels: say "
                "--hyper.binarise dynamic, or --hyper.decoder logistic",
                remedy=True,
            )
        return super().fits(shape, hyper)

    def start(self) -> None:
        """Draw the mlps' weights and biases from N(0, deviation), or the weights as Glorot & Bengio 2010 have it."""
        deviation = self.hyper.deviation
        for module in (*self.encoder.modules(), *self.decoder.modules()):
            if not isinstance(module, nn.Linear):
                continue
            if deviation is None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            else:
                nn.init.normal_(module.weight, 0, deviation)
                nn.init.normal_(module.bias, 0, deviation)

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Take the number of examples, and the mean picture of (up to 10,000 of) them."""
        self.examples.fill_(size(data))
        if self.hyper.centred:
            index = torch.linspace(0, size(data) - 1, min(size(data), 10_000)).long()
            sums = [take(data, part)["x"].sum(0) for part in index.split(1000)]
            mean = self.squeeze(torch.stack(sums).sum(0) / len(index))
            self.offset.copy_(mean.clamp(0.001, 0.999).logit())
        return data

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("coders", self)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        levels = self.code(next(batches)["x"])
        mu, logvar = self.posterior(levels)
        kl = divergence(mu, logvar).mean()
        if self.hyper.draws > 1:
            bound = self.weighted(levels, mu, logvar, self.hyper.draws).mean()
            yield Move("coders", self.prior_on_weights() - bound, {"bound": bound, "kl": kl})
            return
        z = reparameterised(mu, logvar)
        likelihood = self.likelihood(levels, z).mean()
        cost = path_divergence(mu, logvar, z).mean() if self.hyper.path else kl
        loss = self.hyper.beta * cost - likelihood + self.prior_on_weights()  # eq. (10)
        yield Move("coders", loss, {"likelihood": likelihood, "kl": kl, "elbo": likelihood - kl})

    def prior_on_weights(self) -> Tensor | float:
        """Minus the log of the Gaussian prior on the decoder's weights, a share of it for each example.

        Section 5: of the generative parameters alone; the encoder's have no prior.
        """
        if self.hyper.decay == 0:
            return 0.0
        square = torch.stack([p.square().sum() for p in self.decoder.parameters()]).sum()
        return 0.5 * self.hyper.decay / self.examples * square

    # -- the two conditional laws ------------------------------------------------------------------

    def posterior(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance `[B, z]` of q(z|x)."""
        x = self.inputs(levels) if self.hyper.net == "conv" else self.pictures(levels).flatten(1)
        return gaussian(self.encoder(x))

    def raw(self, z: Tensor) -> Tensor:
        """Return the decoder's output `[B, C, H, W]` in fp32: logits of a Bernoulli, or of a mean in (0, 1)."""
        return self.decoder(z).float().view(-1, *self.shape.dims) + self.offset

    def likelihood(self, levels: Tensor, z: Tensor, noise: Noise | None = None) -> Tensor:
        """Return log p(x|z) `[B]` in nats."""
        return self.each(levels, z, noise).flatten(1).sum(1)

    def each(self, levels: Tensor, z: Tensor, noise: Noise | None = None) -> Tensor:
        """Return log p of each value given z `[B, C, H, W]`; the Gaussian's is a bound that draws from the noise."""
        out = self.raw(z)
        if self.hyper.decoder == "bernoulli":
            return -F.softplus(torch.where(levels > 0, -out, out))
        if self.hyper.decoder == "logistic":
            return logistic_levels(levels, out.sigmoid(), self.log_scale, self.levels)
        return dequantised_gaussian(levels, out.sigmoid(), self.log_scale, self.levels, noise)

    def squeeze(self, x: Tensor) -> Tensor:
        """Return pictures on the scale of the decoder's mean: a Gaussian's levels are the middles of bins within (0, 1)."""
        return (x * (self.levels - 1) + 0.5) / self.levels if self.hyper.decoder == "gaussian" else x

    def stretch(self, mean: Tensor) -> Tensor:
        """Return pictures of the decoder's mean, the inverse of `squeeze`, kept within [0, 1]."""
        if self.hyper.decoder != "gaussian":
            return mean
        return ((mean * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)

    # -- bounds ------------------------------------------------------------------------------------

    def elbo(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Return one draw of the lower bound `[B]` in nats, of pictures in [0, 1]."""
        levels = self.evaluated(x)
        mu, logvar = self.posterior(levels)
        return self.likelihood(levels, reparameterised(mu, logvar, noise), noise) - divergence(mu, logvar)

    def log_prob(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the importance-weighted bound of 64 draws on log p(x) `[B]` in nats; the draws are a picture's own."""
        if given is not None:
            raise InputError("labels are given, but this model was trained without")
        return self.importance(x, SCORED_DRAWS)

    @torch.no_grad()
    def importance(self, x: Tensor, draws: int, at_once: int = 64) -> Tensor:
        """Return the importance-weighted bound of so many draws `[B]`, in blocks of draws, which are each picture's own."""
        levels = self.evaluated(x)
        mu, logvar = self.posterior(levels)
        seeds = torch.tensor([seed_of(picture) for picture in levels], dtype=torch.long)
        parts = []
        for k in range(0, draws, at_once):  # each draw of each picture has a key of its own
            keys = [seeds + (draw << 33) for draw in range(k, min(draws, k + at_once))]
            parts.append(self.log_weights(levels, mu, logvar, len(keys), Noise(torch.cat(keys))))
        return torch.cat(parts).logsumexp(0) - math.log(draws)

    def weighted(self, levels: Tensor, mu: Tensor, logvar: Tensor, draws: int) -> Tensor:
        """Return the importance-weighted bound `[B]`. Burda et al. 2015, eq. (8)."""
        return self.log_weights(levels, mu, logvar, draws).logsumexp(0) - math.log(draws)

    def log_weights(self, levels: Tensor, mu: Tensor, logvar: Tensor, draws: int, noise: Noise | None = None) -> Tensor:
        """Return log p(x, z) - log q(z|x) `[K, B]` of draws from q."""
        mu, logvar = (v.expand(draws, *v.shape).flatten(0, 1) for v in (mu, logvar))
        z = reparameterised(mu, logvar, noise)
        given = levels.expand(draws, *levels.shape).flatten(0, 1)
        log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        log_posterior = -0.5 * ((z - mu).square() / logvar.exp() + logvar + math.log(2 * math.pi)).sum(1)
        return (self.likelihood(given, z, noise) + log_prior - log_posterior).view(draws, -1)

    # -- capabilities ------------------------------------------------------------------------------

    @property
    def code_width(self) -> int:
        return self.hyper.z

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        width, device = self.hyper.z, self.device
        return torch.randn(n, width, device=device) if noise is None else noise.normal(width, device=device)

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the mean picture of codes: in [0, 1], not drawn."""
        return self.stretch(self.raw(z.to(self.device)).sigmoid())

    def claims(self) -> Iterator[Claim]:
        from genloom.models.likelihood.bounds import bounds

        return bounds(self)

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance `[B, z]` of q(z|x) of pictures in [0, 1]."""
        return self.posterior(self.evaluated(x))

    def encode(self, x: Tensor) -> Tensor:
        """Return the mean code `[B, z]` of pictures in [0, 1]."""
        return self.infer(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return self.generate(z)

    @property
    def coding(self) -> str:
        return super().coding + (" by dequantisation" if self.hyper.decoder == "gaussian" else "")


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, exp logvar) | N(0, 1)) `[B]` in nats. Kingma & Welling 2013, appendix B."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)


def path_divergence(mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """Return log q(z|x) - log p(z) `[B]` at a draw z from q, whose gradient comes by way of z alone.

    Where q is the posterior that gradient is zero, and not only on average. Roeder et al. 2017, 1703.09194.
    """
    mu, logvar = mu.detach(), logvar.detach()
    return 0.5 * (z.square() - (z - mu).square() / logvar.exp() - logvar).sum(-1)


def logistic_levels(levels: Tensor, mean: Tensor, log_scale: Tensor | None, count: int) -> Tensor:
    """Return log p of levels under a logistic law about `mean` in (0, 1), cut into as many bins as there are levels."""
    assert log_scale is not None
    centre, reach = levels.float() / (count - 1), 0.5 / (count - 1)
    inverse = torch.exp(-log_scale.clamp_min(-7))
    above, below = inverse * (centre + reach - mean), inverse * (centre - reach - mean)
    # log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - exp(b - a)): no difference of nearly equal numbers
    inner = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log1p(-torch.exp(-2 * reach * inverse))
    return torch.where(levels == 0, F.logsigmoid(above), torch.where(levels == count - 1, F.logsigmoid(-below), inner))


def dequantised_gaussian(
    levels: Tensor, mean: Tensor, log_scale: Tensor | None, count: int, noise: Noise | None = None
) -> Tensor:
    """Return a bound on log p of levels: the Gaussian density at a random point of the level's bin, times its width."""
    assert log_scale is not None
    within = torch.rand_like(mean) if noise is None else noise.uniform(*mean.shape[1:], device=mean.device)
    x = (levels + within) / count
    density = -0.5 * ((x - mean) / log_scale.exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)
    return density - math.log(count)
