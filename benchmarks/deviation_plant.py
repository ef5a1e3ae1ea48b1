"""The simulated plant: 200 usual runs, five planted faults, and a condition between two that were trained on.

    python -m benchmarks.deviation_plant --examples 60000

One run of `rtsgan` learns from 60 usual runs, given mode and ambient. `usual`: share of the rows of 200 other usual runs
over the bar. Each fault is planted at row 180 of 20 runs: in how many it is found (a stuck valve shows once it should have
moved), rows until then, and which tag is blamed most. Between: runs at 20 degrees drawn by a model that learnt from 10 to
14 and 26 to 30 alone, against real ones, beside a model that learnt from 18 to 22: mean over tags of the Wasserstein
distance of values, in deviations.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import genloom
from benchmarks.evidence import record
from genloom.core.random import Noise
from genloom.data.options import SeriesOptions
from genloom.data.series.applied import as_record
from genloom.data.series.plant import FAULTS, TAGS, Plan, plant
from genloom.use.series.deviation import Deviation, Watch

BEGINS, ROWS, RUNS = 180, 360, 20
CONDITIONS = ("mode", "ambient")


def learnt(frame: pd.DataFrame, folder: Path, examples: int, window: int = 60) -> Any:
    """Return a run that learnt from rows."""
    folder.mkdir()
    frame.to_csv(folder / "usual.csv", index=False)
    said = {"window": window, "condition": CONDITIONS, "threads": 1, "examples": examples}
    return genloom.fit("rtsgan", folder / "usual.csv", folder / "run", **said)


def scored(watch: Watch, plan: Plan, seed: int) -> Deviation:
    """Return how unusual simulated runs are."""
    frame = plant(plan, seed)
    return watch.score_record(as_record(frame, SeriesOptions.of(watch.loaded), watch.shape, "plant"), "plant")


def fault_figures(watch: Watch, fault: Any) -> dict[str, Any]:
    """Return how soon a fault is found in runs, and what is blamed."""
    found = scored(watch, Plan(runs=RUNS, rows=ROWS, fault=fault, begins=BEGINS), 5)
    delays, simple, blamed = [], [], []
    for run in range(RUNS):
        begin, end = run * ROWS + BEGINS, (run + 1) * ROWS
        for scores, into in ((found.scores, delays), (found.simple, simple)):
            over = np.flatnonzero(scores[begin:end] > 1)
            into.append(int(over[0]) if len(over) else ROWS)
        if delays[-1] < ROWS:
            blamed.append(found.columns[found.blame(begin + delays[-1], end)[0][0]].name)
    hits = [delay for delay in delays if delay < ROWS]
    return {
        "found": f"{len(hits)} of {RUNS}",
        "rows until then, median and most": [float(np.median(hits)), max(hits)] if hits else None,
        "by statistics": f"{sum(delay < ROWS for delay in simple)} of {RUNS}",
        "blamed": Counter(blamed).most_common(1)[0] if blamed else None,
    }


def apart(run: Any, real: pd.DataFrame) -> float:
    """Return the mean over tags of the Wasserstein distance of drawn values at 20 degrees from real ones, in deviations."""
    model = genloom.load(run)
    drawn = model.shape.decode(model.run(200, 60, {"ambient": 20.0}, noise=Noise.of(1, 200)))
    gaps, levels = [], np.linspace(0.005, 0.995, 199)
    for mode in ("low", "normal", "high"):
        for tag in TAGS:
            a = np.array(drawn[tag])[np.array(drawn["mode"]) == mode]
            b = real[tag][real["mode"] == mode].to_numpy()
            gaps.append(np.abs(np.quantile(a, levels) - np.quantile(b, levels)).mean() / b.std())
    return float(np.mean(gaps))


def between(folder: Path, examples: int) -> dict[str, float]:
    """Return how far runs at a condition are from real ones, by a model that never saw it and by one that did."""
    real = plant(Plan(runs=60, ambient=(20.0, 20.0)), 50)
    cold, warm = plant(Plan(runs=30, ambient=(10.0, 14.0)), 51), plant(Plan(runs=30, ambient=(26.0, 30.0)), 52)
    warm["run"] += 30
    around = learnt(pd.concat([cold, warm]), folder / "around", examples)
    there = learnt(plant(Plan(runs=60, ambient=(18.0, 22.0)), 53), folder / "there", examples)
    return {"never saw it": apart(around, real), "learnt from it": apart(there, real)}


def main() -> None:
    """Learn, score and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watch = Watch(learnt(plant(Plan(), 0), folder / "usual", options.examples))
        usual = scored(watch, Plan(runs=200, rows=ROWS), 77)
        known = np.isfinite(usual.scores)
        figures: dict[str, Any] = {
            "stated rate": watch.bars.rate,
            "usual": round(float((usual.scores[known] > 1).mean()), 5),
            "usual, runs with an alarm": len({int(usual.record.run[a]) for a, _ in usual.alarms()}),
            "usual, by statistics": round(float((usual.simple > 1).mean()), 5),
        }
        for fault in FAULTS:
            figures[fault] = fault_figures(watch, fault)
            print(fault, figures[fault], flush=True)
        figures |= {f"between, {key}": round(value, 4) for key, value in between(folder, options.examples).items()}
    figures["between, ratio"] = round(figures["between, never saw it"] / figures["between, learnt from it"], 3)
    notes = f"{options.examples:,} examples; windows of 60 rows; faults begin at row {BEGINS} of {ROWS}"
    record("deviation-plant", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
