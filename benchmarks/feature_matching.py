"""Errors on MNIST's test digits with 100 labels: feature matching, and what does without a generator on the same net.

    genloom fit feature_matching ../shared/data/mnist -o runs/fm/0 --hyper.draw 0 --examples 36M --threads 1   # hours
    python -m benchmarks.feature_matching score runs/fm/0           # for each draw of labels, as often as one likes
    python -m benchmarks.feature_matching baselines --draws 0,1,2,3,4
    python -m benchmarks.feature_matching collect

`supervised_only` is the same net on the labels alone; `consistency`, in the spirit of FixMatch (Sohn et al. 2020, arXiv
2001.07685): the class that the net is sure of for a picture is also to be its answer for the picture shifted, turned and
stretched, behind the net's own noise. Label propagation on an autoencoder's codes is in `few-labels`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import genloom
from benchmarks.evidence import DATA, FOLDER, record
from genloom import Run
from genloom.core.random import training
from genloom.models.adversarial.feature_matching import FeatureMatchingHyper, chosen
from genloom.nn.feature_matching import ConvClassifier, DenseClassifier
from genloom.nn.weight_norm import start_from

CLASSES, BATCH, UNLABELLED = 10, 100, 300
SURE, HALF_LIFE = 0.95, 500  # probability from which on an answer is a label; steps
STEPS = {"supervised_only": 3000, "consistency": 10_000}


@dataclass(frozen=True)
class Task:
    """Pictures, how many of them have labels, and the paper's net for them."""

    train: Path
    test: Path
    split: str
    labels: int
    hyper: FeatureMatchingHyper

    def net(self) -> DenseClassifier | ConvClassifier:
        """Return the classifier, untrained."""
        noise = self.hyper.noise_input, self.hyper.noise_hidden
        if self.hyper.net == "dense":
            return DenseClassifier(784, self.hyper.hidden, CLASSES, noise, kernels=0)
        return ConvClassifier(3, self.hyper.width, CLASSES, noise, kernels=0)

    def scaled(self, x: Tensor) -> Tensor:
        """Return pictures in [0, 1] as the net takes them."""
        return x if self.hyper.net == "dense" else x * 2 - 1

    @torch.no_grad()
    def wrong(self, classify: Any) -> int:
        """Return how many test pictures are told wrongly by a function from pictures in [0, 1] to scores."""
        test = genloom.load_data(self.test, split=self.split)
        places = torch.arange(len(test)).split(1000)
        return sum(int((classify(test.pictures(i)).cpu().argmax(1) != test.labels[i]).sum()) for i in places)


CIFAR = DATA / "cifar10"
TASKS = {
    "mnist": Task(DATA / "mnist", DATA / "mnist", "test", 100, FeatureMatchingHyper()),
    "cifar": Task(
        CIFAR / "cifar10_train_15000.zip",
        CIFAR / "cifar10_test_3000.zip",
        "train",
        1000,
        FeatureMatchingHyper(net="conv", noise_input=0.2),
    ),
}


def score(path: Path, kept: Path) -> None:
    """Note the errors of a run as it is now, by its averaged weights."""
    run = Run.open(path)
    state, draw = run.state(run.last_checkpoint()), run.record["hyper"]["draw"]  # type: ignore[arg-type]
    notes = kept / f"draw-{draw}.json"
    found = json.loads(notes.read_text()) if notes.exists() else {}
    errors = TASKS["mnist"].wrong(genloom.load(run).classify)
    found[str(state["examples"])] = {"errors": errors, "cpu_seconds": state["cpu_seconds"]}
    notes.parent.mkdir(parents=True, exist_ok=True)
    notes.write_text(json.dumps(found))
    print(draw, state["examples"], found[str(state["examples"])])


def strongly(x: Tensor) -> Tensor:
    """Shift by up to 3 pixels, turn by up to 20 degrees, and stretch by up to a fifth, each picture `[n, C, H, W]`."""
    n, turn = len(x), (torch.rand(len(x)) * 2 - 1) * math.pi / 9
    stretch = 1 + (torch.rand(2, n) * 2 - 1) / 5
    shift = (torch.rand(n, 2) * 2 - 1) * 6 / 28
    rows = [torch.stack([turn.cos() * stretch[0], -turn.sin() * stretch[1]], 1)]
    rows += [torch.stack([turn.sin() * stretch[0], turn.cos() * stretch[1]], 1)]
    maps = torch.cat([torch.stack(rows, 1), shift[..., None]], 2).to(x.device)
    return F.grid_sample(x, F.affine_grid(maps, list(x.shape), align_corners=False), align_corners=False)


def baseline(task: Task, name: str, draw: int, device: str = "cpu", steps: int = 0) -> int:
    """Return the errors of the same net, trained without a generator, by its averaged weights."""
    data = genloom.load_data(task.train)
    places = chosen(data, task.labels, CLASSES, draw)
    x, y, steps = data.pictures(places).to(device), data.labels[places].to(device), steps or STEPS[name]
    with training(draw, threads=1):
        net = task.net().to(device)
        start_from(net, task.scaled(data.pictures(torch.randperm(len(data))[:500]).to(device)))
        adam = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.999))
        share = 0.5 ** (1 / HALF_LIFE)
        mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(share))
        for step in range(steps):
            adam.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
            index = torch.randint(len(x), (BATCH,))
            seen = strongly(x[index]) if name == "consistency" else x[index]
            loss = F.cross_entropy(net(task.scaled(seen))[1], y[index])
            if name == "consistency":
                u = data.pictures(torch.randint(len(data), (UNLABELLED,))).to(device)
                with torch.no_grad():
                    net.eval()
                    sure, label = net(task.scaled(u))[1].softmax(1).max(1)
                    net.train()
                logits = net(task.scaled(strongly(u)))[1]
                loss = loss + (F.cross_entropy(logits, label, reduction="none") * (sure > SURE)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            mean.update_parameters(net)
    return task.wrong(lambda pictures: mean.eval()(task.scaled(pictures.to(device)))[1])


def baselines(draws: list[int], kept: Path) -> None:
    """Note the errors of what does without a generator."""
    for draw in draws:
        for name in STEPS:
            notes, began = kept / f"{name}-{draw}.json", time.process_time()
            if not notes.exists():
                errors = baseline(TASKS["mnist"], name, draw)
                found = {"errors": errors, "cpu_seconds": round(time.process_time() - began, 1)}
                notes.parent.mkdir(parents=True, exist_ok=True)
                notes.write_text(json.dumps(found))
                print(name, draw, found, flush=True)


def collect(kept: Path) -> None:
    """Write means over draws as evidence."""
    figures: dict[str, Any] = {}
    curves = {path.stem: json.loads(path.read_text()) for path in sorted(kept.glob("draw-*.json"))}
    last = [curve[max(curve, key=int)] for curve in curves.values()]
    if last:
        errors = [each["errors"] for each in last]
        figures |= {"errors": round(statistics.mean(errors), 1), "draws": len(errors)}
        figures["deviation"] = round(statistics.stdev(errors), 1) if len(errors) > 1 else None
    for name, curve in curves.items():
        figures |= {
            f"{name}, {int(n):,} examples": each["errors"] for n, each in sorted(curve.items(), key=lambda e: int(e[0]))
        }
    for name in STEPS:
        found = [json.loads(path.read_text()) for path in sorted(kept.glob(f"{name}-*.json"))]
        if found:
            errors = [each["errors"] for each in found]
            figures |= {name: round(statistics.mean(errors), 1), f"{name}, each draw": errors}
            figures[f"{name}, cpu_seconds"] = round(statistics.mean(each["cpu_seconds"] for each in found), 1)
    spread = json.loads((FOLDER / "few-labels.json").read_text())["figures"]["propagation_100"]
    figures["label_propagation"] = round(100 * (spread[0] if isinstance(spread, list) else spread), 1)
    notes = "wrong of 10,000 test digits, 100 labels; means over draws of labels; label propagation is of few-labels"
    cost = sum(each["cpu_seconds"] for each in last)
    record("feature-matching-mnist", figures, seed=None, cpu_seconds=cost, notes=notes)


def main() -> None:
    """Score, train what does without a generator, or collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("score", "baselines", "collect"))
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--draws", default="0,1,2,3,4")
    parser.add_argument("--kept", type=Path, default=Path("runs/fm"))
    said = parser.parse_args()
    torch.set_num_threads(1)
    if said.what == "score":
        score(said.run, said.kept)
    elif said.what == "baselines":
        baselines([int(draw) for draw in said.draws.split(",")], said.kept)
    else:
        collect(said.kept)


if __name__ == "__main__":
    main()
