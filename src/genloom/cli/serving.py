"""`genloom serve`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from genloom.cli.console import Checkpoint, Threads, say, threads_of
from genloom.errors import InputError


def serve(
    *runs: Annotated[str, Parameter(help="run folders, each with a name before it where wanted: faces=runs/a")],
    port: Annotated[int, Parameter(help="0 for any that is free")] = 8000,
    host: Annotated[str, Parameter(help="the address to listen on; 0.0.0.0 for every one of this machine")] = "127.0.0.1",
    token_file: Annotated[str | None, Parameter(help="a file with the token that requests must bear")] = None,
    batch: Annotated[int, Parameter(help="rows that are worked out at once, 1 for each by itself")] = 16,
    queue: Annotated[int, Parameter(help="requests that may wait; more are answered by 429")] = 256,
    timeout: Annotated[float, Parameter(help="seconds that a request may take")] = 60.0,
    body: Annotated[float, Parameter(help="MB that a request may bring")] = 32.0,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Serve runs over HTTP: samples, translations and the like by plain routes, all else by the Open Inference Protocol.

    / says what there is. A newer checkpoint is taken up as it comes; SIGTERM ends the server once what it took is answered.
    """
    try:
        from genloom.use.serving.app import Settings
        from genloom.use.serving.server import serve as run
        from genloom.use.serving.server import token_of
        from genloom.use.serving.service import Service
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("genloom"):
            raise
        raise InputError(f"serve needs {error.name}: run pip install 'genloom[serve]'") from None
    from genloom.bounds import above_zero, whole
    from genloom.use.serving.served import all_served

    if not runs:
        raise InputError("serve takes run folders: genloom serve runs/photos")
    above_zero("timeout", timeout)
    above_zero("body", body)
    settings = Settings(
        rows=whole("batch", batch),
        bound=whole("queue", queue),
        seconds=timeout,
        largest=max(1, int(body * 1e6)),
        token=token_of(token_file) if token_file else "",
    )
    with threads_of(threads):
        service = Service(all_served(runs, checkpoint), settings.rows, settings.bound, 0.9 * settings.seconds)
        run(service, settings, host, whole("port", port), say)
