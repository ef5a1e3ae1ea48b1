"""SKAB's faults by `genloom deviation`: each of 34 runs learnt from its own first 400 rows, as the published split has it.

    python -m benchmarks.deviation_skab

`--other` learns from the run without faults alone, each run being moved by the difference of the means of its first 400
rows. Bars come from the last fifth of what was learnt from, which training does not see. The rules of `benchmarks.skab`, and
PyOD's detectors where that is installed, stand beside, with bars from the same fifth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import genloom
from benchmarks.evidence import record
from benchmarks.skab import FIRST, RULES, Rows, judged, runs
from genloom.data.options import SeriesOptions
from genloom.data.series.applied import as_record
from genloom.use.series.deviation import Deviation, Watch

HELD = FIRST // 5
SENSORS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage", "Flow")


def watched(rows: Rows, window: int, components: int, gaussians: int, rate: float, folder: Path) -> Watch:
    """Return what learnt from rows."""
    table = folder / "usual.csv"
    pd.DataFrame(rows, columns=SENSORS).to_csv(table, index=False)
    hyper = {"components": components, "gaussians": gaussians}
    said = {"window": window, "time": "row", "hyper": hyper, "threads": 1, "batch": 32}
    run = genloom.fit("rtsgan", str(table), folder / "run", preset="modern", examples=320, **said)
    return Watch(run, rate=rate)


def scored(watch: Watch, rows: Rows) -> Deviation:
    """Return how unusual rows are."""
    frame = pd.DataFrame(rows, columns=SENSORS)
    return watch.score_record(as_record(frame, SeriesOptions(time="row"), watch.shape, "run"), "run")


def pyod_rules() -> dict[str, Any]:
    """Return PyOD's detectors, where it is installed."""
    try:
        from pyod.models.copod import COPOD
        from pyod.models.ecod import ECOD
        from pyod.models.iforest import IForest
        from pyod.models.pca import PCA
    except ImportError:
        return {}

    def rule(kind: Any) -> Any:
        def fitted(train: Rows) -> Any:
            found = kind().fit(train)
            return lambda x: found.decision_function(x)

        return fitted

    kinds = {"pyod ecod": ECOD, "pyod copod": COPOD, "pyod pca": PCA, "pyod iforest": IForest}
    return {name: rule(kind) for name, kind in kinds.items()}


def main() -> None:
    """Score every run, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--components", type=int, default=40)
    parser.add_argument("--gaussians", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--other", action="store_true")
    parser.add_argument("--runs", type=int, default=99)
    parser.add_argument("--name", default="deviation-skab")
    options = parser.parse_args()
    began = time.process_time()
    usual, faulty = runs()
    faulty = faulty[: options.runs]
    truth = np.concatenate([wrong[FIRST:] for _, _, wrong in faulty])
    scores, blamed = [], []
    for name, x, wrong in faulty:
        with tempfile.TemporaryDirectory() as folder:
            learnt, rows = x[:FIRST], x
            if options.other:
                learnt, rows = usual, x - x[:FIRST].mean(0) + usual.mean(0)
            settings = (options.window, options.components, options.gaussians, options.rate)
            found = scored(watched(learnt, *settings, Path(folder)), rows)
        scores.append(np.nan_to_num(found.scores[FIRST:], nan=0.0))
        if "valve" in name:
            places = np.flatnonzero(wrong)
            worst = found.blame(int(places[0]), int(places[-1]) + 1)
            blamed.append(found.columns[worst[0][0]].name if worst else "")
        print(name, {key: round(v, 3) for key, v in judged(wrong[FIRST:], scores[-1], scores[-1] > 1).items()}, flush=True)
    whole = np.concatenate(scores)
    figures: dict[str, Any] = {name: round(v, 4) for name, v in judged(truth, whole, whole > 1).items()}
    figures["blamed, valve runs"] = {name: blamed.count(name) for name in sorted(set(blamed))}
    figures["always_f1"] = round(judged(truth, np.ones(len(truth)), np.ones(len(truth), bool))["f1"], 4)
    for name, rule in ({} if options.other else {**RULES, **pyod_rules()}).items():
        parts = []
        for _, x, _ in faulty:
            score = rule(x[: FIRST - HELD])
            held = score(x)[FIRST - HELD : FIRST]
            parts.append((score(x)[FIRST:] - np.median(held)) / (np.quantile(held, 0.99) - np.median(held) + 1e-12))
        joined = np.concatenate(parts)
        values = judged(truth, joined, joined > 1)
        figures |= {f"{name.replace(' ', '_')}_{key}": round(value, 4) for key, value in values.items()}
    print({key: value for key, value in figures.items() if "_" not in key})
    learnt_from = "the run without faults" if options.other else "the first 400 rows of each run"
    notes = (
        f"learnt from {learnt_from}; windows of {options.window} rows, {options.components} components, "
        f"{options.gaussians} Gaussian; rate {options.rate:g}; baselines learn from the first 320 rows, bars at the 99th "
        "percentile of the 80 after them"
    )
    record(options.name, figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
