"""Autoencoder: an encoder to a short code, a decoder back, and the squared error between.

Hinton, Salakhutdinov. 2006. Reducing the Dimensionality of Data with Neural Networks. Science 313, 504-507.
Vincent, Larochelle, Bengio, Manzagol. 2008. Extracting and Composing Robust Features with Denoising Autoencoders. ICML.
Vincent, Larochelle, Lajoie, Bengio, Manzagol. 2010. Stacked Denoising Autoencoders. JMLR 11, 3371-3408.

`paper` has the sizes of the first paper's MNIST net, 784-1000-500-250-30 with a linear code, and its mirror image. With
`noise` it is the second paper's: the encoder sees a spoilt picture, the decoder is to give the whole one. Masking is the
second paper's, Gaussian noise and salt and pepper are the third's.

What differs from the papers: all layers are trained together from the start by Adam, without the first paper's layers of
Boltzmann machines (ReLU in place of the logistic function makes that possible); the error is the squared one, where both
papers have the cross-entropy on MNIST; the second paper's net has one hidden layer and trains deeper ones layer by layer.
`modern` has convolutional coders, trains by denoising, and averages the weights.
"""

# B batch, C channels, H height, W width, z code

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from genloom.core.capabilities import Encodes
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Player
from genloom.core.schedules import Descent
from genloom.models.fitting import no_pictures
from genloom.models.likelihood.levels import checked
from genloom.nn.coder import ConvDecoder, ConvEncoder, stack
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class AutoencoderHyper(Descent):
    """The sizes of Hinton & Salakhutdinov 2006, MNIST."""

    net: Literal["mlp", "conv"] = hp("mlp", "fully connected or convolutional coders")
    hidden: tuple[int, ...] = hp(
        (1000, 500, 250), "units of the hidden layers of either mlp, the decoder's in reverse", low=1
    )
    activation: Literal["relu", "tanh", "softplus"] = hp("relu", "of the mlps")
    features: int = hp(32, "channels of the convolutional nets", low=8)
    z: int = hp(30, "width of the code", low=1)
    noise: Literal["none", "masking", "gaussian", "salt-pepper"] = hp("none", "how pictures are spoilt for the encoder")
    level: float = hp(0.4, "share of pixels that are spoilt, or the deviation of Gaussian noise", low=0, high=1)

    @classmethod
    def modern(cls) -> Self:
        """Convolutional coders, denoising, averaged weights."""
        return cls(net="conv", z=64, noise="masking", rate=2e-3, ema=20_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return cls(hidden=(128,), z=16, rate=3e-3, batch=64, ema=5000.0)


class Autoencoder(Model, Encodes):
    """Hinton & Salakhutdinov 2006, Vincent et al. 2008."""

    Hyper = AutoencoderHyper
    hyper: AutoencoderHyper
    notes: ClassVar = {"rmse": Note("error", "coders")}

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return no_pictures(shape, "autoencoder") or shape

    def __init__(self, hyper: AutoencoderHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, height, width = shape.dims
        if hyper.net == "conv":
            self.encoder: nn.Module = ConvEncoder(channels, (height, width), hyper.features, hyper.z)
            self.decoder: nn.Module = ConvDecoder(hyper.z, (height, width), hyper.features, channels)
        else:
            self.encoder = stack([shape.width, *hyper.hidden, hyper.z], hyper.activation)
            self.decoder = stack([hyper.z, *hyper.hidden[::-1], shape.width], hyper.activation)

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("coders", self)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x = next(batches)["x"]
        square = (self.raw(self.codes(self.spoil(x))) - x).square()
        yield Move("coders", square.flatten(1).sum(1).mean(), {"rmse": square.mean().sqrt()})

    def spoil(self, x: Tensor) -> Tensor:
        """Return pictures with noise: so many pixels of each set to zero, or to zero or one, or all moved.

        Vincent et al. 2008, section 2.3, and 2010. A pixel of several colours is spoilt as a whole.
        """
        if self.hyper.noise == "none":
            return x
        if self.hyper.noise == "gaussian":
            return x + self.hyper.level * torch.randn_like(x)
        to = torch.randint_like(x[:, :1], 2) if self.hyper.noise == "salt-pepper" else torch.zeros_like(x[:, :1])
        return torch.where(some_pixels(x[:, :1], self.hyper.level), to, x)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes `[B, z]` of pictures in [0, 1]."""
        return self.codes(checked(x, self.shape).to(self.device))

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes of pictures that may be spoilt, so lie outside of [0, 1]."""
        h = 2 * x - 1
        return self.encoder(h if self.hyper.net == "conv" else h.flatten(1)).float()

    def raw(self, z: Tensor) -> Tensor:
        """Return pictures `[B, C, H, W]` of codes, not cut to [0, 1]: a saturated sigmoid would teach nothing here."""
        return self.decoder(z.to(self.device)).float().view(-1, *self.shape.dims)

    def decode(self, z: Tensor) -> Tensor:
        """Return the pictures `[B, C, H, W]` in [0, 1] of codes."""
        return self.raw(z).clamp(0, 1)


def some_pixels(like: Tensor, share: float) -> Tensor:
    """Return true at a fixed number of places of each map `[B, 1, H, W]`, the share of all places, drawn at random."""
    order = torch.rand_like(like).flatten(1).argsort(1)
    chosen = order[:, : round(share * order.shape[1])]
    return torch.zeros_like(order, dtype=torch.bool).scatter_(1, chosen, True).view_as(like)
