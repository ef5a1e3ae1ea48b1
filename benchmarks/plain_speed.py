"""Training speed of models against the plain fp32 loop of the same nets, on one thread, in process CPU seconds, by turns.

    python -m benchmarks.plain_speed r3gan projected progan icgan --record

The plain loop makes the same moves of the same nets as most people write them: fp32, maps stored picture by picture, maps
doubled and then convolved, convolutions of frozen weights left to torch, an optimizer that goes through its weights one by
one, a discriminator's gradients computed and thrown away in the generator's turn; projected's frozen network sees the fakes
anew for either move. Where a penalty is taken every so many rounds, the plain loop does too; `ratio_each_round` is against
one that takes it in each, as the authors' code of r3gan does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.evidence import record
from benchmarks.training_speed import pictures
from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, take
from genloom.core.model import Model, Move
from genloom.core.precision import pick_precision
from genloom.models.adversarial.dcgan import DCGAN
from genloom.models.adversarial.icgan import ICGAN
from genloom.models.adversarial.progan import LAZY, ProGAN
from genloom.models.adversarial.projected import Projected
from genloom.models.adversarial.r3gan import R3GAN
from genloom.nn import doubling, efficientnet_lite
from genloom.train.loop import Loop
from genloom.train.plan import Plan
from genloom.train.ranks import Ranks
from genloom.train.run import Run


class PlainProjected(Projected):
    """Its round as the authors' code has it: the frozen network sees the fakes for either move."""

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x = next(batches)["x"] * 2 - 1
        x_fake = self.made(self.prior(len(x)))
        heads = self.discriminator(self.views(x)), self.discriminator(self.views(x_fake.detach()))
        seen = self.adaptive(x), self.adaptive(x_fake)
        real, fake = self.pixel_discriminator(seen[0]), self.pixel_discriminator(seen[1].detach())
        loss = torch.stack([objectives.hinge(a, b) for a, b in zip(*heads, strict=True)]).mean()
        self.adaptive.follow(real, clock)
        yield Move("discriminator", loss + objectives.discriminate(real, fake))
        loss = torch.stack([-logits.mean() for logits in self.discriminator(self.views(x_fake))]).mean()
        yield Move("generator", loss + objectives.non_saturating(self.pixel_discriminator(seen[1])))


# A model, its plain form, changes to `modern`, and how many rounds have their share of penalties.
MODELS: dict[str, tuple[type[Model], type[Model], dict[str, Any], int]] = {
    "r3gan": (R3GAN, R3GAN, {}, 8),
    "projected": (Projected, PlainProjected, {}, 4),
    "progan": (ProGAN, ProGAN, {"grow": False}, LAZY),  # its last level, where its time goes
    "dcgan": (DCGAN, DCGAN, {}, 8),
    "icgan": (ICGAN, ICGAN, {"condition": "none"}, 4),
}


def left_to_torch(unit: efficientnet_lite.Unit, x: Tensor) -> Tensor:
    """Convolve each channel by itself, as torch does it."""
    h: Tensor = unit.conv(x)
    return h


@contextmanager
def plainly() -> Iterator[None]:
    """Leave out what makes nets quick."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(torch, "channels_last", torch.contiguous_format))
        stack.enter_context(patch.object(doubling, "pays", lambda x, side: False))
        stack.enter_context(patch.object(efficientnet_lite.Unit, "by_itself", left_to_torch))
        yield


def plain_loop(kind: type[Model], hyper: Any, rounds: int) -> Callable[[], None]:
    """Return so many plain rounds of a model, from the first on."""
    data = pictures()
    torch.manual_seed(0)
    with plainly():
        model = kind(hyper, data.shape).train()
        model.study(data, lambda name, learn: learn())
        optimizers = {player.name: torch.optim.Adam(player.parameters(), lr=2e-4) for player in model.players()}

    class Batches:
        def __next__(self) -> Batch:
            return {"x": take(data, torch.randint(len(data), (hyper.batch,)))["x"].contiguous()}

    def play() -> None:
        with plainly():
            for i in range(rounds):
                for move in model.round(Batches(), Clock(examples=hyper.batch * i, rounds=i)):
                    for optimizer in optimizers.values():
                        optimizer.zero_grad()
                    move.loss.backward()
                    optimizers[move.player].step()

    return play


def own_loop(kind: type[Model], hyper: Any, rounds: int, folder: Path) -> Callable[[], None]:
    """Return so many rounds of genloom's trainer, which takes its penalties as often as the plain loop."""
    data = pictures()
    torch.manual_seed(0)
    model, device = kind(hyper, data.shape), torch.device("cpu")
    plan = Plan(examples=10**9, batch=hyper.batch, precision=pick_precision("auto", device), device=device)
    loop = Loop(model, data, Run.begin(folder / "run", {"model": "speed"}), plan, Ranks())

    def play() -> None:
        for _ in range(rounds):
            loop.play_round()

    return play


def measured(name: str, times: int) -> dict[str, Any]:
    """Return a model's CPU seconds beside the plain loop's, by turns."""
    kind, plain_kind, changes, rounds = MODELS[name]
    hyper = replace(kind.Hyper.modern(), **changes)
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            "own": own_loop(kind, hyper, rounds, Path(folder)),
            "plain": plain_loop(plain_kind, hyper, rounds),
        }
        if name == "r3gan":
            loops["each round"] = plain_loop(plain_kind, replace(hyper, every=1), rounds)
        costs: dict[str, list[float]] = {each: [] for each in loops}
        for i in range(times + 1):
            for each in sorted(loops, reverse=bool(i % 2)):
                began = time.process_time()
                loops[each]()
                costs[each] += [time.process_time() - began] if i else []  # the first warms up
    figures: dict[str, Any] = {}
    for each in loops.keys() - {"own"}:
        ratios = sorted(a / b for a, b in zip(costs[each], costs["own"], strict=True))
        key = "ratio" if each == "plain" else "ratio_each_round"
        figures[key] = [round(v, 3) for v in (statistics.median(ratios), ratios[0], ratios[-1])]
    examples = rounds * hyper.batch
    return figures | {f"{each}_ms_an_example": round(statistics.median(costs[each]) / examples * 1e3, 2) for each in loops}


def main() -> None:
    """Measure each model that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=MODELS)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--record", action="store_true")
    said = parser.parse_args()
    torch.set_num_threads(1)
    for name in said.names:
        began = time.process_time()
        figures = measured(name, said.times)
        if said.record:
            notes = "median, least and most; 64x64, one thread; plain loop over genloom's trainer"
            # progan-speed is what growing gains (benchmarks.ten_minutes).
            record(
                "progan-rounds-speed" if name == "progan" else f"{name}-speed",
                figures,
                seed=0,
                cpu_seconds=time.process_time() - began,
                notes=notes,
            )
        else:
            print(name, figures)


if __name__ == "__main__":
    main()
