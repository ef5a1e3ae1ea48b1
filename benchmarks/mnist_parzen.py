"""GAN and CGAN on MNIST by the papers' protocol: first 50,000 for training, last 10,000 to choose sigma and
checkpoint (on their first 1,000), the test set for the figure.

    python -m benchmarks.mnist_parzen train gan runs/gan --preset modern --examples 5000000
    python -m benchmarks.mnist_parzen record gan runs/gan
    python -m benchmarks.mnist_parzen record gan runs/gan --plain --name gan-mnist-paper

A run of `modern` gives the figures of `paper` as well: averaging reads the weights of the training and leaves them as
they are (`test_averaging_leaves_the_training_alone`). At each checkpoint averaged and plain weights are scored on the
validation pictures, and the best of either are kept.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.evidence import DATA, record
from genloom import Noise, Request, load, load_data, prepare
from genloom.core.dataset import take
from genloom.core.model import Model
from genloom.files import read_tensors
from genloom.measures.parzen import choose_sigma, parzen
from genloom.train.checkpoint import read_weights
from genloom.train.run import Run

MNIST = str(DATA / "mnist")
SAVED = 250_000  # examples between two checkpoints, each of which is scored on the validation pictures
PUBLISHED = {"gan": "225 +- 2", "cgan": "132 +- 1.8"}
PLAIN = "plain"  # a file of the best plain weights in the run folder, beside the scores of all


def draw(model, seed: int, n: int = 10_000) -> Tensor:
    """Draw samples, evenly over the classes where the model has labels."""
    return torch.cat([model.sample(1000, noise=Noise.of(seed, 1000, start)).float() for start in range(0, n, 1000)])


def validation() -> Tensor:
    """Return the pictures on which sigma and checkpoints are chosen."""
    return take(load_data(MNIST + "[50000:]"), torch.arange(1000))["x"]


def train(args: argparse.Namespace) -> None:
    """Train; the validation likelihood picks the best checkpoint."""
    chosen_on = validation()
    session = prepare(
        Request(
            args.model,
            MNIST + "[:50000]",
            args.run,
            examples=args.examples,
            seed=args.seed,
            threads=1,
            save_examples=SAVED,
            report_examples=50_000,
            preset=args.preset,
            hyper={} if args.weight is None else {"discriminator_weight": args.weight},
        )
    )
    score = lambda model: ("-Parzen[validation]", -choose_sigma(chosen_on, draw(model, 1))[1])  # noqa: E731
    for report in session.play(score):
        if report.checkpoint:
            follow_plain(Path(args.run), report.checkpoint, report.examples, score)
            print(f"{report.examples:>10,} {report.notes} best {Run.open(args.run).best()}", flush=True)


def follow_plain(folder: Path, checkpoint: Path, examples: int, score: Any) -> None:
    """Score a checkpoint's plain weights, which averages leave aside, and keep the best."""
    path = folder / f"{PLAIN}.json"
    curve = json.loads(path.read_text()) if path.exists() else []
    nats = -score(weights_of(folder, checkpoint / "model.safetensors"))[1]
    if all(nats > other for _, other in curve):
        (folder / f"{PLAIN}.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    path.write_text(json.dumps([*curve, [examples, round(nats, 2)]]))


def weights_of(folder: Path, file: Path) -> Model:
    """Return the model of a run with the weights of a file."""
    model = load(folder)
    read_weights(model, read_tensors(file), file)
    return model


def test_pictures() -> Tensor:
    """Return the test set."""
    test = load_data(MNIST, split="test")
    return take(test, torch.arange(len(test)))["x"]


def bounds(samples: Tensor) -> tuple[list[float], float]:
    """Return the test figure of samples with one standard error to either side, and sigma."""
    found = parzen(samples, validation(), test_pictures())
    return [found.nats, found.nats - found.error, found.nats + found.error], found.sigma


def figures_of(folder: Path, plain: bool, suffix: str = "") -> dict[str, Any]:
    """Return the figures of a run's best and last weights, averaged or plain, and the examples they had seen."""
    run = Run.open(folder)
    last = run.last_checkpoint()
    assert last is not None
    ended, examples = run.state(last)["examples"], max(curve(folder, plain), key=lambda point: point[1])[0]
    best_file = folder / f"{PLAIN}.safetensors" if plain else run.weights("best")
    of_best, sigma = bounds(draw(weights_of(folder, best_file), 2))
    of_last = of_best
    if examples != ended:
        of_last, _ = bounds(draw(weights_of(folder, last / "model.safetensors" if plain else run.weights()), 2))
    found = {"parzen": of_best, "sigma": sigma, "parzen_last": of_last, "examples": examples, "examples_last": ended}
    return {name + suffix: value for name, value in found.items()}


def curve(folder: Path, plain: bool) -> list[list[float]]:
    """Return [examples, validation nats] of all checkpoints."""
    if plain:
        return json.loads((folder / f"{PLAIN}.json").read_text())
    lines = [line for line in Run.open(folder).history() if "score" in line]
    return [[line["examples"], round(-line["score"][1], 2)] for line in lines]


def label_figures(model: Model) -> dict[str, float]:
    """Return how many drawn digits, and how many real ones, a classifier takes for what they are."""
    from genloom.measures.features.classifier import fit_classifier

    classifier = fit_classifier(load_data(MNIST), seed=0)
    y = torch.arange(10_000) % 10
    places = range(0, len(y), 1000)
    drawn = torch.cat([model.sample(1000, y[i : i + 1000], noise=Noise.of(3, 1000, i)) for i in places])
    real = classifier.accuracy(test_pictures(), load_data(MNIST, split="test").labels)
    return {"classifier_accuracy": real, "label_accuracy": classifier.accuracy(drawn, y)}


def judge(args: argparse.Namespace) -> None:
    """Judge the best and the last checkpoint on the test set."""
    started = time.process_time()
    runs = {"": Path(args.run), **({"_whole_loss": Path(args.whole)} if args.whole else {})}
    figures: dict[str, Any] = {}
    for suffix, folder in runs.items():
        figures |= figures_of(folder, args.plain, suffix)
    real = take(load_data(MNIST + "[:50000]"), torch.arange(10_000))["x"]
    figures["parzen_of_training_digits"], _ = bounds(real)
    model = load(args.run, "best")
    if getattr(model, "conditional", False):
        figures |= label_figures(model)
    spent = [run.state(run.last_checkpoint())["cpu_seconds"] for run in map(Run.open, runs.values())]  # type: ignore[arg-type]
    record(
        args.name or f"{args.model}-mnist",
        figures,
        seed=Run.open(args.run).record["plan"]["seed"],
        cpu_seconds=sum(spent) + time.process_time() - started,
        notes="Parzen nats by Goodfellow et al. 2014: 10,000 samples, sigma and checkpoint chosen on 1,000 validation "
        "images, mean over 10,000 test images with one standard error. Published: "
        + PUBLISHED[args.model]
        + (". Plain weights of runs of modern, whose training is the paper preset's" if args.plain else ""),
        training={(suffix or "run"): Run.open(folder).record["command"] for suffix, folder in runs.items()},
        training_commit=args.training_commit,
        validation_curves={(suffix or "run"): curve(folder, args.plain) for suffix, folder in runs.items()},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "record"])
    parser.add_argument("model", choices=["gan", "cgan"])
    parser.add_argument("run")
    parser.add_argument("--examples", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--weight", type=float, help="factor of the discriminator's loss, the preset's if left out")
    parser.add_argument("--plain", action="store_true", help="judge the plain weights in place of averaged ones")
    parser.add_argument("--whole", help="a run with --weight 1, recorded beside it")
    parser.add_argument("--training-commit", default="")
    parser.add_argument("--name", help="of the evidence file")
    arguments = parser.parse_args()
    (train if arguments.what == "train" else judge)(arguments)
