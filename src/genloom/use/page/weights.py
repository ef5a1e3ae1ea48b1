"""The numbers that programs hold, once each, in few bytes, and as the text of a page."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.use.export.graphs import LARGE, Weights, closest
from genloom.use.page.programs import KINDS, Program, Value

HALF = 65504.0  # the largest number of 16 bits


@dataclass
class Store:
    """Constants, each stored once.

    Args:
        weights: how large ones are stored.
    """

    weights: Weights = "fp16"
    told: list[dict[str, Any]] = field(default_factory=list)  # dims, kind of numbers, how they are stored
    content: list[bytes] = field(default_factory=list)
    known: dict[Any, int] = field(default_factory=dict)

    def place(self, x: Tensor) -> int:
        """Return the place of a constant, which is added where it is new; TypeError for numbers that a page cannot hold."""
        if x.dtype not in KINDS:
            raise TypeError(f"a page cannot hold numbers of {x.dtype}")
        key = x.dtype, tuple(x.shape), hashlib.sha256(x.contiguous().numpy().tobytes()).digest()
        if key not in self.known:
            self.known[key] = len(self.told)
            stored, how = self.stored(x)
            self.told.append({"dims": list(x.shape), "kind": KINDS[x.dtype], **how})
            self.content.append(stored + bytes(-len(stored) % 8))
        return self.known[key]

    def stored(self, x: Tensor) -> tuple[bytes, dict[str, Any]]:
        """Return the bytes of a constant, little end first, and how they are to be read."""
        values = x.contiguous().numpy()
        if x.dtype != torch.float32:
            return values.astype("uint8" if x.dtype == torch.bool else "float64").tobytes(), {}
        if (
            values.size < LARGE
            or self.weights == "fp32"
            or not np.isfinite(values).all()
            or (values.ndim < 2 and self.weights == "int8")
        ):
            return values.tobytes(), {}
        if self.weights == "fp16":
            if np.abs(values).max() > HALF:
                return values.tobytes(), {}
            bits = values.astype("float16").view("uint8").reshape(-1, 2)
            return bits.T.tobytes(), {"as": "fp16"}  # the low bytes before the high ones, which pack better so
        axis, scale, rounded = closest(values)
        return scale.tobytes() + rounded.tobytes(), {"as": "int8", "axis": axis}

    def read(self, x: Tensor) -> Tensor:
        """Return a constant as it will be read."""
        how = self.stored(x)[1]
        if how.get("as") == "fp16":
            return x.half().float()
        if how.get("as") == "int8":
            axis, scale, rounded = closest(x.contiguous().numpy())
            wide = scale.reshape([-1 if each == axis else 1 for each in range(x.ndim)])
            return torch.from_numpy(rounded * wide)
        return x

    def text(self) -> str:
        """Return all constants as a text, packed."""
        return packed(b"".join(self.content))


def packed(content: bytes) -> str:
    """Return bytes as a text, packed."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def encoded(program: Program, store: Store) -> dict[str, Any]:
    """Return a program as a page reads it: steps `[name, kind, arguments]`, "%3" a value, "#3" a constant, by number."""

    def of(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [of(each) for each in value]
        if isinstance(value, Value):
            return f"%{value.number}"
        if isinstance(value, Tensor):
            return f"#{store.place(value)}"
        if isinstance(value, float) and not np.isfinite(value):
            return str(value).replace("inf", "Infinity").replace("nan", "NaN")
        return value if isinstance(value, bool | int | float | None) else None

    return {
        "steps": [[step.name, step.kind, of(step.listed())] for step in program.steps],
        "outputs": of(program.outputs),
    }
