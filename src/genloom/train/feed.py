"""Dealing batches: the order of examples, and the randomness of a round, as pure functions of the seed.

Nothing here has state that a checkpoint would have to hold: position in, batch out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genloom.core.clock import Clock
from genloom.core.model import Batch, Dataset, Phase
from genloom.core.random import mix
from genloom.errors import InputError


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


@dataclass
class Hand(Iterator[Batch]):
    """One micro-batch stream of one rank: the m-th batch is its slice of the m-th whole batch.

    With `k` hands on each of `w` ranks a whole batch is cut into `k * w` slices.
    """

    data: Dataset
    order: Order
    clock: Clock
    phase: Phase
    whole: int
    slice_index: int
    slices: int
    device: torch.device
    position: int = 0

    def __next__(self) -> Batch:
        size = self.whole // self.slices
        start = self.position + self.slice_index * size
        index = self.order.take(start, size)
        generator = torch.Generator().manual_seed(mix(self.order.seed, start, 1))
        batch = self.data.batch(index, generator)
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        self.position += self.whole
        self.clock.examples = max(self.clock.examples, self.position)  # every hand deals the same number of batches
        return self.phase.view(batch, self.clock) if self.phase.view else batch


def check_batch(batch: int, micro: int | None, phases: Sequence[Phase], n: int, world: int) -> int:
    """Return the hands a rank needs, or raise InputError where the batch does not fit data, ranks or hands."""
    batches = [phase.batch or batch for phase in phases]
    whole = max(batches)
    if whole > n:
        raise InputError(f"a batch of {whole} is larger than the data, which has {n} examples; use --batch {n} or less")
    if whole % world:
        raise InputError(f"a batch of {whole} cannot be shared evenly by {world} processes; use a multiple of {world}")
    part = whole // world
    hands = -(-part // min(micro or part, part))
    for each in batches:
        if each % (world * hands):
            raise InputError(f"--micro {micro} does not divide a batch of {each // world}; use a divisor of it")
    return hands
