"""Pictures as levels: what models with a likelihood of discrete pixels share.

Pixels take L evenly spaced values, coded as 0 ... L - 1; a likelihood is that of the levels, and no density. Grey
pictures may be made black and white first.
"""

# B batch, C channels, L levels, H height, W width

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.errors import InputError
from genloom.hyper import Hyper, hp
from genloom.model import Dataset, Model
from genloom.shape import ImageShape, Shape

EVALUATION_SEED = 1  # of the draw by which grey pictures are binarised for a likelihood
MOST_LEVELS = 256


@dataclass(frozen=True)
class LevelHyper(Hyper):
    """How pictures become levels."""

    levels: int | None = hp(
        None, "values a pixel takes, none for as many as the data has: 2 ... 256", low=2, high=MOST_LEVELS
    )
    binarise: Literal["none", "threshold", "dynamic"] = hp(
        "none", "grey to black and white: at 0.5, or drawn anew each time with the grey as probability"
    )

    def settled(self, data: Dataset) -> Self:
        """Return these values with the number of levels settled."""
        if self.binarise != "none":
            return replace(self, levels=2)
        return self if self.levels else replace(self, levels=count_levels(data))


def count_levels(data: Dataset) -> int:
    """Return the least number of evenly spaced levels that holds the pixels of (up to 10,000 examples of) the data."""
    index = torch.linspace(0, len(data) - 1, min(len(data), 10_000)).long()
    found = torch.zeros(256, dtype=torch.bool)
    for part in index.split(1000):
        found[(data.batch(part)["x"] * 255).round().long().flatten()] = True
    values = found.nonzero().flatten().double()
    for levels in range(2, MOST_LEVELS):
        steps = values / 255 * (levels - 1)
        if bool(((steps.round() / (levels - 1) * 255).round() == values).all()):
            return levels
    return MOST_LEVELS


class Levelled(Model):
    """A model of pictures as levels."""

    hyper: LevelHyper

    def __init__(self, hyper: LevelHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        if not isinstance(shape, ImageShape):
            raise InputError(f"{type(self).__name__} makes pictures, not {shape.describe()}")
        if shape.channels not in (1, 3):
            raise InputError(f"{type(self).__name__} takes grey or colour pictures; say --channels 1 or --channels 3")
        self.levels = hyper.levels or MOST_LEVELS
        self.channels, self.height, self.width = shape.dims

    @classmethod
    def settle(cls, hyper: Hyper, data: Dataset) -> Hyper:
        assert isinstance(hyper, LevelHyper)
        return hyper.settled(data)

    @property
    def coding(self) -> str:
        """What a pixel is to the likelihood."""
        ways = {"none": "", "threshold": ", threshold 0.5", "dynamic": f", drawn with seed {EVALUATION_SEED}"}
        return ("binary" if self.levels == 2 else f"{self.levels} levels") + ways[self.hyper.binarise]

    def code(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the levels `[B, C, H, W]` of pictures in [0, 1].

        Raises:
            InputError: pixels lie between the levels.
        """
        if self.hyper.binarise == "dynamic":
            return (torch.rand(x.shape, generator=generator).to(x.device) < x).long()
        if self.hyper.binarise == "threshold":
            return (x > 0.5).long()
        steps = x * (self.levels - 1)
        levels = steps.round()
        if not x.is_meta and bool((steps - levels).abs().max() > 0.51 * (self.levels - 1) / 255):
            what = "black and white" if self.levels == 2 else f"{self.levels} levels"
            raise InputError(f"pixels are not {what}, which this model scores; train with --hyper.binarise dynamic "
                             "(or threshold), or with --hyper.levels 256")  # fmt: skip
        return levels.long()

    def pictures(self, levels: Tensor) -> Tensor:
        """Return pictures in [0, 1] of levels."""
        return levels.float() / (self.levels - 1)

    def inputs(self, levels: Tensor) -> Tensor:
        """Return levels as what the network sees, in [-1, 1]."""
        return (2 * self.pictures(levels) - 1).to(next(self.parameters()).dtype)

    def evaluated(self, x: Tensor) -> Tensor:
        """Return the levels by which pictures in [0, 1] are scored; where they are drawn, each picture has its own draw.

        Raises:
            InputError: these are no pictures of the model's size in [0, 1], or pixels lie between the levels.
        """
        x = checked(x, self.shape)
        if self.hyper.binarise != "dynamic":
            return self.code(x).to(self.device)
        seeds = [EVALUATION_SEED + zlib.crc32(picture.numpy().tobytes()) for picture in x.contiguous()]
        draws = [self.code(picture, torch.Generator().manual_seed(seed)) for picture, seed in zip(x, seeds, strict=True)]
        return torch.stack(draws).to(self.device)


def checked(x: Tensor, shape: Shape) -> Tensor:
    """Return pictures `[B, C, H, W]` in [0, 1] on the CPU in fp32, or raise InputError where they are none of this shape."""
    if not isinstance(x, Tensor) or x.ndim != 1 + len(shape.dims) or tuple(x.shape[1:]) != shape.dims or len(x) == 0:
        found = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"this model takes pictures as a tensor [n, {', '.join(map(str, shape.dims))}], got {found}")
    if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):  # not-a-number is neither
        raise InputError("pixels are no floats in [0, 1]: divide bytes by 255")
    return x.detach().cpu().float()


def level_log_prob(logits: Tensor, levels: Tensor) -> Tensor:
    """Return log p `[B, C, H, W]` of levels under logits `[B, C, outputs, H, W]`; one output is a Bernoulli's."""
    logits = logits.float()
    if logits.shape[2] == 1:
        logit = logits[:, :, 0]
        return -F.softplus(torch.where(levels > 0, -logit, logit))
    return logits.log_softmax(2).gather(2, levels[:, :, None]).squeeze(2)
