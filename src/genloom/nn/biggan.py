"""The residual nets of BigGAN, conditional on a vector: a generator, and a discriminator by projection.

Brock, Donahue, Simonyan. 2019 (arXiv 1809.11096), appendix B, as Casanova et al. 2021 (arXiv 2109.05070) use them. Every
layer but the generator's embedding of classes is divided by its spectral norm, and starts orthogonal.
"""

# B batch, C channels, H height, W width, z latent width, E width of the condition

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import spectral
from genloom.nn.dense import full_precision
from genloom.nn.doubling import convolve_doubled, convolve_halved, doubled

SMALLEST = 4
WIDE = 16  # times the width, at most
LARGE = 256  # pixels of a side from which the widest maps but two are of half the channels


def conv(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A convolution that keeps the size, divided by its spectral norm, orthogonal at the start."""
    return spectral(start(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)))


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Module:
    """A linear layer, divided by its spectral norm, orthogonal at the start."""
    return spectral(start(nn.Linear(inputs, outputs, bias)))


def start(layer: nn.Module) -> nn.Module:
    """Let the weight of a layer start orthogonal; on the device `meta` there is nothing to start."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if not weight.is_meta:
        nn.init.orthogonal_(weight)
    return layer


def taken(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight of a layer, divided by its spectral norm, and its bias."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    return weight, bias


def widths(side: int) -> list[int]:
    """Return the channels, in multiples of a width, of maps of half of `side`, a quarter and so on down to 4 pixels."""
    halvings = int(math.log2(side)) - 2
    wide = [min(2**i, WIDE) for i in range(halvings)]
    if side >= LARGE:  # tables 6 and 7 of BigGAN: a map of 8 pixels has no more channels than one of 16
        wide[-2] = wide[-3]
    return wide


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition `[B, E]`: maps `[B, C, H, W]` to as many."""

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (linear(inputs, channels, bias=False) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = (layer(condition)[:, :, None, None] for layer in (self.gain, self.bias))
        return torch.addcmul(bias.to(x.dtype), self.norm(x), (1 + gain).to(x.dtype))


class Attention(nn.Module):
    """Each pixel takes up what it finds in all others, in a share from zero on. Zhang et al. 2019 (arXiv 1805.08318)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (conv(channels, max(channels // 8, 1), 1, bias=False) for _ in range(2))
        self.value, self.out = (
            conv(channels, max(channels // 2, 1), 1, False),
            conv(max(channels // 2, 1), channels, 1, False),
        )
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2).transpose(1, 2)
        key, value = (F.max_pool2d(layer(x), 2).flatten(2).transpose(1, 2) for layer in (self.key, self.value))
        with full_precision(x):
            found = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), scale=1.0)
        return x + self.share * self.out(found.transpose(1, 2).unflatten(2, x.shape[2:]).to(value.dtype))


class UpBlock(nn.Module):
    """Maps `[B, C, h, w]` and a condition to maps of twice the side."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(c, condition) for c in (inputs, outputs))
        self.convs = nn.ModuleList([conv(inputs, outputs), conv(outputs, outputs)])
        self.skip = conv(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = convolve_doubled(F.relu(self.norms[0](x, condition)), *taken(self.convs[0]))
        h = self.convs[1](F.relu(self.norms[1](h, condition)))
        return h + doubled(self.skip(x))  # the same as after it is enlarged, for a quarter of the work


class DownBlock(nn.Module):
    """Maps `[B, C, h, w]` to maps of half the side, or with `halves` off of the same."""

    def __init__(self, inputs: int, outputs: int, first: bool = False, halves: bool = True) -> None:
        super().__init__()
        self.convs = nn.ModuleList([conv(inputs, outputs), conv(outputs, outputs)])
        self.skip = conv(inputs, outputs, 1) if first or halves or inputs != outputs else None
        self.first, self.halves = first, halves

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.convs[0](x if self.first else F.relu(x)))
        h = convolve_halved(h, *taken(self.convs[1])) if self.halves else self.convs[1](h)
        x = F.avg_pool2d(x, 2) if self.halves else x  # before a 1x1 convolution or after it is the same
        return h + (x if self.skip is None else self.skip(x))


class ResidualGenerator(nn.Module):
    """Codes `[B, z]` and a condition `[B, E]` to pictures `[B, C, side, side]` in (-1, 1).

    A part of the code makes the smallest map; each block gets one of its own beside the condition.

    Args:
        width: channels of the largest map of 128 pixels; the smallest has 16 times as many.
        condition: its width, which may be 0.
        attention: side of the maps that attention follows; 0 for none.
    """

    def __init__(self, z: int, channels: int, side: int, width: int, condition: int, attention: int) -> None:
        super().__init__()
        # At 64 pixels and less the largest map has the channels that it has in the net for 128.
        maps = [width * wide for wide in reversed(widths(max(side, 128)))]
        maps = [maps[0], *maps][: int(math.log2(side)) - 1]
        self.part = z // len(maps)
        self.z = self.part * len(maps)
        self.project = linear(self.part, SMALLEST**2 * maps[0])
        self.blocks = nn.ModuleList(UpBlock(a, b, condition + self.part) for a, b in itertools.pairwise(maps))
        self.attention = nn.ModuleDict(
            {str(i): Attention(c) for i, c in enumerate(maps[1:]) if 2 * SMALLEST << i == attention}
        )
        self.norm = nn.BatchNorm2d(maps[-1])
        self.out = conv(maps[-1], channels)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        first, *parts = z.split(self.part, 1)
        h = self.project(first).unflatten(1, (SMALLEST, SMALLEST, -1)).permute(0, 3, 1, 2)
        for i, (block, part) in enumerate(zip(self.blocks, parts, strict=True)):
            h = block(h, torch.cat([condition, part], 1))
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        return torch.tanh(self.out(F.relu(self.norm(h))).float())


class ResidualDiscriminator(nn.Module):
    """Pictures `[B, C, side, side]` in [-1, 1] to features `[B, F]` and logits `[B]`, to which a condition adds its product.

    Args:
        width: channels of the largest map.
        attention: side of the maps that attention follows; 0 for none.
    """

    def __init__(self, channels: int, side: int, width: int, attention: int) -> None:
        super().__init__()
        maps = [width * wide for wide in widths(side)]
        self.features = width * min(2 ** len(maps), WIDE)
        blocks = [DownBlock(a, b, first=i == 0) for i, (a, b) in enumerate(itertools.pairwise([channels, *maps]))]
        self.blocks = nn.ModuleList([*blocks, DownBlock(maps[-1], self.features, halves=False)])
        self.attention = nn.ModuleDict({str(i): Attention(c) for i, c in enumerate(maps) if side >> (i + 1) == attention})
        self.out = linear(self.features, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = x
        for i, block in enumerate(self.blocks):
            h = block(h)
            if str(i) in self.attention:
                h = self.attention[str(i)](h)
        with full_precision(h):
            features = F.relu(h.float()).sum((2, 3))
            return features, self.out(features)[:, 0]
