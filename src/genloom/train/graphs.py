"""Recording networks as graphs, which a GPU plays back without waiting for Python to ask for each small step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genloom.core.model import Model
from genloom.train.plan import Plan


class Call(nn.Module):
    """One way in which a module is called: with tensors of certain shapes, and certain other arguments."""

    def __init__(self, module: nn.Module, arguments: Sequence[Any]) -> None:
        super().__init__()
        self.module, self.arguments = module, arguments

    def forward(self, *tensors: Tensor) -> Any:
        left = iter(tensors)
        given = [next(left) if isinstance(each, Tensor) else each for each in self.arguments]
        return type(self.module).forward(self.module, *given)


@dataclass
class Recorded:
    """A module's `forward`, which plays back the calls that were recorded, and else computes as before.

    Attributes:
        calls: what a call looks like, whether it may ask for gradients of what it is given, and the call.
    """

    module: nn.Module
    calls: list[tuple[Any, bool, nn.Module]]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        tensors = tensors_of(arguments)
        asked = torch.is_grad_enabled() and any(each.requires_grad for each in tensors)
        for look, differentiable, call in self.calls if self.module.training and not named else ():
            if look == looks(arguments) and (differentiable or not asked):
                return call(*tensors)
        return type(self.module).forward(self.module, *arguments, **named)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = memo[id(self.module)]  # graphs are of the original's weights
        return type(copy).forward.__get__(copy)


def record_networks(model: Model, plan: Plan, batch: int) -> None:
    """Record what a model names, forwards and backwards; a call of other shapes, or while evaluating, goes on as before."""
    model.train()
    ways: dict[nn.Module, list[tuple[Any, ...]]] = defaultdict(list)
    for module, arguments in model.recorded(batch):
        ways[module].append(arguments)
    precise = plan.precision == "fp32"
    kept = [buffer.clone() for buffer in model.buffers()]  # recording runs a network a few times, on nothing
    with torch.autocast(plan.device.type, dtype=torch.bfloat16, enabled=not precise, cache_enabled=False):
        for module, known in ways.items():
            module.forward = Recorded(module, [record_one(module, arguments) for arguments in known])
    for buffer, value in zip(model.buffers(), kept, strict=True):
        buffer.copy_(value)


def record_one(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, bool, nn.Module]:
    """Return what a call looks like, whether it may ask for gradients of what it is given, and the recorded call."""
    call, tensors = Call(module, arguments), tensors_of(arguments)
    torch.cuda.make_graphed_callables(call, tensors)
    return looks(arguments), any(each.requires_grad for each in tensors), call


def tensors_of(arguments: Sequence[Any]) -> tuple[Tensor, ...]:
    """Return the arguments that are tensors."""
    return tuple(each for each in arguments if isinstance(each, Tensor))


def looks(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return what tells calls apart."""
    return tuple((each.shape, each.dtype) if isinstance(each, Tensor) else each for each in arguments)
