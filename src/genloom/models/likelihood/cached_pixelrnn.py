"""PixelRNN one pixel at a time: the same sums as the whole network, each done once.

At the start of a row everything that only the rows above decide is computed for the whole row: in the diagonal kind that
is also the right-to-left layer, which is moved down by one row. A pixel then costs one cell of the LSTM a layer.
"""

# B batch, C channels of the picture, h features of a state, W width, L layers

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genloom.models.likelihood.autoregressive import Incremental
from genloom.models.likelihood.cached_pixelcnn import CachedEnd, Rows, Window, placed
from genloom.nn.recurrent import cell, gates_


class CachedRecurrent(Incremental):
    """What both kinds share.

    `states`, `memory` `[L, W, B, h]` and `maps` `[L, W, B, 2h]` are those of this row, overwritten from left to right;
    `base` `[L, W, B, 4h]` and `lift` `[L, W, B, 2h]` are what the rows above add to the gates and to the map.
    """

    base: Tensor

    def __init__(self, network: Any, n: int, dims: tuple[int, int]) -> None:
        channels, self.last = dims
        self.width = self.last + network.extra
        first, self.layers = network.first, list(network.layers)
        like = first.own.weight
        self.first, self.above = Window(first.own, n, self.width, like), first.above
        self.pixels = Rows(n, channels, first.above.rows, self.width, like)
        self.end = CachedEnd(network)
        self.ups = torch.stack([layer.up.flat() for layer in self.layers])
        self.lift = torch.stack([layer.up.bias for layer in self.layers])[:, None, None].expand(-1, self.width, n, -1)
        start = torch.stack([layer.start for layer in self.layers], 1)  # [2, L, D, h]
        self.start = start[:, :, 0, None, None].expand(-1, -1, self.width, n, -1)
        self.states, self.memory = self.start.clone()
        self.maps = like.new_zeros(len(self.layers), self.width, n, self.ups.shape[2])
        self.weights = self.cell_weights()
        self.fresh = True
        self.place, self.row = network.place, 0

    def cell_weights(self) -> Tensor:
        """Return the weights `[L, what is to the left + 2h, 4h]` of a cell."""
        raise NotImplementedError

    def rows_above(self) -> None:
        """Set `base`, and `lift` where it changes, from the row that is complete."""
        raise NotImplementedError

    def left(self, i: int, column: int) -> Tensor:
        """Return what a cell of layer `i` sees to its left `[B, ...]`."""
        raise NotImplementedError

    def memory_before(self, i: int, column: int) -> Tensor:
        """Return the memory `[B, h]` with which a cell of layer `i` begins."""
        raise NotImplementedError

    def begin_row(self) -> None:
        if not self.fresh:
            for column in range(self.last, self.width):
                self.pixel(column)
        base = self.above.row(self.pixels.push(self.first.whole())) + self.first.bias
        self.first_base = placed(base, self.place, self.row).unbind()
        self.row += 1
        self.rows_above()
        self.fresh = False

    def see(self, column: int, x: Tensor) -> None:
        self.first.put(column, x)

    def pixel(self, column: int) -> Tensor:
        h = self.first.look(column, self.first_base[column])
        maps = []
        for i in range(len(self.layers)):
            self.maps[i, column] = h
            wide = torch.addmm(self.base[i, column], torch.cat([self.left(i, column), h], 1), self.weights[i])
            self.memory[i, column], state = cell(gates_(wide), self.memory_before(i, column))
            self.states[i, column] = state
            h = h + torch.addmm(self.lift[i, column], state, self.ups[i])
            maps.append(h)
        return self.end(maps)


class CachedRow(CachedRecurrent):
    """The Row LSTM: a cell takes its memory from the row above, and sees its own map's left neighbour."""

    def cell_weights(self) -> Tensor:
        return torch.stack([layer.below[0].flat() for layer in self.layers])

    def rows_above(self) -> None:
        padded = torch.cat([self.start[0, :, :1], self.states, self.start[0, :, :1]], 1)
        window = torch.cat([padded[:, 1:-1], padded[:, :-2], padded[:, 2:]], 3)
        self.base = torch.stack([window[i] @ layer.states[0] + layer.below[0].bias for i, layer in enumerate(self.layers)])
        self.memory_above = self.memory.clone()

    def left(self, i: int, column: int) -> Tensor:
        return self.maps[i, column - 1] if column else torch.zeros_like(self.maps[i, 0])

    def memory_before(self, i: int, column: int) -> Tensor:
        return self.memory_above[i, column]


class CachedDiagonal(CachedRecurrent):
    """The Diagonal BiLSTM: a cell takes memory and state from its left; the right-to-left layer is one row behind."""

    def __init__(self, network: Any, n: int, dims: tuple[int, int]) -> None:
        super().__init__(network, n, dims)
        start = torch.stack([layer.start[:, 1] for layer in self.layers], 1)[:, :, None]  # [2, L, 1, h]
        self.back_start = start.expand(-1, -1, n, -1)
        self.back = start[0][:, :, None].expand(-1, self.width, n, -1)  # [L, W, B, h], from the right

    def cell_weights(self) -> Tensor:
        h = self.ups.shape[1]
        return torch.stack([torch.cat([layer.states[0, :h], layer.below[0].flat()]) for layer in self.layers])

    def rows_above(self) -> None:
        h = self.ups.shape[1]
        states = torch.stack([layer.states for layer in self.layers])  # [L, D, 2h, 4h]
        bias = torch.stack([layer.below[0].bias for layer in self.layers])[:, None, None]
        self.base = self.states @ states[:, 0, None, h:] + bias
        if not self.fresh:
            self.back = self.right_to_left(states[:, 1])
            self.lift = self.back.flip(1) @ self.ups[:, None] + torch.stack([p.up.bias for p in self.layers])[:, None, None]

    def right_to_left(self, weights: Tensor) -> Tensor:
        """Return the states `[L, W, B, h]`, from the right, of the row that is complete: all layers at once."""
        h = self.ups.shape[1]
        below = torch.stack([layer.below[1].flat() for layer in self.layers])[:, None]
        bias = torch.stack([layer.below[1].bias for layer in self.layers])[:, None, None]
        wide = self.maps.flip(1) @ below + self.back @ weights[:, None, h:] + bias
        state, memory = self.back_start
        found = []
        for column in range(self.width):
            memory, state = cell(gates_(torch.baddbmm(wide[:, column], state, weights[:, :h])), memory)
            found.append(state)
        return torch.stack(found, 1)

    def left(self, i: int, column: int) -> Tensor:
        return self.states[i, column - 1] if column else self.start[0, i, 0]

    def memory_before(self, i: int, column: int) -> Tensor:
        return self.memory[i, column - 1] if column else self.start[1, i, 0]
