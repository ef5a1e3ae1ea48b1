"""The application: routes, errors as one sentence, a page that says what there is."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from genloom.core.capabilities import Samples
from genloom.errors import InputError
from genloom.use.report.html import page_of
from genloom.use.serving.guard import Guard
from genloom.use.serving.inference import inference, protocol_names
from genloom.use.serving.queue import Busy, Late
from genloom.use.serving.routes import BY_CAPABILITY, routes
from genloom.use.serving.service import Refused, Service


@dataclass(frozen=True)
class Settings:
    """How a server serves.

    Attributes:
        rows: of a batch.
        bound: requests that may wait.
        seconds: that a request may take.
        largest: bytes of a body.
        token: that requests must bear, "" for none.
        every: seconds between looks for a newer checkpoint.
    """

    rows: int = 16
    bound: int = 256
    seconds: float = 60.0
    largest: int = 32_000_000
    token: str = ""
    every: float = 2.0


def application(service: Service, settings: Settings, say: Any = print) -> Guard:
    """Return the application as a server runs it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follow = asyncio.create_task(service.follow(settings.every, say))
        yield
        follow.cancel()
        service.queue.close()

    app = FastAPI(
        title="genloom",
        version=version("genloom"),
        summary="Trained generative models",
        lifespan=lifespan,
        docs_url=None,  # its page would ask another host for its script
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.include_router(routes(service))
    app.include_router(inference(service, version("genloom")))

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Give the server's figures, for Prometheus."""
        return Response(generate_latest(service.counts.registry), media_type=CONTENT_TYPE_LATEST)

    @app.head("/", include_in_schema=False)
    @app.get("/", response_class=HTMLResponse)
    async def front(request: Request) -> HTMLResponse:
        """Say what there is, for people."""
        return HTMLResponse(front_page(app, service, str(request.base_url)))

    app.openapi = lambda: described(app, service)  # type: ignore[method-assign]
    for kind, handler in HANDLERS:
        app.add_exception_handler(kind, handler)
    return Guard(app, service.counts, settings.token, settings.largest, settings.seconds)


def described(app: FastAPI, service: Service) -> dict[str, Any]:
    """Return what OpenAPI says of the application, with the names that its models have."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    able = {f"/{add.__name__.removeprefix('add_')}": service.able(kind) for kind, add in BY_CAPABILITY}
    for path, methods in found["paths"].items():
        names = [each.name for each in able.get(path, ())] or protocol_names(service)
        parameters = [each for method in methods.values() for each in method.get("parameters", ())]
        for each in (each for each in parameters if each["name"] == "model"):
            each["schema"] = {"type": "string", "enum": names}
    wishes = found.get("components", {}).get("schemas", {}).get("Wishes")
    if wishes:
        wishes["properties"]["model"] = {"type": "string", "enum": [each.name for each in able["/sample"]]}
    app.openapi_schema = found
    return found


def said(status: int, why: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal."""
    return JSONResponse({"error": why}, status, headers)


async def busy(_: Request, error: Exception) -> Response:
    """Answer where too many wait."""
    assert isinstance(error, Busy)
    return said(429, str(error), {"Retry-After": str(error.seconds)})


async def late(_: Request, error: Exception) -> Response:
    """Answer what waited for too long."""
    return said(503, f"{error}: ask again later", {"Retry-After": "5"})


async def refused(_: Request, error: Exception) -> Response:
    """Answer by the sentence of an error."""
    return said(getattr(error, "status", 422), str(error))


async def unknown(request: Request, error: Exception) -> Response:
    """Answer where there is nothing, or not for this method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    why = {
        400: "the body cannot be read",
        404: "there is nothing at this address: / says what there is",
        405: f"{request.method} is not for this address",
    }
    return said(error.status_code, why.get(error.status_code, str(error.detail)), headers)


async def invalid(_: Request, error: Exception) -> Response:
    """Answer by what is wrong first of what was asked."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "model_attributes_type":
        return said(422, "the body is to be an object in JSON, and Content-Type: application/json")
    if first["type"] == "json_invalid":
        return said(422, "the body is no JSON")
    place = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return said(422, f"{place}: {first['msg']}"[:500])


async def gone(_: Request, error: Exception) -> Response:
    """Answer a body that was cut off."""
    return said(400, "the body ended before its end")


async def failed(_: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the server says what it was where it was started."""
    return said(500, "the server failed at this; its log says why")


HANDLERS: tuple[tuple[Any, Any], ...] = (
    (Busy, busy),
    (Late, late),
    (Refused, refused),
    (InputError, refused),
    (HTTPException, unknown),
    (RequestValidationError, invalid),
    (ClientDisconnect, gone),
    (Exception, failed),
)


def front_page(app: FastAPI, service: Service, base: str) -> str:
    """Return the page at the door: the models, and a line for each route that a person can type."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(type(served.loaded.model).__name__)}</td>"
        f"<td>{html.escape(served.loaded.model.shape.describe())}</td><td>{html.escape(served.loaded.version)}</td></tr>"
        for name, served in service.models.items()
    )
    lines = []
    for path, methods in app.openapi()["paths"].items():
        if "post" not in methods or path.startswith("/v2"):
            continue
        names = next(
            (each["schema"]["enum"] for each in methods["post"].get("parameters", ()) if each["name"] == "model"), None
        )
        names = names or [each.name for each in service.able(Samples)]
        line = curl(f"{base.rstrip('/')}{path}", methods["post"]["requestBody"]["content"], names[0] if names[1:] else "")
        lines.append(f"<h3>{path}</h3><p>{html.escape(methods['post']['description'])}</p><pre>{html.escape(line)}</pre>")
    body = f"<table><tr><th>model</th><th>kind</th><th>of</th><th>checkpoint</th></tr>{rows}</table>{''.join(lines)}"
    links = {"openapi.json": "openapi.json", "v2": "Open Inference Protocol", "metrics": "metrics"}
    shown = " · ".join(f'<a href="/{at}">{name}</a>' for at, name in links.items())
    body += f"<p>{shown}</p>"
    return page_of("genloom serves", ["<h1>genloom serves</h1>", body])


def curl(url: str, takes: dict[str, Any], model: str) -> str:
    """Return a line that asks a route, with the name of a model where that has to be said."""
    asked = f"'{url}?model={model}'" if model else url
    if "text/csv" in takes:
        return f"curl {asked} -H 'Content-Type: text/csv' --data-binary @rows.csv"
    if "image/png" in takes:
        return f"curl {asked} -H 'Content-Type: image/png' --data-binary @photo.png -o out.png"
    wishes = {"n": 16, "seed": 0} | ({"model": model} if model else {})
    return f"curl {url} -H 'Content-Type: application/json' -d '{json.dumps(wishes)}' -o samples.png"
