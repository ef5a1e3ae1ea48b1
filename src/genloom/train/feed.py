"""Feeding batches: which examples come when, as a pure function of the seed, and made ahead of the step that needs them.

Nothing here has state that a checkpoint would have to hold: position in, batch out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size
from genloom.core.model import Phase
from genloom.core.order import Order, Stream
from genloom.core.random import STREAMS, mix, stream
from genloom.errors import InputError

AHEAD = 2  # whole batches made before they are needed


def orders(lengths: Mapping[str, int], seed: int) -> dict[str, Stream]:
    """Return an order for each key of the data, each a stream of its own; that of `x` is the seed's plain one."""
    first = stream("order", seed=seed)
    return {key: Order(n, first if key == "x" else mix(first, zlib.crc32(key.encode()))) for key, n in lengths.items()}


class Feed:
    """Makes batches, ahead of time in a thread of its own; the bits are those that it would make without.

    Args:
        ahead: whole batches made before they are needed; 0 makes each when it is asked for, in the same thread.
    """

    def __init__(self, data: Dataset, seed: int, device: torch.device, ahead: int = AHEAD) -> None:
        self.data, self.device, self.ahead = data, device, ahead
        self.seed = stream("order", seed=seed)
        self.orders = orders(data.lengths, seed)
        self.thread = ThreadPoolExecutor(1, "genloom-feed", self.begin_thread)
        self.ready: dict[tuple[int, int], Future[Batch]] = {}

    def begin_thread(self) -> None:
        """Let the thread speak to this process's GPU: a new one begins with the first."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def make(self, start: int, count: int) -> Batch:
        """Return the examples at positions `start ... start + count - 1`, on the device, with their places as `index`."""
        indices = {key: order.take(start, count) for key, order in self.orders.items()}
        generator = torch.Generator().manual_seed(mix(self.seed, start, STREAMS["batch"]))
        batch = {"index": indices["x"], **self.data.batch(indices, generator)}
        if self.device.type == "cpu":
            return batch
        pinned = {
            name: value.pin_memory() if value.device.type == "cpu" and self.device.type == "cuda" else value
            for name, value in batch.items()
        }
        return {name: value.to(self.device, non_blocking=self.device.type == "cuda") for name, value in pinned.items()}

    def get(self, start: int, count: int, step: int) -> Batch:
        """Return the batch at a position, and have those made that follow at intervals of `step`."""
        if not self.ahead:
            return self.make(start, count)
        for stale in [key for key in self.ready if key[1] != count or key[0] + step <= start]:
            self.ready.pop(stale).cancel()
        found = self.ready.pop((start, count), None) or self.thread.submit(self.make, start, count)
        for place in range(start + step, start + self.ahead * step + 1, step):
            if (place, count) not in self.ready:
                self.ready[place, count] = self.thread.submit(self.make, place, count)
        return found.result()

    def close(self) -> None:
        """Make no more batches."""
        self.thread.shutdown(wait=True, cancel_futures=True)


@dataclass
class MicroBatches(Iterator[Batch]):
    """One stream of micro-batches: the m-th is its slice of the m-th whole batch.

    With `k` streams, which are gradient accumulation, in each of `w` processes a whole batch is cut into `k * w` slices.
    """

    feed: Feed
    clock: Clock
    phase: Phase
    whole: int
    slice_index: int
    slices: int
    position: int = 0

    def __next__(self) -> Batch:
        count = self.whole // self.slices
        batch = self.feed.get(self.position + self.slice_index * count, count, self.whole)
        self.position += self.whole
        self.clock.examples = max(self.clock.examples, self.position)  # every stream takes the same number of batches
        return self.phase.view(batch, self.clock) if self.phase.view else batch


def check_batch(batch: int, micro: int | None, phases: Sequence[Phase], data: Dataset, world: int) -> int:
    """Return the streams a process needs, or raise InputError where the batch does not fit data, processes or streams."""
    batches, n = [phase.batch or batch for phase in phases], size(data)
    whole = max(batches)
    if whole > n:
        raise InputError(f"a batch of {whole} is larger than the data, which has {n} examples; use --batch {n} or less")
    for each in batches:
        if each % world:
            raise InputError(f"a batch of {each} cannot be shared evenly by {world} processes; use a multiple of {world}")
    part = whole // world
    streams = -(-part // min(micro or part, part))
    for each in batches:
        if each % (world * streams):
            raise InputError(f"--micro {micro} does not divide a batch of {each // world}; use a divisor of it")
    return streams
