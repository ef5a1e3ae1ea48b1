"""Score a trained model of pixels on pictures it has never seen, in nats and bits per dimension.

genloom fit pixelcnn ../shared/data/binarized_mnist/binarized_mnist_packed.npz -o runs/p --preset modern --minutes 60
genloom fit pixelcnn ../shared/data/binarized_mnist/binarized_mnist_packed.npz -o runs/q --from runs/p --minutes 60
python -m benchmarks.pixels gated-mnist runs/p runs/q

Of several runs the one is taken that does best on the validation pictures; test pictures are scored once, for that one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.evidence import FOLDER, before, commands, record, spent, stretches
from genloom import Run, load, load_data
from genloom.measures.likelihood import likelihood_rows, log_likelihoods
from genloom.train.session import count_weights
from genloom.use.sampling.draw import draw, write


def main() -> None:
    """Measure and record; draw 64 samples beside the model's page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--picture", help="name of the sample grid under docs/models")
    parser.add_argument("--test", help="source of the test pictures, where the training source has none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    run, validation = choose([Run.open(run) for run in arguments.runs])
    model, info = load(run), run.record
    dims = info["shape"]
    test = load_data(
        arguments.test or info["data"]["source"].split("[")[0],
        split="train" if arguments.test else "test",
        size=(dims["height"], dims["width_px"]),
        channels=dims["channels"],
    )
    rows = likelihood_rows(model, test)
    nats, bits = (next(f for name, f in rows.items() if name.startswith(kind)) for kind in ("log", "bits"))
    figures = {
        "nats": [-nats.value, -nats.high, -nats.low],
        "bits_per_dim": [bits.value, bits.low, bits.high],
        "parameters": count_weights(model),
        **validation,
        **spent(run),
    }
    before = time.process_time()
    samples = draw(model, 64, seed=1)
    figures["cpu_seconds_for_64_samples"] = round(time.process_time() - before, 2)
    if arguments.picture:
        write(model, samples, str(FOLDER.parent / "models" / f"{arguments.picture}.png"))
    record(
        arguments.name,
        figures,
        seed=info["plan"]["seed"],
        cpu_seconds=figures["training_cpu_seconds"] + time.process_time() - began,
        notes=nats.protocol,
        training=commands(run),
        curve=curve(run),
    )


def choose(runs: list[Run]) -> tuple[Run, dict[str, Any]]:
    """Return the run that does best on the validation pictures, and the nats of all on them, where its source has some.

    Raises:
        SystemExit: there are several runs and nothing to choose on but the test pictures.
    """
    source = Path(os.path.expandvars(runs[0].record["data"]["source"].split("[")[0]))
    pictures = validation_pictures(source)
    if pictures is None:
        if len(runs) > 1:
            raise SystemExit(f"{source} has no validation pictures to choose a run on: name one run")
        return runs[0], {}
    nats = [-float(log_likelihoods(load(run), pictures, torch.arange(len(pictures))).mean()) for run in runs]
    best = min(range(len(runs)), key=nats.__getitem__)
    return runs[best], {"nats_validation": nats[best], "nats_validation_of_candidates": nats}


def validation_pictures(source: Path) -> Any:
    """Return the pictures named `valid` of an .npz file as data, or None where it has none."""
    if source.suffix != ".npz" or "valid" not in np.load(source):
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "valid.npz", train=np.load(source)["valid"])
        return load_data(Path(folder) / "valid.npz")


def curve(run: Run, points: int = 16) -> list[list[float]]:
    """Return [CPU seconds, examples, nats on fresh training batches since the last point], evenly over the training."""
    lines = [
        (
            line["cpu_seconds"] + before(stretch)["cpu_seconds"],
            line["examples"] + before(stretch)["examples"],
            line["notes"]["nats"],
        )
        for stretch in stretches(run)
        for line in stretch.history()
        if "nats" in line["notes"]
    ]
    size = -(-len(lines) // points)
    parts = [lines[i : i + size] for i in range(0, len(lines), size)]
    return [[round(part[-1][0], 1), part[-1][1], round(statistics.mean(nats for *_, nats in part), 2)] for part in parts]


if __name__ == "__main__":
    main()
