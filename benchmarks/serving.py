"""A server in a process of its own, and requests to it without a library: for benchmarks of `genloom serve`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Server:
    """A server that runs.

    Attributes:
        ready: seconds from its start until it took requests.
        said: the lines that it wrote since.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
    ready: float
    said: list[str] = field(default_factory=list)

    def megabytes(self) -> float:
        """Return its resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1000


@contextmanager
def serving(*arguments: Any) -> Iterator[Server]:
    """Give a server of these arguments on a free port; it is ended by SIGTERM and has to end with 0."""
    began = time.monotonic()
    command = [sys.executable, "-m", "genloom", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = iter(process.stderr)
    address = next(line for line in lines if " at http" in line).split(" at http://")[1].split(";")[0].strip()
    host, port = address.rsplit(":", 1)
    try:
        yield Server(process, host, int(port), time.monotonic() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(90)
        assert status == 0, status


async def asked(reader: Any, writer: Any, path: str, body: bytes, headers: str) -> tuple[int, bytes]:
    """Return status and content of a request on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    told = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), await reader.readexactly(int(told["content-length"]))


@dataclass
class Load:
    """What came of many requests: their statuses, and the seconds of those that were answered."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def figures(self, lasted: float) -> dict[str, Any]:
        """Return counts, and milliseconds."""
        ordered = sorted(self.seconds)
        return {
            "requests": sum(self.statuses.values()),
            "answered_a_second": round(len(ordered) / lasted, 1),
            "errors_5xx": sum(n for status, n in self.statuses.items() if status >= 500),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 1),
            "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 1),
        }


async def load(server: Server, clients: int, seconds: float, path: str, body: Any, headers: str) -> Load:
    """Return what comes of so many clients that ask again and again; `body` gives the body of a request by its number."""
    found, end, number = Load(), time.monotonic() + seconds, iter(range(10**9))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        while time.monotonic() < end:
            began = time.monotonic()
            status, _ = await asked(reader, writer, path, body(next(number)), headers)
            found.statuses[status] = found.statuses.get(status, 0) + 1
            if status == 200:
                found.seconds.append(time.monotonic() - began)
            else:
                await asyncio.sleep(1)  # as it is told to, by Retry-After
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return found
