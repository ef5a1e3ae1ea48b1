"""Discriminators that see pictures through a frozen ImageNet network, its maps mixed at random.

Sauer, Chitta, Müller, Geiger. 2021 (arXiv 2111.01007), section 3: maps at a quarter, an eighth, a 16th and a 32nd of the
size are mixed across channels (a 1x1 convolution of random weights each) and across scales (from the smallest up: added,
enlarged, mixed again); each of the four that result has a discriminator of its own.
"""

# B batch, C channels

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import spectral
from genloom.nn.dense import full_precision
from genloom.nn.efficientnet_lite import EfficientNetLite

TAKEN = slice(1, 5)  # of the network's stages: at a quarter, an eighth, a 16th and a 32nd of the size
CHANNELS = (24, 40, 112, 320)  # of those, in lite0 and lite1
MIXED = 64  # channels of the largest mixed map; the others have twice as many each
HEADS = {4: 512, 8: 512, 16: 256, 32: 128, 64: 64, 128: 64}  # channels of a discriminator's map, by its side
LAST = 8  # side at which halving ends


class Fixed(nn.Module):
    """A 1x1 convolution of random weights that never learns. They lie in the checkpoint: no seed outlives a version."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        drawn = nn.Conv2d(inputs, outputs, 1)
        self.register_buffer("weight", drawn.weight.data)
        assert drawn.bias is not None
        self.register_buffer("bias", drawn.bias.data)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class Mixer(nn.Module):
    """Four maps of the frozen network to four mixed ones, each twice as large: of 64, 64, 128 and 256 channels."""

    def __init__(self) -> None:
        super().__init__()
        wide = [MIXED * 2**i for i in range(4)]
        self.across = nn.ModuleList(Fixed(a, b) for a, b in zip(CHANNELS, wide, strict=True))
        self.up = nn.ModuleList(Fixed(c, c // 2 if i else c) for i, c in enumerate(wide))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        mixed = [mix(h) for mix, h in zip(self.across, maps, strict=True)]
        found: list[Tensor] = []
        for i in range(3, -1, -1):
            h = mixed[i] + found[0] if found else mixed[i]
            # Mixed before it is enlarged, which is the same and a quarter of the work.
            h = F.interpolate(self.up[i](h), scale_factor=2, mode="bilinear", align_corners=True)
            found.insert(0, h)
        return found


class Head(nn.Module):
    """The discriminator of one mixed map `[B, C, h, w]`: halvings to about 8 pixels, then a logit of each square of 4x4.

    Args:
        level: 0 for the largest map; the paper's maps are of pictures of 256 pixels, 128 >> level, whatever those seen have.
        side: of the pictures that the network sees; where it is less than the paper's there are fewer halvings.
    """

    def __init__(self, channels: int, level: int, side: int) -> None:
        super().__init__()
        start = 128 >> level
        own = max(0, round(math.log2(max(side / 2, 1) / 2**level / LAST)))
        layers: list[nn.Module] = []
        for i in range(min(int(math.log2(start // LAST)), own)):
            outputs = HEADS[start >> (i + 1)]
            conv = spectral(nn.Conv2d(channels, outputs, 4, 2, 1))
            layers += [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
            channels = outputs
        self.body = nn.Sequential(*layers)
        self.out = spectral(nn.Conv2d(channels, 1, 4, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        with full_precision(h):
            logits: Tensor = self.out(h.float())
        return logits.flatten(1)


class ProjectedDiscriminator(nn.Module):
    """The mixed maps of pictures, as a frozen network sees them, to the logits `[B, squares]` of four discriminators.

    Args:
        side: that pictures are enlarged to before the network sees them.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.mixer = side, Mixer()
        sizes = [MIXED, MIXED, 2 * MIXED, 4 * MIXED]
        # A map of less than 4 pixels has no square to judge.
        self.heads = nn.ModuleList(Head(c, i, side) for i, c in enumerate(sizes) if side // 2 >> i >= 4)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [judge(h) for judge, h in zip(self.heads, maps, strict=True)]

    def views(self, x: Tensor, net: EfficientNetLite) -> list[Tensor]:
        """Return the mixed maps of pictures `[B, C, H, W]` in [-1, 1], one for each discriminator."""
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        if x.shape[2] != self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        found: list[Tensor] = self.mixer(net.stages(x / 2 + 0.5)[TAKEN])
        return found[: len(self.heads)]
