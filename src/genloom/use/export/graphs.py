"""Functions of a model as graphs: ONNX files and programs of torch.export, each held against the model itself."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from genloom.core.model import Model
from genloom.core.random import generator, on_threads
from genloom.errors import InputError
from genloom.use.export.entries import Entry, Port, varying

Weights = Literal["fp32", "fp16", "int8"]
Target = Literal["onnx", "torch"]
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}
MOST = 1e-4  # that a value of a graph with fp32 weights may differ by, relative to the largest one where that is above 1
LEAST_SIDE = 4  # pixels of pictures whose size is free
TRIED = (1, 3, 7)  # examples, none of them those by which the graph is made
LARGE = 1024  # numbers of a weight from which on it is worth storing in fewer bits


@dataclass(frozen=True)
class Written:
    """A graph that was written.

    Attributes:
        file: its name.
        difference: the largest of its values from the model's own, over `tried`, relative as `MOST` says.
        tried: the sizes of inputs that it was tried with.
        bytes: of the file.
    """

    file: str
    difference: float
    tried: list[dict[str, int]]
    bytes: int


def needed(to: Target) -> None:
    """Raise InputError where a package for the export is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        if to == "onnx":
            raise InputError(
                f"export to ONNX needs the package {error.name}: run pip install 'genloom[export]'; `--to torch` does not"
            ) from None


def sizes(entry: Entry, at: int) -> dict[str, int]:
    """Return sizes of the inputs that vary, the `at`-th choice of them."""
    found = {}
    for name, multiple in entry.sizes().items():
        found[name] = at if name == "n" else multiple * (at if multiple > 1 else LEAST_SIDE + at)
    return found


def examples(entry: Entry, at: dict[str, int]) -> tuple[Tensor, ...]:
    """Return inputs of these sizes, the same each time."""
    with torch.no_grad():
        return entry.examples(at, generator("export", *at.values()))


def program_of(entry: Entry, model: Model) -> Any:
    """Return a function as a program of torch.export, its sizes that vary left open."""
    names = {
        name: torch.export.Dim(name, min=1 if name == "n" or multiple > 1 else LEAST_SIDE)
        for name, multiple in entry.sizes().items()
    }
    given = examples(entry, sizes(entry, 2))  # of a batch of one, torch would make a batch of one for ever
    free = tuple(dims_of(port, names) for port in entry.inputs)
    with quiet(), torch.no_grad():
        program = torch.export.export(entry.module(model), given, dynamic_shapes=(free,), strict=False)
    return program


def dims_of(port: Port, names: dict[str, Any]) -> dict[int, Any]:
    """Return the dimensions of an input that vary, by place."""
    found = {}
    for place, dim in enumerate(port.dims):
        if isinstance(dim, str):
            name, multiple = varying(dim)
            found[place] = multiple * names[name] if multiple > 1 else names[name]
    return found


def write(entry: Entry, model: Model, folder: Path, to: Target, weights: Weights) -> Written:
    """Write a function as a graph into a folder, and hold it against the model.

    Raises:
        InputError: its values differ from the model's by more than they may.
    """
    path = folder / f"{entry.name}{SUFFIX[to]}"
    program = program_of(entry, model)
    if to == "onnx":
        write_onnx(program, entry, path, weights)
    else:
        write_program(program, path)
    tried = [sizes(entry, at) for at in TRIED]
    with on_threads(1):
        apart = max(difference(entry, model, runner(path), at) for at in tried)
    if weights == "fp32" and not apart <= MOST:
        raise InputError(
            f"{path.name} differs from the model by {apart:.1e}, which is more than {MOST:.0e}: it was not written; "
            "leave it out with --only, and tell us"
        )
    return Written(path.name, apart, tried, path.stat().st_size)


def write_onnx(program: Any, entry: Entry, path: Path, weights: Weights) -> None:
    """Write a program as an ONNX file."""
    inputs, outputs = ([port.name for port in ports] for ports in (entry.inputs, entry.outputs))
    with quiet():
        made = torch.onnx.export(program, input_names=inputs, output_names=outputs, dynamo=True, verbose=False)
    assert made is not None
    graph = made.model_proto
    if weights != "fp32":
        lighten(graph, weights)
    path.write_bytes(graph.SerializeToString())


def write_program(program: Any, path: Path) -> None:
    """Write a program of torch.export, without the examples that it was made by."""
    program.example_inputs = None
    with quiet():
        torch.export.save(program, path)


def runner(path: Path) -> Any:
    """Return what calls a graph with tensors and returns its outputs."""
    if path.suffix == SUFFIX["torch"]:
        module = torch.export.load(path).module()
        return lambda *given: module(*given)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def call(*given: Tensor) -> list[Tensor]:
        found = session.run(None, dict(zip(names, (each.numpy() for each in given), strict=True)))
        return [torch.from_numpy(each) for each in found]

    return call


def difference(entry: Entry, model: Model, run: Any, at: dict[str, int]) -> float:
    """Return the largest difference of a graph's values from the model's, relative to the largest value where above 1."""
    given = examples(entry, at)
    with torch.no_grad():
        wanted, found = entry.module(model)(*given), run(*given)
    apart = 0.0
    for a, b in zip(wanted, found, strict=True):
        if a.shape != b.shape:
            raise AssertionError(f"{entry.name} gives {tuple(b.shape)} where the model gives {tuple(a.shape)}")
        largest = max(float(a.double().abs().max()), 1.0)
        apart = max(apart, float((a.double() - b.double()).abs().max()) / largest)
    return apart


# -- fewer bits ------------------------------------------------------------------------------------


def lighten(graph: Any, weights: Weights) -> None:
    """Store the large weights of an ONNX model in fewer bits, read back as fp32 where they are used.

    `fp16` halves them; `int8` takes a scale for each place of the first dimension, and a quarter.
    """
    import onnx
    from onnx import helper, numpy_helper

    read, kept = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.name != "float32" or values.size < LARGE or (weights == "int8" and values.ndim < 2):
            kept.append(tensor)
            continue
        name = f"{tensor.name}.{weights}"
        if weights == "fp16":
            kept.append(numpy_helper.from_array(values.astype("float16"), name))
            read.append(helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
            continue
        scale = abs(values).reshape(len(values), -1).max(1).clip(1e-12) / 127
        rounded = (values / scale.reshape(-1, *[1] * (values.ndim - 1))).round().astype("int8")
        kept += [numpy_helper.from_array(rounded, name), numpy_helper.from_array(scale.astype("float32"), f"{name}.scale")]
        read.append(helper.make_node("DequantizeLinear", [name, f"{name}.scale"], [tensor.name], axis=0))
    nodes = [*read, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)


# -- what exporters say ----------------------------------------------------------------------------


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to ourselves what torch's exporters log, print and warn of on their way."""
    loggers: Sequence[logging.Logger] = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
