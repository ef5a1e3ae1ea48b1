"""Memory over 2,000 rounds, the cost of --help, and the time from the cache to a ready data set.

python -m benchmarks.memory
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.evidence import DATA, record
from genloom import Request, load_data, prepare
from genloom.core.dataset import take
from genloom.train.loop import Loop
from genloom.train.ranks import Ranks
from genloom.train.run import Run

ROUNDS = 2000


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth() -> tuple[float, float]:
    """Return the resident MB after a tenth of the rounds, and how many more there are at the end."""
    with tempfile.TemporaryDirectory() as folder:
        request = Request("dcgan", "digits", folder + "/run", preset="tiny", examples=10**9, device="cpu", threads=1)
        session = prepare(request)
        torch.manual_seed(0)
        model = session.model_class(session.hyper, session.data.shape)
        run = Run.begin(folder + "/run", session.record)
        loop = Loop(model, session.data, run, session.plan, Ranks())
        for i in range(ROUNDS):
            loop.play_round()
            if i % 100 == 0:
                loop.report(save=True)
            if i == ROUNDS // 10:
                early = resident()
        late = resident()
        loop.feed.close()
        return early, late - early


def help_seconds() -> float:
    """Return the CPU seconds of `genloom --help`, the median of five."""
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "genloom", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return sorted(costs)[2]


def cache_seconds() -> float:
    """Return the CPU seconds from the cache to 60,000 ready MNIST digits, the median of five."""
    load_data(DATA / "mnist")
    costs = []
    for _ in range(5):
        began = time.process_time()
        data = load_data(DATA / "mnist")
        take(data, torch.arange(64))
        costs.append(time.process_time() - began)
    return sorted(costs)[2]


def main() -> None:
    """Measure and record."""
    torch.set_num_threads(1)
    began = time.process_time()
    early, more = growth()
    figures = {
        "megabytes_after_200_rounds": round(early, 1),
        "growth_megabytes_in_1800_rounds": round(more, 2),
        "help_cpu_seconds": round(help_seconds(), 3),
        "mnist_from_cache_cpu_seconds": round(cache_seconds(), 3),
    }
    record(
        "memory", figures, seed=0, cpu_seconds=time.process_time() - began, notes="dcgan tiny, with a report each 100 rounds"
    )


if __name__ == "__main__":
    main()
