"""GAIN's protocol: hide a fifth of a table's cells at random, fill them in, and take the error of all hidden cells together.

python -m benchmarks.gain letter
python -m benchmarks.gain breast --masks 5

Every column is taken for numbers, as in the paper's code, and fills are scored as they come, on no grid (`modern_rounded`
and `paper_rounded` are brought to whole numbers where fewer than 20 different values are known). Errors are in units of
the complete column's range, pooled over all hidden cells. All methods fill the rows that they learnt from, as there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.evidence import DATA, FOLDER, record
from genloom.measures.chains import Boosted, Ridge, Trees
from genloom.measures.fillers import Filler, Mean, Neighbours
from genloom.measures.holes import covered
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.use.tables.network import Network

FILES = {"letter": "gain_letter", "spam": "gain_spam", "credit": "uci_credit_default"}
SIMPLE: dict[str, Callable[[], Filler]] = {
    "mean": Mean,
    "knn": Neighbours,
    "ridge": Ridge,
    "trees": Trees,
    "boosted": Boosted,
}


def read_table(name: str) -> Numbers:
    """Return the complete table `[n, D]`."""
    if name == "breast":
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer().data.astype(float)
    x = np.genfromtxt(DATA / "tabular" / f"{FILES[name]}.csv.gz", delimiter=",", skip_header=1)
    return x[:, :23] if name == "credit" else x  # without the target


def scored(x: Numbers, mask: Bits, columns: list[Column], codes: Numbers, rounded: bool = False) -> float:
    """Return the root of the mean square error of the hidden cells, each in units of its complete column's range."""
    filled = codes * [column.scale for column in columns] + [column.mean for column in columns]
    if rounded:
        few = [len(np.unique(x[mask[:, d], d])) < 20 for d in range(x.shape[1])]
        filled[:, few] = np.round(filled[:, few])
    error = (filled - x) / (x.max(0) - x.min(0))
    return float(np.sqrt((error[~mask] ** 2).mean()))


def one_mask(x: Numbers, seed: int, methods: dict[str, Callable[[], Filler]]) -> dict[str, float]:
    """Return the figures of every method for one mask."""
    mask = np.random.default_rng(100 + seed).random(x.shape) >= 0.2
    columns = [Column.of_numbers(f"column {d}", x[mask[:, d], d]) for d in range(x.shape[1])]
    truth = np.stack([column.code(x[:, d]) for d, column in enumerate(columns)], 1)
    shown = np.where(mask, truth, 0)
    figures: dict[str, float] = {}
    for name, build in methods.items():
        began, filler = time.process_time(), build()
        filler.fit(shown, mask, columns)
        codes = filler.fill(shown, mask)
        figures[name] = scored(x, mask, columns, codes)
        figures[f"{name}_cpu_seconds"] = time.process_time() - began
        if isinstance(filler, Network):
            figures[f"{name}_rounded"] = scored(x, mask, columns, codes, rounded=True)
        if name == "modern":
            _, low, high, _ = filler.interval(shown, mask)  # type: ignore[attr-defined]
            figures["coverage90"] = covered(low, high, truth, ~mask)
            figures["minutes"] = figures["modern_cpu_seconds"] / 60
    print({name: round(value, 4) for name, value in figures.items()}, flush=True)
    return figures


def main() -> None:
    """Measure one table and write its evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["letter", "spam", "breast", "credit"])
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="methods to measure anew; the others' figures stay in the evidence")
    args = parser.parse_args()
    torch.set_num_threads(1)
    methods: dict[str, Callable[[], Filler]] = {
        "modern": lambda: Network(threads=1),
        "paper": lambda: Network("paper", threads=1),
        "paper_code_hint": lambda: Network("paper", {"hint": "code"}, threads=1),
        **SIMPLE,
    }
    if args.only:
        methods = {name: methods[name] for name in args.only}
    x = read_table(args.table)
    runs = [one_mask(x, seed, methods) for seed in range(args.masks)]
    figures: dict[str, Any] = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        figures[name] = [round(float(np.mean(values)), 5), round(min(values), 5), round(max(values), 5)]
    notes = (
        f"root mean square error in units of each column's range, a fifth of {x.shape[0]:,} x {x.shape[1]} "
        f"cells hidden at random, [mean, least, most] of {args.masks} masks"
    )
    if args.only:
        before = json.loads((FOLDER / f"gain-{args.table}.json").read_text())
        figures = before["figures"] | figures
        notes += f"; {', '.join(args.only)} measured now, the rest at {before['commit']}"
    record(f"gain-{args.table}", figures, seed=100, cpu_seconds=time.process_time(), notes=notes)


if __name__ == "__main__":
    main()
