"""`genloom serve` asked by schemathesis what its OpenAPI description allows, and what it does not.

    pip install schemathesis; python -m benchmarks.serve_fuzz [--minutes 10]

Models of several kinds, trained for a moment: a dcgan with labels, a vae, a pixelcnn, gain, pix2pix, a line. `errors_5xx` is
by the server's own counts; `generated` and `passed` are schemathesis's cases.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import genloom
from benchmarks.evidence import record
from benchmarks.gpu import data_for
from benchmarks.serving import serving
from genloom.data.points import gaussian_line

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def runs(place: Path) -> list[Path]:
    """Return the folders of short trainings."""
    small: dict[str, Any] = {"preset": "tiny", "examples": 256, "threads": 1}
    lines = ["size,kind,day"] + [f"{i * 7 % 23},{'ab'[i % 2]},2026-01-{i % 28 + 1:02d}" for i in range(80)]
    (place / "rows.csv").write_text("\n".join(lines) + "\n")
    found = [
        genloom.fit("dcgan", "digits", place / "digits", hyper={"conditional": True}, **small),
        genloom.fit("vae", "digits", place / "vae", **small),
        genloom.fit("pixelcnn", "digits", place / "pixels", **small),
        genloom.fit("gain", place / "rows.csv", place / "rows", **small),
        genloom.fit("pix2pix", data_for("pix2pix", place / "pairs"), place / "pix", **small | {"examples": 8}),
        genloom.fit("line", gaussian_line(500), place / "line", examples=256, threads=1),
    ]
    return [run.folder for run in found]


def counted(text: str) -> dict[str, int]:
    """Return how many requests were answered by each status, of the server's metrics."""
    found: dict[str, int] = {}
    for status, number in re.findall(r'genloom_requests_total\{.*status="(\w+)"\} ([\d.e+]+)', text):
        found[status] = found.get(status, 0) + round(float(number))
    return found


def main() -> None:
    """Train, serve, ask, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes, began = parser.parse_args().minutes, time.process_time()
    with tempfile.TemporaryDirectory() as name, serving(*runs(Path(name)), "--threads", 1, "--timeout", 20) as server:
        at = f"http://{server.host}:{server.port}"
        before = server.megabytes()
        command = ["schemathesis", "run", f"{at}/openapi.json", "--max-time", str(round(60 * minutes)), "--checks", CHECKS]
        said = subprocess.run(
            [*command, "--generation-database", ":memory:", "--continue-on-failure", "--no-color"],
            capture_output=True,
            text=True,
            cwd=name,
        )
        print(said.stdout[-6000:], said.stderr[-1000:])
        statuses = counted(urllib.request.urlopen(f"{at}/metrics").read().decode())
        figures = {
            "requests": sum(statuses.values()),
            "errors_5xx": sum(n for status, n in statuses.items() if status.startswith("5")),
            "statuses": dict(sorted(statuses.items())),
            "generated": int(re.search(r"(\d+) generated", said.stdout)[1]),  # type: ignore[index]
            "passed": int((re.search(r"(\d+) passed", said.stdout.split("Test cases:")[1]) or [0, 0])[1]),
            "minutes": minutes,
            "rss_growth_mb": round(server.megabytes() - before, 1),
        }
    record("serve-fuzz", figures, seed=0, cpu_seconds=time.process_time() - began, notes="schemathesis 4")


if __name__ == "__main__":
    main()
