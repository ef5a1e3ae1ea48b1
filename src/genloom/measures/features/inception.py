"""The Inception v3 network of the published FID (Szegedy et al. 2015, arXiv 1512.00567; weights of 2015-12-05).

It differs from the network of the paper in what the original graph of the weights does: average pools leave
the border out of the count, the last block pools by maximum, 1,008 logits, pictures scaled to (255 x - 128) / 128.
Weights go by the names of the common PyTorch port, so that its file, turned into safetensors, fits.
"""

# B batch, C channels

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.errors import InputError
from genloom.tensors import read_tensors

Step = tuple[str, int, int | tuple[int, int]]  # name, channels out, kernel


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU; "same" padding at stride 1 unless told otherwise."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if pad and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches of units side by side. A branch is a chain whose last step may fork into several units.

    Args:
        branches: chains of steps; a list in a chain's last place forks.
        pool: "average", or "max"; followed by a unit of `pooled` channels, if any, else at stride 2.
    """

    def __init__(self, inputs: int, branches: list[list[Any]], pool: str, pooled: int = 0) -> None:
        super().__init__()
        self.pool, self.stride = pool, 1 if pooled else 2
        self.chains: list[tuple[list[str], list[str]]] = []
        self.width = pooled or inputs
        for branch in branches:
            *chain, last = branch
            forks = last if isinstance(last, list) else [last]
            width = inputs
            for name, outputs, kernel in chain:
                self.add_module(name, Unit(width, outputs, kernel))
                width = outputs
            for name, outputs, kernel in forks:
                self.add_module(name, Unit(width, outputs, kernel, self.stride))
                self.width += outputs
            self.chains.append(([name for name, *_ in chain], [name for name, *_ in forks]))
        if pooled:
            self.branch_pool = Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for chain, forks in self.chains:
            h = x
            for name in chain:
                h = self.get_submodule(name)(h)
            outputs += [self.get_submodule(name)(h) for name in forks]
        if self.stride == 2:
            return torch.cat([*outputs, F.max_pool2d(x, 3, 2)], 1)
        h = F.max_pool2d(x, 3, 1, 1) if self.pool == "max" else F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*outputs, self.branch_pool(h)], 1)


def block_a(inputs: int, pooled: int) -> Mixed:
    """Mixed_5b to 5d."""
    return Mixed(inputs, [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    ], "average", pooled)  # fmt: skip


def block_b(inputs: int) -> Mixed:
    """Mixed_6a, which halves the maps."""
    return Mixed(inputs, [
        [("branch3x3", 384, 3)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    ], "max")  # fmt: skip


def block_c(inputs: int, c: int) -> Mixed:
    """Mixed_6b to 6e, with `c` channels inside."""
    flat, tall = (1, 7), (7, 1)
    return Mixed(inputs, [
        [("branch1x1", 192, 1)],
        [("branch7x7_1", c, 1), ("branch7x7_2", c, flat), ("branch7x7_3", 192, tall)],
        [("branch7x7dbl_1", c, 1), ("branch7x7dbl_2", c, tall), ("branch7x7dbl_3", c, flat),
         ("branch7x7dbl_4", c, tall), ("branch7x7dbl_5", 192, flat)],
    ], "average", 192)  # fmt: skip


def block_d(inputs: int) -> Mixed:
    """Mixed_7a, which halves the maps."""
    return Mixed(inputs, [
        [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)],
        [("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1)),
         ("branch7x7x3_4", 192, 3)],
    ], "max")  # fmt: skip


def block_e(inputs: int, pool: str) -> Mixed:
    """Mixed_7b and 7c."""
    return Mixed(inputs, [
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))]],
        [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3),
         [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))]],
    ], pool, 192)  # fmt: skip


class FIDInception(nn.Module):
    """Pictures `[B, 3, 299, 299]` in [0, 1] to pooled features `[B, 2048]` and logits `[B, 1008]`."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b, self.Mixed_6c = block_c(768, 128), block_c(768, 160)
        self.Mixed_6d, self.Mixed_6e = block_c(768, 160), block_c(768, 192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b, self.Mixed_7c = block_e(1280, "average"), block_e(2048, "max")
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = (255 * x - 128) / 128
        h = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(h)))
        h = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(h, 3, 2)))
        h = F.max_pool2d(h, 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            h = self.get_submodule(f"Mixed_{name}")(h)
        h = h.mean((2, 3))
        return h, h @ self.fc.weight.T  # the published Inception score leaves the bias out


def read_inception(net: FIDInception, path: Path) -> None:
    """Read the weights from a safetensors file; counters of batches, which play no part, may be missing.

    Raises:
        InputError: the file is of another network or cut short.
    """
    try:
        tensors = read_tensors(path)
    except InputError:
        raise InputError(f"{path} cannot be read as feature weights: docs/judge.md shows how to make the file") from None
    wanted = {name: value.shape for name, value in net.state_dict().items() if "num_batches" not in name}
    wrong = [name for name, shape in wanted.items() if name not in tensors or tensors[name].shape != shape]
    if wrong:
        raise InputError(f"{path} holds no FID Inception weights: {wrong[0]} is missing or of another size")
    net.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
