"""Functions of a model as graphs: ONNX files and programs of torch.export, each held against the model itself."""

from __future__ import annotations

import importlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.fx.experimental import _config as config

from genloom.bounds import short
from genloom.core.model import Model
from genloom.core.random import generator, on_threads
from genloom.errors import InputError
from genloom.use.export.entries import Entry, Port, varying

Weights = Literal["fp32", "fp16", "int8"]
Target = Literal["onnx", "torch"]
Numbers = np.ndarray[Any, np.dtype[Any]]
OTHERS = "export the others by --only, and tell us"
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}
MOST = 1e-4  # that a value of a graph with fp32 weights may differ by, relative to the largest one where that is above 1
LEAST_SIDE = 4  # pixels of pictures whose size is free
MADE_BY = (2, 2, 3)  # examples, and what heights and widths are made of, of the inputs that a graph is made by
TRIED = ((1, 1, 1), (3, 1, 2), (7, 2, 1))  # and of those that it is tried with
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
    if to == "torch":
        return
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not there(name)]
    if missing:
        raise InputError(
            f"export to ONNX needs {' and '.join(missing)}: run pip install 'genloom[export]'; `--to torch` needs nothing"
        )


def there(name: str) -> bool:
    """Return whether a package can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def least(dim: str) -> tuple[str, int]:
    """Return the name of a dimension that varies, and the least size that it may have."""
    name, multiple = varying(dim)
    return name, multiple if multiple > 1 or name == "n" else LEAST_SIDE


def sizes(entry: Entry, at: tuple[int, int, int]) -> dict[str, int]:
    """Return sizes of the inputs that vary: `at` holds the examples, and how often the least height and width are taken."""
    n, *sides = at
    found = {}
    for name, multiple in entry.sizes().items():
        side = sides[name == "width"]
        found[name] = n if name == "n" else multiple * side if multiple > 1 else LEAST_SIDE - 1 + side
    return found


def examples(entry: Entry, at: tuple[int, int, int]) -> tuple[Tensor, ...]:
    """Return inputs of these sizes, the same each time."""
    with torch.no_grad():
        return entry.examples(sizes(entry, at), generator("export", *at))


def program_of(entry: Entry, model: Model) -> Any:
    """Return a function as a program of torch.export, its sizes that vary left open."""
    names = {
        name: torch.export.Dim(name, min=1 if name == "n" or multiple > 1 else LEAST_SIDE)
        for name, multiple in entry.sizes().items()
    }
    given = examples(entry, MADE_BY)  # of a batch of one, torch would make a batch of one for ever
    free = tuple(dims_of(port, names) for port in entry.inputs)
    inner = any(multiple > 1 for multiple in entry.sizes().values())  # maps may be of one pixel, which is else ruled out
    with quiet(), torch.no_grad(), config.patch(backed_size_oblivious=inner):  # type: ignore[attr-defined]
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
        InputError: no graph can be made of it, or its values differ from the model's by more than they may.
        OSError: it cannot be written.
    """
    path = folder / f"{entry.name}{SUFFIX[to]}"
    try:
        program = program_of(entry, model)
        path.write_bytes(onnx_of(program, entry, weights) if to == "onnx" else bytes_of(program))
        with on_threads(1):
            run = runner(path)
            apart = max(difference(entry, model, run, at) for at in TRIED)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever an exporter may raise
        said = " ".join([type(error).__name__, *str(error).split()])
        raise InputError(f"no {to} graph can be made of {entry.name} ({short(said)}): {OTHERS}") from error
    if not (apart <= MOST or (weights != "fp32" and apart < math.inf)):
        raise InputError(f"{path.name} differs from the model by {apart:.1e}, and may by {MOST:.0e}: {OTHERS}")
    return Written(path.name, apart, [sizes(entry, at) for at in TRIED], path.stat().st_size)


def onnx_of(program: Any, entry: Entry, weights: Weights) -> bytes:
    """Return a program as an ONNX file."""
    inputs, outputs = ([port.name for port in ports] for ports in (entry.inputs, entry.outputs))
    with quiet():
        made = torch.onnx.export(program, input_names=inputs, output_names=outputs, dynamo=True, verbose=False)
    assert made is not None
    model = made.model_proto
    if weights != "fp32":
        lighten(model, weights)
    graph = model.graph
    del graph.value_info[:]  # sizes in between, by names that are nobody's
    for each in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del each.metadata_props[:]  # where a node comes from: paths of this machine
    for port, each in zip((*entry.inputs, *entry.outputs), (*graph.input, *graph.output), strict=True):
        for dim, said in zip(port.dims, each.type.tensor_type.shape.dim, strict=True):
            if isinstance(dim, str):
                said.dim_param = dim.replace(" ", "*")
    content: bytes = model.SerializeToString()
    return content


def bytes_of(program: Any) -> bytes:
    """Return a program of torch.export as a file, without the examples that it was made by."""
    program.example_inputs = None
    held = io.BytesIO()  # a disk that is full would end the process within torch
    with quiet():
        torch.export.save(program, held)
    return held.getvalue()


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


def difference(entry: Entry, model: Model, run: Any, at: tuple[int, int, int]) -> float:
    """Return the largest difference of a graph's values from the model's, relative to the largest value where above 1.

    What is no number is infinitely far from what is one.
    """
    given = examples(entry, at)
    with torch.no_grad():
        wanted, found = entry.module(model)(*given), run(*given)
    apart = 0.0
    for a, b in zip(wanted, found, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"it gives {tuple(b.shape)} where the model gives {tuple(a.shape)}")
        if not a.numel():
            continue
        a, b = a.double(), b.double()
        away = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).nan_to_num(math.inf, math.inf)
        apart = max(apart, float(away.max()) / max(largest(a), 1.0))
    return apart


def largest(x: Tensor) -> float:
    """Return the largest size of what is finite."""
    return float(torch.where(x.isfinite(), x.abs(), 0.0).max())


# -- fewer bits ------------------------------------------------------------------------------------


def lighten(graph: Any, weights: Weights) -> None:
    """Store the large weights of an ONNX model in fewer bits, read back as fp32 where they are used.

    `fp16` halves them; `int8` quarters them, with a scale for each place of
    the first or the second dimension, whichever is nearer.
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
        axis, scale, rounded = closest(values)
        kept += [numpy_helper.from_array(rounded, name), numpy_helper.from_array(scale, f"{name}.scale")]
        read.append(helper.make_node("DequantizeLinear", [name, f"{name}.scale"], [tensor.name], axis=axis))
    nodes = [*read, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)


def closest(values: Numbers) -> tuple[int, Numbers, Numbers]:
    """Return numbers in 8 bits along the axis, of the first two, that is nearer; the rest as `rounded_along`."""
    return min((rounded_along(values, axis) for axis in (0, 1)), key=lambda way: error_of(values, *way))


def rounded_along(values: Numbers, axis: int) -> tuple[int, Numbers, Numbers]:
    """Return the axis, a scale for each of its places, and the whole numbers from -127 to 127 that come of it."""
    others = tuple(each for each in range(values.ndim) if each != axis)
    scale = (np.abs(values).max(others, keepdims=True).clip(1e-12) / 127).astype("float32")
    return axis, scale.reshape(-1), (values / scale).round().astype("int8")


def error_of(values: Numbers, axis: int, scale: Numbers, rounded: Numbers) -> float:
    """Return how far rounded values are from what they were, squared, on average."""
    wide = scale.reshape([-1 if each == axis else 1 for each in range(values.ndim)])
    return float(np.square(values - rounded * wide).mean())


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
