"""What of a model can leave genloom: functions of tensors, with what goes in and comes out."""

# n examples, C channels, H height, W width, D columns, K classes

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genloom.core.model import Model
from genloom.core.random import Noise

Size = int | str  # of a dimension; one that may vary has a name, with how many it is a multiple of: "n", "4 height"
Values = Callable[..., Any]
OWN_DRAWS = "its draws are made from each picture's own bytes"
UNROLLED = "its recurrence would be a graph of a thousand steps"


@dataclass(frozen=True)
class Port:
    """A tensor that goes into a function, or comes out of it.

    Attributes:
        dims: its sizes; those that may vary by name, after what they are a multiple of: `("n", 3, "4 height", "4 width")`.
        means: what it holds, with range and unit.
        kind: of its numbers.
        bounds: the least and the greatest value that make sense, where there are any.
    """

    name: str
    dims: tuple[Size, ...]
    means: str
    kind: torch.dtype = torch.float32
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Entry:
    """A function of tensors.

    Attributes:
        name: what it does: generate, encode, translate, ...
        call: the function; it returns a tensor, or several.
        examples: makes inputs whose dimensions that vary have these sizes, by name.
        means: what it does, in a sentence.
    """

    name: str
    call: Values
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    examples: Callable[[dict[str, int], torch.Generator], tuple[Tensor, ...]]
    means: str

    def sizes(self) -> dict[str, int]:
        """Return the dimensions that vary by name, with what each is a multiple of."""
        found = {}
        for port in self.inputs:
            for dim in port.dims:
                if isinstance(dim, str):
                    name, multiple = varying(dim)
                    found[name] = multiple
        return found

    def module(self, model: Model) -> nn.Module:
        """Return the function as a module that holds the model's weights."""
        return Function(model, self)


class Function(nn.Module):
    """A function of tensors as a module, for what exports modules."""

    def __init__(self, model: Model, entry: Entry) -> None:
        super().__init__()
        model.before_export()
        self.model, self.entry = model, entry

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found = self.entry.call(*inputs)
        return tuple(found) if isinstance(found, tuple | list) else (found,)


@dataclass(frozen=True)
class LeftOut:
    """What a model can do and no graph can hold, and why."""

    name: str
    why: str


def varying(dim: str) -> tuple[str, int]:
    """Return the name of a dimension that varies, and what it is a multiple of."""
    multiple, _, name = dim.rpartition(" ")
    return name, int(multiple or 1)


class Told(Noise):
    """Random numbers that are told, `[n, k]` uniform in [0, 1), taken one after the other: a graph has them as an input.

    Args:
        counting: note alone how many are taken.
    """

    def __init__(self, numbers: Tensor, counting: bool = False) -> None:
        self.numbers, self.used, self.counting = numbers, 0, counting

    def of_rows(self, rows: Any) -> Noise:
        return Told(self.numbers[rows], self.counting)

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    def uniform(self, *dims: int, device: torch.device | None = None) -> Tensor:
        count, n = torch.Size(dims).numel(), self.numbers.shape[0]
        begun, self.used = self.used, self.used + count
        if self.counting:
            return torch.full((n, *dims), 0.5, device=device)
        return self.numbers[:, begun : self.used].reshape(n, *dims)

    def chance(self, count: int, share: float, device: torch.device | None = None) -> Tensor:
        return self.uniform(count, device=device) < share

    def normal(self, *dims: int, device: torch.device | None = None) -> Tensor:
        count = torch.Size(dims).numel()
        radius = (-2 * torch.log1p(-self.uniform(count, device=device))).sqrt()
        return (radius * torch.cos(2 * torch.pi * self.uniform(count, device=device))).reshape(-1, *dims)


def numbers_used(call: Callable[[Noise], Any]) -> int:
    """Return how many random numbers an example takes, by a trial."""
    noise = Told(torch.zeros(2, 0), counting=True)
    with torch.no_grad():
        call(noise)
    return noise.used


def uniform_port(count: int) -> Port:
    """Return the port of random numbers."""
    return Port("u", ("n", count), "random numbers, uniform in [0, 1)", bounds=(0, 1))


def labels_port(model: Any) -> tuple[Port, ...]:
    """Return the port of labels, for a model that takes them."""
    if not model.conditional:
        return ()
    last = len(model.shape.classes) - 1
    return (Port("y", ("n",), f"class numbers from 0 to {last}", torch.int64, (0, last)),)


def some_labels(model: Any, n: int) -> tuple[Tensor, ...]:
    """Return labels, for a model that takes them."""
    return (torch.arange(n) * 7 % len(model.shape.classes),) if model.conditional else ()
