"""LSTMs that run over a picture by fronts: rows, or diagonals, each front from the one before.

Maps are `[D, H * W, B, F]`: cells first, so that a front is one slice, and D directions side by side. A diagonal of an
unskewed map is a slice with a step of W - 1: the skewing of van den Oord et al. 2016 costs nothing, and no cell outside
of the picture is ever computed. What lies outside has the learnt initial state.
"""

# D directions, H height, W width, B batch, F features, K taps

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Front:
    """Cells computed at once: their slice of the map, and which places `[low, high)` of the running state they hold."""

    cells: slice
    low: int
    high: int


@dataclass(frozen=True)
class Route:
    """The fronts in order, the number of places, and where a cell looks for the states before, relative to its place."""

    fronts: tuple[Front, ...]
    places: int
    taps: tuple[int, ...]


def by_rows(height: int, width: int) -> Route:
    """A cell sees the three nearest states of the row above."""
    fronts = (Front(slice(row * width, (row + 1) * width), 0, width) for row in range(height))
    return Route(tuple(fronts), width, (0, -1, 1))


def by_diagonals(height: int, width: int) -> Route:
    """A cell sees the states to its left and above: both lie on the diagonal before, at its own place and the one above."""
    step = max(1, width - 1)
    fronts = []
    for t in range(height + width - 1):
        low, high = max(0, t - width + 1), min(height, t + 1)
        start = t + low * (width - 1)
        fronts.append(Front(slice(start, start + (high - low - 1) * step + 1, step), low, high))
    return Route(tuple(fronts), height, (0, -1))


class Scan(torch.autograd.Function):
    """The recurrence, forwards and backwards: a step is a few sums over a whole front.

    `apply(wide, weight, h0, c0, route)`: what the cells see of the layer below `[D, H * W, B, 4F]`, the weight
    `[D, K * F, 4F]` of the states before, the initial state `[D, F]` and memory `[D, F]`. Returns the states
    `[D, H * W, B, F]`. Gates lie as in the paper's eq. (3): output, forget, input, then the content.
    """

    @staticmethod
    def forward(ctx: Any, wide: Tensor, weight: Tensor, h0: Tensor, c0: Tensor, route: Route) -> Tensor:
        directions, cells, batch, _ = wide.shape
        features = h0.shape[1]
        state = outside(h0, route.places + 2, batch)  # a border on either side
        memory = outside(c0, route.places, batch)
        out = wide.new_empty(directions, cells, batch, features)
        kept = []
        for front in route.fronts:
            before = torch.cat([state[:, front.low + 1 + tap : front.high + 1 + tap] for tap in route.taps], 3)
            z = torch.bmm(before.flatten(1, 2), weight).view(directions, -1, batch, 4 * features)
            z += wide[:, front.cells]
            gates_(z)
            old = memory[:, front.low : front.high].clone()
            new, h = cell(z, old)
            memory[:, front.low : front.high] = new
            state[:, front.low + 1 : front.high + 1] = h
            out[:, front.cells] = h
            kept += [before, z, old, new]
        ctx.save_for_backward(weight, *kept)
        ctx.route = route
        return out

    @staticmethod
    @once_differentiable  # its own backward pass has none
    def backward(ctx: Any, grad: Tensor) -> Any:
        weight, *kept = ctx.saved_tensors
        route: Route = ctx.route
        directions, cells, batch, features = grad.shape
        back = weight.transpose(1, 2).contiguous()
        to_wide = grad.new_empty(directions, cells, batch, 4 * features)
        to_state = grad.new_zeros(directions, route.places + 2, batch, features)
        to_memory = grad.new_zeros(directions, route.places, batch, features)
        to_weight = torch.zeros_like(weight)
        for i in range(len(route.fronts) - 1, -1, -1):
            front = route.fronts[i]
            before, z, old, new = kept[4 * i : 4 * i + 4]
            at = slice(front.low + 1, front.high + 1)
            g, to_memory[:, front.low : front.high] = cell_backward(
                z, old, new, grad[:, front.cells] + to_state[:, at], to_memory[:, front.low : front.high]
            )
            to_wide[:, front.cells] = g
            g = g.flatten(1, 2)
            to_weight.baddbmm_(before.flatten(1, 2).transpose(1, 2), g)
            parts = torch.bmm(g, back).view(directions, -1, batch, len(route.taps) * features).split(features, 3)
            to_state[:, at] = 0
            for tap, part in zip(route.taps, parts, strict=True):
                to_state[:, front.low + 1 + tap : front.high + 1 + tap] += part
        return to_wide, to_weight, to_state.sum((1, 2)), to_memory.sum((1, 2)), None


def outside(start: Tensor, places: int, batch: int) -> Tensor:
    """Return the initial state `[D, F]` at every place `[D, places, B, F]`."""
    return start[:, None, None].expand(-1, places, batch, -1).clone()


def gates_(z: Tensor) -> Tensor:
    """Turn sums `[..., 4F]` into gates in place: three sigmoids and a tanh."""
    content = z[..., 3 * z.shape[-1] // 4 :].tanh()
    z.sigmoid_()[..., -content.shape[-1] :] = content  # the whole at once: a slice would not be vectorised
    return z


def cell(z: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return memory and state `[..., F]` after gates `[..., 4F]` and the memory before. Equation (3) of the paper."""
    o, f, i, g = z.chunk(4, -1)
    memory = (f * memory).addcmul_(i, g)
    return memory, o * memory.tanh()


def cell_backward(z: Tensor, old: Tensor, new: Tensor, to_state: Tensor, to_memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of a cell: to the sums before the gates `[..., 4F]` and to the memory before `[..., F]`."""
    o, f, i, g = z.chunk(4, -1)
    squashed = new.tanh()
    to_memory = to_memory + to_state * o * (1 - squashed * squashed)
    gates = z[..., : 3 * f.shape[-1]]
    to_gates = torch.cat([to_state * squashed, to_memory * old, to_memory * g], -1)
    return torch.cat([to_gates * gates * (1 - gates), to_memory * i * (1 - g * g)], -1), to_memory * f


def scan(wide: Tensor, weight: Tensor, start: Sequence[Tensor], route: Route) -> Tensor:
    """Return the states `[D, H * W, B, F]` of an LSTM that runs along `route`; see `Scan`."""
    states: Tensor = Scan.apply(wide, weight, *start, route)
    return states
