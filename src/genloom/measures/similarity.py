"""Multi-scale structural similarity between pairs of samples: how alike they are (Odena et al. 2017, 1610.09585).

The measure of two pictures is torchmetrics'. High means little variety; the figure of real pictures is the mark.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.core.random import generator as make_generator
from genloom.measures.figure import Figure, mean_figure

PAIRS = 1000
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, Wang et al. 2003
KERNEL = 11


def similarity_figure(x: Tensor) -> Figure | None:
    """Return the mean similarity of 1,000 random pairs of pictures `[n, C, H, W]` in [0, 1]; None below 11 pixels."""
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as similarity

    scales = count_scales(min(x.shape[2:]))
    if scales == 0:
        return None
    weights = tuple(w / sum(WEIGHTS[:scales]) for w in WEIGHTS[:scales])
    generator = make_generator("pairs")
    first = torch.randint(len(x), (PAIRS,), generator=generator)
    second = (first + torch.randint(1, len(x), (PAIRS,), generator=generator)) % len(x)  # never itself
    values = [
        similarity(x[i], x[j], data_range=1.0, betas=weights, reduction="none", normalize="relu")
        for i, j in zip(first.split(100), second.split(100), strict=True)
    ]
    return mean_figure(torch.cat(values), f"{PAIRS} pairs, {scales} scales", "nearer")


def count_scales(size: int) -> int:
    """Return how many scales, of at most five, still hold the kernel of 11 pixels and are taken by torchmetrics."""
    fits = [n for n in range(1, len(WEIGHTS) + 1) if size // 2 ** (n - 1) >= KERNEL and size // max(1, n - 1) ** 2 >= KERNEL]
    return max(fits, default=0)
