"""Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks.

Radford, Metz, Chintala. 2015. arXiv 1511.06434.

Strided convolutions instead of pooling, batch norm in both nets except the generator's output and
the discriminator's input, ReLU and tanh in the generator, leaky ReLU in the discriminator. Real and
fake pictures pass the discriminator in batches of their own.

With `conditional`, labels enter as in the convolutional conditional GAN: a one-hot vector beside z,
one-hot planes beside the picture.

What differs from the paper: sizes other than 64x64, rectangles among them, by the same rule (maps double
in width as they halve in size, up to 8 times the narrowest); losses on logits; the fakes of a round serve
both moves; bf16 by autocast where the processor is good
at it, the discriminator's last layer in fp32. `modern` has kernels of 4 (an even kernel at stride 2
covers every pixel equally often), maps of the generator that are doubled and then convolved, which leaves
no checkerboards, batches of 16 at a rate that falls from 5e-4, averaged weights for sampling, and augmentation of a share
of the pictures that grows while the discriminator over-fits (Karras et al. 2020): of what was tried, the best
after ten minutes (docs/evidence/ten-minutes.json; with the rate that falls, ten-minutes-decay.json). A spectrally
normalised discriminator without batch norm (Miyato et al. 2018) and a gradient penalty are there to be asked for:
the first costs the first twenty minutes; what they give later has not been measured.
"""

# B batch, C channels, H height, W width, z latent width, K classes

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Move, Player, Remember
from genloom.models.adversarial.codes import CubeCodes
from genloom.models.fitting import doublings, no_labels
from genloom.nn.augment import AUGMENTED, GROWTH, Adaptive
from genloom.nn.dcgan import StridedDiscriminator, StridedGenerator
from genloom.nn.dense import even_labels, one_hot
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class DCGANHyper(Hyper):
    """Section 4 and figure 1 of the paper."""

    z: int = hp(100, "width of the latent code, uniform in [-1, 1]", low=1)
    width: int = hp(128, "channels of the largest map; they double at each halving, up to 8 times", low=1)
    kernel: Literal[4, 5] = hp(5, "size of the strided kernels")
    up: Literal["strided", "resized"] = hp("strided", "how the generator's maps of 16 pixels and more become larger")
    conditional: bool = hp(False, "feed labels to both nets")
    norm: Literal["batch", "spectral"] = hp("batch", "of the discriminator")
    penalty: float = hp(0.0, "gamma of the R1 gradient penalty on real pictures, 0 for none", low=0)
    adaptive_augment: float = hp(0.0, GROWTH, low=0)
    rate: float = hp(2e-4, "learning rate of Adam", low=0)
    decay: float = hp(0.0, "examples after which the rate is halved; after twice as many it is a third; 0: it stays", low=0)
    beta1: float = hp(0.5, "Adam's decay of the first moment", low=0, high=0.999)
    deviation: float = hp(0.02, "standard deviation of the weights at the start", low=0)
    batch: int = hp(128, "examples a batch", low=2)
    ema: float | None = hp(None, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Good in ten minutes: half the width, small batches, a rate that falls, doubled maps, augmentation as needed."""
        soon = cls(width=64, kernel=4, up="resized", batch=16, ema=10_000.0)
        return replace(soon, rate=5e-4, decay=50_000.0, adaptive_augment=50_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return cls(z=16, width=32, kernel=4, norm="spectral", batch=64, rate=1e-3, ema=5_000.0)


class DCGAN(CubeCodes):
    """Radford et al. 2015."""

    Hyper = DCGANHyper
    hyper: DCGANHyper
    notes = objectives.ACCURACY | AUGMENTED

    def __init__(self, hyper: DCGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, height, width = shape.dims
        self.classes = len(shape.classes) if hyper.conditional else 0
        made = (hyper.z + self.classes, channels, (height, width), hyper.width, hyper.kernel)
        self.generator = StridedGenerator(*made, deviation=hyper.deviation, resized=hyper.up == "resized")
        sizes = (channels + self.classes, (height, width), hyper.width, hyper.kernel)
        self.discriminator = StridedDiscriminator(*sizes, spectrally=hyper.norm == "spectral", deviation=hyper.deviation)
        self.adaptive = Adaptive(hyper.adaptive_augment)

    @property
    def conditional(self) -> bool:
        return self.hyper.conditional

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, DCGANHyper)
        found = doublings(shape, "dcgan")
        if not isinstance(found, Misfit) and hyper.conditional:
            return no_labels(shape, "--hyper.conditional needs labels") or found
        return found

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        self.adaptive.pictures = size(data)
        return data

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(self.hyper.beta1, 0.999), fused=True)
        return [
            Player("generator", (self.generator,), adam, self.descent, ema=self.hyper.ema),
            Player("discriminator", (self.discriminator,), adam, self.descent),
        ]

    def descent(self, clock: Clock) -> dict[str, float]:
        """Return the learning rate."""
        return {"lr": self.hyper.rate / (1 + (clock.examples / self.hyper.decay if self.hyper.decay else 0))}

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x, y = batch["x"] * 2 - 1, self.one_hot(batch.get("y"))
        x_fake = self.generator(beside_code(self.prior(len(x)), y))
        seen = self.adaptive(x_fake)
        real = self.discriminator(beside_picture(self.adaptive(x), y))
        fake = self.discriminator(beside_picture(seen.detach(), y))
        loss = objectives.discriminate(real, fake)
        if self.hyper.penalty:
            loss = loss + self.hyper.penalty / 2 * self.r1(x, y)
        yield Move("discriminator", loss, objectives.accuracy(real, fake) | self.adaptive.follow(real, clock))
        fake = self.discriminator(beside_picture(seen, y))
        yield Move("generator", objectives.non_saturating(fake))

    def r1(self, x: Tensor, y: Tensor | None) -> Tensor:
        """R1 penalty on pictures; `forward` goes past torch.compile, which cannot differentiate twice."""
        return objectives.gradient_penalty(lambda x: self.discriminator.forward(beside_picture(x, y)), x)

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        z = z.to(self.device)
        if self.conditional:
            given = even_labels(len(z), self.classes, z.device) if given is None else given.to(z.device)
        return self.generator(beside_code(z, self.one_hot(given))) / 2 + 0.5

    def one_hot(self, y: Tensor | None) -> Tensor | None:
        """Return one-hot labels `[B, K]`, or None for a model without labels."""
        return one_hot(y, self.classes) if self.conditional and y is not None else None


def beside_code(z: Tensor, y: Tensor | None) -> Tensor:
    """Put one-hot labels beside the code: `[B, z + K]`."""
    return z if y is None else torch.cat([z, y], 1)


def beside_picture(x: Tensor, y: Tensor | None) -> Tensor:
    """Put a plane for each class beside the picture: `[B, C + K, H, W]`."""
    if y is None:
        return x
    return torch.cat([x, y[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
