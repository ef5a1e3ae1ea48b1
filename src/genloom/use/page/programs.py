"""Functions of a model as lists of operators that a page runs: torch's own, few, with everything known worked out."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.export import default_decompositions
from torch.fx import Node

from genloom.core.model import Model
from genloom.use.export.entries import Entry
from genloom.use.export.graphs import program_of, quiet
from genloom.use.page.limits import refusal

aten = torch.ops.aten
WHOLE = (aten.gru.input, aten.lstm.input)  # kept in one piece, which else are a graph of a thousand steps
CHECKS = (aten._assert_tensor_metadata.default, aten._assert_async.msg)
SAME = (aten.alias.default, aten.clone.default, aten.detach.default)
OF_SIZES = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.floordiv: "//", operator.getitem: "item"}
BESIDE = {"layout", "device", "pin_memory", "memory_format", "generator", "non_blocking"}  # say nothing to a page
KINDS = {torch.float32: "f", torch.float64: "d", torch.int64: "i", torch.int32: "i", torch.bool: "b"}
LARGEST = 4096  # numbers of a constant that is made of smaller ones, and stored instead of them


@dataclass
class Program:
    """A function as a list of operators.

    Attributes:
        inputs: how many there are.
        steps: the operators, in order.
        outputs: what is returned.
    """

    inputs: int
    steps: list[Step] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Value:
    """A value that is not known yet: an input, or what an operator gives, by number; inputs come first."""

    number: int


@dataclass(frozen=True)
class Step:
    """An operator with what it takes: numbers, texts, constants as tensors, and values of steps before it.

    Attributes:
        kind: of the numbers it gives, by letter; "s" for a size, "*" for several tensors.
        why: a page cannot do this, "" where it can.
    """

    target: Any
    args: list[Any]
    kwargs: dict[str, Any]
    kind: str
    why: str = ""

    @property
    def name(self) -> str:
        """The operator's name."""
        return OF_SIZES[self.target] if self.target in OF_SIZES else self.target._schema.name.removeprefix("aten::")

    def listed(self) -> list[Any]:
        """Return its arguments in the order of its schema, defaults filled in, without what only torch goes by."""
        if self.target in OF_SIZES:
            return self.args
        schema = self.target._schema.arguments
        given = dict(zip((each.name for each in schema), self.args, strict=False)) | self.kwargs
        return [given.get(each.name, each.default_value) for each in schema if each.name not in BESIDE]


def page_program(entry: Entry, model: Model) -> Program:
    """Return a function as a list of operators: what hangs on no input is worked out, and what nothing hangs on left out."""
    table = default_decompositions()
    for each in WHOLE:
        table.pop(each, None)
    exported = program_of(entry, model)
    with quiet(), torch.no_grad():
        exported = exported.run_decompositions(table)
        return used(folded(exported))


def folded(exported: Any) -> Program:
    """Return an exported program with everything that is known worked out."""
    signature = exported.graph_signature
    held = {**exported.state_dict, **exported.constants}
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    program, known = Program(len(signature.user_inputs)), dict[Node, Any]()
    taken = 0
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            if node.name in stored:
                known[node] = held[stored[node.name]].detach()
            else:
                known[node] = Value(taken)
                taken += 1
        elif node.op == "output":
            program.outputs = list(replaced(node.args[0], known.__getitem__))
        elif node.target not in CHECKS:
            known[node] = one(node, program, known)
    return program


def one(node: Node, program: Program, known: dict[Node, Any]) -> Any:
    """Return the value of a node: what it comes to where that is known, else what a further step gives."""
    args, kwargs = replaced(list(node.args), known.__getitem__), replaced(dict(node.kwargs), known.__getitem__)
    same = as_it_was(node, args)
    if same is not None:
        return same
    found = parts([args, kwargs])
    chance = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    if not chance and not any(isinstance(each, Value) for each in found):
        value = result(node.target, args, kwargs)
        sizes = [each.numel() for each in found if isinstance(each, Tensor)]
        if all(each.numel() <= max([LARGEST, *sizes]) for each in parts(value) if isinstance(each, Tensor)):
            return value
    why = "" if node.target in OF_SIZES else refusal(node)
    kind, odd = kind_of(node.meta["val"])
    program.steps.append(Step(node.target, args, kwargs, kind, why or odd))
    return Value(program.inputs + len(program.steps) - 1)


def result(target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return what an operator gives, laid out in order: a page knows no other layout."""
    found = target(*args, **kwargs)
    if isinstance(found, list | tuple):
        return [each.contiguous() for each in found]
    return found.contiguous() if isinstance(found, Tensor) else found


def as_it_was(node: Node, args: list[Any]) -> Any:
    """Return what an operator gives back as it was, or None."""
    if node.target in SAME:
        return args[0]
    if node.target is aten._to_copy.default:
        before = node.args[0].meta["val"]  # type: ignore[union-attr]
        return args[0] if before.dtype == node.meta["val"].dtype else None
    whole = node.target is aten.slice.Tensor and [*args[1:], *(0, 0, None, 1)[len(args) - 1 :]]
    return args[0] if whole and whole[1] == 0 and (whole[2] is None or is_end(whole[2])) and whole[3] == 1 else None


def is_end(size: Any) -> bool:
    """Return whether a slice that ends here ends where its tensor does."""
    return isinstance(size, int) and size >= 2**62


def kind_of(value: Any) -> tuple[str, str]:
    """Return the letter of what an operator gives, and why a page cannot hold it, "" where it can."""
    if isinstance(value, Tensor):
        return KINDS.get(value.dtype, "f"), "" if value.dtype in KINDS else f"numbers of {value.dtype}"
    return "*" if isinstance(value, list | tuple) else "s", ""


def replaced(value: Any, of: Callable[[Any], Any]) -> Any:
    """Return nested arguments with their nodes, or values, replaced."""
    if isinstance(value, list | tuple):
        return [replaced(each, of) for each in value]
    if isinstance(value, dict):
        return {key: replaced(each, of) for key, each in value.items()}
    return of(value) if isinstance(value, Node | Value) else value


def parts(value: Any) -> list[Any]:
    """Return what nested arguments hold."""
    if isinstance(value, list | tuple):
        return [part for each in value for part in parts(each)]
    return [part for each in value.values() for part in parts(each)] if isinstance(value, dict) else [value]


def used(program: Program) -> Program:
    """Return a program without the steps that nothing hangs on."""
    needed = {each.number for each in program.outputs if isinstance(each, Value)}
    for place in reversed(range(len(program.steps))):
        step = program.steps[place]
        if program.inputs + place in needed:
            needed |= {each.number for each in parts([step.args, step.kwargs]) if isinstance(each, Value)}
    kept = [place for place in range(len(program.steps)) if program.inputs + place in needed]
    number = {program.inputs + place: Value(program.inputs + new) for new, place in enumerate(kept)}
    number |= {place: Value(place) for place in range(program.inputs)}

    def renamed(value: Value) -> Value:
        return number[value.number]

    steps = [program.steps[place] for place in kept]
    moved = [
        Step(each.target, replaced(each.args, renamed), replaced(each.kwargs, renamed), each.kind, each.why)
        for each in steps
    ]
    return Program(program.inputs, moved, replaced(program.outputs, renamed))


def run(program: Program, inputs: tuple[Tensor, ...], constant: Callable[[Tensor], Tensor] = lambda x: x) -> list[Tensor]:
    """Return what a program gives, by torch's operators; `constant` stands for what storing does to a constant."""
    values: list[Any] = list(inputs)

    def of(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [of(each) for each in value]
        if isinstance(value, Value):
            return values[value.number]
        return constant(value) if isinstance(value, Tensor) else value

    with torch.no_grad():
        for step in program.steps:
            values.append(result(step.target, of(step.args), {name: of(each) for name, each in step.kwargs.items()}))
    return [of(each) for each in program.outputs]
