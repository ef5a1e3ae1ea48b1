"""Speed and memory of what turns pictures into others, on one thread, in process CPU seconds, all in one run.

    python -m benchmarks.translate_speed

A step is a round of the paper's nets: pix2pix at 256x256, one example; CycleGAN at 128x128, one example; SRResNet on 16
pieces of 96x96. The plain loop makes the same moves in fp32, in torch's usual layout, with torch's usual Adam. Inference is
pix2pix's generator on 256x256. Memory is the largest resident set of `genloom translate` on a picture of 4,000x3,000, by
either model, and of `genloom upscale` by 4 on one of 1,000x750.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import genloom
from benchmarks.evidence import record
from benchmarks.training_speed import play_bare
from genloom.catalogue import find_model
from genloom.core.clock import Clock
from genloom.core.model import Model
from genloom.core.precision import pick_precision
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape
from genloom.shapes.pieces import PieceShape

REPEATS = 7
STEPS: dict[str, tuple[str, dict[str, Any], Shape, int]] = {
    "pix2pix_step": ("pix2pix", {}, PairShape(height=256, width_px=256), 1),
    "cyclegan_step": ("cyclegan", {}, PairShape(height=128, width_px=128), 1),
    "srresnet_step": ("srgan", {"adversary": 0.0}, PieceShape((), 3, 96, 96), 16),
}


def built(name: str, hyper: dict[str, Any], shape: Shape) -> Model:
    """Return a model of the paper's preset."""
    torch.manual_seed(0)
    kind = find_model(name)
    return kind(kind.Hyper.paper().with_values(hyper), shape)


def stepper(model: Model, batch: dict[str, torch.Tensor], plain: bool) -> Callable[[], None]:
    """Return one round of a model: as the trainer plays it, or plainly."""
    if not plain:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    players = {}
    for player in model.players():
        weights = player.parameters()
        lr = float(player.schedule(Clock(length=1))["lr"])
        players[player.name] = weights, torch.optim.Adam(weights, lr) if plain else player.optimizer(weights)
    bf16 = not plain and pick_precision("auto", torch.device("cpu")) == "bf16"

    return lambda: play_bare(model.phases()[0].round(iter([batch]), Clock(length=1)), players, bf16)


def cost(step: Callable[[], Any]) -> float:
    """Return the process CPU seconds of one call."""
    began = time.process_time()
    step()
    return time.process_time() - began


def ratio(own: Callable[[], Any], plain: Callable[[], Any]) -> dict[str, Any]:
    """Return how much cheaper the first is, the median over calls by turns, with both medians."""
    own(), plain()
    costs = [(cost(own), cost(plain)) for _ in range(REPEATS)]
    ours, theirs = (statistics.median(each) for each in zip(*costs, strict=True))
    ratios = [b / a for a, b in costs]
    return {
        "times": [round(x, 2) for x in (statistics.median(ratios), min(ratios), max(ratios))],
        "seconds": round(ours, 4),
        "plain_seconds": round(theirs, 4),
    }


def steps() -> dict[str, Any]:
    """Return how much cheaper a step of each model is than the plain one."""
    found = {}
    for name, (kind, hyper, shape, n) in STEPS.items():
        x = torch.rand(n, *shape.dims)
        batch = {"x": x, "b": torch.rand(n, *shape.dims)}
        near = {key: value.contiguous(memory_format=torch.channels_last) for key, value in batch.items()}
        loops = [stepper(built(kind, hyper, shape), each, plain) for each, plain in ((near, False), (batch, True))]
        found[name] = ratio(loops[0], loops[1])
        print(name, found[name], flush=True)
    return found


def inference() -> dict[str, Any]:
    """Return how much cheaper a translation is than by the plain network."""
    from genloom.use.translation.files import quickly

    shape = PairShape(height=256, width_px=256)
    own = built("pix2pix", {}, shape).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = built("pix2pix", {}, shape).eval()
    x = torch.rand(1, 3, 256, 256)

    def ours() -> None:
        with torch.inference_mode(), quickly(own.device):
            own.translate(x)

    return ratio(ours, lambda: plain.translate(x))


def peaks(folder: Path) -> dict[str, float]:
    """Return the largest resident set in GB of commands that turn large pictures, by the paper's nets, hardly trained."""
    random = np.random.default_rng(0)
    for side in ("pairs/A", "pairs/B", "pieces"):
        (folder / side).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(random.integers(0, 256, (256, 256, 3), np.uint8)).save(folder / side / f"{i}.png")
    for name, size in (("large", (4000, 3000)), ("middling", (1000, 750))):
        coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    found = {}
    for model, data, hyper, verb, picture in (
        ("pix2pix", "pairs", {}, "translate", "large"),
        ("cyclegan", "pairs", {}, "translate", "large"),
        ("srgan", "pieces", {"adversary": 0.0}, "upscale", "middling"),
    ):
        genloom.fit(model, folder / data, folder / model, preset="paper", hyper=hyper, examples=1, batch=1, threads=1)
        command = [sys.executable, "-m", "benchmarks.translate_speed", verb, str(folder / model), f"{folder / picture}.png"]
        done = subprocess.run([*command, "-o", str(folder / "out.png"), "--threads", "1"], check=True, capture_output=True)
        found[model] = float(done.stdout.split()[-1])
        print(model, found[model], "GB", flush=True)
    return found


def largest_resident() -> float:
    """Return the largest resident set of this process in GB, without what its parent held when it began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def main() -> None:
    """Measure and record; with arguments, run that command of genloom and print its largest resident set."""
    torch.set_num_threads(1)
    if sys.argv[1:]:
        from genloom.cli.app import run

        status = run(sys.argv[1:])
        print(largest_resident())
        raise SystemExit(status)
    found = steps() | {"inference": inference()}
    with tempfile.TemporaryDirectory() as folder:
        memory = peaks(Path(folder))
    figures = {name: each["times"] for name, each in found.items()}
    figures |= {f"{name}, {key}": each[key] for name, each in found.items() for key in ("seconds", "plain_seconds")}
    figures |= {"peak_gb": max(memory.values())} | {f"peak_gb, {name}": value for name, value in memory.items()}
    record(
        "translate-speed",
        figures,
        seed=0,
        cpu_seconds=round(time.process_time(), 1),
        notes="times cheaper than the plain loop: median, least, most of 7 by turns; memory: the largest resident set",
    )


if __name__ == "__main__":
    main()
