"""Shape: what a model must know of the data, and how to turn tensors back into a person's file.

A shape is JSON and travels with every checkpoint. One class a kind of data; nothing outside of
this file and `data/` knows which kinds there are.
"""

# n samples, C channels, H height, W width, D columns

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from genloom.errors import InputError, nearest
from genloom.shapes.pictures import ImageShape
from genloom.shapes.points import PointShape
from genloom.shapes.table import TableShape


@dataclass(frozen=True)
class Shape(ABC):
    """What one example is.

    Attributes:
        classes: names of the labels in `y`, empty where there are none.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """The size of `x` for one example, without the batch."""

    @property
    def width(self) -> int:
        """Numbers in one example."""
        return math.prod(self.dims)

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words what one example is."""

    def write(self, samples: Tensor, path: Path) -> None:
        """Write samples `[n, *dims]` to `path`; the suffix decides how, `.npy` always works."""
        if path.suffix != ".npy":
            raise InputError(f"cannot write {self.kind} as {path.suffix or 'a name without suffix'}; use .npy")
        np.save(path, samples.numpy().astype(np.float32))

    def label(self, name: str | int) -> int:
        """Return the class index of a label given by name or number."""
        if not self.classes:
            raise InputError(f"label {name!r} asked for, but this model was trained without labels")
        if str(name) in self.classes:
            return self.classes.index(str(name))
        if str(name).isdigit() and int(name) < len(self.classes):
            return int(name)
        raise InputError(f"no label {name!r} among {len(self.classes)} classes{nearest(str(name), self.classes)}")

    def to_json(self) -> dict[str, Any]:
        """Return the shape as plain JSON."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Shape:
        """Rebuild a shape of whatever kind from `to_json`."""
        rest = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name != "kind"}
        kinds: dict[str, type[Shape]] = {"images": ImageShape, "points": PointShape, "table": TableShape}
        return kinds[values["kind"]](**rest)
