"""Improving Generative Adversarial Networks with Denoising Feature Matching.

Warde-Farley, Bengio. 2017. ICLR (openreview S1X7nhsxl).

Three players. Beside generator and discriminator, a denoiser r learns to give back the features h = Phi(x) of real
pictures, those before the discriminator's last layer, from h with Gaussian noise. What it does to features points to where
those of real pictures are dense: r(h) - h estimates the noise's variance times the gradient of log p(h) (Alain & Bengio
2014). The generator brings its own features h = Phi(G(z)) towards r(h), beside playing against the discriminator:

    lambda_denoise |h - r(h)|^2 - lambda_adversarial log D(G(z)), with r(h) taken as a constant.

The denoiser learns from features of real pictures alone, and its gradient does not reach the discriminator. The target of
its loss is the clean feature; equation (5) as printed has the corrupted one, which is a misprint. Real and made pictures
pass the discriminator in batches of their own, and so do features the denoiser: each with its own statistics.

The nets of pictures are DCGAN's (Radford et al. 2015), 64 channels at the largest map, which is half the width of theirs
for pictures of 32 pixels, as the paper has the generator for CIFAR-10; the denoiser has ten layers of 2,048 units. The
paper does not print lambda_denoise, nor the discriminator's width: .03 divided by the number of features, a figure that is
handed down, and the generator's width are ours. `--hyper.denoise 0` leaves the denoiser out: then this is DCGAN.

What differs from the paper: the generator's nets make any size that `dcgan` makes; the fakes of a round serve discriminator
and generator; bf16 by autocast where the processor is good at it, distances and the discriminator's last layer in fp32.
`modern` is `dcgan`'s with a small denoiser and a larger share of it.
"""

# B batch, F features

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Note, Player, Remember
from genloom.models.adversarial.codes import CubeCodes
from genloom.models.fitting import doublings
from genloom.nn.augment import AUGMENTED, GROWTH, Adaptive
from genloom.nn.dcgan import StridedDiscriminator, StridedGenerator
from genloom.nn.dense import FeatureDenoiser
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class DFMHyper(Hyper):
    """Section 4 of the paper."""

    z: int = hp(100, "width of the latent code, uniform in [-1, 1]", low=1)
    width: int = hp(64, "channels of the largest map; they double at each halving, up to 8 times", low=1)
    kernel: Literal[4, 5] = hp(5, "size of the strided kernels")
    up: Literal["strided", "resized"] = hp("strided", "how the generator's maps of 16 pixels and more become larger")
    denoise: float = hp(
        0.03, "weight of the mean squared distance to the denoised features; 0 leaves the denoiser out", low=0
    )
    adversarial: float = hp(1.0, "weight of the adversarial loss beside it", low=0)
    hidden: tuple[int, ...] = hp((2048,) * 10, "units of each of the denoiser's layers", low=1)
    sigma: float = hp(1.0, "deviation of the noise on features", low=0)
    adaptive_augment: float = hp(0.0, GROWTH, low=0)
    rate: float = hp(1e-4, "learning rate of Adam", low=0)
    beta1: float = hp(0.5, "Adam's decay of the first moment", low=0, high=0.999)
    batch: int = hp(128, "examples a batch", low=2)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """DCGAN's, with a denoiser of two narrow layers."""
        dcgan = cls(kernel=4, up="resized", adaptive_augment=50_000.0, rate=5e-4, batch=16, ema=10_000.0)
        return replace(dcgan, denoise=1.0, hidden=(256,) * 2)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        small = cls(z=16, width=32, kernel=4, denoise=0.3, hidden=(64, 64), rate=1e-3, batch=64)
        return replace(small, ema=5_000.0)


class DFM(CubeCodes):
    """Warde-Farley & Bengio 2017."""

    Hyper = DFMHyper
    hyper: DFMHyper
    notes = objectives.ACCURACY | AUGMENTED | {
        "residual": Note("distance", "generator"),
        "denoised": Note("error", "denoiser"),
    }  # fmt: skip

    def __init__(self, hyper: DFMHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, height, width = shape.dims
        size = (height, width)
        self.generator = StridedGenerator(hyper.z, channels, size, hyper.width, hyper.kernel, resized=hyper.up == "resized")
        self.discriminator = StridedDiscriminator(channels, size, hyper.width, hyper.kernel, spectrally=False)
        if hyper.denoise:
            self.denoiser = FeatureDenoiser(self.discriminator.out.in_features, hyper.hidden)
        self.adaptive = Adaptive(hyper.adaptive_augment)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, DFMHyper)
        if not hyper.hidden:
            return Misfit("--hyper.hidden takes the units of each layer of the denoiser, such as 512,512", remedy=True)
        return doublings(shape, "dfm")

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        self.adaptive.pictures = size(data)
        return data

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(self.hyper.beta1, 0.999), fused=True)
        players = [
            Player("generator", (self.generator,), adam, ema=self.hyper.ema),
            Player("discriminator", (self.discriminator,), adam),
        ]
        return [*players, Player("denoiser", (self.denoiser,), adam)] if self.hyper.denoise else players

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x = next(batches)["x"] * 2 - 1
        seen = self.adaptive(self.generator(self.prior(len(x))))
        h_real = self.discriminator.features(self.adaptive(x))
        real, fake = self.discriminator.logit(h_real), self.discriminator(seen.detach())
        notes = objectives.accuracy(real, fake) | self.adaptive.follow(real, clock)
        yield Move("discriminator", objectives.discriminate(real, fake), notes)
        if self.hyper.denoise:
            error = denoising_error(self.denoiser, h_real.detach().float(), self.hyper.sigma)
            yield Move("denoiser", error, {"denoised": error.detach()})
        h = self.discriminator.features(seen)
        loss = self.hyper.adversarial * objectives.non_saturating(self.discriminator.logit(h))
        if self.hyper.denoise:
            residual = self.residual(h.float())
            yield Move("generator", loss + self.hyper.denoise * residual, {"residual": residual.detach()})
        else:
            yield Move("generator", loss)

    def residual(self, h: Tensor) -> Tensor:
        """Return the mean squared distance of features `[B, F]` to where the denoiser brings them, a constant."""
        with torch.no_grad():
            target = self.denoiser(h)
        return F.mse_loss(h, target)

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator(z.to(self.device))
        return made / 2 + 0.5


def denoising_error(denoiser: FeatureDenoiser, h: Tensor, sigma: float) -> Tensor:
    """Return the mean squared distance of features `[B, F]` to what the denoiser makes of them with noise of `sigma`."""
    return F.mse_loss(denoiser(h + sigma * torch.randn_like(h)), h)
