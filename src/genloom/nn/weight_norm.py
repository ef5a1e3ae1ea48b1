"""Weight normalisation with a start from data. Salimans & Kingma 2016 (arXiv 1602.07868).

A weight is g v / |v| with one gain g for each output. Before training, gains and biases are set so that the outputs of some
examples have mean zero and a given deviation, layer by layer.
"""

# n examples, O outputs

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class WeightNorm(nn.Module):
    """Give each output's weights the length of its gain.

    Args:
        outputs: how many, and `dim`, along which dimension of the weight.
        learns: whether the gains learn, or stay as they start.
        deviation: of the outputs of the examples that they start from.
    """

    gain: Tensor

    def __init__(self, outputs: int, dim: int, learns: bool, deviation: float) -> None:
        super().__init__()
        self.dim, self.deviation = dim, deviation
        if learns:
            self.gain = nn.Parameter(torch.ones(outputs))
        else:
            self.register_buffer("gain", torch.ones(outputs))

    def forward(self, weight: Tensor) -> Tensor:
        others = [d for d in range(weight.dim()) if d != self.dim]
        length = torch.linalg.vector_norm(weight, dim=others, keepdim=True).square().add(1e-6).sqrt()
        return weight * (self.gain.view([-1 if d == self.dim else 1 for d in range(weight.dim())]) / length)


def weight_normed(layer: nn.Module, dim: int = 0, learns: bool = False, deviation: float = 1.0) -> nn.Module:
    """Return a layer that has a bias, with normalised weights; the arguments are those of `WeightNorm`."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    norm = WeightNorm(weight.shape[dim], dim, learns, deviation)
    # `unsafe` leaves out a trial, for which torch would import its compiler where there is nothing to try it on.
    parametrize.register_parametrization(layer, "weight", norm, unsafe=weight.is_meta)
    return layer


@torch.no_grad()
def start_from(net: nn.Module, x: Tensor) -> None:
    """Set gains and biases of a net's normalised layers, in the order in which they are passed, by examples `[n, ...]`.

    Each layer must be passed once; those with a `start` of their own are given what they are passed. Noise and dropout are
    left on, as in the authors' code.
    """
    hooks = [layer.register_forward_hook(start_layer) for layer in net.modules() if parametrize.is_parametrized(layer)]
    others = [layer for layer in net.modules() if hasattr(layer, "start")]
    hooks += [layer.register_forward_pre_hook(lambda layer, given: layer.start(*given)) for layer in others]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()


def start_layer(layer: nn.Module, given: object, h: Tensor) -> Tensor:
    """Set the gain and the bias of a layer by its outputs `[n, O, ...]`, and return these as they come out now."""
    norm, bias = layer.parametrizations.weight[0], layer.bias  # type: ignore[union-attr, index]
    assert isinstance(norm, WeightNorm) and isinstance(bias, Tensor)
    shape = [1, -1] + [1] * (h.dim() - 2)
    axes = [d for d in range(h.dim()) if d != 1]
    h = h.float() - bias.view(shape)
    mean = h.mean(axes)
    factor = norm.deviation / (h.var(axes, correction=0) + 1e-12).sqrt()
    norm.gain.mul_(factor)
    bias.copy_(-mean * factor)
    return (h - mean.view(shape)) * factor.view(shape)
