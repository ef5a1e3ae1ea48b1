"""What can be said of translations without partners: whether their colours are those of the domain, and what they hide.

A cycle that comes back well proves little where the translation hides the picture in detail that nobody sees (Chu et al.
2017, arXiv 1712.02950). So the way back is also taken from what a file would hold: 8 bits and a little noise.
"""

# n, m pictures, C channels, H height, W width

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from genloom.core.random import generator
from genloom.measures.figure import Figure, around, half_error, mean_figure
from genloom.shapes.pictures import rounded

NOISE = 2 / 255  # deviation of what is added before the way back
TO_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = TO_XYZ.sum(1)  # D65
KNEE = 6 / 29


def lab_of(x: Tensor) -> Tensor:
    """Return colours `[n, 3, H, W]` in sRGB as CIE L*a*b* under D65 (IEC 61966-2-1; CIE 15)."""
    linear = torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", TO_XYZ, linear) / WHITE[:, None, None]
    f = torch.where(xyz > KNEE**3, xyz.clamp_min(1e-12) ** (1 / 3), xyz / (3 * KNEE**2) + 4 / 29)
    lightness = 116 * f[:, 1] - 16
    return torch.stack([lightness, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def lab_shift(made: Tensor, real: Tensor) -> Figure:
    """Return the distance between the mean colours of made `[n, 3, H, W]` and of real pictures `[m, 3, H, W]`, in Lab."""
    a, b = (torch.cat([lab_of(part).mean((2, 3)) for part in x.split(50)]) for x in (made, real))  # [n, 3], [m, 3]

    def distance(i: Tensor, j: Tensor) -> float:
        return float((a[i].mean(0) - b[j].mean(0)).norm())

    sizes = (len(a), len(b))
    error = half_error(distance, sizes) if min(sizes) > 3 else float("nan")
    found = around(distance(*(torch.arange(n) for n in sizes)), error, len(a), f"mean colours, {len(b)} real")
    return replace(found, low=max(found.low, 0.0))  # a distance


def cycle_figures(x: Tensor, made: Tensor, back: Callable[[Tensor], Tensor]) -> dict[str, Figure]:
    """Return how far pictures `[n, C, H, W]` come back from what was made of them, as it is and as a file would hold it."""
    drawn = torch.randn(made.shape, generator=generator("noise of cycles"))
    rough = (rounded(made) + NOISE * drawn).clamp(0, 1)
    ways = {"cycle L1": made, "cycle L1, 8 bits and noise": rough}
    protocol = f"there and back, {len(x)} pictures"
    return {name: mean_figure((back(y) - x).abs().mean((1, 2, 3)), protocol, "lower") for name, y in ways.items()}
