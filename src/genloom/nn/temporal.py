"""Convolutions along time: what makes windows of a record finer, and what tells made ones from real ones."""

# B batch, T rows of a window, C channels

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.cells import Exact

DILATIONS = (1, 2, 4, 8)


class Step(nn.Module):
    """A dilated convolution of three rows and a product, beside a shortcut: `[B, C, T] -> [B, C, T]`."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.along = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.across = nn.Conv1d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.across(F.silu(self.along(F.silu(h))))


class Refiner(nn.Module):
    """Rows `[B, T, inputs]` to what is to be added to them `[B, T, outputs]`: nothing, at first."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, width, 3, padding=1)
        self.steps = nn.Sequential(*(Step(width, dilation) for dilation in DILATIONS))
        self.leave = Exact(width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.steps(self.enter(x.mT)))
        return self.leave(h.mT)


class TemporalCritic(nn.Module):
    """Rows `[B, T, inputs]` with their differences, and what stands beside them, to a logit `[B]`."""

    def __init__(self, inputs: int, beside: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(2 * inputs + beside, width, 3, padding=1)
        self.steps = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in DILATIONS[:3])
        self.wide, self.leave = nn.Linear(2 * width, width), Exact(width, 1)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        changes = F.pad(x.diff(dim=1), (0, 0, 1, 0))
        h = F.leaky_relu(self.enter(torch.cat([x, changes, beside], 2).mT), 0.2)
        for step in self.steps:
            h = h + F.leaky_relu(step(h), 0.2)
        pooled = torch.cat([h.mean(2), h.square().mean(2)], 1)
        return self.leave(F.leaky_relu(self.wide(pooled), 0.2))[:, 0]
