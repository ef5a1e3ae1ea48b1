"""Repair a table of a million rows in bounded memory, and say how many rows a CPU second gets through.

python -m benchmarks.repair_million
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.evidence import DATA, record
from genloom.use.tables.files import repair_file
from genloom.use.tables.settings import Settings

COLUMNS = 20


def write_table(path: Path, rows: int) -> int:
    """Write rows drawn from the credit table, numbers moved a little so that no two are the same, a tenth of cells empty.

    Returns the number of empty cells.
    """
    real = pd.read_csv(DATA / "tabular" / "uci_credit_default.csv.gz").iloc[:, :COLUMNS]
    generator, empty = np.random.default_rng(0), 0
    spread = real.std().to_numpy() * (real.nunique() > 100).to_numpy()
    for start in range(0, rows, 50_000):
        n = min(50_000, rows - start)
        part = real.iloc[generator.integers(0, len(real), n)].to_numpy(float)
        part = np.round(part + 0.02 * spread * generator.normal(size=part.shape))
        holes = generator.random(part.shape) < 0.1
        empty += int(holes.sum())
        frame = pd.DataFrame(part, columns=real.columns).astype("Int64").mask(holes)
        frame.to_csv(path, mode="a" if start else "w", header=not start, index=False)
    return empty


def main() -> None:
    """Write the table, repair it, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=3.0, help="for all of it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        empty = write_table(path, args.rows)
        before, cpu, wall = peak(), time.process_time(), time.monotonic()
        outcome = repair_file(str(path), str(Path(folder) / "fixed.csv"), Settings(minutes=args.minutes, threads=1))
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        assert sum(outcome.filled.values()) == empty
        figures = {
            "rows_per_second": round(args.rows / cpu, 1),
            "rows_per_wall_second": round(args.rows / wall, 1),
            "cells_filled": empty,
            "peak_gb": round(peak(), 2),
            "peak_before_gb": round(before, 2),
            "file_mb": round(path.stat().st_size / 1e6, 1),
        }
    methods = (
        pd.Series(["+".join(outcome.repairer.methods(c.name)) for c in outcome.repairer.columns]).value_counts().to_dict()
    )
    record(
        "repair-million",
        figures,
        seed=0,
        cpu_seconds=cpu,
        notes=f"{args.rows:,} x {COLUMNS}, a tenth of the cells missing; the whole of genloom repair: looking through, "
        f"at most {args.minutes:g} minutes of learning, the self-test, filling with intervals, the log; rows per CPU "
        f"second of one thread; columns by method {methods}",
    )


def peak() -> float:
    """Return the most memory that this process has held, in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
