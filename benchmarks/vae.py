"""Score trained VAEs on pictures they have never seen: the lower bound and the importance-weighted bound, in nats.

genloom fit vae ../shared/data/mnist -o runs/conv --preset modern --hyper.binarise dynamic --minutes 60
genloom fit vae ../shared/data/mnist -o runs/mlp --hyper.binarise dynamic --hyper.hidden 200,200 --hyper.z 50 ...
python -m benchmarks.vae vae-mnist runs/conv --mlp runs/mlp
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import torch

from benchmarks.evidence import FOLDER, commands, record, spent
from genloom import Run, load, load_data
from genloom.measures.figure import mean_figure
from genloom.models.likelihood.vae import divergence
from genloom.train.machine import keep_freed_memory
from genloom.train.session import count_weights
from genloom.use.sampling.draw import draw, write

ACTIVE = 0.01  # variance of a code's mean over the data from which it counts as active, Burda et al. 2015


@torch.no_grad()
def measure(run: Run, draws: int, pictures: int) -> tuple[Any, dict[str, Any]]:
    """Return the model of a run and its figures.

    The importance-weighted bound of many draws is dear: its gain over the lower bound, which varies little, is measured on
    some of the test pictures, and added to the lower bound of all of them.
    """
    model, info = load(run), run.record
    test = load_data(info["data"]["source"].split("[")[0], split="test")
    torch.manual_seed(0)
    places = torch.arange(len(test)).split(500)
    elbo = mean_figure(torch.cat([model.elbo(test.pictures(part)) for part in places]), "")
    codes = [model.infer(test.pictures(part)) for part in places]
    mu, logvar = (torch.cat(parts) for parts in zip(*codes, strict=True))
    gains = []
    for part in torch.linspace(0, len(test) - 1, pictures).long().split(10):  # evenly spread over the test set
        x = test.pictures(part)
        gains.append(model.importance(x, draws) - torch.stack([model.elbo(x) for _ in range(64)]).mean(0))
    gain = mean_figure(torch.cat(gains), "")
    error = math.hypot(elbo.high - elbo.value, gain.high - gain.value)
    weighted = -elbo.value - gain.value
    return model, {
        "elbo": [-elbo.value, -elbo.high, -elbo.low],
        f"iw{draws}": [weighted, weighted - error, weighted + error],
        "gain_of_draws": [gain.value, gain.low, gain.high],
        "kl": float(divergence(mu, logvar).mean()),
        "active_codes": int((mu.var(0) > ACTIVE).sum()),
        "parameters": count_weights(model),
        **spent(run),
    }


def main() -> None:
    """Measure and record; draw 64 samples beside the model's page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run")
    parser.add_argument("--mlp", help="a run of the fully connected net, recorded beside it")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--pictures", type=int, default=200, help="of the test set, for the importance-weighted bound")
    parser.add_argument("--picture", help="name of the sample grid under docs/models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.process_time()
    run = Run.open(arguments.run)
    model, figures = measure(run, arguments.draws, arguments.pictures)
    training = {"training": commands(run)}
    cost = figures["training_cpu_seconds"]
    if arguments.picture:
        write(model, draw(model, 64, seed=1), str(FOLDER.parent / "models" / f"{arguments.picture}.png"))
    if arguments.mlp:
        mlp = Run.open(arguments.mlp)
        _, found = measure(mlp, arguments.draws, arguments.pictures)
        figures |= {f"mlp_{name}": value for name, value in found.items()}
        training["training_mlp"] = commands(mlp)
        cost += found["training_cpu_seconds"]
    record(
        arguments.name,
        figures,
        seed=run.record["plan"]["seed"],
        cpu_seconds=cost + time.process_time() - began,
        notes=f"minus nats; {model.coding}; elbo on all test pictures, the gain of {arguments.draws} draws over it on "
        f"{arguments.pictures} of them",
        **training,
    )


if __name__ == "__main__":
    main()
