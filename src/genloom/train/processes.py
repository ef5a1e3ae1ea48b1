"""Several processes that train one model together."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist

PATIENCE = timedelta(hours=2)  # with which others wait while the first one decodes, judges or writes


def start_processes(device: str) -> None:
    """Join the group where torchrun has started several processes, and leave it when Python ends."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        # Imported later (optimizers do), its functions' defaults would hold the group for ever; its threads would then
        # outlive Python and, now and then, abort the process.
        import torch.distributed.nn.functional

        if torch.cuda.is_available() and device != "cpu":
            # Some launchers number the ranks of all machines alone; each machine then has as many as GPUs.
            local = int(os.environ.get("LOCAL_RANK", int(os.environ["RANK"]) % torch.cuda.device_count()))
            torch.cuda.set_device(local)
            dist.init_process_group("nccl", timeout=PATIENCE, device_id=torch.device("cuda", local))
        else:
            dist.init_process_group("gloo", timeout=PATIENCE)
        atexit.register(leave_processes)


def leave_processes() -> None:
    """End the group, and its threads, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def main_process() -> bool:
    """Whether this is the process that writes and prints; torchrun says it before the group is made."""
    return dist.get_rank() == 0 if dist.is_initialized() else os.environ.get("RANK", "0") == "0"


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def meet() -> None:
    """Wait for the other processes, where there are any."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something, then the others: what it made lies in the cache."""
    if not main_process():
        meet()
    yield
    if main_process():
        meet()
