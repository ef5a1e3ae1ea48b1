"""A training step of the 15-layer PixelCNN (h = 64, 28x28, batch 64) on one thread, in CPU seconds, against the plain loop.

    python -m benchmarks.pixelcnn_speed --record

The plain loop masks square kernels in fp32 and in contiguous layout, as most public code does. Both loops run in turn in
one process; the peak is that of a bf16 matrix product of the net's own sizes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.evidence import record
from benchmarks.training_speed import seconds
from genloom.core.precision import pick_precision
from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.shapes.pictures import ImageShape
from genloom.train.machine import keep_freed_memory

BATCH, FEATURES, LAYERS = 64, 64, 15
PLACES = 28 * 28
MACS = PLACES * LAYERS * (2 * 2 * FEATURES * FEATURES + 5 * FEATURES * FEATURES)  # of the blocks, forwards, none wasted
GFLOP = 3 * 2 * MACS / 1e9  # an image: forwards, and backwards to inputs and to weights


class Masked(nn.Conv2d):
    """A convolution whose square kernel is multiplied by a mask."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, itself: bool) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        mask = torch.zeros_like(self.weight)
        mask[:, :, : size // 2] = 1
        mask[:, :, size // 2, : size // 2 + itself] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Block(nn.Module):
    """The paper's residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(2 * FEATURES, FEATURES, 1),
            nn.ReLU(),
            Masked(FEATURES, FEATURES, 3, True),
            nn.ReLU(),
            nn.Conv2d(FEATURES, 2 * FEATURES, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


def plain_loop(x: Tensor) -> Callable[[], None]:
    """Return one step of the plain loop."""
    net = nn.Sequential(
        Masked(1, 2 * FEATURES, 7, False),
        *(Block() for _ in range(LAYERS)),
        nn.ReLU(),
        nn.Conv2d(2 * FEATURES, 32, 1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 1),
    ).to(x.device)
    optimizer = torch.optim.RMSprop(net.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        (F.binary_cross_entropy_with_logits(net(x), x, reduction="sum") / len(x)).backward()
        optimizer.step()

    return step


def our_loop(x: Tensor, compiled: bool = False) -> Callable[[], None]:
    """Return one step of the same net as genloom trains it."""
    hyper = PixelCNN.Hyper(features=FEATURES, layers=LAYERS, levels=2, head_layers=1, skips=False)
    model = PixelCNN(hyper, ImageShape(channels=1, height=28, width_px=28)).to(x.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled:
        model.network.compile()
    (player,) = model.players()
    optimizer = player.optimizer(player.parameters())
    bf16 = pick_precision("auto", x.device) == "bf16"

    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            move = next(model.round(iter([{"x": x}]), None))  # type: ignore[arg-type]
        optimizer.zero_grad()
        move.loss.backward()
        optimizer.step()

    return step


def peak() -> float:
    """Return the GFLOP/s of the block's largest product in bf16."""
    a, b = torch.randn(BATCH * PLACES, 5 * FEATURES).bfloat16(), torch.randn(5 * FEATURES, FEATURES).bfloat16()
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / seconds(lambda: a @ b, 3) / 1e9


def main() -> None:
    """Interleave the loops, take medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.process_time()
    x = (torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    plain, ours = plain_loop(x), our_loop(x)
    costs = [(seconds(plain, 2), seconds(ours, 3), peak()) for _ in range(arguments.rounds)]
    ratios = sorted(a / b for a, b, _ in costs)
    middle = [statistics.median(column) for column in zip(*costs, strict=True)]
    figures = {
        "plain_ratio": [round(v, 3) for v in (statistics.median(ratios), ratios[0], ratios[-1])],
        "plain_ms_per_image": round(middle[0] / BATCH * 1e3, 2),
        "genloom_ms_per_image": round(middle[1] / BATCH * 1e3, 2),
        "gflop_per_image": round(GFLOP, 3),
        "product_gflops": round(middle[2]),
        "share_of_product_speed": round(GFLOP * BATCH / middle[1] / middle[2], 3),
    }
    if arguments.record:
        record(
            "pixelcnn-speed",
            figures,
            seed=0,
            cpu_seconds=time.process_time() - began,
            notes="medians; [median, least, most] where three; one thread; both loops keep freed memory",
        )
    else:
        print(figures)


if __name__ == "__main__":
    main()
