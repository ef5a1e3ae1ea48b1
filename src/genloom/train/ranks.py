"""Several processes as one: what they agree on, average and share. With a single process all of it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Ranks:
    """The processes that train together.

    Attributes:
        rank, world: the number of this process, and how many there are.
    """

    def __init__(self) -> None:
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if self.world > 1 else 0
        # Of their own group on the CPU, so that agreeing does not wait for a GPU.
        self.group = dist.new_group(backend="gloo") if self.world > 1 and dist.get_backend() != "gloo" else None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def any(self, *mine: bool) -> list[bool]:
        """Return for each of several wishes whether any process has it, by one exchange."""
        if self.world == 1:
            return list(mine)
        wishes = torch.tensor(mine, dtype=torch.uint8)
        dist.all_reduce(wishes, dist.ReduceOp.MAX, group=self.group)
        return [bool(wish) for wish in wishes.tolist()]

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Return figures, the same ones in each process, averaged over the processes."""
        if self.world == 1 or not figures:
            return dict(figures)
        values = torch.tensor([figures[name] for name in sorted(figures)], dtype=torch.float64)
        dist.all_reduce(values, group=self.group)
        return dict(zip(sorted(figures), (values / self.world).tolist(), strict=True))

    def share_bytes(self, mine: bytes) -> bytes:
        """Return what the first process has, in every process."""
        if self.world == 1:
            return mine
        length = torch.tensor(len(mine))
        dist.broadcast(length, 0, group=self.group)
        content = torch.frombuffer(bytearray(mine), dtype=torch.uint8) if self.first and mine else torch.empty(0).byte()
        content = content if self.first else torch.empty(int(length), dtype=torch.uint8)
        if int(length):
            dist.broadcast(content, 0, group=self.group)
        return content.numpy().tobytes()

    @torch.no_grad()
    def share_weights(self, module: nn.Module) -> None:
        """Give every process the first one's weights and buffers: processors of several kinds start unlike."""
        if self.world > 1:
            for value in module.state_dict().values():
                plain = value.contiguous()
                dist.broadcast(plain, 0)
                value.copy_(plain)

    def gather(self, mine: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return the tensors of every process, the same names and sizes in each, in the order of their ranks."""
        if self.world == 1:
            return [dict(mine)]
        found: list[dict[str, Tensor]] = [{} for _ in range(self.world)]
        for name, value in mine.items():
            plain = value.cpu().contiguous()
            parts = [torch.empty_like(plain) for _ in range(self.world)]
            dist.all_gather(parts, plain, group=self.group)
            for each, part in zip(found, parts, strict=True):
                each[name] = part
        return found

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean; a parameter that got none here counts as zero where another process has one."""
        if self.world == 1:
            return
        like = parameters[0]
        got = torch.tensor([float(p.grad is not None) for p in parameters]).to(like)
        flat = torch.cat([*((torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters), got])
        dist.all_reduce(flat)
        *means, got = flat.split([*(p.numel() for p in parameters), len(parameters)])
        absent = any(p.grad is None for p in parameters)  # only then is the count looked at, for which a GPU would wait
        counts = got.tolist() if absent else [1.0] * len(parameters)
        for p, mean, count in zip(parameters, means, counts, strict=True):
            if p.grad is not None:
                p.grad.copy_(mean.view_as(p) / self.world)
            elif count:
                p.grad = (mean / self.world).view_as(p)
