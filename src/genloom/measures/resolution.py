"""How near an enlarged picture is to what it was before it was shrunk, by the protocols of super-resolution.

`PSNR-Y` and `SSIM-Y` are what papers print: on the luminance of MATLAB's `rgb2ycbcr` (16 to 235 of 255), a border as wide as
the scale cut away. The same picture has some two decibels less by `PSNR-RGB`: figures of the two are never compared.
"""

# C channels, H height, W width

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.measures.figure import Figure, around, mean_figure
from genloom.measures.similarity import WINDOW, similarity
from genloom.nn.imresize import shrunk

LUMINANCE = (65.481, 128.553, 24.966)  # of red, green and blue in [0, 1], above 16, of 255: ITU-R BT.601
DARKEST = 1e-10  # mean square below which two pictures are the same: 100 dB
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def luminance(x: Tensor) -> Tensor:
    """Return MATLAB's Y `[n, 1, H, W]`, divided by 255, of pictures in [0, 1]; a grey picture is its own."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor(LUMINANCE, device=x.device).view(1, 3, 1, 1)
    return ((x[:, :3] * weights).sum(1, keepdim=True) + 16) / 255


def cropped(x: Tensor, border: int) -> Tensor:
    """Cut a border off pictures `[n, C, H, W]`."""
    return x[:, :, border:-border, border:-border]


def decibels(a: Tensor, b: Tensor) -> float:
    """Return the peak signal-to-noise ratio of pictures in [0, 1], over all their channels."""
    return float(-10 * (a - b).square().mean().clamp_min(DARKEST).log10())


def detail(x: Tensor) -> float:
    """Return the mean square of the Laplacian of a picture's luminance: how much fine detail there is."""
    kernel = torch.tensor(LAPLACIAN).view(1, 1, 3, 3)
    return float(F.conv2d(luminance(x), kernel).square().mean())


def detail_figure(made: Sequence[float], real: Sequence[float], protocol: str) -> Figure:
    """Return the fine detail of all enlarged pictures beside that of the real ones, as a ratio of sums."""
    a, b = torch.tensor(made, dtype=torch.float64), torch.tensor(real, dtype=torch.float64).clamp_min(DARKEST)
    ratio = float(a.sum() / b.sum())
    spread = float((a - ratio * b).std() / b.mean()) if len(a) > 1 else float("nan")
    return around(ratio, spread / math.sqrt(len(a)), len(a), protocol, "nearer")


def resolution_figures(pairs: Iterable[tuple[Tensor, Tensor]], scale: int) -> dict[str, Figure]:
    """Return every figure of enlarged pictures, each beside what it was: `[1, C, H, W]` in [0, 1], as files hold them.

    Pictures have at least `least(scale)` pixels a side. `detail` is the share of the real pictures' fine detail: below 1 is
    blurred. `shrunk again, L1` is how far a picture is, shrunk, from the small one that it was made of: colours that drifted
    show there.
    """
    values: dict[str, list[float]] = {}
    details: tuple[list[float], list[float]] = ([], [])
    for a, b in pairs:
        a, b = cropped(a, scale), cropped(b, scale)
        planes = [("Y", luminance(a), luminance(b))] + ([("RGB", a, b)] if a.shape[1] > 1 else [])
        found = {f"PSNR-{name}": decibels(x, y) for name, x, y in planes}
        found |= {f"SSIM-{name}": float(similarity(x, y, 1)) for name, x, y in planes}
        found["shrunk again, L1"] = float((shrunk(a, scale) - shrunk(b, scale)).abs().mean())
        for name, value in found.items():
            values.setdefault(name, []).append(value)
        for each, x in zip(details, (a, b), strict=True):
            each.append(detail(x))
    protocol = f"{len(details[0])} pictures, x{scale}, border of {scale} cut"
    figures = {
        name: mean_figure(torch.tensor(each), protocol, "lower" if "L1" in name else "higher")
        for name, each in values.items()
    }
    return figures | {"detail": detail_figure(*details, protocol)}


def least(scale: int) -> int:
    """Return how many pixels a side a picture needs to be measured."""
    return max(WINDOW + 2 * scale, 4 * scale)
