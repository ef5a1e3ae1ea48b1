"""Likelihood of the JSB chorales' test pieces, in nats a step: `music`, and a table of counts beside it.

    python -m benchmarks.music_jsb 16th
    python -m benchmarks.music_jsb quarter

The published split: 229 chorales to learn from, 76 to choose by, 77 to measure. `16th`: four separate voices on a grid of
16th notes; `quarter`: sets of pitches on one of quarter notes. Each step given all before it, the sum over its voices, mean
over all steps of all pieces; intervals by resampling pieces. Neither key nor density is told. Published for `quarter`:
RNN-NADE 5.56, RNN-RBM 6.27 (Boulanger-Lewandowski et al. 2012).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genloom
from benchmarks.evidence import record
from genloom.core.capabilities import Composes
from genloom.data.music.dataset import ScoreData
from genloom.models.music.counts import Counts
from genloom.shapes.score import FIRST
from genloom.train.run import Run
from genloom.train.session import count_weights

FILES = {"16th": "Jsb16thSeparated.json.gz", "quarter": "jsb-chorales-quarter.json.gz"}
SAID: dict[str, dict[str, Any]] = {
    "16th": {"steps": 128, "examples": 64_000, "hyper": {"anneal": 64_000}},
    "quarter": {"steps": 32, "examples": 64_000, "hyper": {"anneal": 64_000, "dropout": 0.5}},
}
DRAWS = 2000  # of the pieces, for intervals


def pieces_of(data: ScoreData, numbers: range, low: int) -> list[dict[str, torch.Tensor]]:
    """Return whole pieces, with codes counted from another lowest pitch."""
    found = [data.piece(i) for i in numbers]
    return [{**each, "x": torch.where(each["x"] >= FIRST, each["x"] + data.shape.low - low, each["x"])} for each in found]


def nats(parts: list[np.ndarray[Any, Any]]) -> list[float]:
    """Return the mean of steps of pieces, and its interval of 95 %."""
    sums, counts = np.array([part.sum() for part in parts]), np.array([len(part) for part in parts])
    chosen = np.random.default_rng(0).integers(0, len(parts), (DRAWS, len(parts)))
    means = sums[chosen].sum(1) / counts[chosen].sum(1)
    return [round(float(each), 4) for each in (sums.sum() / counts.sum(), *np.quantile(means, (0.025, 0.975)))]


def source_of(grid: str) -> str:
    """Return where the chorales on a grid are."""
    return str(Path(os.environ.get("GENLOOM_DATA", "../shared/data")) / "jsb_chorales" / FILES[grid])


def trained(grid: str, folder: str | None) -> tuple[Composes, float]:
    """Return the model of a grid and the CPU seconds that it took, trained in a folder that is kept where one is said."""
    with tempfile.TemporaryDirectory() as unkept:
        place = Path(folder or unkept) / grid
        run = Run.open(place) if place.exists() else genloom.fit("music", source_of(grid), place, threads=1, **SAID[grid])
        model = genloom.load(run)
        assert isinstance(model, Composes)
        return model, run.state(run.checkpoint("last"))["cpu_seconds"]


def main() -> None:
    """Learn, measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grid", choices=FILES)
    parser.add_argument("--runs", help="folder in which the training is kept, and looked for")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    source, said = source_of(options.grid), SAID[options.grid]
    model, seconds = trained(options.grid, options.runs)
    data, test = (genloom.load_data(source, split=split, steps=said["steps"]) for split in ("train", "test"))
    low = data.shape.low
    sets = {
        "train": pieces_of(data, range(data.trained), low),
        "valid": pieces_of(data, range(data.trained, len(data.names)), low),
        "test": pieces_of(test, range(len(test.names)), low),
    }
    table = Counts.of(data)
    by_table = [table.step_nats(each)[0].numpy() for each in sets["test"]]
    found = {part: nats([model.step_nats(each)[0].numpy() for each in pieces]) for part, pieces in sets.items()}
    figures = {
        "nats": found["test"],
        "counts": nats(by_table),
        "valid": found["valid"],
        "train": found["train"],
        "weights": count_weights(model),
        "training_cpu_minutes": round(seconds / 60, 1),
    }
    print(figures)
    notes = f"{said['examples']:,} examples of {said['steps']} steps; the last weights; nats a step of {options.grid} notes"
    record(f"music-jsb-{options.grid}", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
