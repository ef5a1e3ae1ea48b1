"""What a page can do of an operator, and what it cannot: which of its forms, kinds of numbers and arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from genloom.use.page.operators import operators

FORMS = {  # torch's overloads that a page has; of others, "default"
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), ("Tensor", "Scalar")),
    **dict.fromkeys(("add", "sub", "mul", "div", "bitwise_and", "bitwise_or", "slice", "index"), ("Tensor",)),
    **dict.fromkeys(("gru", "lstm"), ("input",)),
    **dict.fromkeys(("select", "sym_size"), ("int",)),
    "remainder": ("Scalar", "Tensor"),
    "pow": ("Tensor_Scalar",),
    "squeeze": ("dims",),
    "upsample_nearest2d": ("vec",),
    "arange": ("start_step",),
    "where": ("self",),
    "scatter": ("value",),
    "sum": ("dim_IntList",),
    "mean": ("dim",),
    "empty": ("memory_format",),
    "_native_batch_norm_legit": ("no_stats",),
}
Given = Mapping[str, Any]


def of(value: Any) -> Any:
    """Return an argument as the exporter knows it: tensors as what they will be."""
    if isinstance(value, list | tuple):
        return [of(each) for each in value]
    return value.meta["val"] if isinstance(value, Node) else value


def floats(given: Given) -> bool:
    """Whether the tensors of an argument list are all fp32."""
    found = [each for value in given.values() for each in (value if isinstance(value, list) else [value])]
    return all(each.dtype == torch.float32 for each in found if isinstance(each, Tensor))


def truths(given: Given) -> bool:
    """Whether what goes in are all truths."""
    return all(each.dtype == torch.bool for each in given.values() if isinstance(each, Tensor))


def puts(given: Given) -> bool:
    """Whether a page can put values at these indices: whole numbers, or one truth a number, of one value."""
    marks = [each for each in given["indices"] if each is not None and each.dtype == torch.bool]
    alone = len(given["indices"]) == 1 and not given["accumulate"] and given["values"].numel() == 1
    return not marks or (alone and marks[0].ndim == given["self"].ndim)


def plain_cells(given: Given) -> bool:
    """Whether a recurrent layer has two weights a layer and way, and their biases where there are any."""
    layers = given["num_layers"] * (2 if given["bidirectional"] else 1)
    return not given["train"] and len(given["params"]) == layers * (4 if given["has_biases"] else 2)


RULES: Mapping[str, tuple[Callable[[Given], bool], str]] = {
    **dict.fromkeys(("mm", "bmm"), (floats, "of numbers other than fp32")),
    "addmm": (lambda given: floats(given) and given["beta"] == given["alpha"] == 1, "with factors"),
    "convolution": (lambda given: floats(given) and given["weight"].ndim == 4, "of other than pictures"),
    "linalg_vector_norm": (lambda given: given["ord"] == 2, "of another order than 2"),
    "argmax": (lambda given: given["dim"] is not None, "over all dimensions"),
    "index": (lambda given: not any(i is not None and i.dtype == torch.bool for i in given["indices"]), "by truths"),
    "index_put": (puts, "by truths a row"),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_not"), (truths, "of bits")),
    **dict.fromkeys(("add", "sub"), (lambda given: not truths(given), "of truths")),
    **dict.fromkeys(("gru", "lstm"), (plain_cells, "with projections, or in training")),
}


def refusal(node: Node) -> str:
    """Return why a page cannot do what a node does, "" where it can."""
    target: Any = node.target
    parts = str(target).split(".") if hasattr(target, "_schema") else []
    name, form = parts[1:] if len(parts) == 3 else (getattr(target, "__name__", str(target)), "")
    if name not in operators() or form not in FORMS.get(name, ("default",)):
        return f"the operator {name}{form and f'.{form}'}"
    schema = target._schema.arguments
    values = dict(zip((each.name for each in schema), node.args, strict=False)) | dict(node.kwargs)
    given = {each.name: of(values.get(each.name, each.default_value)) for each in schema}
    holds, what = RULES.get(name, (lambda _: True, ""))
    return "" if holds(given) else f"the operator {name} {what}"
