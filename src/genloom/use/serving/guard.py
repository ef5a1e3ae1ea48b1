"""What stands before every request: its name, who may ask, how large it may be and how long it may take, and the counts."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import re
import time
import uuid
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OPEN = ("/v2/health/live", "/v2/health/ready")  # without a token, for whoever watches over the server
LARGEST_JSON = 8_000_000  # bytes: reading it holds everything else up
REQUEST = re.compile(r"[A-Za-z0-9._:-]{1,128}")
Scope = MutableMapping[str, Any]


class TooLarge(Exception):
    """A body is larger than it may be."""


class Counts:
    """The server's figures, as Prometheus takes them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        rest: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("genloom_requests", "requests that were answered", ["route", "status"], **rest)
        self.seconds = Histogram("genloom_request_seconds", "seconds from a request to its answer", ["route"], **rest)
        self.rows = Histogram("genloom_batch_rows", "rows of a batch", buckets=(1, 2, 4, 8, 16, 32, 64), **rest)
        self.waiting = Gauge("genloom_waiting", "requests that wait for a model", **rest)
        self.model = Gauge("genloom_model", "1 for the checkpoint that is used", ["model", "version"], **rest)


class Guard:
    """A layer around an application.

    Args:
        token: that requests must bear; "" for none.
        largest: bytes of a body.
        seconds: for a request.
    """

    def __init__(self, app: Any, counts: Counts, token: str, largest: int, seconds: float) -> None:
        self.app, self.counts, self.token, self.largest, self.seconds = app, counts, token, largest, seconds

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        called = headers.get("x-request-id", "")
        called = called if REQUEST.fullmatch(called) else uuid.uuid4().hex
        began, status = time.monotonic(), 0

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", called.encode())]
            await send(message)

        try:
            await self.answered(scope, headers, receive, sent, lambda: status)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.counts.requests.labels(route, str(status or "gone")).inc()
            self.counts.seconds.labels(route).observe(time.monotonic() - began)

    async def answered(self, scope: Scope, headers: dict[str, str], receive: Any, send: Any, status: Any) -> None:
        """Let a request through, or say why not."""
        if self.token and scope["path"] not in OPEN and not self.bears(headers.get("authorization", "")):
            await refuse(send, 401, "this server wants a token: Authorization: Bearer ...", {"www-authenticate": "Bearer"})
            return
        told, body, over, whole = headers.get("content-length", "0"), 0, False, False
        largest = min(self.largest, LARGEST_JSON) if "json" in headers.get("content-type", "") else self.largest
        why = f"the body is larger than {largest / 1e6:g} MB, which is as large as it may be"
        if len(told) > 18 or (told.isdigit() and int(told) > largest):
            await refuse(send, 413, why)
            return

        async def received() -> Any:
            nonlocal body, over, whole
            message = await receive()
            body += len(message.get("body", b""))
            whole = whole or not message.get("more_body", False)
            over = over or body > largest
            if over:
                raise TooLarge
            return message

        async def passed(message: Any) -> None:
            if not over:  # what the application makes of a body that was cut off is not sent
                await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                with suppress(TooLarge):
                    await self.app(scope, received, passed)
                if over and not status():
                    await refuse(send, 413, why)
        except TimeoutError:
            if not status() and not whole:
                await refuse(send, 408, f"the body did not come within {self.seconds:g} s", {"connection": "close"})
            elif not status():
                again = {"retry-after": str(math.ceil(self.seconds))}
                await refuse(send, 503, f"this was not done within {self.seconds:g} s", again)

    def bears(self, said: str) -> bool:
        """Return whether a header holds the token."""
        scheme, _, token = said.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.token.encode())


async def refuse(send: Any, status: int, why: str, more: dict[str, str] | None = None) -> None:
    """Answer with one sentence."""
    content = json.dumps({"error": why}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content)), **(more or {})}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
