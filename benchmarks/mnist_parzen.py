"""GAN and CGAN on MNIST by the papers' protocol: first 50,000 for training, last 10,000 to choose sigma and
checkpoint (on their first 1,000), the test set for the figure.

    python -m benchmarks.mnist_parzen train gan runs/gan --minutes 60
    python -m benchmarks.mnist_parzen record gan runs/gan
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from benchmarks.evidence import DATA, record
from genloom import Noise, Request, load, load_data, prepare
from genloom.core.dataset import take
from genloom.measures.parzen import choose_sigma, parzen
from genloom.train.run import Run

MNIST = str(DATA / "mnist")


def draw(model, seed: int, n: int = 10_000) -> Tensor:
    """Draw samples, evenly over the classes where the model has labels."""
    return torch.cat([model.sample(1000, noise=Noise.of(seed, 1000, start)).float() for start in range(0, n, 1000)])


def validation_score(model) -> tuple[str, float]:
    """Return minus the validation log-likelihood: lower is better."""
    return "-Parzen[validation]", -choose_sigma(VALIDATION, draw(model, 1))[1]


def train(args: argparse.Namespace) -> None:
    """Train with the paper's preset; the validation likelihood picks the best checkpoint."""
    session = prepare(
        Request(
            args.model,
            MNIST + "[:50000]",
            args.run,
            minutes=args.minutes,
            seed=args.seed,
            threads=1,
            save_every=60,
            report_every=10,
            preset=args.preset,
        )
    )
    for report in session.play(validation_score):
        if report.checkpoint:
            best = Run.open(args.run).best()
            print(f"{report.examples:>10,} {report.notes} best {best}", flush=True)


def judge(args: argparse.Namespace) -> None:
    """Judge the best checkpoint on the test set."""
    started = time.process_time()
    run = Run.open(args.run)
    test = load_data(MNIST, split="test")
    x = take(test, torch.arange(len(test)))["x"]
    model = load(run, "best")
    result = parzen(draw(model, 2), VALIDATION, x)
    figures: dict = {"parzen": [result.nats, result.nats - result.error, result.nats + result.error], "sigma": result.sigma}
    last = parzen(draw(load(run, "last"), 2), VALIDATION, x)
    figures["parzen_last"] = [last.nats, last.nats - last.error, last.nats + last.error]
    if model.conditional:
        from genloom.measures.features.classifier import fit_classifier

        classifier = fit_classifier(load_data(MNIST), seed=0)
        figures["classifier_accuracy"] = classifier.accuracy(x, test.labels)
        y = torch.arange(10_000) % 10
        places = range(0, len(y), 1000)
        drawn = torch.cat([model.sample(1000, y[i : i + 1000], noise=Noise.of(3, 1000, i)) for i in places])
        figures["label_accuracy"] = classifier.accuracy(drawn, y)
    state = run.state(run.best_checkpoint())
    figures["examples"] = state["examples"]
    record(
        args.name or f"{args.model}-mnist",
        figures,
        seed=run.record["plan"]["seed"],
        cpu_seconds=state["cpu_seconds"] + time.process_time() - started,
        notes="Parzen nats by Goodfellow et al. 2014: 10,000 samples, sigma and checkpoint chosen on 1,000 validation "
        "images, mean over 10,000 test images with one standard error. Published: "
        + {"gan": "225 +- 2", "cgan": "132 +- 1.8"}[args.model],
        training=run.record["command"],
        training_commit=args.training_commit,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "record"])
    parser.add_argument("model", choices=["gan", "cgan"])
    parser.add_argument("run")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--training-commit", default="")
    parser.add_argument("--name", help="of the evidence file")
    arguments = parser.parse_args()
    VALIDATION = take(load_data(MNIST + "[50000:]"), torch.arange(1000))["x"]
    (train if arguments.what == "train" else judge)(arguments)
