"""Sampling of binary 28x28 pictures pixel by pixel: cached against naive, in CPU seconds on one thread.

    python -m benchmarks.sampling_speed --record

Naive sampling runs the whole network once for each of the 784 pixels; its cost is measured over the first rows and
scaled, since each pixel costs the same. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from typing import Any

import torch

from benchmarks.evidence import record
from genloom import Noise
from genloom.models.likelihood.autoregressive import Autoregressive
from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.models.likelihood.pixelrnn import PixelRNN
from genloom.shapes.pictures import ImageShape
from genloom.train.machine import keep_freed_memory

SHAPE = ImageShape(channels=1, height=28, width_px=28)
NETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gated": (PixelCNN, {"kind": "gated", "features": 32, "layers": 7, "head": 32}),
    "plain": (PixelCNN, {"kind": "plain", "features": 32, "layers": 7, "head": 32}),
    "diagonal": (PixelRNN, {"kind": "diagonal"}),
    "row": (PixelRNN, {"kind": "row"}),
}


@torch.no_grad()
def cost(model: Autoregressive, n: int, forwards: int) -> tuple[float, float]:
    """Return the CPU seconds of drawing `n` pictures, cached and naive."""
    began = time.process_time()
    x = model.sample(n, noise=Noise.of(0, n))
    cached = time.process_time() - began
    model.logits(model.inputs(model.code(x)))
    began = time.process_time()
    for _ in range(forwards):
        model.logits(model.inputs(model.code(x)))
    return cached, (time.process_time() - began) / forwards * 28 * 28


@torch.no_grad()
def difference(model: Autoregressive) -> float:
    """Return the largest difference between logits while sampling and while scoring, over two pictures."""
    code = model.code(model.sample(2, noise=Noise.of(1, 2)))
    whole, step = model.logits(model.inputs(code)), model.cached(code, None)
    places = itertools.product(range(28), range(28))
    return max(float((step(row, column, 0, True) - whole[:, 0, :, row, column]).abs().max()) for row, column in places)


def main() -> None:
    """Measure every net at 16 and 100 pictures; the ratio is the median of several."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.process_time()
    figures: dict[str, Any] = {}
    gaps = []
    for name, (model_class, hyper) in NETS.items():
        torch.manual_seed(0)
        model = model_class(model_class.Hyper(levels=2, head_layers=1, skips=False, **hyper), SHAPE).eval()
        gaps.append(difference(model))
        for n in (16, 100):
            costs = [cost(model, n, 3 if n == 16 else 1) for _ in range(arguments.rounds)]
            figures[f"{name}_b{n}"] = round(statistics.median(naive / cached for cached, naive in costs), 1)
            figures[f"{name}_b{n}_cpu_seconds"] = round(statistics.median(cached for cached, _ in costs), 3)
    figures["max_logit_difference"] = max(gaps)
    if arguments.record:
        record(
            "sampling-speed",
            figures,
            seed=0,
            cpu_seconds=time.process_time() - began,
            notes="naive CPU seconds over cached ones, medians; one thread; fp32",
        )
    else:
        print(figures)


if __name__ == "__main__":
    main()
