"""Multi-scale structural similarity between pairs of samples: how alike they are (Odena et al. 2017, 1610.09585).

Wang, Simoncelli and Bovik 2003, "Multi-scale structural similarity for image quality assessment": windows that lie whole
within the pictures, the scales' contrast and structure multiplied, the luminance of the last alone. High means little
variety; the figure of real pictures is the mark.
"""

# n pairs, C channels

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.random import generator as make_generator
from genloom.measures.figure import Figure, mean_figure

PAIRS = 1000
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first, section 3.2
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for pictures in [0, 1]


def similarity_figure(x: Tensor) -> Figure | None:
    """Return the mean similarity of 1,000 random pairs of pictures `[n, C, H, W]` in [0, 1]; None below 11 pixels."""
    scales = count_scales(min(x.shape[2:]))
    if scales == 0:
        return None
    generator = make_generator("pairs")
    first = torch.randint(len(x), (PAIRS,), generator=generator)
    second = (first + torch.randint(1, len(x), (PAIRS,), generator=generator)) % len(x)  # never itself
    values = [similarity(x[i], x[j], scales) for i, j in zip(first.split(100), second.split(100), strict=True)]
    return mean_figure(torch.cat(values), f"{PAIRS} pairs, {scales} scales, whole windows", "nearer")


def count_scales(size: int) -> int:
    """Return how many scales, of at most five, still hold the window of 11 pixels."""
    return sum(size // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))


def similarity(a: Tensor, b: Tensor, scales: int) -> Tensor:
    """Return the similarity `[n]` of pictures `[n, C, H, W]` in pairs, over the first so many scales of the paper.

    Their weights are brought to a sum of one; negative means, which have no power of that kind, count as zero.
    """
    result = torch.ones(len(a), device=a.device)
    for scale, weight in enumerate(WEIGHTS[:scales]):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        structure, luminance = window_terms(a, b)
        term = structure * luminance if scale == scales - 1 else structure
        result *= term.mean((1, 2, 3)).clamp_min(0) ** (weight / sum(WEIGHTS[:scales]))
    return result


def window_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return contrast times structure, and luminance, of each window: Wang et al. 2004, eqs. (6), (9) and (10)."""
    mean_a, mean_b, square_a, square_b, product = (smooth(v) for v in (a, b, a * a, b * b, a * b))
    var_a, var_b, covariance = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    structure = (2 * covariance + C2) / (var_a + var_b + C2)
    return structure, (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)


def smooth(x: Tensor) -> Tensor:
    """Return the Gaussian mean of each whole window of `[n, C, H, W]`."""
    places = torch.arange(WINDOW, device=x.device) - WINDOW // 2
    taps = torch.exp(-(places**2) / (2 * SIGMA**2))
    taps = (taps / taps.sum()).expand(x.shape[1], 1, 1, -1)
    return F.conv2d(F.conv2d(x, taps, groups=x.shape[1]), taps.transpose(2, 3), groups=x.shape[1])
