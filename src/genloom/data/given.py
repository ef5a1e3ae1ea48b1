"""Data that a program hands over: an object with a shape, a length and batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genloom.errors import InputError
from genloom.shapes.base import Shape

NEEDED = ("shape", "__len__", "batch")


class Given:
    """An object with `shape`, `__len__` and `batch(index, generator)` as a data set.

    Raises:
        InputError: it lacks one of them.
    """

    def __init__(self, data: Any) -> None:
        lacking = [name for name in NEEDED if not hasattr(data, name)]
        if lacking:
            raise InputError(
                f"data is a source to name, or an object with `shape`, `__len__` and `batch`; one of "
                f"{type(data).__name__} has no `{lacking[0]}`: save arrays as .npy"
            )
        if not isinstance(data.shape, Shape):
            raise InputError(f"the `shape` of data is a genloom Shape, such as PointShape(columns=3), got {data.shape!r}")
        self.data = data
        self.shape = data.shape
        self.source: str = getattr(data, "source", "python")
        self.notes: Sequence[str] = list(getattr(data, "notes", []))
        self.fingerprint: str = getattr(data, "fingerprint", None) or sampled_fingerprint(data)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.data)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return what the object gives for these places."""
        return dict(self.data.batch(indices["x"], generator))

    def to(self, device: torch.device) -> Given:
        """Return the same: where its batches are made is the object's affair."""
        return self


def sampled_fingerprint(data: Any) -> str:
    """Hash the count and 64 evenly spread examples of an object."""
    batch = data.batch(torch.linspace(0, len(data) - 1, min(64, len(data))).long(), torch.Generator().manual_seed(0))
    digest = hashlib.blake2b(str(len(data)).encode(), digest_size=16)
    for name, value in sorted(batch.items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
