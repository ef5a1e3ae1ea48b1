"""The light judge: a cheap distance of samples to training examples, taken at each checkpoint to pick the best."""

from __future__ import annotations

import torch

from genloom.core.capabilities import Samples
from genloom.core.model import Dataset, Model
from genloom.core.random import mix
from genloom.measures.features.random import RandomFeatures
from genloom.measures.kernel import kernel_distance

EXAMPLES = 2000


class LightJudge:
    """KID[random]: the polynomial-kernel distance (Binkowski et al. 2018, arXiv 1801.01401) in fixed random features.

    Good for saying which of two checkpoints of one run is nearer to the data; no figure to quote.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        n = min(EXAMPLES, len(data))
        index = torch.randperm(len(data), generator=torch.Generator().manual_seed(mix(seed, 5)))[:n]
        self.n = n
        x = data.batch(index)["x"].float().cpu()
        self.features = RandomFeatures(x)
        self.real = self.features(x)

    @classmethod
    def for_model(cls, model: Model, data: Dataset, seed: int) -> LightJudge | None:
        """Return a judge for a model that draws samples, else None."""
        return cls(data, seed) if isinstance(model, Samples) and len(data) >= 20 else None

    @torch.no_grad()
    def __call__(self, model: Model) -> tuple[str, float]:
        """Return the measure's name and its value for the model as it is now; lower is better."""
        assert isinstance(model, Samples)
        torch.manual_seed(mix(6))
        generator = torch.Generator().manual_seed(mix(7))
        parts = [model.sample(n, generator=generator).float().cpu() for n in cut(self.n, 100)]
        return "KID[random]", kernel_distance(self.real, self.features(torch.cat(parts)))


def cut(n: int, size: int) -> list[int]:
    """Cut n into parts of at most `size`."""
    return [min(size, n - start) for start in range(0, n, size)]
