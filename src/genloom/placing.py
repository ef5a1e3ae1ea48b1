"""Numbers on a device: whether data has room there, and how indices come there without a wait."""

from __future__ import annotations

import torch
from torch import Tensor


def has_room(device: torch.device, nbytes: int) -> bool:
    """Whether a GPU can hold so many bytes in a quarter of its free memory, so that batches are cut there."""
    return device.type == "cuda" and nbytes < torch.cuda.mem_get_info(device)[0] / 4


def there(index: Tensor, like: Tensor) -> Tensor:
    """Return places where a tensor is, without waiting for a GPU."""
    if like.device.type == "cuda" and index.device.type == "cpu":
        return index.pin_memory().to(like.device, non_blocking=True)
    return index.to(like.device)
