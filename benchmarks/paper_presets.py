"""What it is worth that presets are what their papers say: the same short training with the code of two commits.

    python -m benchmarks.paper_presets --before 55a307e

Either tree trains in a process of its own, both at once, one thread each, and scores validation pictures; the difference
is taken picture by picture. One seed: its interval tells how sure the pictures make it, not how other seeds would do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import genloom
from benchmarks.weights import ROOT

DATA = Path(os.environ.get("GENLOOM_DATA", ROOT.parent / "shared" / "data"))
BINARY = DATA / "binarized_mnist" / "binarized_mnist_packed.npz"
SCORED = 2000  # validation pictures
CASES: dict[str, tuple[str, int]] = {  # preset, examples
    "pixelcnn": ("paper", 5_000),
    "pixelrnn": ("paper", 4_000),
    "vae": ("paper", 100_000),
    "autoencoder": ("modern", 20_000),
}


def scores(name: str) -> list[float]:
    """Train a case with the genloom that is imported; return minus nats, or the squared error, of each picture."""
    from benchmarks.pixels import validation_pictures

    preset, examples = CASES[name]
    mnist = name == "autoencoder"
    with tempfile.TemporaryDirectory() as folder:
        source = f"{DATA / 'mnist'}[:50000]" if mnist else BINARY
        often = {"save_examples": 10**9, "report_examples": 1000}
        run = genloom.fit(name, source, f"{folder}/run", preset=preset, examples=examples, seed=1, threads=1, **often)
        model = genloom.load(run)
        held = genloom.load_data(f"{DATA / 'mnist'}[50000:]") if mnist else validation_pictures(BINARY)
        parts = torch.arange(SCORED).split(100)
        with torch.no_grad():
            found = torch.cat([score(model, held.pictures(part)) for part in parts])
    return found.double().tolist()


def score(model: Any, x: Tensor) -> Tensor:
    """Return what is to be small of each picture."""
    if hasattr(model, "log_prob"):
        nats: Tensor = -model.log_prob(x)
        return nats
    error: Tensor = (model.decode(model.encode(x)) - x).square().flatten(1).sum(1)
    return error


def started(root: Path, name: str) -> subprocess.Popen[str]:
    """Start a case with another tree."""
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    program = f"import json; from benchmarks.paper_presets import scores; print(json.dumps(scores({name!r})))"
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Train all cases with both trees, and write the evidence."""
    from benchmarks.evidence import checkout, record
    from genloom.measures.figure import mean_figure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the commit to compare with")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    with checkout(arguments.before) as other:
        for name in arguments.cases:
            running = [started(root, name) for root in (other, ROOT)]
            before, now = (torch.tensor(json.loads(each.communicate()[0].splitlines()[-1])) for each in running)
            for said, values in (("before", before), ("now", now), ("difference", now - before)):
                figure = mean_figure(values.double(), "")
                figures[f"{name}_{said}"] = [figure.value, figure.low, figure.high]
            figures[f"{name}_examples"] = CASES[name][1]
            print(name, {key: value for key, value in figures.items() if key.startswith(name)}, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record(
        "paper-presets",
        figures,
        seed=1,
        cpu_seconds=used.ru_utime + used.ru_stime,
        before=arguments.before,
        notes=f"minus nats on {SCORED} validation pictures of the fixed binarised MNIST (vae: the bound of 64 draws), "
        "of the autoencoder the squared error a picture of MNIST; with 95 % intervals over pictures; one seed",
    )


if __name__ == "__main__":
    main()
