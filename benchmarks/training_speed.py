"""Training speed of DCGAN 64x64 on one thread, in process CPU seconds, all loops in one run.

    python -m benchmarks.training_speed --record

The plain loop is the one most people copy: fp32, contiguous layout, BCE on sigmoids, the
discriminator's weight gradients computed and thrown away in the generator's turn. The bare loop makes
the same moves as genloom's trainer without it. The peak is that of a bf16 matrix product.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.evidence import ROOT, checkout, record
from genloom.core.dataset import take
from genloom.core.model import Move
from genloom.core.precision import pick_precision
from genloom.data.pictures.dataset import ImageData
from genloom.models.adversarial.dcgan import DCGAN, DCGANHyper
from genloom.shapes.pictures import ImageShape
from genloom.train.loop import Loop
from genloom.train.plan import Plan
from genloom.train.ranks import Ranks
from genloom.train.run import Run

BATCH = 64
GFLOP = 2.48  # an image: both players' moves with a fresh fake each, counted over the convolutions


def pictures(n: int = 1024) -> ImageData:
    """Random pictures: speed does not depend on what they show."""
    pixels = torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(pixels, None, ImageShape(channels=3, height=64, width_px=64), "random", "random")


def plain_loop(batch: int = BATCH, device: str = "cpu") -> Callable[[], None]:
    """Return one step of the loop most people copy."""

    def block(a: int, b: int, conv: type, norm: bool, last: nn.Module) -> list[nn.Module]:
        return [conv(a, b, 4, 2, 1, bias=False), *([nn.BatchNorm2d(b)] if norm else []), last]

    up, down = nn.ConvTranspose2d, nn.Conv2d
    generator = nn.Sequential(
        nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False),
        nn.BatchNorm2d(512),
        nn.ReLU(True),
        *block(512, 256, up, True, nn.ReLU(True)),
        *block(256, 128, up, True, nn.ReLU(True)),
        *block(128, 64, up, True, nn.ReLU(True)),
        *block(64, 3, up, False, nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *block(3, 64, down, False, nn.LeakyReLU(0.2, True)),
        *block(64, 128, down, True, nn.LeakyReLU(0.2, True)),
        *block(128, 256, down, True, nn.LeakyReLU(0.2, True)),
        *block(256, 512, down, True, nn.LeakyReLU(0.2, True)),
        nn.Conv2d(512, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )
    generator, discriminator = generator.to(device), discriminator.to(device)
    to_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    to_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    bce, ones, zeros = nn.BCELoss(), torch.ones(batch, device=device), torch.zeros(batch, device=device)
    x = (take(pictures(batch), torch.arange(batch))["x"].contiguous() * 2 - 1).to(device)

    def step() -> None:
        discriminator.zero_grad()
        bce(discriminator(x).view(-1), ones).backward()
        fake = generator(torch.randn(batch, 100, 1, 1, device=device))
        bce(discriminator(fake.detach()).view(-1), zeros).backward()
        to_d.step()
        generator.zero_grad()
        bce(discriminator(fake).view(-1), ones).backward()
        to_g.step()

    return step


def plain_process(pipe: Connection) -> None:
    """Time the plain loop, whenever asked, in a process that hands memory out as its users have it."""
    torch.set_num_threads(1)
    step = plain_loop()
    while pipe.recv():
        pipe.send(seconds(step, 2))


TREE = """
import sys, tempfile, torch
from pathlib import Path
from benchmarks.training_speed import seconds, trainer_loop
torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    loop = trainer_loop(Path(folder))
    for line in sys.stdin:
        print(seconds(loop, int(line)), flush=True)
"""


class Tree:
    """The trainer of a checkout of this repository, perhaps an older one, timed in a process of its own."""

    def __init__(self, root: Path) -> None:
        environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
        command = [sys.executable, "-c", TREE]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root, env=environment)

    def seconds(self, times: int) -> float:
        """Return the process CPU seconds of a round."""
        assert self.process.stdin and self.process.stdout
        print(times, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def of_before(commit: str, rounds: int) -> list[float]:
    """Return the cost of this tree's rounds as shares of a commit's, by turns: median, least, most."""
    with checkout(commit) as root:
        other, own = Tree(root), Tree(ROOT)
        pairs = []
        for i in range(rounds):
            costs = {tree: tree.seconds(2) for tree in ([own, other] if i % 2 else [other, own])}
            pairs.append(costs[own] / costs[other])
        for tree in (own, other):
            tree.process.kill()
    return [round(v, 4) for v in (statistics.median(pairs), min(pairs), max(pairs))]


def hyper(batch: int = BATCH) -> DCGANHyper:
    """The architecture of the plain loop."""
    return DCGANHyper(width=64, kernel=4, batch=batch)


def trainer_loop(folder: Path, batch: int = BATCH, device: str = "cpu", compiled: bool = False) -> Callable[[], None]:
    """Return one round of genloom's trainer."""
    data = pictures(max(1024, 2 * batch))
    torch.manual_seed(0)
    model, where = DCGAN(hyper(batch), data.shape), torch.device(device)
    precision = pick_precision("auto", where)
    plan = Plan(examples=10**9, batch=batch, precision=precision, device=where, compile=compiled)
    return Loop(model, data, Run.begin(folder / "run", {"model": "dcgan"}), plan, Ranks()).play_round


def bare_loop() -> Callable[[], None]:
    """Return the same moves without the trainer."""
    data = pictures()
    torch.manual_seed(0)
    model = DCGAN(hyper(), data.shape).to(memory_format=torch.channels_last).train()
    players = {p.name: (p.parameters(), p.optimizer(p.parameters())) for p in model.players()}
    bf16 = pick_precision("auto", torch.device("cpu")) == "bf16"

    class Batches:
        def __next__(self):
            return take(data, torch.randint(len(data), (BATCH,)))

    return lambda: play_bare(model.round(Batches(), None), players, bf16)


def play_bare(moves: Iterator[Move], players: Mapping[str, tuple[Any, torch.optim.Optimizer]], bf16: bool) -> None:
    """Play a round without the trainer: each mover, given as its weights and its optimizer, descends."""
    while True:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            move = next(moves, None)
        if move is None:
            return
        weights, optimizer = players[move.player]
        move.loss.backward(inputs=weights)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def matrix_peak(n: int = 1024) -> float:
    """Return the GFLOP/s of a bf16 matrix product in process CPU time."""
    a, b = torch.randn(n, n).bfloat16(), torch.randn(n, n).bfloat16()
    return 2 * n**3 / seconds(lambda: a @ b, 10) / 1e9


def seconds(step: Callable[[], object], times: int) -> float:
    """Return the process CPU seconds of one step."""
    step()
    began = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - began) / times


def main() -> None:
    """Interleave the loops, take medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--before", help="a commit whose trainer to compare with")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.process_time()
    context = multiprocessing.get_context("spawn")
    ask, answer = context.Pipe()
    worker = context.Process(target=plain_process, args=(answer,), daemon=True)
    worker.start()
    with tempfile.TemporaryDirectory() as folder:
        costs: dict[str, list[float]] = {"plain": [], "peak": [], "trainer": [], "bare": []}
        trainer, bare = trainer_loop(Path(folder)), bare_loop()
        for i in range(arguments.rounds):
            ask.send(True)
            costs["plain"].append(ask.recv())
            pair = [("trainer", trainer), ("bare", bare)]
            for name, loop in pair if i % 2 else pair[::-1]:
                costs[name].append(seconds(loop, 5))
            costs["peak"].append(matrix_peak())
    ask.send(False)
    middle = {name: statistics.median(values) for name, values in costs.items()}
    share = GFLOP * BATCH / middle["trainer"] / middle["peak"]
    overhead = statistics.median(t / b for t, b in zip(costs["trainer"], costs["bare"], strict=True)) - 1
    ratios = sorted(p / t for p, t in zip(costs["plain"], costs["trainer"], strict=True))
    figures = {
        "plain_ratio": [round(v, 3) for v in (statistics.median(ratios), ratios[0], ratios[-1])],
        "peak_share": round(share, 3),
        "trainer_overhead": round(overhead, 4),
        "plain_ms_per_image": round(middle["plain"] / BATCH * 1e3, 2),
        "genloom_ms_per_image": round(middle["trainer"] / BATCH * 1e3, 2),
        "bf16_peak_gflops": round(middle["peak"]),
    }
    if arguments.before:
        figures["of_before"] = of_before(arguments.before, 8 * arguments.rounds)
    if arguments.record:
        notes = "medians; [median, least, most] where three; one thread"
        record("training-speed", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)
    else:
        print(figures)


if __name__ == "__main__":
    main()
