"""Write a figure with all that it depends on to docs/evidence/<name>.json."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genloom.api import versions
from genloom.machine import processor

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "evidence"
DATA = Path(os.environ.get("GENLOOM_DATA", ROOT.parent / "shared" / "data"))


def record(
    name: str, figures: dict[str, Any], *, seed: int | None, cpu_seconds: float, notes: str = "", **rest: Any
) -> None:
    """Write the evidence file; figures are numbers or [value, low, high]."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "commit": commit(),
        "seed": seed,
        "versions": versions(),
        "processor": processor(),
        "date": time.strftime("%Y-%m-%d"),
        "cpu_seconds": round(cpu_seconds, 1),
        "figures": figures,
        "notes": notes,
        **rest,
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["figures"], indent=1))


def commit() -> str:
    """Return the commit of the working tree, marked where it differs from it."""
    head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "src"], cwd=ROOT, capture_output=True, text=True).stdout
    return head.stdout.strip() + (" with changes" if changed.strip() else "")
