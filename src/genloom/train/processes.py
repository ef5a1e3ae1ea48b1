"""Several processes that train one model together."""

from __future__ import annotations

import atexit
import os

import torch.distributed as dist


def start_processes(device: str) -> None:
    """Join the group where torchrun has started several processes, and leave it when Python ends."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        # Imported later (optimizers do), its functions' defaults would hold the group for ever; its threads would then
        # outlive Python and, now and then, abort the process.
        import torch.distributed.nn.functional

        cuda = torch.cuda.is_available() and device != "cpu"
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(leave_processes)


def leave_processes() -> None:
    """End the group, and its threads, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def main_process() -> bool:
    """Whether this is the process that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def meet() -> None:
    """Wait for the other processes, where there are any."""
    if dist.is_initialized():
        dist.barrier()
