"""Judge a trained DCGAN run: its last checkpoint against its best, and real examples against each other.

genloom fit dcgan ../shared/data/mnist -o runs/mnist --preset modern --minutes 15 --threads 1
python -m benchmarks.dcgan dcgan-mnist runs/mnist
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import torch

from benchmarks.evidence import FOLDER, record
from genloom import Run, load, load_data
from genloom.data import Options
from genloom.measures.classifier import fit_classifier
from genloom.measures.frechet import frechet_distance
from genloom.measures.light import RandomFeatures
from genloom.tools.draw import draw


def features_of(data, labelled: bool):
    """Return (name, function from pictures to features)."""
    if not labelled:
        index = torch.linspace(0, len(data) - 1, 2000).long()
        return "random", RandomFeatures(data.batch(index)["x"])
    net = fit_classifier(data)
    return "classifier", lambda x: torch.cat([net.features(part) for part in x.split(500)])


@torch.no_grad()
def main() -> None:
    """Measure and record; copy the last grid beside the evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run")
    parser.add_argument("-n", type=int, default=5000)
    arguments = parser.parse_args()
    began = time.process_time()
    run = Run.open(arguments.run)
    history, info = run.history()[-1], run.record
    shape = info["shape"]
    data = load_data(info["data"]["source"], Options(size=(shape["height"], shape["width_px"])))
    name, features = features_of(data, bool(data.shape.classes))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    half = min(arguments.n, len(data) // 2)
    real, other = (features(data.batch(part)["x"]) for part in (order[:half], order[half : 2 * half]))
    figures = {f"FID[{name}] real": round(frechet_distance(real, other), 3)}
    for which in ("last", "best"):
        fake = features(draw(load(run, which), arguments.n, seed=1))
        figures[f"FID[{name}] {which}"] = round(frechet_distance(real, fake), 3)
    figures["last_over_best"] = round(figures[f"FID[{name}] last"] / figures[f"FID[{name}] best"], 3)
    state = run.state(run.last_checkpoint())
    figures |= {
        "examples": state["examples"],
        "cpu_minutes": round(state["cpu_seconds"] / 60, 1),
        "wall_minutes": round(state["seconds"] / 60, 1),
        "diversity": round(history["notes"]["diversity"], 3),
    }
    picture = FOLDER.parent / "models" / f"{arguments.name}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sorted(Path(arguments.run).glob("samples/*.png"))[-1], picture)
    cost = state["cpu_seconds"] + time.process_time() - began
    record(arguments.name, figures, seed=info["plan"]["seed"], cpu_seconds=cost,
           notes=f"{arguments.n} samples against {half} training pictures; best by {run.best()['measure']} during training; "
                 "'real' is one half of the training pictures against another",
           training=info["command"])  # fmt: skip


if __name__ == "__main__":
    main()
