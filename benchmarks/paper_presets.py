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
CASES: dict[str, tuple[str, str, int, dict[str, Any]]] = {  # model, preset, examples, hyper-parameters
    "pixelcnn": ("pixelcnn", "paper", 5_000, {"rate": 1e-3}),
    "pixelrnn": ("pixelrnn", "paper", 4_000, {}),
    "vae": ("vae", "paper", 100_000, {}),
    "autoencoder": ("autoencoder", "modern", 20_000, {}),
    "pixelcnn_slower": ("pixelcnn", "paper", 5_000, {"rate": 3e-4}),
}


def scores(name: str) -> list[float]:
    """Train a case with the genloom that is imported; return minus nats, or the squared error, of each picture."""
    from benchmarks.pixels import validation_pictures

    model_name, preset, examples, hyper = CASES[name]
    mnist = model_name == "autoencoder"
    with tempfile.TemporaryDirectory() as folder:
        source = f"{DATA / 'mnist'}[:50000]" if mnist else BINARY
        often = {"save_examples": 10**9, "report_examples": 1000}
        said = {"preset": preset, "hyper": hyper, "examples": examples, "seed": 1, "threads": 1, **often}
        run = genloom.fit(model_name, source, f"{folder}/run", **said)
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
    parser.add_argument("--now", action="store_true", help="train with this tree alone")
    parser.add_argument("--name", default="paper-presets", help="of the evidence file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    with checkout(arguments.before) as other:
        for name in arguments.cases:
            roots = {"now": ROOT} if arguments.now else {"before": other, "now": ROOT}
            running = {said: started(root, name) for said, root in roots.items()}
            found = {
                said: torch.tensor(json.loads(each.communicate()[0].splitlines()[-1])) for said, each in running.items()
            }
            if "before" in found:
                found["difference"] = found["now"] - found["before"]
            for said, values in found.items():
                figure = mean_figure(values.double(), "")
                figures[f"{name}_{said}"] = [figure.value, figure.low, figure.high]
            figures[f"{name}_examples"] = CASES[name][2]
            print(name, {key: value for key, value in figures.items() if key.startswith(name)}, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record(
        arguments.name,
        figures,
        seed=1,
        cpu_seconds=used.ru_utime + used.ru_stime,
        before=arguments.before,
        notes=f"minus nats on {SCORED} validation pictures of the fixed binarised MNIST (vae: the bound of 64 draws), "
        "of the autoencoder the squared error a picture of MNIST; with 95 % intervals over pictures; one seed",
    )


if __name__ == "__main__":
    main()
