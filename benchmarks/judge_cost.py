"""What judging costs: 10,000 digits, the memory of 50,000 samples, and the light judge's share of a training.

python -m benchmarks.judge_cost RUN     # a run of dcgan on MNIST; RUN's folder is not changed
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.evidence import DATA, ROOT, record
from genloom import Run

TRAINING_MINUTES = 4


def genloom(*arguments: str, cache: str) -> tuple[float, float]:
    """Run a command on one thread; return its CPU seconds and its peak memory in MB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GENLOOM_CACHE": cache, "PYTHONPATH": str(ROOT / "src")}
    code = (
        "import json, resource, sys; from genloom.cli.app import run; status = run(sys.argv[1:]); "
        "u = resource.getrusage(resource.RUSAGE_SELF); "
        "print(json.dumps([u.ru_utime + u.ru_stime, u.ru_maxrss / 1024])); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    run = parser.parse_args().run
    data = str(DATA / "mnist")
    with tempfile.TemporaryDirectory() as folder:
        cache, out = f"{folder}/cache", f"{folder}/judge.json"
        figures: dict[str, float] = {}
        figures["first_judgement_cpu_seconds"], _ = genloom("judge", run, data, "-n", "10000", "-o", out, cache=cache)
        figures["judge_10000_cpu_seconds"], figures["judge_10000_peak_mb"] = genloom(
            "judge", run, data, "-n", "10000", "-o", out, cache=cache
        )
        _, figures["judge_50000_peak_mb"] = genloom("judge", run, data, "-n", "50000", "-o", out, cache=cache)
        genloom(
            "fit",
            "dcgan",
            data,
            "-o",
            f"{folder}/run",
            "--preset",
            "modern",
            "--minutes",
            str(TRAINING_MINUTES),
            "--quiet",
            "--threads",
            "1",
            cache=cache,
        )
        fresh = Run.open(Path(folder) / "run")
        state = fresh.state(fresh.last_checkpoint())
        figures["light_judge_share"] = round(state["score_cpu_seconds"] / state["cpu_seconds"], 4)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record(
        "judge-cost",
        {name: round(value, 4) for name, value in figures.items()},
        seed=0,
        cpu_seconds=used.ru_utime + used.ru_stime,
        notes="MNIST at 32x32, one thread; the first judgement also trains the classifier and measures the baselines; "
        f"the light judge's share of {TRAINING_MINUTES} minutes of dcgan modern a checkpoint a minute",
    )


if __name__ == "__main__":
    main()
