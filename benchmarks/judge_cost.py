"""What judging costs: 10,000 digits, two runs compared, a quick look, and the light judge's share of a training.

python -m benchmarks.judge_cost RUN OTHER     # runs of dcgan and vae on MNIST; their folders are not changed
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

TRAINING_MINUTES = 2


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
    parser.add_argument("other")
    run, other = vars(parser.parse_args()).values()
    with tempfile.TemporaryDirectory() as folder:
        figures = judging(run, folder)
        figures["compare_first_cpu_seconds"], _ = genloom(
            "compare", run, other, "-o", f"{folder}/both.html", cache=f"{folder}/empty"
        )
        figures["light_judge_share"] = light_share(folder)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record(
        "judge-cost",
        {name: round(value, 4) for name, value in figures.items()},
        seed=0,
        cpu_seconds=used.ru_utime + used.ru_stime,
        notes="MNIST, one thread. First and compare begin from an empty cache: the pictures are read, the classifier is "
        "trained and the baselines are measured; compare takes 10,000 samples of each run. Quick begins with the pictures "
        "alone in the cache, as after any training. The classifier's accuracy is that on the test pictures. "
        f"The light judge's share is that of {TRAINING_MINUTES} minutes of dcgan modern, a checkpoint a minute. "
        f"Runs: {described(Run.open(run))}; {described(Run.open(other))}.",
    )


def described(run: Run) -> str:
    """Return what a run is, and how large."""
    record, state = run.record, run.state(run.last_checkpoint())
    size = f"{record['shape']['height']}x{record['shape']['width_px']}"
    hyper = ", ".join(
        f"{name} {value}" for name, value in record["hyper"].items() if name in ("width", "features", "decoder")
    )
    return f"{record['model']} {record['preset']}, {hyper}, {size}, {state['examples']:,} examples"


def judging(run: str, folder: str) -> dict[str, float]:
    """Return what it costs to judge a run for the first time, again, quickly, and by many samples."""
    data, out, cache = str(DATA / "mnist"), f"{folder}/judge.json", f"{folder}/cache"
    common, figures = ("judge", run, data, "-o", out), {}
    figures["first_judgement_cpu_seconds"], _ = genloom(*common, "-n", "10000", cache=cache)
    again = genloom(*common, "-n", "10000", cache=cache)
    figures["judge_10000_cpu_seconds"], figures["judge_10000_peak_mb"] = again
    judged = json.loads(Path(out).read_text())
    figures["sampling_cpu_seconds"] = 10_000 / judged["cost"]["samples_per_cpu_second"]
    real = judged["baselines"]["real pictures"]
    figures["classifier_accuracy"] = next(real[name]["value"] for name in real if name.startswith("class accuracy"))
    figures["quick_cpu_seconds"], _ = genloom(*common, "--quick", cache=cache)
    figures["quick_again_cpu_seconds"], _ = genloom(*common, "--quick", cache=cache)
    _, figures["judge_50000_peak_mb"] = genloom(*common, "-n", "50000", cache=cache)
    return figures


def light_share(folder: str) -> float:
    """Return the light judge's share of a short training."""
    options = ["--preset", "modern", "--minutes", str(TRAINING_MINUTES), "--quiet", "--threads", "1"]
    genloom("fit", "dcgan", str(DATA / "mnist"), "-o", f"{folder}/run", *options, cache=f"{folder}/cache")
    fresh = Run.open(Path(folder) / "run")
    state = fresh.state(fresh.last_checkpoint())
    return state["score_cpu_seconds"] / state["cpu_seconds"]


if __name__ == "__main__":
    main()
