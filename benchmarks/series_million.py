"""A record of a million rows of twenty tags: memory and pace of reading, fitting the mixture, training, and scoring.

    python -m benchmarks.series_million --rows 1000000

Each command runs in a process of its own, of which the largest memory is taken.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from benchmarks.evidence import record
from genloom.data.series.applied import read_as
from genloom.data.series.plant import Plan, plant
from genloom.train.run import Run
from genloom.use.series.deviation import Watch

RUN_ROWS, PLANTS = 1440, 4
TAKEN = ("level_1", "level_2", "inflow", "valve", "temperature")  # tags of each plant


def site(runs: int, seed: int) -> pd.DataFrame:
    """Return runs of four plants side by side, five tags of each."""
    plants = [plant(Plan(runs=runs, rows=RUN_ROWS, changes=4), PLANTS * seed + i) for i in range(PLANTS)]
    tags = {f"{tag}_{i + 1}": each[tag] for i, each in enumerate(plants) for tag in TAKEN}
    return plants[0][["time", "run"]].assign(**tags)


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run a command; return its CPU seconds and the largest memory of all commands so far, in GB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "genloom", *arguments], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1e6


def scoring(run: Path, table: Path) -> dict[str, Any]:
    """Return the rows that one thread scores in a CPU second once all is read, and what share of them alarms."""
    torch.set_num_threads(1)
    watch, paces = Watch(Run(run)), []
    record_of = read_as(str(table), watch.shape, watch.loaded)[1]
    for _ in range(6):
        began = time.process_time()
        found = watch.score_record(record_of, table.name)
        paces.append(len(record_of.codes) / (time.process_time() - began))
    return {"scored_rows_per_second": round(median(paces[1:])), "alarms": round(float((found.scores > 1).mean()), 5)}


def main() -> None:
    """Write the record, learn from it, score it, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=20_000)
    options = parser.parse_args()
    began = time.process_time()
    figures: dict[str, Any] = {"rows": options.rows // RUN_ROWS * RUN_ROWS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site(options.rows // RUN_ROWS, 0).to_csv(folder / "year.csv", index=False)
        site(20, 1).to_csv(folder / "today.csv", index=False)
        figures["megabytes"] = round((folder / "year.csv").stat().st_size / 1e6)
        said = ["--window", "60", "--examples", str(options.examples)]
        fit = ["fit", "rtsgan", str(folder / "year.csv"), "-o", str(folder / "run"), *said, "--quiet", "--threads", "1"]
        seconds, figures["peak_gb"] = measured(fit)
        figures["fit_cpu_seconds"] = round(seconds)
        figures["rows_per_second"] = round(figures["rows"] / seconds)
        score = ["deviation", str(folder / "run"), str(folder / "today.csv"), "--threads", "1"]
        first, figures["peak_gb_with_deviation"] = measured(score)
        again, _ = measured(score)
        figures |= {"first_deviation_cpu_seconds": round(first), "deviation_cpu_seconds": round(again, 1)}
        figures |= scoring(folder / "run", folder / "today.csv")
    for name in ("peak_gb", "peak_gb_with_deviation"):
        figures[name] = round(figures[name], 2)
    notes = (
        f"four plants of five tags; windows of 60 rows; reading, the mixture and {options.examples:,} examples together; "
        "deviation of 28,800 rows, as a command and, once all is read, the scoring alone"
    )
    record("series-million", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
