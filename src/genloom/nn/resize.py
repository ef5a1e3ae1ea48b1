"""The resize before every published network: bicubic, antialiased, and the same on every machine and version of torch.

Keys 1981 with a = -0.5, its kernel as much wider as pictures shrink: pillow's bicubic, without rounding to 8 bits. Pictures
that are no squares are squeezed into one, whole.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def to_size(x: Tensor, size: int) -> Tensor:
    """Resize pictures `[n, C, H, W]` to squares of `size` pixels, cut to [0, 1]."""
    down, across = (weights(old, size).to(x.device) for old in x.shape[2:])
    return (down @ x @ across.T).clamp(0, 1)


@cache
def weights(old: int, new: int) -> Tensor:
    """Return what each of `old` pixels gives to each of `new`, `[new, old]`; made in double precision."""
    scale = max(old / new, 1.0)
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * old / new
    gap = (torch.arange(old, dtype=torch.float64) + 0.5 - centres[:, None]).abs() / scale
    near = (1.5 * gap - 2.5) * gap**2 + 1
    far = ((-0.5 * gap + 2.5) * gap - 4) * gap + 2
    taps = torch.where(gap < 1, near, torch.where(gap < 2, far, 0.0))
    return (taps / taps.sum(1, keepdim=True)).float()
