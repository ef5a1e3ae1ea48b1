"""Trainings on CIFAR-10 that share a GPU for some minutes, side by side: makers of pictures, and a classifier of few labels.

    python -m benchmarks.gpu_runs --minutes 6 --judge-seconds 30 --baselines 3000 --out docs/evidence

Each is a process of its own, as a person would start it; what the GPU gives to one, it does not give to another, so paces
are those of a shared card (`python -m benchmarks.gpu --steps makers` has them alone). When the time is over each is judged:
errors on test pictures where the model classifies, beside the same net without a generator; distances to the training
pictures where it makes pictures. Figures are written as they come, so that a call that is cut off keeps what it had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import genloom
from benchmarks.evidence import ROOT
from benchmarks.feature_matching import STEPS, TASKS, baseline
from genloom import Run
from genloom.use.report.evidence import record

CONV = ["--hyper.net", "conv", "--hyper.generator", "128", "--hyper.noise_input", "0.2", "--hyper.rate", "3e-4"]


def trainings(horizon: str) -> dict[str, list[str]]:
    """Return by name what each training is told."""
    pictures = str(TASKS["cifar"].train)
    return {
        "feature_matching": ["feature_matching", pictures, "--hyper.labels", "1000", *CONV, "--compile"],
        "r3gan": ["r3gan", pictures, "--preset", "paper", "--flip", "--hyper.horizon", horizon, "--micro", "64"],
        "dcgan": ["dcgan", pictures, "--preset", "modern", "--flip"],
        "dcgan, batch 256": ["dcgan", pictures, "--preset", "modern", "--flip", "--batch", "256"],
    }


def train(words: list[str], out: Path, minutes: float, device: str) -> str:
    """Train in a process of its own, and return the last line of what it said where it failed."""
    command = [sys.executable, "-m", "genloom", "fit", *words, "-o", str(out), "--minutes", str(minutes)]
    command += ["--device", device, "--threads", "1", "--quiet", "--save-every", "120"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode and "--compile" in words:
        print("without graphs:", done.stderr[-400:], flush=True)
        return train([each for each in words if each != "--compile"], out, minutes, device)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no word"])[-1]


def judged(name: str, run: Run, judge_seconds: float, device: str) -> dict[str, Any]:
    """Return what a run has come to: errors, or distances."""
    if name == "feature_matching":
        return {"errors": TASKS["cifar"].wrong(genloom.load(run, device=device).classify)}
    found: dict[str, Any] = {}
    for features in ("random", "classifier", "lite0"):
        until = time.monotonic() + judge_seconds
        judgement = genloom.judge(run, n=3000, features=features, test=TASKS["cifar"].test)
        found |= {each: [f.value, f.low, f.high] for each, f in judgement.measures.items()}
        for row, measures in judgement.baselines.items():
            found |= {f"{each}, {row}": f.value for each, f in measures.items() if each.startswith("FID")}
        if time.monotonic() > until:
            break
    return found


def main() -> None:
    """Train side by side, judge, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--judge-seconds", type=float, default=60.0, help="after which no further features are looked at")
    parser.add_argument("--horizon", default="2000000", help="examples of r3gan's schedules, the paper's are 20,000,000")
    parser.add_argument("--baselines", type=int, default=0, help="steps of the same net on CIFAR without a generator")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", help="names, with commas")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ROOT / "docs" / "evidence")))
    said = parser.parse_args()
    chosen = {k: v for k, v in trainings(said.horizon).items() if not said.only or k in said.only.split(",")}
    figures: dict[str, Any] = {"side_by_side": len(chosen)}
    runs, lock = Path(tempfile.mkdtemp()), threading.Lock()

    def one(name: str) -> None:
        trouble = train(chosen[name], runs / name, said.minutes, said.device)
        try:
            run = Run.open(runs / name)
            state = run.state(run.last_checkpoint())  # type: ignore[arg-type]
            found: dict[str, Any] = {"examples": state["examples"], "seconds": round(state["seconds"], 1)}
            last = run.history()[-1]
            found |= {"examples_per_second": round(last["examples_per_second"]), "health": last["health"]}
            grid = max(run.folder.glob("samples/*.png"), key=lambda path: path.name)
            (said.out / f"{name.replace(', batch ', '-')}.png").write_bytes(grid.read_bytes())
            keep(name, found)
            found |= judged(name, run, said.judge_seconds, said.device)
        except Exception as error:  # figures of the others are worth more than this one's traceback
            found = {**figures.get(name, {}), "trouble": trouble or f"{type(error).__name__}: {error}"}
        keep(name, found)

    def keep(name: str, found: dict[str, Any]) -> None:
        with lock:
            figures[name] = found
            print(name, found, flush=True)
            notes = "trainings at once on one GPU; wrong of 3,000 test pictures; distances of 3,000 samples"
            record("gpu-runs", figures, seed=0, cpu_seconds=time.process_time(), notes=notes, folder=said.out)

    with ThreadPoolExecutor(len(chosen)) as pool:
        waited = [pool.submit(one, name) for name in chosen]
        for name in STEPS if said.baselines else ():
            found = {"errors": baseline(TASKS["cifar"], name, 0, said.device, said.baselines), "steps": said.baselines}
            keep(f"feature_matching, {name}", found)
        for each in waited:
            each.result()


if __name__ == "__main__":
    main()
