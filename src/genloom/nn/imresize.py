"""Bicubic resizing as MATLAB's `imresize` does it, by which super-resolution is taught and measured.

Keys 1981 with a = -1/2; where a picture gets smaller the kernel is widened by as much, so that nothing folds back
(antialiasing), and beyond its edge a picture is mirrored, the edge itself repeated. Other bicubic filters (a = -3/4, none
of the widening, other edges) differ by decibels where it counts.

Lines are resized by a matrix: large pictures go by parts, of which one sees `REACH` pixels beyond its edge.
"""

# n pictures, C channels, H height, W width

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from genloom.placing import there

REACH = 3  # pixels around it that a pixel of an enlarged picture hangs on


def shrunk(x: Tensor, factor: int) -> Tensor:
    """Return pictures `[n, C, H, W]` at `1 / factor` of their size, which must divide it."""
    return resized(x, (x.shape[2] // factor, x.shape[3] // factor), 1 / factor)


def grown(x: Tensor, factor: int) -> Tensor:
    """Return pictures `[n, C, H, W]` at `factor` times their size."""
    return resized(x, (x.shape[2] * factor, x.shape[3] * factor), float(factor))


def resized(x: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """Return pictures `[n, C, H, W]` at another size, in fp32, `scale` times their own."""
    made = matrix if torch.compiler.is_exporting() else taps  # which keeps matrices by size: in a graph, sizes have names
    down, across = (there(made(old, new, scale), x) for old, new in zip(x.shape[2:], size, strict=True))
    with torch.autocast(x.device.type, enabled=False):
        return down @ (x.float() @ across.T)


def cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2."""
    x = x.abs()
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def taps(old: int, new: int, scale: float) -> Tensor:
    """Return `matrix`, kept by size."""
    return matrix(old, new, scale)


def matrix(old: int, new: int, scale: float) -> Tensor:
    """Return the matrix `[new, old]` that resizes lines of `old` numbers to `new`."""
    stretch = min(scale, 1.0)
    centre = (torch.arange(new, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = math.ceil(2 / stretch) + 1
    places = centre.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    weights = cubic((centre[:, None] - places) * stretch)
    weights = weights / weights.sum(1, keepdim=True)
    if torch.compiler.is_exporting():  # a picture is enlarged, and has as many pixels as are looked at beyond its edge
        mirrored = torch.where(places < 0, -1 - places, torch.where(places < old, places, 2 * old - 1 - places))
    else:
        mirrored = places % (2 * old)
        mirrored = torch.where(mirrored < old, mirrored, 2 * old - 1 - mirrored)
    found = torch.zeros(new, old, dtype=torch.float64)
    return found.scatter_add_(1, mirrored, weights).float()
