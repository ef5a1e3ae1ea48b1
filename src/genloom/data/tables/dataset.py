"""Rows of a table as a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from genloom.placing import has_room, there
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.shapes.table import TableShape

HOLDING = 0x68656C64
HELD, MOST_HELD, LEAST_HELD = 0.05, 20_000, 20  # known cells of a table that training does not see: share, most, least


@dataclass
class TableData:
    """Rows of a table, coded, with the mask of their known cells.

    Attributes:
        x: codes `[n, D]` in float32, 0 where missing.
        mask: known cells `[n, D]`.
        held: known cells `[n, D]` that training does not see, by which it is judged.
    """

    x: Tensor
    mask: Tensor
    held: Tensor
    shape: TableShape
    source: str
    fingerprint: str
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, codes: Numbers, mask: Bits, columns: Sequence[Column], source: str, seed: int = 0) -> TableData:
        """Return codes `[n, D]` as data to train on, with some known cells held out where there are enough."""
        share = min(HELD, MOST_HELD / max(int(mask.sum()), 1))
        # A stream of its own: holes made for a study with the same seed must not lie where cells are to be held out.
        held = (np.random.default_rng((seed % 2**63, HOLDING)).random(mask.shape) < share) & mask
        if held.sum() < LEAST_HELD:
            held[:] = False
        x = torch.as_tensor(np.where(mask, codes, 0), dtype=torch.float32)
        digest = hashlib.blake2b(x.numpy().tobytes() + mask.tobytes(), digest_size=16).hexdigest()
        shape = TableShape(columns=tuple(columns))
        return cls(x, torch.as_tensor(mask), torch.as_tensor(held), shape, source, digest)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.x)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x [n, D]` and `mask [n, D]` without the cells that are held out."""
        index = there(indices["x"], self.x)
        mask = self.mask[index] & ~self.held[index]
        return {"x": self.x[index] * mask, "mask": mask}

    def to(self, device: torch.device) -> TableData:
        """Return the rows on a GPU that has room for them; elsewhere they stay."""
        if not has_room(device, 2 * self.x.nbytes):
            return self
        return replace(self, x=self.x.to(device), mask=self.mask.to(device), held=self.held.to(device))
