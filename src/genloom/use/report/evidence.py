"""Evidence: a figure with all that it depends on, as docs/evidence/<name>.json under the working folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from genloom.bounds import short
from genloom.errors import InputError
from genloom.files import replaced
from genloom.train.machine import processor
from genloom.train.session import command, versions

FOLDER = Path("docs/evidence")


def record(
    name: str,
    figures: dict[str, Any],
    *,
    seed: int | None,
    cpu_seconds: float,
    notes: str = "",
    folder: Path = FOLDER,
    **rest: Any,
) -> Path:
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
    check_name(name)
    with replaced(path) as part:
        part.write_text(json.dumps(portable(content), indent=1) + "\n")
    return path


def check_name(name: str) -> None:
    """Raise InputError where evidence cannot be called so: a name must not lead out of its folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise InputError(f"--record takes a name of letters, digits and dashes, such as dcgan-mnist, got {short(name)}")


def portable(content: Any) -> Any:
    """Return evidence without the paths of one machine: data is named by its place in the data folder, the rest as is."""
    if isinstance(content, dict):
        return {key: portable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [portable(value) for value in content]
    if not isinstance(content, str):
        return content
    for folder, name in ((os.environ.get("GENLOOM_DATA"), "$GENLOOM_DATA"), (os.getcwd(), "."), (Path.home(), "~")):
        for path in [Path(folder), Path(folder).resolve()] if folder else []:
            if len(path.parts) > 1:  # neither "/" nor "."
                content = re.sub(rf"(?<![\w./-]){re.escape(str(path))}(?![\w.-])", name, content)
    return content


def commit() -> str:
    """Return the commit of the working folder, marked where its sources differ from it; "" outside a repository."""
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(["git", "status", "--porcelain", "src"], capture_output=True, text=True).stdout
    except OSError:  # no git here
        return ""
    return head.stdout.strip() + (" with changes" if changed.strip() else "")
