"""Which examples come when, as a pure function of a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from genloom.core.random import mix


class Stream(Protocol):
    """Which examples come at which place; `Order` is one, data that cannot be gone over at will has its own."""

    def take(self, start: int, count: int) -> Tensor:
        """Return the indices at positions `start ... start + count - 1`, always the same."""


@dataclass
class Order:
    """The endless order of `n` examples: a new permutation each epoch, a pure function of (seed, epoch)."""

    n: int
    seed: int
    _epoch: int = -1
    _permutation: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def take(self, start: int, count: int) -> Tensor:
        """Return the indices at positions `start ... start + count - 1`."""
        parts = []
        while count:
            epoch, offset = divmod(start, self.n)
            part = self.permutation(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def permutation(self, epoch: int) -> Tensor:
        """Return the order of one epoch; the last one asked for is kept."""
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            self._permutation, self._epoch = torch.randperm(self.n, generator=generator), epoch
        return self._permutation
