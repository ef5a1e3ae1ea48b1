"""Recording networks as graphs, which a GPU plays back without waiting for Python to ask for each small step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genloom.core.model import Model
from genloom.train.plan import Plan


class Call(nn.Module):
    """One way in which a module is called: with tensors of certain shapes, and certain other arguments."""

    def __init__(self, module: nn.Module, arguments: Sequence[Any]) -> None:
        super().__init__()
        self.module = module
        self.others = [None if isinstance(each, Tensor) else each for each in arguments]

    def forward(self, *tensors: Tensor) -> Any:
        left = iter(tensors)
        return type(self.module).forward(self.module, *[next(left) if each is None else each for each in self.others])


def record_networks(model: Model, plan: Plan, batch: int) -> None:
    """Record what a model names, forwards and backwards; a call of other shapes, or while evaluating, goes on as before."""
    model.train()
    calls: dict[nn.Module, list[tuple[Any, ...]]] = defaultdict(list)
    for module, arguments in model.recorded(batch):
        calls[module].append(arguments)
    precise = plan.precision == "fp32"
    kept = [buffer.clone() for buffer in model.buffers()]  # recording runs a network a few times, on nothing
    with torch.autocast(plan.device.type, dtype=torch.bfloat16, enabled=not precise, cache_enabled=False):
        for module, ways in calls.items():
            module.forward = played_back(module, [recorded(module, arguments) for arguments in ways])
    for buffer, value in zip(model.buffers(), kept, strict=True):
        buffer.copy_(value)


def recorded(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, bool, nn.Module]:
    """Return what a call must look like, whether it may ask for gradients of what it is given, and the recorded call."""
    call, tensors = Call(module, arguments), tuple(each for each in arguments if isinstance(each, Tensor))
    torch.cuda.make_graphed_callables(call, tensors)
    return looks(arguments), any(each.requires_grad for each in tensors), call


def looks(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return what tells calls apart."""
    return tuple((each.shape, each.dtype) if isinstance(each, Tensor) else each for each in arguments)


def played_back(module: nn.Module, calls: list[tuple[Any, bool, nn.Module]]) -> Callable[..., Any]:
    """Return a module's new `forward`, which plays back where it can."""
    plain = module.forward

    def forward(*arguments: Any) -> Any:
        for look, differentiable, call in calls if module.training else ():
            asked = torch.is_grad_enabled() and any(isinstance(each, Tensor) and each.requires_grad for each in arguments)
            if look == looks(arguments) and (differentiable or not asked):
                return call(*[each for each in arguments if isinstance(each, Tensor)])
        return plain(*arguments)

    return forward
