"""Kill a training with SIGKILL at random instants, go on each time, and compare with one never killed.

python -m benchmarks.resume
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.evidence import record
from genloom import Run, load

KILLS = 20
EXAMPLES = 40_000
TRAIN = (
    "import sys, genloom; genloom.fit('dcgan', 'digits', sys.argv[1], preset='tiny', hyper={'conditional': True}, "
    f"examples={EXAMPLES}, save_examples=128, report_examples=64, device='cpu', threads=1)"
)


def command(folder: Path) -> list[str]:
    """Return the command that trains, or goes on, in a folder."""
    return [sys.executable, "-c", TRAIN, str(folder)]


def main() -> None:
    """Kill, resume, compare bit for bit."""
    began = time.process_time()
    random.seed(0)
    killed, unreadable = 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "killed"
        while killed < KILLS:
            before = newest(folder)
            process = subprocess.Popen(command(folder))
            while newest(folder) == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(random.uniform(0, 1.0))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            for checkpoint in Run.open(folder).checkpoints():
                try:
                    load(folder, checkpoint.name)
                except ValueError:
                    unreadable += 1
            print(f"kill {killed}, at {newest(folder)}", flush=True)
        subprocess.run(command(folder), check=True)
        subprocess.run(command(Path(temporary) / "whole"), check=True)
        equal = all(same(folder, Path(temporary) / "whole", name) for name in ("model", "ema", "optimizer"))
    record(
        "resume",
        {"kills": killed, "unreadable_checkpoints": unreadable, "equal_bit_for_bit": int(equal)},
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes="weights, averaged weights and optimizer state of the killed run against the run never killed",
    )


def newest(folder: Path) -> str:
    """Return the name of the newest checkpoint."""
    return max((p.name for p in folder.glob("checkpoints/0*")), default="")


def same(a: Path, b: Path, name: str) -> bool:
    """Whether the last checkpoints of two runs are equal bit for bit."""
    x, y = (load_file(Run.open(run).last_checkpoint() / f"{name}.safetensors") for run in (a, b))
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) for key in x)


if __name__ == "__main__":
    main()
