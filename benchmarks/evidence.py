"""Where the benchmarks find data and leave their evidence."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genloom import Run
from genloom.use.report import evidence

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "evidence"
DATA = Path(os.environ.setdefault("GENLOOM_DATA", str(ROOT.parent / "shared" / "data")))  # evidence names data by it


def record(name: str, figures: dict[str, Any], **rest: Any) -> None:
    """Write docs/evidence/<name>.json and print its figures; `rest` as `genloom.use.report.evidence.record` takes it."""
    evidence.record(name, figures, folder=FOLDER, **rest)
    print(json.dumps(figures, indent=1))


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Give the tree of a commit in a folder of its own."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


def stretches(run: Run) -> list[Run]:
    """Return the runs through which a training went, each started from the one before."""
    start = run.record.get("start")
    return [*stretches(Run.open(start["run"])), run] if start else [run]


def before(run: Run) -> dict[str, Any]:
    """Return the examples and CPU seconds that were spent before a run, in those it started from."""
    return run.record.get("start", {"examples": 0, "cpu_seconds": 0.0})


def spent(run: Run) -> dict[str, Any]:
    """Return the figures of what a training cost, from its first weights on."""
    state = run.state(run.last_checkpoint())  # type: ignore[arg-type]
    return {
        "examples": state["examples"] + before(run)["examples"],
        "training_cpu_seconds": round(state["cpu_seconds"] + before(run)["cpu_seconds"], 1),
    }


def commands(run: Run) -> str:
    """Return the commands that trained a run, in their order."""
    return "; ".join(stretch.record["command"] for stretch in stretches(run))
