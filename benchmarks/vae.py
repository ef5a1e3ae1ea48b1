"""Score a trained VAE on pictures it has never seen: the lower bound and the importance-weighted bound, in nats.

genloom fit vae ../shared/data/mnist -o runs/v --preset modern --hyper.binarise dynamic --minutes 60
python -m benchmarks.vae vae-mnist runs/v --draws 5000 --pictures 1000
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmarks.evidence import FOLDER, record
from genloom import Run, load, load_data
from genloom.api import count_weights
from genloom.data import Options
from genloom.measures.figure import mean_figure
from genloom.models.vae import divergence
from genloom.tools.draw import draw, write

ACTIVE = 0.01  # variance of a code's mean over the data from which it counts as active, Burda et al. 2015


@torch.no_grad()
def main() -> None:
    """Measure and record; draw 64 samples beside the model's page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--pictures", type=int, default=1000, help="of the test set, for the importance-weighted bound")
    parser.add_argument("--prefix", default="", help="before the names of the figures")
    parser.add_argument("--picture", help="name of the sample grid under docs/models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    run = Run.open(arguments.run)
    model, info = load(run), run.record
    test = load_data(info["data"]["source"].split("[")[0], Options(split="test"))
    torch.manual_seed(0)
    places = torch.arange(len(test)).split(500)
    elbo = mean_figure(torch.cat([model.elbo(test.pictures(part)) for part in places]), "")
    codes = [model.posterior(model.evaluated(test.pictures(part))) for part in places]
    mu, logvar = (torch.cat(parts) for parts in zip(*codes, strict=True))
    some = torch.linspace(0, len(test) - 1, arguments.pictures).long()  # evenly spread over the test set
    weighted = mean_figure(
        torch.cat([model.importance(test.pictures(part), arguments.draws) for part in some.split(50)]), ""
    )
    state = run.state(run.last_checkpoint())
    figures = {
        f"{arguments.prefix}elbo": [-elbo.value, -elbo.high, -elbo.low],
        f"{arguments.prefix}iw{arguments.draws}": [-weighted.value, -weighted.high, -weighted.low],
        "kl": float(divergence(mu, logvar).mean()),
        "active_codes": int((mu.var(0) > ACTIVE).sum()),
        "parameters": count_weights(model),
        "examples": state["examples"],
        "training_cpu_seconds": round(state["cpu_seconds"], 1),
    }
    if arguments.picture:
        write(model, draw(model, 64, seed=1), str(FOLDER.parent / "models" / f"{arguments.picture}.png"))
    cost = state["cpu_seconds"] + time.process_time() - began
    record(arguments.name, figures, seed=info["plan"]["seed"], cpu_seconds=cost,
           notes=f"minus nats; {model.coding}; elbo on {len(test)} test pictures, iw on {arguments.pictures} of them",
           training=info["command"])  # fmt: skip


if __name__ == "__main__":
    main()
