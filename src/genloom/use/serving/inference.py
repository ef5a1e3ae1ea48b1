"""The Open Inference Protocol, version 2: every function of a model as a model of that protocol, tensors in JSON.

A run `photos` is `photos` for its main function and `photos.encode`, `photos.generate` and so on for each.
https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from torch import Tensor

from genloom.use.export.entries import Entry, Port, varying
from genloom.use.export.graphs import least
from genloom.use.sampling.draw import checked
from genloom.use.serving.routes import answers
from genloom.use.serving.served import Loaded
from genloom.use.serving.service import Refused, Service, while_there

DATATYPES = {torch.float32: "FP32", torch.int64: "INT64", torch.bool: "BOOL"}
TAKEN = {  # what may be given for each
    torch.float32: ("FP32", "FP64", "INT64", "INT32"),
    torch.int64: ("INT64", "INT32"),
    torch.bool: ("BOOL",),
}
MOST_NUMBERS, MOST_DIMS, MOST_PORTS = 1 << 22, 8, 64  # of a tensor, and of a request
MOST_ANSWERED = 1 << 20  # numbers of an answer in JSON
PLATFORM = "genloom_torch"


class Given(BaseModel):
    """A tensor of a request: its numbers one after the other, or nested."""

    name: str
    shape: list[Annotated[StrictInt, Field(ge=0, le=MOST_NUMBERS)]] = Field(max_length=MOST_DIMS)
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any]


class Wanted(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Inference(BaseModel):
    """A request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": [{"name": "u", "shape": [1, 2], "datatype": "FP32", "data": [0.1, 0.9]}]}]
        }
    )
    id: str | None = Field(None, max_length=256)
    parameters: dict[str, Any] | None = None
    inputs: list[Given] = Field(max_length=MOST_PORTS)
    outputs: list[Wanted] | None = None


def inference(service: Service, version: str) -> APIRouter:
    """Return the protocol's routes."""
    router = APIRouter(prefix="/v2", responses=answers("application/json"))

    @router.get("")
    async def server() -> dict[str, Any]:
        """Say what this server is, and which models it has."""
        return {"name": "genloom", "version": version, "extensions": [], "models": protocol_names(service)}

    @router.head("/health/live", include_in_schema=False)
    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """Say that the server runs."""
        return {"live": True}

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        """Say whether requests are taken: 503 once the server is about to end."""
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{model}/ready")
    async def model_ready(model: str) -> dict[str, Any]:
        """Say whether a model can be asked."""
        named(service, model)
        return {"name": model, "ready": True}

    @router.get("/models/{model}/versions/{of_version}/ready")
    async def version_ready(model: str, of_version: str) -> dict[str, Any]:
        """Say whether a checkpoint of a model can be asked."""
        named(service, model, of_version)
        return {"name": model, "ready": True}

    @router.get("/models/{model}")
    async def model_metadata(model: str) -> dict[str, Any]:
        """Say what a model takes and gives; -1 stands for any size."""
        return metadata(model, *named(service, model))

    @router.get("/models/{model}/versions/{of_version}")
    async def version_metadata(model: str, of_version: str) -> dict[str, Any]:
        """Say what a checkpoint of a model takes and gives."""
        return metadata(model, *named(service, model, of_version))

    @router.post("/models/{model}/infer")
    async def infer(request: Request, model: str, body: Inference) -> JSONResponse:
        """Call a function with tensors."""
        return await inferred(service, request, model, body, *named(service, model))

    @router.post("/models/{model}/versions/{of_version}/infer")
    async def infer_version(request: Request, model: str, of_version: str, body: Inference) -> JSONResponse:
        """Call a function of a checkpoint with tensors."""
        return await inferred(service, request, model, body, *named(service, model, of_version))

    return router


def metadata(model: str, used: Loaded, entry: Entry) -> dict[str, Any]:
    """Return what the protocol says of a model."""
    inputs, outputs = ([told(port) for port in ports] for ports in (entry.inputs, entry.outputs))
    rest = {"inputs": inputs, "outputs": outputs, "parameters": {"function": entry.name, "means": entry.means}}
    return {"name": model, "versions": [used.version], "platform": PLATFORM, **rest}


async def inferred(
    service: Service, request: Request, model: str, body: Inference, used: Loaded, entry: Entry
) -> JSONResponse:
    """Return what a function gives; raise Refused where it cannot be asked so."""
    ports = {port.name: port for port in entry.outputs}
    wanted = [each.name for each in body.outputs or ()] or list(ports)
    if strange := [name for name in wanted if name not in ports]:
        raise Refused(422, f"{model} gives no {strange[0][:80]!r}, but {', '.join(ports)}")
    given = await asyncio.to_thread(tensors_of, entry, body.inputs)
    outputs = dict(zip(ports, await while_there(request, service.call(used, entry.name, given)), strict=True))
    if sum(outputs[name].numel() for name in wanted) > MOST_ANSWERED:
        raise Refused(413, f"the answer would have more than {MOST_ANSWERED:,} numbers: ask for fewer rows, or outputs")
    content = await asyncio.to_thread(lambda: [plain(ports[name], outputs[name]) for name in wanted])
    said = {"model_name": model, "model_version": used.version, "outputs": content}
    return JSONResponse(said | ({"id": body.id} if body.id is not None else {}))


def protocol_names(service: Service) -> list[str]:
    """Return the names of all models, as the protocol has them."""
    functions = [f"{name}.{each}" for name, served in service.models.items() for each in served.loaded.functions]
    return [*(name for name, served in service.models.items() if served.loaded.main), *functions]


def named(service: Service, model: str, of_version: str | None = None) -> tuple[Loaded, Entry]:
    """Return a model of the protocol by its name: a checkpoint, and the function; raise Refused where there is none."""
    name, dot, function = model.partition(".")
    if name not in service.models:
        raise Refused(404, f"there is no model {name[:80]!r}: there is {', '.join(service.models)}")
    used = service.models[name].loaded
    entry = used.functions.get(function) if dot else used.main
    if entry is None:
        raise Refused(404, f"{name} has no function {function[:80]!r}: it has {', '.join(used.functions) or 'none'}")
    if of_version is not None and of_version != used.version:
        raise Refused(404, f"{name} is at version {used.version}, not {of_version[:80]!r}")
    return used, entry


def told(port: Port) -> dict[str, Any]:
    """Return what the protocol says of an input or output."""
    shape = [-1 if isinstance(dim, str) else dim for dim in port.dims]
    return {"name": port.name, "datatype": DATATYPES[port.kind], "shape": shape, "parameters": {"means": port.means}}


def plain(port: Port, x: Tensor) -> dict[str, Any]:
    """Return an output as the protocol has it; InputError where it holds what is no number."""
    if x.is_floating_point():
        checked(x)
    return {"name": port.name, "datatype": DATATYPES[port.kind], "shape": list(x.shape), "data": x.flatten().tolist()}


# -- tensors of a request --------------------------------------------------------------------------


def tensors_of(entry: Entry, given: Sequence[Given]) -> tuple[Tensor, ...]:
    """Return the inputs of a function in their order; raise Refused where they are not what it takes."""
    named = {each.name: each for each in given}
    if len(named) < len(given):
        raise Refused(422, "two inputs have one name")
    if strange := sorted(named.keys() - {port.name for port in entry.inputs}):
        told = ", ".join(port.name for port in entry.inputs)
        raise Refused(422, f"{entry.name} takes no {strange[0][:80]!r}, but {told}")
    sizes: dict[str, int] = {}
    found = []
    for port in entry.inputs:
        if port.name not in named:
            raise Refused(422, f"{port.name} is missing: {port.means}")
        x = tensor_of(port, named[port.name])
        check_sizes(port, x, sizes)
        found.append(x)
    return tuple(found)


def tensor_of(port: Port, given: Given) -> Tensor:
    """Return an input; raise Refused where its numbers are not as many as its shape says, or outside its bounds."""
    if given.datatype not in TAKEN[port.kind]:
        raise Refused(422, f"{port.name} takes {', '.join(TAKEN[port.kind])}, not {given.datatype[:20]!r}")
    if {"binary_data", "binary_data_size"} & set(given.parameters or ()):
        raise Refused(422, f"{port.name}: this server takes numbers in JSON alone")
    kind = {torch.float32: np.float64, torch.int64: np.int64, torch.bool: np.bool_}[port.kind]
    fits = bool if port.kind == torch.bool else int if given.datatype.startswith("INT") else (int, float)
    try:
        values: Any = np.fromiter(flat(given.data, fits), kind)
    except (ValueError, TypeError, OverflowError):
        raise Refused(422, f"{port.name} holds what is no {given.datatype}: {port.means}") from None
    if values.size != math.prod(given.shape):
        raise Refused(422, f"{port.name} has {values.size:,} numbers, and its shape says {math.prod(given.shape):,}")
    low, high = port.bounds or (-1e30, 1e30)
    if kind is not np.bool_ and values.size and not (values.min() >= low and values.max() <= high):
        raise Refused(422, f"{port.name} holds values outside of {low:g} to {high:g}: {port.means}")
    return torch.from_numpy(values.reshape(given.shape)).to(port.kind)


def flat(data: Sequence[Any], fits: Any, depth: int = MOST_DIMS) -> Iterator[Any]:
    """Yield the numbers of nested lists; TypeError where one is of another kind."""
    for each in data:
        if isinstance(each, list) and depth:
            yield from flat(each, fits, depth - 1)
        elif not isinstance(each, fits) or (isinstance(each, bool) and fits is not bool):
            raise TypeError
        else:
            yield each


def check_sizes(port: Port, x: Tensor, sizes: dict[str, int]) -> None:
    """Raise Refused where an input has other sizes than it takes, or than another input has."""
    wanted = [-1 if isinstance(dim, str) else dim for dim in port.dims]
    if x.ndim != len(wanted):
        raise Refused(422, f"{port.name} has the shape {list(x.shape)}, and is to have {wanted}")
    for dim, size in zip(port.dims, x.shape, strict=True):
        if isinstance(dim, int):
            if dim != size:
                raise Refused(422, f"{port.name} has the shape {list(x.shape)}, and is to have {wanted}")
            continue
        name, multiple = varying(dim)
        if size % multiple or size < least(dim)[1]:
            raise Refused(
                422, f"{port.name} has a {name} of {size}: it takes multiples of {multiple} from {least(dim)[1]} on"
            )
        if sizes.setdefault(name, size) != size:
            raise Refused(422, f"{port.name} has a {name} of {size}, and what comes before it {sizes[name]}")
