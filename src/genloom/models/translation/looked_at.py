"""What every translator shows while it learns: the same few pictures, what it makes of them, and their partners."""

from __future__ import annotations

from typing import Any

import torch

from genloom.core.capabilities import Translates
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.model import Model, Remember
from genloom.core.random import Noise
from genloom.shapes.pairs import PairShape

SHOWN = 8


class LookedAt(Model, Translates):
    """A translator whose progress can be looked at."""

    shown: Batch | None = None

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Choose the pictures to look at."""
        index = torch.linspace(0, size(data) - 1, min(SHOWN, size(data))).long()
        self.shown = take(data, index, torch.Generator().manual_seed(0))
        return data

    def strip(self) -> Any:
        assert isinstance(self.shape, PairShape)
        if self.shown is None:
            return None
        a, b = self.shown["x"], self.shown["b"]
        rows = [("A", a), ("B", self.translate(a, noise=Noise.of(0, len(a))))]
        return self.shape.strip([*rows, ("B", b)] if self.shape.paired else rows)
