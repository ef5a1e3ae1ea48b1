"""A record of a million rows: memory and pace of reading it, cutting windows, fitting the mixture, training, and scoring.

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
from typing import Any

from benchmarks.evidence import record
from genloom.data.series.plant import Plan, plant

RUN_ROWS = 1440


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run a command; return its CPU seconds and the largest memory of all commands so far, in GB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "genloom", *arguments], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1e6


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
        plant(Plan(runs=options.rows // RUN_ROWS, rows=RUN_ROWS, changes=4), 0).to_csv(folder / "year.csv", index=False)
        plant(Plan(runs=10, rows=RUN_ROWS, changes=4), 1).to_csv(folder / "today.csv", index=False)
        figures["megabytes"] = round((folder / "year.csv").stat().st_size / 1e6)
        said = ["--window", "60", "--condition", "mode", "--condition", "ambient", "--examples", str(options.examples)]
        fit = ["fit", "rtsgan", str(folder / "year.csv"), "-o", str(folder / "run"), *said, "--quiet", "--threads", "1"]
        seconds, figures["peak_gb"] = measured(fit)
        figures["fit_cpu_seconds"] = round(seconds)
        figures["rows_per_second"] = round(figures["rows"] / seconds)
        score = ["deviation", str(folder / "run"), str(folder / "today.csv"), "--threads", "1"]
        first, figures["peak_gb_with_deviation"] = measured(score)
        again, _ = measured(score)
        figures |= {"first_deviation_cpu_seconds": round(first), "deviation_rows_per_second": round(10 * RUN_ROWS / again)}
    for name in ("peak_gb", "peak_gb_with_deviation"):
        figures[name] = round(figures[name], 2)
    notes = (
        f"six tags, mode and ambient; windows of 60 rows; reading, the mixture and {options.examples:,} examples together"
    )
    record("series-million", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
