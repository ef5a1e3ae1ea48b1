"""Kill a training with SIGKILL at random instants, go on each time, and compare with one never killed.

python -m benchmarks.resume               # dcgan with labels, on digits
python -m benchmarks.resume cyclegan      # its pool lies in the checkpoint; on emoji, light and dark
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.evidence import record
from benchmarks.pix2pix import emoji_pairs
from genloom import Run, load

CASES = {  # model: evidence, kills, and what `fit` is told
    "dcgan": ("resume", 20, {"hyper": {"conditional": True}, "examples": 40_000}),
    "cyclegan": ("resume-cyclegan", 10, {"size": 32, "examples": 4000}),
}
TRAIN = (
    "import json, sys, genloom; genloom.fit(sys.argv[1], sys.argv[2], sys.argv[3], preset='tiny', save_examples=128, "
    "report_examples=64, device='cpu', threads=1, **json.loads(sys.argv[4]))"
)


def main() -> None:
    """Kill, resume, compare bit for bit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="dcgan", choices=CASES)
    model = parser.parse_args().model
    name, kills, said = CASES[model]
    with tempfile.TemporaryDirectory() as place:
        data = "digits" if model == "dcgan" else str(emoji_pairs(Path(place) / "pairs"))

        def command(folder: Path) -> list[str]:
            return [sys.executable, "-c", TRAIN, model, data, str(folder), json.dumps(said)]

        kill_and_compare(name, kills, command)


def kill_and_compare(name: str, kills: int, command: Callable[[Path], list[str]]) -> None:
    """Kill what a command trains, go on each time, compare with a run never killed, and record."""
    began = time.process_time()
    random.seed(0)
    killed, unreadable = 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "killed"
        while killed < kills:
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
        equal = all(same(folder, Path(temporary) / "whole", file) for file in ("model", "ema", "optimizer"))
    record(
        name,
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
