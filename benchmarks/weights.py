"""Whether the weights of a fixed seed are those of another commit: `python -m benchmarks.weights --before COMMIT`.

Trains every model in several presets, in fp32 and bf16, with either tree in a process of its own, by the calls that both
share, and compares hashes of the last checkpoint's tensors: weights, buffers and averages. Counters that one tree alone has
(`augmenting`, `adaptive.*`) are left out, and averages of the vectors of power iteration (`along`), which nothing reads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import genloom

ROOT = Path(__file__).resolve().parents[1]
NOTES = "unlike by intent: the bounded critics of gain take their largest singular value in full precision, also under bf16"
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [  # model, preset, hyper-parameters, options
    ("gan", "tiny", {}, {}),
    ("gan", "paper", {}, {}),
    ("cgan", "tiny", {}, {}),
    ("cgan", "modern", {}, {}),
    ("dcgan", "tiny", {}, {}),
    ("dcgan", "modern", {"width": 16}, {"size": 16}),
    ("dcgan", "paper", {"width": 16, "conditional": True}, {"size": 16}),
    ("dcgan", "modern", {"width": 16, "penalty": 1.0}, {"size": 16, "flip": True}),
    ("pixelcnn", "tiny", {}, {}),
    ("pixelcnn", "paper", {"layers": 2, "features": 8}, {}),
    ("pixelcnn", "modern", {"layers": 3, "features": 8, "conditional": True}, {}),
    ("pixelrnn", "tiny", {}, {}),
    ("pixelrnn", "paper", {"layers": 1}, {}),
    ("pixelrnn", "modern", {"kind": "row", "layers": 1}, {}),
    ("autoencoder", "tiny", {}, {}),
    ("autoencoder", "modern", {"features": 8}, {}),
    ("vae", "tiny", {}, {}),
    ("vae", "modern", {"decoder": "logistic", "features": 8}, {}),
    ("vae", "paper", {"binarise": "dynamic"}, {}),
    ("gain", "tiny", {}, {}),
    ("gain", "paper", {}, {}),
    ("gain", "modern", {"width": 32}, {}),
    ("line", "paper", {}, {}),
]


def data_for(model: str, folder: Path) -> Any:
    """Return small data that a model takes."""
    if model == "line":
        try:
            from genloom.data.points import gaussian_line
        except ImportError:  # before the kinds of data were told apart
            from genloom.data.builtin import gaussian_line
        return gaussian_line()
    if model != "gain":
        return "digits"
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 4))
    x[:, 1] += x[:, 0]
    x[:, 2] -= x[:, 1]
    cell = lambda v: "" if random.random() < 0.15 else f"{v:.3f}"  # noqa: E731
    rows = [",".join([*map(cell, row), "abc"[int(random.integers(3))]]) for row in x]
    (folder / "t.csv").write_text("a,b,c,d,k\n" + "\n".join(rows) + "\n")
    return str(folder / "t.csv")


def digest(checkpoint: Path) -> str:
    """Return a hash of all tensors of a checkpoint's weights, buffers and averages."""
    found = hashlib.blake2b(digest_size=8)
    for name in ("model", "shadow", "ema"):  # averages were called shadow
        path = checkpoint / f"{name}.safetensors"
        for key, value in sorted(load_file(path).items()) if path.exists() else ():
            if key != "augmenting" and not key.startswith("adaptive.") and not (name != "model" and key.endswith("along")):
                found.update(key.encode() + value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def hashes() -> dict[str, str]:
    """Train all cases with the genloom that is imported; return the hash of each."""
    found = {}
    torch.set_num_threads(1)
    for precision in ("fp32", "bf16"):
        for model, preset, hyper, rest in CASES:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                options = {
                    "preset": preset,
                    "hyper": hyper,
                    "seed": 3,
                    "precision": precision,
                    "threads": 1,
                    "device": "cpu",
                }
                often = {"save_examples": 10**9, "report_examples": 500, "examples": 400 if model == "pixelrnn" else 1500}
                genloom.fit(model, data_for(model, folder), folder / "run", **options, **often, **rest)
                last = genloom.Run.open(folder / "run").checkpoints()[-1]
                found[f"{model} {preset} {json.dumps(hyper | rest)} {precision}"] = digest(last)
    return found


def hashes_of(root: Path) -> dict[str, str]:
    """Return the hashes of another tree, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "import json; from benchmarks.weights import hashes; print(json.dumps(hashes()))"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Compare, and write the evidence."""
    from benchmarks.evidence import checkout, record  # of this tree alone: the other imports this file as well

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the commit to compare with")
    arguments = parser.parse_args()
    began = time.process_time()
    with checkout(arguments.before) as other:
        before, now = hashes_of(other), hashes_of(ROOT)
    unlike = [case for case in now if now[case] != before[case]]
    figures = {"cases": len(now), "equal": len(now) - len(unlike)}
    record(
        "rebuild-weights", figures, seed=3, cpu_seconds=time.process_time() - began, unlike=unlike, hashes=now, notes=NOTES
    )


if __name__ == "__main__":
    main()
