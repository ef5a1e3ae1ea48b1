"""Fully connected blocks of the first GAN papers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.dataset import Dataset, size, take
from genloom.core.model import Remember
from genloom.core.random import Noise


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


def start_at_mean(layer: nn.Linear, data: Dataset, remember: Remember) -> None:
    """Set the bias of a sigmoid's layer to the logits of the mean of all examples, clamped to [1e-7, 1 - 1e-7].

    The clamp is the one of Goodfellow et al. 2014's code: a pixel that is never lit starts at -16.
    """
    logits = remember("mean", lambda: {"logits": torch.logit(mean(data), eps=1e-7).float()})["logits"]
    with torch.no_grad():
        layer.bias.copy_(logits)


def mean(data: Dataset, block: int = 1000) -> Tensor:
    """Return the mean `[D]` of all examples in double precision, read a block at a time."""
    blocks = torch.arange(size(data)).split(block)
    sums = [take(data, index)["x"].flatten(1).cpu().double().sum(0) for index in blocks]  # Apple's devices lack doubles
    return torch.stack(sums).sum(0) / size(data)


def exactly(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a last layer in fp32, also under bf16 autocast: eight bits of a logit or a pixel are too few."""
    with full_precision(x):
        return F.linear(x.float(), layer.weight, layer.bias)


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """Leave autocast for computations on `x`; the meta device, on which fit is checked, has none to leave."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def one_hot(y: Tensor, classes: int) -> Tensor:
    """`[n]` class indices to `[n, classes]` floats."""
    return F.one_hot(y.long(), classes).float()


def even_labels(n: int, classes: int, device: torch.device) -> Tensor:
    """Class indices `[n]` that go round the classes: 0, 1, ... classes - 1, 0, ..."""
    return torch.arange(n, device=device) % classes


class Chain(nn.Sequential):
    """Layers one after the other. torch.compile sees through this forward pass; torch's own it leaves as it is."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


class FeatureDenoiser(nn.Module):
    """Features `[B, F]` to features: layers of ReLU with batch norm, and a linear one. Warde-Farley & Bengio 2017."""

    def __init__(self, features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in itertools.pairwise([features, *hidden]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in hidden)
        self.out = nn.Linear(hidden[-1], features)

    def forward(self, h: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = F.relu(norm(layer(h)), inplace=True)
        return self.out(h).float()


def uniform(n: int, width: int, device: torch.device, noise: Noise | None) -> Tensor:
    """Return codes `[n, width]` uniform in [0, 1): of the samples' own noise, or from torch's generator of the device."""
    return torch.rand(n, width, device=device) if noise is None else noise.uniform(width, device=device)


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Let a GPU multiply in whole fp32, not in TF32's ten bits, where two ways to the same numbers are compared."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
