"""Cells of a table on their way into a net and out of it, and the nets between: fully connected, with residuals."""

# B batch, D columns, W numbers that the cells become, C columns of categories

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import largest_singular_value
from genloom.nn.dense import exactly, full_precision
from genloom.shapes.columns import WEEK, YEAR, Column


class Cells(nn.Module):
    """Spreads coded cells `[B, D]` into numbers `[B, W]`, and reads a net's W outputs back as cells.

    A number stays one number, a category becomes one of as many, side by side. The numbers come first.
    """

    numbers: Tensor
    choices: Tensor
    start: Tensor
    owner: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        numbers = [d for d, column in enumerate(columns) if not column.levels]
        choices = [d for d, column in enumerate(columns) if column.levels]
        self.levels, self.chosen = [columns[d].levels for d in choices], choices
        start = [len(numbers) + sum(self.levels[:i]) for i in range(len(choices))]
        owner = numbers + [d for d, levels in zip(choices, self.levels, strict=True) for _ in range(levels)]
        for name, places in (("numbers", numbers), ("choices", choices), ("start", start), ("owner", owner)):
            self.register_buffer(name, torch.tensor(places, dtype=torch.long), persistent=False)
        self.width = len(owner)

    def spread(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the numbers `[B, W]` of cells `[B, D]`, zero for cells outside of the mask."""
        w = x
        if self.levels:
            place = x[:, self.choices].long() + self.start - len(self.numbers)
            chosen = x.new_zeros(x.shape[0], self.width - len(self.numbers)).scatter(1, place, 1.0)
            w = torch.cat([x[:, self.numbers], chosen], 1)
        return w if mask is None else w * mask[:, self.owner]

    def read(self, w: Tensor) -> Tensor:
        """Return the cells `[B, D]` of numbers `[B, W]`: of a category, the one with the largest."""
        x = w.new_empty(w.shape[0], len(self.numbers) + len(self.choices))
        x[:, self.numbers] = w[:, : len(self.numbers)]
        for d, part in zip(self.chosen, self.parts(w), strict=True):
            x[:, d] = part.argmax(1).to(w.dtype)
        return x

    def parts(self, w: Tensor) -> Sequence[Tensor]:
        """Return the numbers `[B, levels]` of each column of categories."""
        return w[:, len(self.numbers) :].split(self.levels, 1) if self.levels else ()

    def loss(self, w: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of outputs `[B, W]` for cells `[B, D]`, a mean over cells by their weights `[B, D]`.

        Squared error of numbers, cross-entropy of categories, from logits.
        """
        n = len(self.numbers)
        total = ((w[:, :n] - x[:, self.numbers]).square() * weight[:, self.numbers]).sum()
        for d, part in zip(self.chosen, self.parts(w), strict=True):
            total = total + (F.cross_entropy(part, x[:, d].long(), reduction="none") * weight[:, d]).sum()
        return total / weight.sum().clamp_min(1)

    def pick(self, w: Tensor, noise: Tensor) -> Tensor:
        """Return outputs `[B, W]` with the logits of each category turned into a drawn one-hot.

        Gumbel's trick, from uniform noise `[B, W]`; the gradient is that of the softmax (Jang et al. 2017).
        """
        if not self.levels:
            return w
        n = len(self.numbers)
        gumbel = -(-noise.clamp(1e-9, 1 - 1e-7).log()).log()
        drawn = [w[:, :n]]
        for logits in self.parts(w + gumbel):
            soft = logits.softmax(1)
            hard = F.one_hot(soft.argmax(1), soft.shape[1]).to(soft.dtype)
            drawn.append(hard + soft - soft.detach())
        return torch.cat(drawn, 1)


class UnitCells(nn.Module):
    """Cells of rows `[..., D]` as numbers in [0, 1] `[..., W]`, by the least and greatest of each column, and back."""

    low: Tensor
    span: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.cells = Cells(columns)
        plain = [column for column in columns if not column.levels]
        low, high = ([(end - c.mean) / c.scale for end, c in zip(ends, plain, strict=True)] for ends in ends_of(plain))
        self.register_buffer("low", torch.tensor(low), persistent=False)
        self.register_buffer("span", torch.tensor(high) - torch.tensor(low) + 1e-7, persistent=False)

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return self.cells.width

    def enter(self, x: Tensor) -> Tensor:
        """Return the numbers of coded cells."""
        w = self.cells.spread(x.flatten(0, -2))
        n = len(self.low)
        return torch.cat([(w[:, :n] - self.low) / self.span, w[:, n:]], 1).view(*x.shape[:-1], -1)

    def leave(self, w: Tensor) -> Tensor:
        """Return the coded cells of numbers."""
        flat, n = w.flatten(0, -2), len(self.low)
        cells = self.cells.read(torch.cat([flat[:, :n] * self.span + self.low, flat[:, n:]], 1))
        return cells.view(*w.shape[:-1], -1)


def ends_of(columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    """Return the least and the greatest value of columns of numbers."""
    return [column.low for column in columns], [column.high for column in columns]


class Calendar(nn.Module):
    """The day of the week and of the year of each date among the cells, as points on a circle: `[B, 4 x dates]`."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.dates = [(d, column.mean, column.scale) for d, column in enumerate(columns) if column.kind == "date"]
        self.width = 4 * len(self.dates)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = [x.new_zeros(x.shape[0], 0)]
        for d, mean, scale in self.dates:
            wide = torch.float32 if x.device.type == "mps" else torch.float64  # single precision would lose the day
            seconds = x[:, d].to(wide) * scale + mean
            for period in (WEEK, YEAR):
                angle = 2 * math.pi * (seconds / period)
                parts.append((torch.stack([angle.sin(), angle.cos()], 1) * mask[:, d, None]).to(x.dtype))
        return torch.cat(parts, 1)


class Residual(nn.Module):
    """A normalised two-layer step beside a shortcut: `[B, width] -> [B, width]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.outer(F.silu(self.inner(self.norm(h))))


class Bounded(nn.Linear):
    """A linear layer whose weight is divided by its largest singular value, so that no input is stretched.

    The spectral norm of `nn.conv` without its parametrization, which cannot be copied and takes several times as long for
    small layers.
    """

    along: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("along", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):  # bf16 would lose the singular value's third digit
            scale = largest_singular_value(self.weight, self.along, self.training)
        return F.linear(x, self.weight / scale, self.bias)


class Exact(nn.Linear):
    """A last layer in full precision, also under bf16 autocast."""

    def forward(self, x: Tensor) -> Tensor:
        return exactly(self, x) if self.weight.dtype == torch.float32 else super().forward(x)
