"""Sliced Wasserstein distance between patches at each level of a Laplacian pyramid.

Karras et al. 2018 (arXiv 1710.10196), section 5 and appendix: levels from full size down to 16 pixels,
128 patches of 7x7 a picture and level, normalised by channel, 4 times 128 random projections.
Values are given times 1,000, as the paper does.
"""

# n pictures, C channels, P patches in all

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.random import generator as make_generator
from genloom.core.random import stream
from genloom.measures.figure import Figure, around

PATCHES, SIDE = 128, 7
REPEATS, PROJECTIONS = 4, 128
PARTS = 8
AT_ONCE = 1 << 17  # patches that are held in single precision
CELLS = 1 << 16  # of the grid on which distributions along a direction are compared
TOGETHER = 16  # directions that are taken at once
PAPER_PICTURES, QUICK_PICTURES = 16_384, 1024
KERNEL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def wasserstein_figures(fake: Tensor, real: Tensor, pictures: int) -> dict[str, Figure]:
    """Return the distance at each level, and their mean, of the first `pictures` of `[n, C, H, W]` as uint8."""
    n = min(pictures, len(fake), len(real))
    sizes, figures = levels(min(fake.shape[2:])), {}
    protocol = f"{n} pictures, {PATCHES} patches of {SIDE}x{SIDE}, {REPEATS * PROJECTIONS} projections, x1000"
    rows = [level_distances(fake[:n], real[:n], depth) for depth in range(len(sizes))]
    values, parts = (torch.stack(each) for each in zip(*rows, strict=True))  # [levels, REPEATS], [levels, PARTS]
    for size, value, part in zip(sizes, values, parts, strict=True):
        figures[f"SWD {size}"] = around(float(value.mean()), float(part.std() / PARTS**0.5), n, protocol)
    if len(sizes) > 1:
        error = float(parts.mean(0).std() / PARTS**0.5)
        figures["SWD mean"] = around(float(values.mean()), error, n, protocol)
    return figures


def enough_pictures(n: int) -> int:
    """Return how many of `n` pictures to take: the paper's 16,384 where there are so many, else at most 1,024."""
    return PAPER_PICTURES if n >= PAPER_PICTURES else min(n, QUICK_PICTURES)


def levels(size: int) -> list[int]:
    """Return the sizes of the pyramid's levels: halves down to 16, at least one."""
    sizes = [size]
    while sizes[-1] >= 32:
        sizes.append(sizes[-1] // 2)
    return sizes


def level_distances(fake: Tensor, real: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """Return the distance at one level, times 1,000: of each repeat `[REPEATS]`, and of disjoint parts `[PARTS]`.

    Repeats differ by their projections alone; the parts tell how far other pictures would scatter.
    """
    a, b = (
        patches(x, depth, stream("patches", depth)) for x in (fake, real)
    )  # the same places: equal sets are at distance 0
    a, b = (x.float() if len(x) <= AT_ONCE else x for x in (a, b))  # once, not for each direction
    generator = make_generator("projections", depth)
    whole, parts = zip(*[sliced_distances(a, b, generator) for _ in range(REPEATS)], strict=True)
    return 1000 * torch.stack(whole), 1000 * torch.stack(parts).mean(0)


def sliced_distances(a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the mean distance of patches `[P, D]` to `[P, D]` along random directions; of parts `[PARTS]` along some."""
    directions = torch.randn(PROJECTIONS, a.shape[1], generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    whole: list[Tensor] = []
    for some in directions.split(TOGETHER):
        x, y = fall(a, some), fall(b, some)
        if not whole:
            chunks = zip(x.chunk(PARTS, 1), y.chunk(PARTS, 1), strict=True)
            parts = torch.stack([line_distances(*pair, CELLS // PARTS).mean() for pair in chunks])
        whole.append(line_distances(x, y))
    return torch.cat(whole).mean(), parts


def fall(x: Tensor, directions: Tensor) -> Tensor:
    """Return where patches `[P, D]` fall along directions `[k, D]`, `[k, P]`."""
    return torch.cat([directions @ part.float().T for part in x.split(AT_ONCE)], 1)


def line_distances(a: Tensor, b: Tensor, cells: int = CELLS) -> Tensor:
    """Return the Wasserstein distance `[k]` of points `[k, P]` to `[k, P]` on each line.

    It is the integral of |share of a below x - share of b below x|, summed here over a fine grid: to four digits and better
    what sorting gives, at a third of its cost.
    """
    step = torch.maximum(a.abs().amax(1), b.abs().amax(1)).clamp_min(1e-30) / (cells // 2 - 1)
    surplus = (counts(a, step, cells) - counts(b, step, cells)).cumsum(1)
    return surplus.abs().sum(1) * step / a.shape[1]


def counts(x: Tensor, step: Tensor, cells: int) -> Tensor:
    """Count points `[k, P]` in the cells `[k, cells]` of grids with these steps `[k]`."""
    rows = torch.arange(len(x), dtype=torch.int32)[:, None] * cells + cells // 2
    places = (x / step[:, None]).round_().int().add_(rows)
    return torch.bincount(places.flatten(), minlength=len(x) * cells).view(len(x), cells)


def patches(x: Tensor, depth: int, seed: int) -> Tensor:
    """Cut random patches of one level out of pictures `[n, C, H, W]`: `[n * PATCHES, C * 49]`, normalised by channel.

    They are kept in half precision: two sets of the paper's size would take gigabytes in single.
    """
    generator = torch.Generator().manual_seed(seed)
    cut = torch.empty(len(x) * PATCHES, x.shape[1], SIDE, SIDE, dtype=torch.float16)
    sums = torch.zeros(2, x.shape[1], dtype=torch.float64)
    for start in range(0, len(x), 256):
        band = laplacian(x[start : start + 256].float() / 255, depth)  # [n, C, h, w]
        n, _, height, width = band.shape
        windows = band.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # [n, C, h - 6, w - 6, 7, 7], a view
        picture = torch.arange(n).repeat_interleave(PATCHES)
        top = torch.randint(height - SIDE + 1, (n * PATCHES,), generator=generator)
        left = torch.randint(width - SIDE + 1, (n * PATCHES,), generator=generator)
        part = windows[picture, :, top, left]  # [n * PATCHES, C, 7, 7]
        cut[start * PATCHES : (start + n) * PATCHES] = part
        sums += torch.stack([part.sum((0, 2, 3)), part.square().sum((0, 2, 3))]).double()
    mean, square = sums / (len(cut) * SIDE * SIDE)
    deviation = (square - mean**2).clamp_min(0).sqrt().clamp_min(1e-3)  # flat: less than a level of 8 bits
    for channel in range(cut.shape[1]):
        cut[:, channel] -= mean[channel].half()
        cut[:, channel] /= deviation[channel].half()
    return cut.flatten(1)


def laplacian(x: Tensor, depth: int) -> Tensor:
    """Return one level of the pyramid of pictures `[n, C, H, W]`: the detail that the next level has lost."""
    for _ in range(depth):
        x = down(x)
    last = depth == len(levels(min(x.shape[2:]) * 2**depth)) - 1
    return x if last else x - up(down(x), x.shape[2:])


def blur(x: Tensor) -> Tensor:
    """Smooth by the binomial kernel of five, mirrored at the edge."""
    kernel = KERNEL.view(1, 1, 1, 5).expand(x.shape[1], 1, 1, 5)
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), "reflect"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, 2, 2), "reflect"), kernel.transpose(2, 3), groups=x.shape[1])


def down(x: Tensor) -> Tensor:
    """Smooth and take every second pixel."""
    return blur(x)[:, :, ::2, ::2]


def up(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Spread pixels over a grid of `size` and fill in between."""
    wide = x.new_zeros(*x.shape[:2], *size)
    wide[:, :, ::2, ::2] = x
    return 4 * blur(wide)
