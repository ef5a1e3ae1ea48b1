"""Evidence: a figure with all that it depends on, as docs/evidence/<name>.json under the working folder."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genloom.errors import InputError
from genloom.train.machine import processor
from genloom.train.session import versions

FOLDER = Path("docs/evidence")


def record(
    name: str, figures: dict[str, Any], *, seed: int | None, cpu_seconds: float, notes: str = "",
    folder: Path = FOLDER, **rest: Any,
) -> Path:  # fmt: skip
    """Write the evidence file and return its path; figures are numbers or [value, low, high].

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "name": name,
        "command": command(),
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
    path = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def command() -> str:
    """Return the command that is running, as a person would type it."""
    program = Path(sys.argv[0])
    if program.parent.name == "benchmarks":
        return shlex.join(["python", "-m", f"benchmarks.{program.stem}", *sys.argv[1:]])
    return shlex.join(["genloom" if program.stem in ("genloom", "__main__") else str(program), *sys.argv[1:]])


def commit() -> str:
    """Return the commit of the working folder, marked where its sources differ from it; "" outside a repository."""
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(["git", "status", "--porcelain", "src"], capture_output=True, text=True).stdout
    except OSError:  # no git here
        return ""
    return head.stdout.strip() + (" with changes" if changed.strip() else "")
