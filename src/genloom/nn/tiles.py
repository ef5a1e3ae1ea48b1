"""Large pictures by parts: what a layer makes of a part is what it makes of the whole, where the part's edge is cut away."""

# n pictures, C channels, H height, W width

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

Make = Callable[[Tensor], Tensor]
BAND = 1 << 20  # numbers that are normalised at once


@dataclass(frozen=True)
class Tile:
    """A part of a map: what is made of it, `inner`, and what is looked at for it, `outer`, in rows and columns."""

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]

    def within(self, scale: float) -> tuple[slice, slice]:
        """Return the inner part's place in what was made of the outer one, `scale` times as large."""
        return scaled(
            [slice(i.start - o.start, i.stop - o.start) for i, o in zip(self.inner, self.outer, strict=True)], scale
        )


def scaled(places: list[slice] | tuple[slice, slice], scale: float) -> tuple[slice, slice]:
    """Return rows and columns on a map `scale` times as large."""
    first, second = (slice(round(place.start * scale), round(place.stop * scale)) for place in places)
    return first, second


def tiles(size: tuple[int, int], tile: int, margin: int) -> Iterator[Tile]:
    """Yield the parts of a map of a height and a width, with margins that end at its edge."""
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            inner = slice(top, min(top + tile, size[0])), slice(left, min(left + tile, size[1]))
            outer = [
                slice(max(i.start - margin, 0), min(i.stop + margin, most)) for i, most in zip(inner, size, strict=True)
            ]
            yield Tile(inner, (outer[0], outer[1]))


def part(x: Tensor, place: tuple[slice, slice]) -> Tensor:
    """Return a part of maps `[n, C, H, W]`."""
    return x[:, :, place[0], place[1]]


def by_tiles(
    make: Callable[..., Tensor], x: Tensor | Sequence[Tensor], tile: int, margin: int, scale: float = 1.0
) -> Tensor:
    """Return what `make` gives for maps `[n, C, H, W]`, or for several of one size, made part by part.

    Args:
        make: from maps to maps `scale` times as large, of which a number hangs on no more than `margin` around its place.
        tile, margin: in pixels of `x`; both divide by `1 / scale` where that is more than one.
    """
    maps = [x] if isinstance(x, Tensor) else list(x)
    height, width = maps[0].shape[2:]
    made: Tensor | None = None
    for each in tiles((height, width), tile, margin):
        found = part(make(*(part(one, each.outer) for one in maps)), each.within(scale))
        if made is None:
            size = round(height * scale), round(width * scale)
            made = found.new_empty(len(found), found.shape[1], *size).to(memory_format=torch.channels_last)
        part(made, scaled(each.inner, scale)).copy_(found)
    assert made is not None
    return made


def lighter(x: Tensor) -> Tensor:
    """Return a picture in the precision in which a convolution under autocast would see it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


Moments = tuple[Tensor, Tensor]  # mean and variance of each channel `[C]` of one picture


def moments(make: Make, x: Tensor, tile: int, margin: int, scale: float = 1.0) -> Moments:
    """Return mean and variance over a whole map `[1, C, H, W]` that is made part by part and not kept."""
    total = square = torch.zeros((), dtype=torch.float64)
    count = 0
    for each in tiles((x.shape[2], x.shape[3]), tile, margin):
        found = part(make(part(x, each.outer)), each.within(scale)).double()
        total, square = total + found.sum((0, 2, 3)), square + found.square().sum((0, 2, 3))
        count += found.shape[2] * found.shape[3]
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).float()


def own_moments(x: Tensor) -> Moments:
    """Return mean and variance of each channel of a map `[1, C, H, W]`."""
    return moments(lambda whole: whole, x, max(1, int((BAND / x.shape[1]) ** 0.5)), 0)


def frozen_norm(x: Tensor, known: Moments, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Normalise maps `[n, C, H, W]` by moments of a whole picture, as instance norm does by its own."""
    return F.batch_norm(x, *known, weight, bias, eps=1e-5)


def normalise(x: Tensor, known: Moments, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Do so in place, some rows at a time."""
    for band in x.split(max(1, BAND // (x.shape[1] * x.shape[3])), 2):
        band.copy_(frozen_norm(band, known, weight, bias))
    return x


def chained(layers: Sequence[Make], scales: Sequence[float], x: Tensor, tile: int, margin: int) -> Tensor:
    """Return what layers make of a picture `[1, C, H, W]`, with instance norm and ReLU between them, part by part.

    The norms take the whole picture's moments: for each the layers before it are gone through once more.

    Args:
        scales: of what each layer makes, beside `x`.
    """
    known: list[Moments] = []
    for scale in scales[:-1]:
        known.append(moments(partial(through, layers[: len(known) + 1], list(known)), x, tile, margin, scale))
    return by_tiles(partial(through, layers, known), x, tile, margin, scales[-1])


def through(layers: Sequence[Make], known: Sequence[Moments], x: Tensor) -> Tensor:
    """Return what layers make of a part, normalised after each by what is known of the whole."""
    for i, layer in enumerate(layers):
        x = layer(x)
        if i < len(known):
            x = F.relu(frozen_norm(x, known[i]), inplace=True)
    return x
