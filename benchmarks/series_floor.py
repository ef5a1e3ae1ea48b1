"""What TimeGAN's two scores say of samplers without a network, on its stock prices: windows of 24 days, cut as by its code.

    python -m benchmarks.series_floor --repeats 5

`copies` are the training windows themselves, `halves` one half of the windows against the other, `mixture` principal
components and 20 Gaussians. Each figure is the mean over repeats, with the deviation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.evidence import DATA, record
from genloom.measures.series import copies, discriminative_score, mixture_windows, predictive_score, series_distances

STRONG = 32


def stock_windows(window: int = 24) -> Tensor:
    """Return the windows as TimeGAN's code makes them: newest first, columns in [0, 1] over the file, every row a start."""
    values = pd.read_csv(DATA / "timegan_stock" / "stock_data.csv").to_numpy(np.float64)[::-1]
    scaled = (values - values.min(0)) / (np.ptp(values, axis=0) + 1e-7)
    windows = np.stack([scaled[i : i + window] for i in range(len(scaled) - window)])
    return torch.tensor(windows, dtype=torch.float32)


def main() -> None:
    """Score each sampler, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    x, began = stock_windows(), time.process_time()
    figures: dict[str, Any] = {}
    for name in ("copies", "halves", "mixture"):
        scores: dict[str, list[float]] = {"discriminative": [], "discriminative32": [], "predictive": []}
        for seed in range(repeats):
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
            real, made = (x[half] for half in order.chunk(2)) if name == "halves" else (x, x)
            made = mixture_windows(x, len(x), seed) if name == "mixture" else made
            scores["discriminative"].append(discriminative_score(real, made, seed=seed))
            scores["discriminative32"].append(discriminative_score(real, made, STRONG, seed))
            scores["predictive"].append(predictive_score(x, made, seed))
        for score, values in scores.items():
            figures[f"{name}, {score}"] = [round(statistics.mean(values), 4), round(statistics.stdev(values), 4)]
        print(name, scores, flush=True)
        if name == "mixture":
            figures |= {f"mixture, {key}": round(value, 4) for key, value in series_distances(x, made).items()}
            half = len(x) // 2
            near = copies(mixture_windows(x[:half], half), x[:half], x[half + 24 :])
            figures["mixture of the later half, median distance to it, and of the earlier half"] = [
                round(v, 4) for v in near
            ]
    notes = f"mean and deviation over {repeats} repeats; no hold-out, as in TimeGAN's protocol; 32 is a wider classifier"
    record("series-floor", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
