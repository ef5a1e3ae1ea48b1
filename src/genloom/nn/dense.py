"""Fully connected blocks of the first GAN papers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Maxout(nn.Module):
    """Maximum over `pieces` linear maps for each of `units` outputs. Goodfellow et al. 2013 (arXiv 1302.4389).

    `[n, inputs] -> [n, units]`; weights uniform in [-spread, spread], biases zero.
    """

    def __init__(self, inputs: int, units: int, pieces: int, spread: float) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = dense(inputs, units * pieces, spread)

    def forward(self, x: Tensor) -> Tensor:
        # The pieces of all units lie side by side, [n, pieces, units]: the maximum then runs over whole rows.
        return self.linear(x).unflatten(1, (self.pieces, -1)).amax(1)


def dense(inputs: int, outputs: int, spread: float) -> nn.Linear:
    """A linear layer with weights uniform in [-spread, spread] and zero biases."""
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -spread, spread)
    nn.init.zeros_(layer.bias)
    return layer


def exactly(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a last layer in fp32, also under bf16 autocast: eight bits of a logit or a pixel are too few."""
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.float(), layer.weight, layer.bias)


def one_hot(y: Tensor, classes: int) -> Tensor:
    """`[n]` class indices to `[n, classes]` floats."""
    return F.one_hot(y.long(), classes).float()


def even_labels(n: int, classes: int, device: torch.device) -> Tensor:
    """Class indices `[n]` that go round the classes: 0, 1, ... classes - 1, 0, ..."""
    return torch.arange(n, device=device) % classes
