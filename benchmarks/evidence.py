"""Where the benchmarks find data and leave their evidence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from genloom.tools import evidence

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "evidence"
DATA = Path(os.environ.get("GENLOOM_DATA", ROOT.parent / "shared" / "data"))


def record(name: str, figures: dict[str, Any], **rest: Any) -> None:
    """Write docs/evidence/<name>.json and print its figures; `rest` as `genloom.tools.evidence.record` takes it."""
    evidence.record(name, figures, folder=FOLDER, **rest)
    print(json.dumps(figures, indent=1))
