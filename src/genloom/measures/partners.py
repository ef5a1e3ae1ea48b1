"""How near pictures are to the partners that they should have become, and what needs no network."""

# n pictures, C channels, H height, W width, k side of a patch

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.random import generator
from genloom.measures.distances import square_distances
from genloom.measures.figure import Figure, mean_figure
from genloom.measures.similarity import WINDOW, similarity

PATCH, SEEN, RIDGE = 7, 50_000, 1e-3  # side of a patch, patches that are fitted, penalty beside their mean square
AT_ONCE = 2000  # patches that are held
MOST = 2000  # pictures that are learnt from
DARKEST = 1e-10  # mean square below which two pictures are the same: 100 dB

Baseline = Callable[[Tensor], Tensor]  # from pictures of A to those of B


def partner_figures(made: Tensor, truth: Tensor) -> dict[str, Figure]:
    """Return L1, PSNR and SSIM of pictures `[n, C, H, W]` in [0, 1] against their partners.

    PSNR is over all channels, in dB, the mean over pictures; SSIM is that of Wang et al. 2004, in whole windows.
    """
    protocol = f"{len(made)} pictures, in [0, 1]"
    square = (made - truth).square().mean((1, 2, 3)).clamp_min(DARKEST)
    figures = {
        "L1": mean_figure((made - truth).abs().mean((1, 2, 3)), protocol, "lower"),
        "PSNR": mean_figure(-10 * square.log10(), f"{protocol}, all channels, dB", "higher"),
    }
    if min(made.shape[2:]) >= WINDOW:
        values = [similarity(a, b, 1) for a, b in zip(made.split(50), truth.split(50), strict=True)]
        figures["SSIM"] = mean_figure(torch.cat(values), f"{protocol}, windows of {WINDOW}", "higher")
    return figures


def fit_baselines(a: Tensor, b: Tensor) -> dict[str, Baseline]:
    """Return what needs no network, fitted to pairs `[n, C, H, W]` and `[n, C', H, W]`: by name, from A to B."""
    found: dict[str, Baseline] = {}
    if a.shape[1] == b.shape[1]:
        found["unchanged"] = lambda x: x
    mean = b.mean(0, keepdim=True)
    found["mean partner"] = lambda x: mean.expand(len(x), -1, -1, -1)
    found["nearest pair's partner"] = lambda x: b[square_distances(x.flatten(1), a.flatten(1)).argmin(1)]
    kernel, offset = fit_patches(a, b)
    found["ridge on patches"] = lambda x: seen_by(x, kernel, offset)
    return found


def fit_patches(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Fit each pixel of B to the patch of A around it by ridge regression; return the kernel and the offset of a
    convolution."""
    (n, channels, height, width), k = a.shape, PATCH
    chosen = generator("patches of pairs")
    item, top, left = (torch.randint(most, (SEEN,), generator=chosen) for most in (n, height, width))
    padded = F.pad(a, (k // 2,) * 4, "replicate")
    windows = padded.unfold(2, k, 1).unfold(3, k, 1)  # [n, C, H, W, k, k], a view
    joint = torch.zeros(channels * k * k + b.shape[1] + 1, channels * k * k + b.shape[1] + 1, dtype=torch.float64)
    for i, t, s in zip(item.split(AT_ONCE), top.split(AT_ONCE), left.split(AT_ONCE), strict=True):
        z = torch.cat([windows[i, :, t, s].flatten(1), b[i, :, t, s], torch.ones(len(i), 1)], 1).double()
        joint += z.T @ z
    mean = joint[-1, :-1] / SEEN
    products = joint[:-1, :-1] - SEEN * torch.outer(mean, mean)  # about the means
    d = channels * k * k
    inputs, both, centre_x, centre_y = products[:d, :d], products[:d, d:], mean[:d], mean[d:]
    inputs = inputs + RIDGE * inputs.diagonal().mean() * torch.eye(d, dtype=torch.float64)
    weights = torch.linalg.solve(inputs, both)  # [C k k, C']
    return weights.T.reshape(-1, channels, k, k).float(), (centre_y - centre_x @ weights).float()


def seen_by(x: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
    """Return pictures `[n, C', H, W]` in [0, 1] that a kernel makes of pictures `[n, C, H, W]`."""
    padded = F.pad(x, (kernel.shape[2] // 2,) * 4, "replicate")
    return F.conv2d(padded, kernel, offset).clamp(0, 1)
