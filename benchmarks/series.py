"""Generators of windows by TimeGAN's protocol: its stock prices or ETTh1, 24 rows; all are learnt from and compared with.

    python -m benchmarks.series stock --model rtsgan --examples 200000
    python -m benchmarks.series ett --model timegan --preset paper --cpu-minutes 120

Scores are the mean over repeats: discriminative by the authors' classifier and by one of 32 units, predictive. Beside them
the mixture of scikit-learn on principal components, and one half of the windows against the other (`floor`). For copies a
second run of the same length learns from the first half of the record alone: the median distance of its windows to the
nearest that it learnt from, beside that of windows of the second half.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import genloom
from benchmarks.evidence import DATA, record
from benchmarks.series_floor import STRONG, stock_windows
from genloom.api import load
from genloom.measures.series import copies, discriminative_score, mixture_windows, predictive_score, series_distances
from genloom.shapes.columns import Column
from genloom.shapes.series import SeriesShape
from genloom.use.sampling.draw import draw

WINDOW = 24


def ett_windows(window: int = WINDOW) -> Tensor:
    """Return the windows of ETTh1, columns in [0, 1] over the file, every row a start."""
    values = pd.read_csv(DATA / "ett" / "ETTh1.csv.gz").iloc[:, 1:].to_numpy(np.float64)
    scaled = (values - values.min(0)) / (np.ptp(values, axis=0) + 1e-7)
    return torch.tensor(np.stack([scaled[i : i + window] for i in range(len(scaled) - window + 1)]), dtype=torch.float32)


class Windows:
    """Windows `[n, T, D]` in [0, 1] as data to train on, coded by column."""

    def __init__(self, x: Tensor, name: str) -> None:
        flat = x.flatten(0, 1).double().numpy()
        columns = tuple(Column.of_numbers(f"column {d + 1}", flat[:, d]) for d in range(x.shape[2]))
        self.shape = SeriesShape(columns=columns, window=x.shape[1])
        self.mean, self.scale = (torch.tensor([getattr(c, name) for c in columns]) for name in ("mean", "scale"))
        self.x, self.source = (x - self.mean) / self.scale, name
        self.mask = torch.ones_like(self.x, dtype=torch.bool)
        self.fingerprint = hashlib.blake2b(self.x.numpy().tobytes(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return the windows at places `[n]`."""
        return {"x": self.x[index], "mask": self.mask[index]}

    def plain(self, codes: Tensor) -> Tensor:
        """Return codes `[n, T, D]` as numbers in [0, 1], within the range of the data."""
        low, high = (torch.tensor([getattr(c, end) for c in self.shape.columns]) for end in ("low", "high"))
        return (codes * self.scale + self.mean).clamp(low, high).float()


def made_by(options: argparse.Namespace, x: Tensor, n: int, folder: Path) -> tuple[Tensor, Any]:
    """Train on windows, and return as many made ones as asked for, and the run."""
    data = Windows(x, options.data)
    budget = {"examples": options.examples, "cpu_minutes": options.cpu_minutes}
    said = {name: value for name, value in budget.items() if value is not None}
    hyper = dict(each.split("=") for each in options.hyper)
    said |= {"hyper": hyper, "preset": options.preset, "seed": options.seed, "threads": 1}
    run = genloom.fit(options.model, data, folder, **said)
    return data.plain(draw(load(run, options.checkpoint), n, options.seed)), run


def scores(real: Tensor, made: Tensor, repeats: int) -> dict[str, list[float]]:
    """Return each score's mean and deviation over repeats."""
    found: dict[str, list[float]] = {"discriminative": [], "discriminative32": [], "predictive": []}
    for seed in range(repeats):
        found["discriminative"].append(discriminative_score(real, made, seed=seed))
        found["discriminative32"].append(discriminative_score(real, made, STRONG, seed))
        if seed < max(1, repeats // 3):
            found["predictive"].append(predictive_score(real, made, seed))
        print(seed, {name: round(values[-1], 4) for name, values in found.items()}, flush=True)
    return {name: [round(statistics.mean(v), 4), round(statistics.pstdev(v), 4)] for name, v in found.items()}


def main() -> None:
    """Train, score, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["stock", "ett"])
    parser.add_argument("--model", default="rtsgan")
    parser.add_argument("--preset", default=None)
    parser.add_argument("--examples", type=int, default=None)
    parser.add_argument("--cpu-minutes", type=float, default=None)
    parser.add_argument("--checkpoint", default="last")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", required=True)
    parser.add_argument("--hyper", nargs="*", default=[], help="NAME=VALUE")
    parser.add_argument("--picture", default=None)
    parser.add_argument("--no-copies", action="store_true")
    parser.add_argument("--no-baselines", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, x = time.process_time(), stock_windows() if options.data == "stock" else ett_windows()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        made, run = made_by(options, x, len(x), Path(folder) / "whole")
        figures |= scores(x, made, options.repeats)
        figures |= {name: round(value, 4) for name, value in series_distances(x, made).items()}
        state = run.state(run.last_checkpoint())
        figures |= {"examples": state["examples"], "training_cpu_seconds": round(state["cpu_seconds"], 1)}
        figures["weights"] = sum(p.numel() for p in load(run).parameters())
        if options.picture:
            model = load(run)
            model.shape.preview(draw(model, 6, 1)).save(options.picture)
        if not options.no_copies:
            half = len(x) // 2
            partly, _ = made_by(options, x[:half], 1000, Path(folder) / "half")
            unseen = x[half + WINDOW :]
            near = copies(partly, x[:half], unseen)
            figures["copies"] = {"made to learnt": round(near[0], 4), "unseen to learnt": round(near[1], 4)}
            figures["copies"]["learnt to others of it"] = round(apart(x[:half]), 4)
    if not options.no_baselines:
        simple = scores(x, mixture_windows(x[:: max(1, len(x) // 6000)], len(x), options.seed), max(2, options.repeats // 3))
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(options.seed))
        floor = scores(*(x[part] for part in order.chunk(2)), max(2, options.repeats // 3))
        figures |= {f"mixture, {key}": value for key, value in simple.items()}
        figures |= {f"floor, {key}": value for key, value in floor.items()}
    preset = " ".join([options.preset or "modern", *options.hyper])
    notes = f"{options.model}, preset {preset}; mean and deviation over {options.repeats} repeats"
    record(options.name, figures, seed=options.seed, cpu_seconds=time.process_time() - began, notes=notes)


def apart(x: Tensor) -> float:
    """Return the median distance of windows to the nearest that shares no row with them."""
    flat, places = x.flatten(1), torch.arange(0, len(x), max(1, len(x) // 1000))
    gaps = torch.cdist(flat[places], flat)
    gaps[(places[:, None] - torch.arange(len(x))).abs() < WINDOW] = torch.inf
    return float(gaps.amin(1).median())


if __name__ == "__main__":
    main()
