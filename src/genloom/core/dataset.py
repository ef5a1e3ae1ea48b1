"""What training asks of data: the protocol, and the two things that are done with any data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genloom.shapes.base import Shape

Batch = Mapping[str, Tensor]  # always "x"; else "y", "mask", "b", "neighbour", ...; "index" says which examples they are


class Dataset(Protocol):
    """Examples to train on, of which any may be asked for at any time.

    Attributes:
        shape: what one example is.
        source: what the person named, or "python" for data made by a program.
        fingerprint: a name for exactly this content: a run refuses to go on with data of another one.
        notes: what a person should know of how the data was read.
        lengths: how many examples there are by key. `x` is always there; a second domain, say, has a key and a length of
            its own, and comes in an order of its own.
    """

    @property
    def shape(self) -> Shape: ...

    @property
    def source(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def lengths(self) -> Mapping[str, int]: ...

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return the examples at the places `[n]` of each key, as tensors `[n, ...]`; pictures lie in [0, 1]."""

    def to(self, device: torch.device) -> Dataset:
        """Return data whose batches are made on a device, or this data where that makes no sense or has no room."""


def size(data: Dataset) -> int:
    """Return the number of examples."""
    return data.lengths["x"]


def take(data: Dataset, index: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Return the examples at places `[n]`; a shorter second domain goes round."""
    return data.batch({key: index % n for key, n in data.lengths.items()}, generator)


def labels_of(data: Dataset) -> Tensor | None:
    """Return the labels `[n]` of data that has classes, else None."""
    if not data.shape.classes:
        return None
    known = getattr(data, "labels", None)
    if isinstance(known, Tensor):
        return known.cpu()
    return torch.cat([take(data, rows)["y"].cpu() for rows in torch.arange(size(data)).split(256)])
