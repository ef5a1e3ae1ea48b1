"""What "the same content" means: losses between an enlarged picture and the one it should have become."""

# B batch, C channels, H height, W width

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.efficientnet_lite import EfficientNetLite, pretrained
from genloom.nn.vgg import features_loss, read_vgg19

Content = Literal["mse", "l1", "vgg22", "vgg54", "lite", "discriminator"]
Loss = Callable[[Tensor, Tensor], Tensor]  # of made and real pictures `[B, C, H, W]` in [0, 1], to a scalar
VGG = {"vgg22": (2, 2), "vgg54": (5, 4)}  # block, and convolutions of it
STAGES = slice(1, 4)  # of the ImageNet network that are compared: at a quarter, an eighth and a 16th of the size


def loss_of(kind: Content, vgg: str) -> Loss:
    """Return a content loss; those of a network read its weights, and raise InputError where they cannot.

    mse: of pictures in [-1, 1], as the paper has them. l1: of pictures in [0, 1]. vgg22, vgg54: of features of VGG19
    after their rectifiers, divided by 12.75. lite: of features of EfficientNet-Lite0 at three sizes, each divided by its
    mean square.
    """
    if kind == "l1":
        return F.l1_loss
    if kind in VGG:
        return Compared(features_loss, read_vgg19(vgg, *VGG[kind]))
    if kind == "lite":
        return Compared(stages_loss, pretrained("lite0"))
    return lambda made, real: 4 * F.mse_loss(made, real)


class Compared:
    """Compares by a frozen network, which is no part of the model: it is not trained, and not saved."""

    def __init__(self, compare: Callable[[nn.Module, Tensor, Tensor], Tensor], net: nn.Module) -> None:
        self.compare, self.net = compare, net

    def __call__(self, made: Tensor, real: Tensor) -> Tensor:
        self.net.to(made.device)
        return self.compare(self.net, made, real)


def stages_loss(net: nn.Module, made: Tensor, real: Tensor) -> Tensor:
    """Return the mean square difference of features at three sizes, each beside the features' own mean square."""
    assert isinstance(net, EfficientNetLite)
    made, real = (x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x for x in (made, real))
    pairs = zip(net.stages(made)[STAGES], net.stages(real)[STAGES], strict=True)
    return torch.stack([F.mse_loss(a.float(), b.float()) / b.float().square().mean() for a, b in pairs]).sum()


def maps_loss(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of a discriminator's maps, summed over them."""
    return torch.stack([F.l1_loss(a.float(), b.detach().float()) for a, b in zip(made, real, strict=True)]).sum()


def total_variation(x: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels of `[B, C, H, W]`, down and across."""
    return x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()
