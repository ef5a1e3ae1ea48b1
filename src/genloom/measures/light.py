"""The light judge: a cheap measure of a model, taken at each checkpoint to pick the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genloom.core.capabilities import Composes, Imputes, Samples
from genloom.core.dataset import Dataset, size, take
from genloom.core.model import Model
from genloom.core.random import Noise, generator, stream
from genloom.measures.features.random import RandomFeatures
from genloom.measures.holes import HeldOut
from genloom.measures.kernel import kernel_distance

EXAMPLES = 2000
LEAST, LEAST_OF_MEAN = 20, 50  # examples below which nothing can be compared, and the mean lies too near to other examples
PIECES = 100  # of those held out, at most
BLOCK = 100  # samples drawn at once on a CPU


def light_judge(model: Model, data: Dataset, seed: int) -> Callable[[Model], tuple[str, float]] | None:
    """Return what scores a model at each checkpoint by what it can do, lower being better, or None."""
    if isinstance(model, Imputes):
        return HeldOut.for_data(data)
    if isinstance(model, Composes):
        return HeldPieces(data) if isinstance(data, Pieces) and data.trained < len(data.names) else None
    return LightJudge(data, seed) if isinstance(model, Samples) and size(data) >= LEAST else None


class LightJudge:
    """KID[random]: the polynomial-kernel distance (Binkowski et al. 2018, arXiv 1801.01401) in fixed random features.

    Good for saying which of two checkpoints of one run is nearer to the data; no figure to quote.

    Attributes:
        of_mean: the distance of samples that are all alike, the mean of the data; infinite where it says nothing.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        n = min(EXAMPLES, size(data))
        index = torch.randperm(size(data), generator=generator("light", seed=seed))[:n]
        self.n = n
        x = take(data, index)["x"].float().cpu()
        self.features = RandomFeatures(x)
        self.real = self.features(x)
        telling = n >= LEAST_OF_MEAN and bool((x != x[:1]).any())
        mean = self.features(x.mean(0, keepdim=True)).expand_as(self.real)
        self.of_mean = kernel_distance(self.real, mean) if telling else math.inf

    @torch.no_grad()
    def __call__(self, model: Model) -> tuple[str, float]:
        """Return the measure's name and its value for the model as it is now; lower is better."""
        assert isinstance(model, Samples)
        seed, block = stream("light samples"), BLOCK if model.device.type == "cpu" else EXAMPLES
        parts = [
            model.sample(n, noise=Noise.of(seed, n, start=i * block)).float().cpu() for i, n in enumerate(cut(self.n, block))
        ]
        return "KID[random]", kernel_distance(self.real, self.features(torch.cat(parts)))


@runtime_checkable
class Pieces(Protocol):
    """Data of whole pieces, of which the last are held out."""

    trained: int
    names: Sequence[str]

    def piece(self, i: int) -> dict[str, Tensor]:
        """Return one piece as a batch of one."""


class HeldPieces:
    """-log p of a step of pieces that are held out, in nats."""

    def __init__(self, data: Pieces) -> None:
        self.pieces = [data.piece(i) for i in range(data.trained, min(data.trained + PIECES, len(data.names)))]

    @torch.no_grad()
    def __call__(self, model: Model) -> tuple[str, float]:
        """Return the measure's name and its value for the model as it is now; lower is better."""
        assert isinstance(model, Composes)
        nats = torch.cat([model.step_nats(piece).flatten() for piece in self.pieces])
        return "nats a step[held out]", float(nats.mean())


def cut(n: int, size: int) -> list[int]:
    """Cut n into parts of at most `size`."""
    return [min(size, n - start) for start in range(0, n, size)]
