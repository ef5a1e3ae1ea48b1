"""What the critics of the modern GAIN are worth: the same net with and without them, on the same masks.

python -m benchmarks.gain_adversary

`told_apart` is the area under the ROC curve with which a forest tells rows completed by one draw from the true rows, on
rows that it has not seen; 0.5 is a coin. `told_apart_mean` is the same for best guesses in place of draws.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score

from benchmarks.evidence import record
from benchmarks.gain import read_table, scored
from genloom.measures.holes import covered
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.use.tables.network import Network

MASKS, ROUNDS = 3, 3000


def told_apart(truth: Numbers, drawn: Numbers, holes: Bits) -> float:
    """Return the area under the curve of a forest that tells completed rows from true ones; halves of the rows apart."""
    rows = np.flatnonzero(holes.any(1))
    half = len(rows) // 2
    areas = []
    for train, test in ((rows[:half], rows[half:]), (rows[half:], rows[:half])):
        forest = ExtraTreesClassifier(100, min_samples_leaf=5, random_state=0)
        forest.fit(np.concatenate([truth[train], drawn[train]]), np.repeat([0, 1], len(train)))
        guess = forest.predict_proba(np.concatenate([truth[test], drawn[test]]))[:, 1]
        areas.append(roc_auc_score(np.repeat([0, 1], len(test)), guess))
    return float(np.mean(areas))


def snapped(codes: Numbers, columns: list[Column]) -> Numbers:
    """Return codes `[n, D]` moved to values that their columns can hold."""
    return np.stack([column.code(column.snapped(column.plain(codes[:, d]))) for d, column in enumerate(columns)], 1)


def main() -> None:
    """Train each way on each mask, and record."""
    torch.set_num_threads(1)
    x = read_table("letter")
    found: dict[str, list[float]] = {}
    for seed in range(MASKS):
        mask = np.random.default_rng(100 + seed).random(x.shape) >= 0.2
        columns = [Column.of_numbers(f"column {d}", x[mask[:, d], d], step=1.0) for d in range(x.shape[1])]
        truth = np.stack([column.code(x[:, d]) for d, column in enumerate(columns)], 1)
        shown = np.where(mask, truth, 0)
        for name, weight in (("with", 0.05), ("without", 0.0)):
            network = Network(hyper={"adversary": weight}, rounds=ROUNDS, threads=1)
            network.fit(shown, mask, columns)
            best, low, high, _ = network.interval(shown, mask)
            drawn, guess = (
                np.where(mask, truth, snapped(codes, columns)) for codes in (network.draw(shown, mask, 1, 0)[0], best)
            )
            values = {
                "rmse": scored(x, mask, columns, best),
                "coverage90": covered(low, high, truth, ~mask),
                "told_apart": told_apart(truth, drawn, ~mask),
                "told_apart_mean": told_apart(truth, guess, ~mask),
            }
            print(seed, name, {key: round(value, 4) for key, value in values.items()}, flush=True)
            for key, value in values.items():
                found.setdefault(f"{key}_{name}", []).append(value)
    figures = {key: [round(float(np.mean(v)), 4), round(min(v), 4), round(max(v), 4)] for key, v in found.items()}
    record(
        "gain-adversary",
        figures,
        seed=100,
        cpu_seconds=time.process_time(),
        notes=f"letter, a fifth of cells hidden, {ROUNDS:,} rounds, [mean, least, most] of {MASKS} masks",
    )


if __name__ == "__main__":
    main()
