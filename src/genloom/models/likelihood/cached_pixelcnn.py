"""PixelCNN one pixel at a time: the same sums as the whole network, each done once.

At the start of a row everything that only the rows above decide is computed for the whole row. A pixel then costs
a few small matrix products a layer: its window of the row so far, laid out flat, times the layer's taps.
"""

# B batch, C channels of the picture, F features, W width

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.models.likelihood.autoregressive import Incremental
from genloom.nn.causal import Own


class Window:
    """One row of a map, flat `[B, (reach + W) * F]`, so that a pixel's taps are one slice of it."""

    def __init__(self, own: Own, n: int, width: int, like: Tensor) -> None:
        self.reach, self.taps = own.reach, own.taps
        self.weight = own.flat()  # [taps * F, outputs]
        self.bias = own.bias
        self.features = own.weight.shape[1]
        self.row = like.new_zeros(n, (self.reach + width) * self.features)
        starts = range(0, width * self.features, self.features)  # views are cut once: cutting costs as much as a product
        self.windows = [self.row[:, start : start + self.taps * self.features] for start in starts]
        self.cells = self.row.unflatten(1, (-1, self.features)).unbind(1)[self.reach :]

    def put(self, column: int, x: Tensor) -> None:
        """Set the features `[B, F]` of a column."""
        self.cells[column].copy_(x)

    def look(self, column: int, base: Tensor) -> Tensor:
        """Return `base` `[B, outputs]` plus what the pixel sees of its row."""
        return torch.addmm(base, self.windows[column], self.weight)

    def whole(self) -> Tensor:
        """Return the row as a map `[B, F, 1, W]`."""
        return self.row[:, self.reach * self.features :].unflatten(1, (-1, self.features)).permute(0, 2, 1)[:, :, None]

    @staticmethod
    def cut(base: Tensor) -> Any:
        """Return what `[W, B, C]` holds of each column."""
        return base.unbind()


class IndexedWindow(Window):
    """The same for columns that are tensors, so that one graph serves all; its row is replaced, never written into."""

    def put(self, column: Any, x: Tensor) -> None:
        cells = self.row.unflatten(1, (-1, self.features))
        here = torch.arange(cells.shape[1], device=x.device) == column + self.reach
        self.row = torch.where(here[:, None], x[:, None], cells).flatten(1)

    def look(self, column: Any, base: Tensor) -> Tensor:
        places = torch.arange(self.taps, device=base.device) + column
        seen = self.row.unflatten(1, (-1, self.features)).index_select(1, places)
        return torch.addmm(base, seen.flatten(1), self.weight)

    @staticmethod
    def cut(base: Tensor) -> Any:
        return Columns(base)


class Columns:
    """What `[W, B, C]` holds of a column that is a tensor."""

    def __init__(self, base: Tensor) -> None:
        self.base = base

    def __getitem__(self, column: Tensor) -> Tensor:
        return self.base.index_select(0, column.view(1))[0]


class Rows:
    """The last rows of a map `[B, F, rows, W]`."""

    def __init__(self, n: int, features: int, rows: int, width: int, like: Tensor) -> None:
        self.rows = like.new_zeros(n, features, rows, width)

    def push(self, row: Tensor) -> Tensor:
        """Append a row `[B, F, 1, W]`, dropping the oldest, and return them all."""
        self.rows = torch.cat([self.rows[:, :, 1:], row], 2)
        return self.rows


class Linear:
    """A pointwise layer on `[B, F]`."""

    def __init__(self, own: Own) -> None:
        self.weight, self.bias = own.flat(), own.bias

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


class CachedEnd:
    """The last layers of a net: of the maps `[B, inputs]` of one pixel, one of each layer, the logits `[B, outputs]`."""

    def __init__(self, network: Any) -> None:
        self.seen = network.seen
        self.layers = [Linear(layer) for layer in (network.head, *network.deeper, network.out)]

    def __call__(self, maps: list[Tensor]) -> Tensor:
        h = torch.cat(maps[-self.seen :], 1) if self.seen > 1 else maps[-1]
        for layer in self.layers:
            h = layer(F.relu(h))
        return h


def placed(row: Tensor, place: Any, number: Any) -> Tensor:
    """Return a row of a map `[W, B, C]` with the bias of its places added, where there are any."""
    return row if place is None else row + at(place(), 1, number)[:, 0].t()[:, None]


def at(x: Tensor, dim: int, place: Any) -> Tensor:
    """Return one place of a dimension, which stays; by a number, or by a tensor that holds one."""
    return x.index_select(dim, place.view(1)) if isinstance(place, Tensor) else x.narrow(dim, place, 1)


class CachedPlain(Incremental):
    """The plain PixelCNN."""

    def __init__(self, network: Any, n: int, dims: tuple[int, int], window: type[Window] = Window) -> None:
        channels, width = dims
        first = network.first
        like = first.own.weight
        self.cut = window.cut
        self.above = first.above
        self.place = network.place
        self.row = 0
        self.blocks = list(network.blocks)
        self.windows = [window(own, n, width, like) for own in (first.own, *(block.causal.own for block in self.blocks))]
        self.rows = [Rows(n, channels, first.above.rows, width, like)]
        for block in self.blocks:
            self.rows.append(Rows(n, block.causal.own.weight.shape[1], block.causal.above.rows, width, like))
        self.down, self.up = [
            [Linear(part) for part in parts]
            for parts in zip(*((block.down, block.up) for block in self.blocks), strict=True)
        ]
        self.end = CachedEnd(network)

    def begin_row(self) -> None:
        layers = [self.above, *(block.causal.above for block in self.blocks)]
        bases = [
            layer.row(rows.push(window.whole())) + window.bias
            for layer, rows, window in zip(layers, self.rows, self.windows, strict=True)
        ]
        bases[0] = placed(bases[0], self.place, self.row)
        self.bases = [self.cut(base) for base in bases]
        self.row = self.row + 1  # not in place: it may be a tensor of the caller

    def see(self, column: int, x: Tensor) -> None:
        self.windows[0].put(column, x)

    def pixel(self, column: int) -> Tensor:
        h = self.windows[0].look(column, self.bases[0][column])
        maps = []
        for window, base, down, up in zip(self.windows[1:], self.bases[1:], self.down, self.up, strict=True):
            window.put(column, F.relu(down(F.relu(h))))
            h = h + up(F.relu(window.look(column, base[column])))
            maps.append(h)
        return self.end(maps)


class CachedGated(Incremental):
    """The gated PixelCNN."""

    def __init__(self, network: Any, n: int, dims: tuple[int, int], y: Tensor | None, window: type[Window] = Window) -> None:
        _, width = dims
        self.cut = window.cut
        self.layers = list(network.layers)
        like = network.head.weight
        self.windows = [window(layer.own, n, width, like) for layer in self.layers]
        # The first layer sees rows above alone; the others see their own row of v as well.
        self.rows = [
            Rows(n, layer.vertical.in_channels, layer.far + (not layer.first), width, like) for layer in self.layers
        ]
        self.biases = [list(layer.biases(y)) for layer in self.layers]
        self.row = 0
        self.mix = [Linear(layer.mix) for layer in self.layers]
        self.end = CachedEnd(network)

    def begin_row(self) -> None:
        v = self.windows[0].whole()  # of the picture: the row above
        self.bases = []
        for layer, rows, biases, window in zip(self.layers, self.rows, self.biases, self.windows, strict=True):
            v = layer.vertical(F.pad(rows.push(v), (layer.far, layer.far)))  # [B, 2F, 1, W]
            base = layer.link(v) + window.bias[:, None, None]
            for of_v, of_h in biases:
                row = self.row if of_v.shape[2] > 1 else 0  # of a label there is one for all rows
                v, base = v + at(of_v, 2, row), base + at(of_h, 2, row)
            self.bases.append(self.cut(base[:, :, 0].permute(2, 0, 1).contiguous()))
            a, b = v.chunk(2, 1)
            v = torch.tanh(a) * torch.sigmoid(b)
        self.row = self.row + 1  # not in place: it may be a tensor of the caller

    def see(self, column: int, x: Tensor) -> None:
        self.windows[0].put(column, x)

    def pixel(self, column: int) -> Tensor:
        maps: list[Tensor] = []
        for window, base, mix in zip(self.windows, self.bases, self.mix, strict=True):
            if maps:
                window.put(column, maps[-1])
            a, b = window.look(column, base[column]).chunk(2, 1)
            out = mix(a.tanh_().mul_(b.sigmoid_()))
            maps.append(maps[-1] + out if maps else out)
        return self.end(maps)
