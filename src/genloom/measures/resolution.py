"""How near an enlarged picture is to what it was before it was shrunk, by the protocols of super-resolution.

`PSNR-Y` and `SSIM-Y` are what papers print: on the luminance of MATLAB's `rgb2ycbcr` (16 to 235 of 255), a border as wide as
the scale cut away. The same picture has some two decibels less by `PSNR-RGB`: figures of the two are never compared.
"""

# C channels, H height, W width

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.measures.figure import Figure, mean_figure
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


def resolution_figures(made: Sequence[Tensor], real: Sequence[Tensor], scale: int) -> dict[str, Figure]:
    """Return every figure of enlarged pictures, each `[1, C, H, W]` in [0, 1] as a file holds it, and what they were.

    `detail` is the share of the fine detail of the real picture: below 1 is blurred. `shrunk again, L1` is how far a
    picture is, shrunk, from the small one that it was made of: colours that drifted show there.
    """
    protocol = f"{len(real)} pictures, x{scale}, border of {scale} cut"
    colour = real[0].shape[1] > 1
    values: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        values.setdefault(name, []).append(value)

    for a, b in zip(made, real, strict=True):
        a, b, small_a, small_b = cropped(a, scale), cropped(b, scale), shrunk(a, scale), shrunk(b, scale)
        for name, x, y in ([("RGB", a, b)] if colour else []) + [("Y", luminance(a), luminance(b))]:
            note(f"PSNR-{name}", decibels(x, y))
            if min(x.shape[2:]) >= WINDOW:
                note(f"SSIM-{name}", float(similarity(x, y, 1)))
        note("detail", detail(a) / max(detail(b), DARKEST))
        note("shrunk again, L1", float((small_a - small_b).abs().mean()))
    better = {"detail": "nearer", "shrunk again, L1": "lower"}
    order = [f"{what}-{name}" for name in ("Y", "RGB") for what in ("PSNR", "SSIM")]
    names = [name for name in (*order, "detail", "shrunk again, L1") if name in values]
    return {
        name: mean_figure(torch.tensor(values[name]), protocol, better.get(name, "higher"))  # type: ignore[arg-type]
        for name in names
    }
