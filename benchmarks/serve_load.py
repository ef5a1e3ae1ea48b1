"""`genloom serve` under load, from loopback: two hundred clients for ten minutes, and what batches are worth.

    python -m benchmarks.serve_load [--minutes 10]

A dcgan for colour pictures of 64x64 (preset modern, trained for a moment), a sample a request as .npy, one thread for the
model; clients ask again as soon as they are answered. `unbatched` is the same server with `--batch 1`, for a minute, before
and after; `batched_over_unbatched` is of what was answered a second. Wall clock, on a machine that is shared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import genloom
from benchmarks.evidence import DATA, record
from benchmarks.serving import Server, load, serving

CLIENTS, UNBATCHED = 200, 60
HEADERS = "Content-Type: application/json\r\nAccept: application/x-npy\r\n"


def body(number: int) -> bytes:
    """Return the body of a request."""
    return json.dumps({"n": 1, "seed": number}).encode()


async def watched(server: Server, seconds: float) -> dict[str, Any]:
    """Return the figures of a load, and by how much the server's memory grew after its first fifth."""
    task = asyncio.create_task(load(server, CLIENTS, seconds, "/sample", body, HEADERS))
    await asyncio.sleep(seconds / 5)
    early = server.megabytes()
    found = (await task).figures(seconds)
    return found | {"rss_mb": round(server.megabytes()), "rss_growth_mb": round(server.megabytes() - early, 1)}


def main() -> None:
    """Train, serve, ask, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes, began = parser.parse_args().minutes, time.process_time()
    with tempfile.TemporaryDirectory() as name:
        run = genloom.fit(
            "dcgan", f"{DATA}/noto_emoji/emoji_128.zip", Path(name) / "run", size=64, channels=3, examples=512, threads=1
        )
        figures: dict[str, Any] = {"clients": CLIENTS}
        unbatched = []
        for rows, seconds in ((1, UNBATCHED), (16, 60 * minutes), (1, UNBATCHED)):
            with serving(run.folder, "--threads", 1, "--batch", rows) as server:
                found = asyncio.run(watched(server, seconds))
                print(rows, found, round(server.ready, 2), flush=True)
                if rows == 1:
                    unbatched.append(found["answered_a_second"])
                else:
                    figures |= found | {"ready_seconds": round(server.ready, 2), "minutes": minutes}
    figures["unbatched_a_second"] = unbatched
    figures["batched_over_unbatched"] = round(figures["answered_a_second"] / (sum(unbatched) / len(unbatched)), 2)
    record(
        "serve-load", figures, seed=0, cpu_seconds=time.process_time() - began, notes="a queue of 256, batches of 16 rows"
    )


if __name__ == "__main__":
    main()
