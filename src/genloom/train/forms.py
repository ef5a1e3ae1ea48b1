"""What the JSON files of a run folder hold, as `read_json` takes it: what is read back is checked by these."""

from __future__ import annotations

RECORD = {  # run.json
    "model": str,
    "preset": str,
    "hyper": {"*": (str, float, bool, list, type(None))},
    "shape": {"kind": str},
    "data": {"source": str, "fingerprint": str, "examples": int, "options": dict, "loaded": dict},
    "plan": {
        **{name: int for name in ("batch", "seed", "threads", "processes")},
        **{f"{name}?": (int, type(None)) for name in ("examples", "micro")},
        **{f"{name}?": (float, type(None)) for name in ("minutes", "cpu_minutes")},
        "precision": str,
    },
    "start?": {"run": str, "checkpoint": str, "examples": int, "cpu_seconds": float},
}
BEST = {"checkpoint": str, "measure": str, "value": float}
LINE = {
    "examples": int,
    "rounds": int,
    "notes": {"*": float},
    "health": [{"name": str, "text": str, "since": int}],
    "seconds": float,
    "cpu_seconds": float,
    "examples_per_second": float,
}
STATE = {
    **{name: int for name in ("examples", "rounds", "phase", "phase_start")},
    **{name: float for name in ("seconds", "cpu_seconds", "score_cpu_seconds")},
    "ema": {"*": int},
    "score": (list, type(None)),
    "files": {"*": {"bytes": int, "digest": str}},  # so that none is taken for one of another instant
}
