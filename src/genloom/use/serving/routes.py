"""The routes that a person tries first, as far as the models can do it: sample, translate, upscale, complete and so on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from genloom.bounds import WHOLE
from genloom.core import capabilities as can
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.pictures import as_picture, to_picture
from genloom.use.classify import told
from genloom.use.likelihood import complete as completing
from genloom.use.serving import bodies
from genloom.use.serving.bodies import DEEP, PICTURES, TYPES, as_file, file_of, written
from genloom.use.serving.served import Loaded
from genloom.use.serving.service import MOST, Refused, Service, accepted, answer, brought, while_there
from genloom.use.tagging import tag
from genloom.use.translation import translate as translating
from genloom.use.translation import upscale as upscaling
from genloom.use.translation.files import parts, read_picture

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
LEAST_SEED, LARGEST_SEED = WHOLE["seed"]
GRID = "image/png", "image/jpeg", "image/webp"
Which = Annotated[str | None, Query(description="the model by name; left out, the only one that does this")]
Seed = Annotated[int, Query(ge=LEAST_SEED, le=LARGEST_SEED, description="the same seed gives the same bytes")]
Convert = Annotated[bool, Query(description="convert pictures of other colours, or transparent ones")]
RowCount = Annotated[int, Query(ge=0, le=100, description="rows by chance beside the best guess")]


Halves = Literal["top-half", "bottom-half", "left-half", "right-half"]


class Wishes(BaseModel):
    """What is asked of samples."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"n": 16, "seed": 0}]})
    n: StrictInt = Field(16, ge=1, description="samples")
    seed: StrictInt = Field(0, ge=LEAST_SEED, le=LARGEST_SEED, description="the same seed gives the same bytes")
    label: StrictInt | str | None = Field(None, description="a class by name or number; left out, they go round")
    temperature: float = Field(1.0, ge=0, le=100, allow_inf_nan=False, description="scale of the noise")
    model: str | None = Field(None, description="by name; left out, the only one that draws")


def routes(service: Service) -> APIRouter:
    """Return the routes of what the models can do."""
    router = APIRouter()
    for kind, add in BY_CAPABILITY:
        if service.able(kind):
            add(router, service)
    return router


def body_of(*types: str, example: Any = None) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is no JSON."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
    if example is not None:
        content[CSV]["example"] = example
    return {"requestBody": {"required": True, "content": content}}


def answers(*types: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the answers."""
    content = {kind: {} if kind == JSON else {"schema": {"type": "string", "format": "binary"}} for kind in types}
    why = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    wrong = {"description": "one sentence", "content": {JSON: {"schema": why}}}
    refusals: dict[int | str, dict[str, Any]] = {
        status: wrong for status in (400, 401, 404, 406, 408, 413, 415, 422, 429, 503)
    }
    return {200: {"description": "done", "content": content}, **refusals}


# -- samples ---------------------------------------------------------------------------------------


def kinds_of(shape: Shape) -> tuple[str, ...]:
    """Return the types in which samples can be had, the usual one first."""
    named = {suffix: kind for kind, suffix in TYPES.items()}
    files = [named[suffix] for suffix in shape.suffixes if suffix in named]
    return *files, *(kind for kind in (JSON, NPY) if kind not in files)


def add_sample(router: APIRouter, service: Service) -> None:
    """Add the route /sample."""
    types = [kind for used in service.able(can.Samples) for kind in kinds_of(used.model.shape)]

    @router.post("/sample", responses=answers(*dict.fromkeys(types)), response_class=Response)
    async def sample(request: Request, wishes: Wishes | None = None) -> Response:
        """Draw samples: what `genloom sample --seed` draws. Pictures come as one PNG, tables as CSV, music as MIDI."""
        said = wishes or Wishes.model_validate({})
        used = service.named(said.model, can.Samples)
        kind = accepted(request, *kinds_of(used.model.shape))
        drawn = await while_there(request, service.samples(used, said.n, said.seed, said.label, said.temperature))
        return answer(await asyncio.to_thread(shaped, used, drawn, said.n, kind), kind, used)


def shaped(used: Loaded, drawn: list[Any], n: int, kind: str) -> bytes:
    """Return samples as a file of a type."""
    if kind == NPY:
        return file_of(torch.cat(drawn), ".npy")
    if kind != JSON:
        return written(used.model.shape, drawn, n, TYPES[kind])
    rows = [row for x in drawn for row in bodies.rows_of_samples(used.model, x)]
    return json.dumps({"model": used.name, "version": used.version, "samples": rows}).encode()


# -- pictures --------------------------------------------------------------------------------------


async def picture(request: Request, kinds: dict[str, str] = PICTURES) -> tuple[bytes, str]:
    """Return the picture that a request brings, of these kinds, and the suffix of such files."""
    kind = brought(request, *kinds)
    content = await request.body()
    if not content:
        raise Refused(422, "the body is empty, and is to be a picture: curl --data-binary @photo.png")
    return content, kinds[kind]


def add_translate(router: APIRouter, service: Service) -> None:
    """Add the route /translate."""

    @router.post("/translate", responses=answers(*GRID, NPY), openapi_extra=body_of(*DEEP), response_class=Response)
    async def translate(
        request: Request, model: Which = None, to: Literal["A", "B"] = "B", seed: Seed = 0, convert: Convert = False
    ) -> Response:
        """Turn a picture into one of the other side, of its own size."""
        used = service.named(model, can.Translates)
        deep = used.model.shape.deep(to)  # type: ignore[attr-defined]
        kind = accepted(request, *((NPY,) if deep else GRID))
        content, suffix = await picture(request, DEEP)

        def do() -> bytes:
            translating.refuse_others(used.model, to)
            with as_file(content, suffix) as path:
                x = translating.read_input(used.model, path, to, convert)
                made = translating.translated(used.model, x, to, Noise.of(seed, 1), translating.Wishes())
            return file_of(translating.drawn(used.model, x, made, to, False), TYPES[kind])

        return answer(await while_there(request, service.alone(do)), kind, used)


def add_upscale(router: APIRouter, service: Service) -> None:
    """Add the route /upscale."""

    @router.post("/upscale", responses=answers(*GRID), openapi_extra=body_of(*PICTURES), response_class=Response)
    async def upscale(request: Request, model: Which = None, convert: Convert = False) -> Response:
        """Make a picture larger, with detail."""
        used = service.named(model, can.Upscales)
        kind = accepted(request, *GRID)
        content, suffix = await picture(request)
        net: Any = used.model

        def do() -> bytes:
            with as_file(content, suffix) as path:
                x = read_picture(path, net.shape.dims[0], convert)
            made = upscaling.upscaled(net, x, parts(None, None, net.reach, upscaling.TILE))
            return file_of(as_picture(made[0]), TYPES[kind])

        return answer(await while_there(request, service.alone(do)), kind, used)


def add_complete(router: APIRouter, service: Service) -> None:
    """Add the route /complete."""

    @router.post("/complete", responses=answers(*GRID, NPY), openapi_extra=body_of(*PICTURES), response_class=Response)
    async def complete(
        request: Request,
        model: Which = None,
        known: Annotated[Halves, Query(description="the part that stays")] = "top-half",
        n: Annotated[int, Query(ge=1, le=64, description="ways in which it may go on")] = 1,
        seed: Seed = 0,
        label: Annotated[str | None, Query(description="of the picture, for a model with labels")] = None,
    ) -> Response:
        """Draw the unknown half of a picture anew: one picture, or a sheet of `n`."""
        used = service.named(model, can.Completes)
        kind = accepted(request, *GRID, NPY)
        content, suffix = await picture(request)

        def do() -> bytes:
            with as_file(content, suffix) as path:
                found, _ = completing.complete(used.model, str(path), known, n, seed, label)
            if n == 1 and kind != NPY:
                return file_of(to_picture(found[1]), TYPES[kind])
            return written(used.model.shape, [found[1:]], n, TYPES[kind])

        return answer(await while_there(request, service.alone(do)), kind, used)


def add_classify(router: APIRouter, service: Service) -> None:
    """Add the route /classify."""

    @router.post("/classify", responses=answers(JSON), openapi_extra=body_of(*PICTURES), response_class=Response)
    async def classify(request: Request, model: Which = None) -> Response:
        """Say of which class a picture is: the probability of each."""
        used = service.named(model, can.Classifies)
        accepted(request, JSON)
        content, suffix = await picture(request)

        def do() -> bytes:
            with as_file(content, suffix) as path:
                p = told(used.model, completing.read_picture(str(path), used.model.shape))[0]
            return json.dumps({"probability": dict(zip(used.model.shape.classes, p.tolist(), strict=True))}).encode()

        return answer(await while_there(request, service.alone(do)), JSON, used)


def add_tag(router: APIRouter, service: Service) -> None:
    """Add the route /tag."""

    @router.post("/tag", responses=answers(JSON), openapi_extra=body_of(*PICTURES), response_class=Response)
    async def tags(
        request: Request, model: Which = None, count: Annotated[int, Query(ge=1, le=1000)] = 10, seed: Seed = 0
    ) -> Response:
        """Say by which words a picture may be called, with a share for each."""
        used = service.named(model, can.Tags)
        accepted(request, JSON)
        content, suffix = await picture(request)

        def do() -> bytes:
            with as_file(content, suffix) as path:
                found = tag(used.model, str(path), count, seed).tags[0]
            return json.dumps({"tags": [{"word": word, "share": share} for word, share in found]}).encode()

        return answer(await while_there(request, service.alone(do)), JSON, used)


# -- tables and records ----------------------------------------------------------------------------


def add_impute(router: APIRouter, service: Service) -> None:
    """Add the route /impute."""

    @router.post("/impute", responses=answers(CSV, JSON), openapi_extra=body_of(CSV, JSON), response_class=Response)
    async def impute(request: Request, model: Which = None, draws: RowCount = 0, seed: Seed = 0) -> Response:
        """Fill in the unknown cells of rows, as CSV with the names of columns first, or as a list of objects in JSON.

        Empty cells are unknown. The answer is of the same kind; with `draws` each row is followed by as many by chance.
        """
        used = service.named(model, can.Imputes)
        came = brought(request, CSV, JSON)
        kind = accepted(request, came, *{CSV, JSON} - {came})
        shape: Any = used.model.shape
        rows = await asyncio.to_thread(rows_of, await request.body(), came, [column.name for column in shape.columns])
        x, mask = await asyncio.to_thread(bodies.codes_of, rows, shape)
        found = [(await while_there(request, service.call(used, "impute", (x, mask))))[0]]
        if draws:
            k = next(port.dims[1] for port in used.functions["draw"].inputs if port.name == "u")
            u = Noise.of(seed, len(x) * draws).uniform(int(k)).view(len(x), draws, -1)
            for i in range(draws):
                found.append((await while_there(request, service.call(used, "draw", (x, mask, u[:, i]))))[0])
        filled = [bodies.filled_rows(rows, mask, each, shape) for each in found]
        together = [each for one in zip(*filled, strict=True) for each in one]
        return answer(bodies.as_csv(together) if kind == CSV else json.dumps(together, allow_nan=False).encode(), kind, used)


def rows_of(content: bytes, kind: str, names: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a body; InputError where it has none, Refused where it has too many."""
    rows = bodies.rows_of_csv(content, names, MOST) if kind == CSV else rows_of_json(content)
    if len(rows) > MOST:
        raise Refused(413, f"at most {MOST} rows a request")
    return rows


def rows_of_json(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a JSON body; InputError where it has none."""
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("the body is no JSON") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError('the body is to be a list of rows, as in [{"name": 1.5, "other": null}]')
    return rows


def add_deviation(router: APIRouter, service: Service) -> None:
    """Add the route /deviation."""
    from genloom.use.series.card import to_json, write_card

    @router.post("/deviation", responses=answers(JSON, "text/html"), openapi_extra=body_of(CSV), response_class=Response)
    async def deviation(request: Request, model: Which = None) -> Response:
        """Say where a record, as CSV with the run's columns, leaves usual operation, and which of its tags are to blame."""
        used = service.named(model, can.Follows)
        kind = accepted(request, JSON, "text/html")
        brought(request, CSV)
        content = await request.body()
        watch = used.watch
        assert watch is not None

        def do() -> bytes:
            with as_file(content, ".csv") as path:
                found = watch.score(str(path))
                if kind == JSON:
                    return json.dumps(to_json(found, "body.csv", used.name), default=str).encode()
                write_card(found, "body.csv", used.name, page := path.with_suffix(".html"))
                return page.read_bytes()

        return answer(await while_there(request, service.alone(do)), kind, used)


BY_CAPABILITY: tuple[tuple[type, Callable[[APIRouter, Service], None]], ...] = (
    (can.Samples, add_sample),
    (can.Translates, add_translate),
    (can.Upscales, add_upscale),
    (can.Completes, add_complete),
    (can.Classifies, add_classify),
    (can.Tags, add_tag),
    (can.Imputes, add_impute),
    (can.Follows, add_deviation),
)
