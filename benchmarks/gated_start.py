"""What the start of the weights, places and dilations are worth to a gated PixelCNN: the same short training, each time.

    python -m benchmarks.gated_start --record

Binarised MNIST, 32 features, 7 layers, 12,000 examples, one thread; nats on 2,000 test pictures, and how much of a noise
picture still varies in the vertical stack after each layer before training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.evidence import DATA, record
from genloom import Run, load_data
from genloom.core.dataset import take
from genloom.core.precision import pick_precision
from genloom.measures.figure import mean_figure
from genloom.models.likelihood.pixelcnn import GatedNet, PixelCNN
from genloom.train.loop import play
from genloom.train.plan import Plan

SOURCE = DATA / "binarized_mnist" / "binarized_mnist_packed.npz"
VARIANTS: dict[str, tuple[int, tuple[int, ...], bool]] = {
    "torch_start": (0, (1,), True),
    "our_start": (0, (1,), False),
    "and_places": (6, (1,), False),
    "and_dilations": (6, (1, 2, 4), False),
}


def build(waves: int, dilations: tuple[int, ...], torchs: bool, examples: int, shape: Any) -> PixelCNN:
    """Return a net with or without places, its weights started as torch starts convolutions or as genloom does."""
    torch.manual_seed(0)
    values = {"features": 32, "layers": 7, "waves": waves, "dilations": dilations, "levels": 2, "anneal": examples}
    model = PixelCNN(PixelCNN.Hyper.preset("modern").with_values(values), shape)
    assert isinstance(model.network, GatedNet)
    for layer in model.network.layers if torchs else []:
        for part in (layer.vertical, layer.link, layer.own, layer.mix):
            nn.init.kaiming_uniform_(part.weight, a=5**0.5)
    return model


@torch.no_grad()
def signal(model: PixelCNN) -> list[float]:
    """Return the deviation over pictures and places of the vertical stack after each layer, on noise."""
    v = h = torch.randint(2, (8, 1, 28, 28), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    found = []
    for layer in model.network.layers:  # type: ignore[union-attr]
        v, h = layer(v, h, None)
        found.append(round(float((v - v.mean((0, 2, 3), keepdim=True)).std()), 4))
    return found


@torch.no_grad()
def nats(model: PixelCNN, x: Tensor) -> list[float]:
    """Return minus the mean log-likelihood with its 95 % interval."""
    figure = mean_figure(torch.cat([model.log_prob(part) for part in x.split(250)]), "")
    return [-figure.value, -figure.high, -figure.low]


def main() -> None:
    """Train the variants one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--examples", type=int, default=12_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    train, test = (load_data(SOURCE, split=split) for split in ("train", "test"))
    x = take(test, torch.arange(0, len(test), 5))["x"]
    figures: dict[str, Any] = {}
    for name, (waves, dilations, torchs) in VARIANTS.items():
        model = build(waves, dilations, torchs, arguments.examples, train.shape)
        varying = signal(model)
        plan = Plan(examples=arguments.examples, batch=16, precision=pick_precision("auto", torch.device("cpu")))
        before = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            *_, last = play(model, train, Run.begin(f"{folder}/run", {"model": "pixelcnn"}), plan)
        figures |= {
            f"{name}_cpu_seconds": round(time.process_time() - before, 1),
            f"{name}_nats": nats(model, x),
            f"{name}_signal_after_3_layers": varying[3],
            f"{name}_signal_at_the_end": varying[-1],
        }
        print(name, last.notes, {key: value for key, value in figures.items() if key.startswith(name)}, flush=True)
    if arguments.record:
        record(
            "gated-start",
            figures,
            seed=0,
            cpu_seconds=time.process_time() - began,
            notes=f"{arguments.examples} examples each, the rate annealed over them, weights not averaged; nats on "
            "2,000 test pictures",
        )


if __name__ == "__main__":
    main()
