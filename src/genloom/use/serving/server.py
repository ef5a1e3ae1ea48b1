"""The server: a socket, signals, and an end that loses no request that was taken."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from genloom.errors import InputError
from genloom.reading import kind_of, named
from genloom.use.serving.app import Settings, application
from genloom.use.serving.service import Service

LEAST_TOKEN, MOST_TOKEN = 16, 4096  # letters
BACKLOG, SPARE = 64, 400  # connections that may knock, which are taken all at once; files that are no connections
PATIENCE, ENDING = 10.0, 5.0  # seconds


class Patient(H11Protocol):
    """A connection that is ended where nothing comes, or nothing is taken, for too long, or others need its place."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.watched: Any = None
        self.watch = self.loop.call_later(PATIENCE, self.look)
        if len(self.connections) > 0.9 * (self.config.limit_concurrency or 0):
            waits: Any = next((each for each in self.connections if each.cycle is None and each is not self), self)  # type: ignore[union-attr]
            self.connections.discard(waits)
            waits.transport.abort()  # one that has asked nothing yet

    def connection_lost(self, exc: Exception | None) -> None:
        self.watch.cancel()
        super().connection_lost(exc)

    def look(self) -> None:
        """End a connection that has asked nothing since the look before, or that waits for what nobody takes."""
        idle = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing() or (idle and self.watched == (self.cycle,)):
            self.transport.abort()
            return
        self.watched = (self.cycle,) if idle else None
        self.watch = self.loop.call_later(PATIENCE, self.look)


def connections(wanted: int) -> int:
    """Return how many connections may be open: some for each request that may wait, and no more than the system gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(16, min(4 * wanted + 256, soft - SPARE))


class Server(uvicorn.Server):
    """Ends by the signals as a service does: takes no more, answers what it took, exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.end)
        try:
            yield
        finally:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)

    def end(self) -> None:
        """Begin to end; a second signal ends at once."""
        self.force_exit = self.should_exit
        self.service.ending = self.should_exit = True


def token_of(path: str) -> str:
    """Return the token in a file; InputError where there is none, or others can read it."""
    target = named(path)
    if kind_of(target) != "file":
        raise InputError(f"--token-file {path}: there is no such file")
    if target.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"--token-file {path} can be read by others: chmod 600 {path}")
    try:
        token = target.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"--token-file {path} cannot be read as letters") from None
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or any(letter.isspace() for letter in token):
        raise InputError(f"--token-file {path} is to hold one token of {LEAST_TOKEN} to {MOST_TOKEN:,} letters")
    return token


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens; InputError where it cannot."""
    listening = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(found[0], found[1])
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use: name another by --port, or 0 for any that is free") from None
        raise InputError(f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}") from None
    return listening


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(service: Service, settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until a signal ends it."""
    listening = bound(host, port)
    at = listening.getsockname()
    shown = f"[{at[0]}]" if ":" in at[0] else at[0]
    if not is_loopback(host) and not settings.token:
        say("this server is open to everyone who can reach it: --token-file FILE asks for a token")
    config = uvicorn.Config(
        application(service, settings, say),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=int(settings.seconds) + 1,
        server_header=False,
        date_header=True,
        http=Patient,
        backlog=BACKLOG,
        limit_concurrency=connections(settings.bound),
    )
    server = Server(config, service)

    async def run() -> None:
        task: Any = asyncio.create_task(server.serve(sockets=[listening]))
        while not (server.started or task.done()):
            await asyncio.sleep(0.01)
        if server.started:
            told = ", ".join(f"{name} ({type(each.loaded.model).__name__})" for name, each in service.models.items())
            say(f"genloom serves {told} at http://{shown}:{at[1]}; end it by Ctrl-C")
        await task

    asyncio.run(run())
    service.queue.thread.join(ENDING)
    say("ended")
    if service.queue.thread.is_alive():  # work that nobody waits for; torch would end the process as if it had failed
        sys.stderr.flush()
        os._exit(0)
