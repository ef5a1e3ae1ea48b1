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

from genloom.core.dataset import Dataset, size, take
from genloom.core.hyper import Hyper, hp
from genloom.core.model import Misfit, Model
from genloom.errors import InputError
from genloom.models.fitting import no_pictures, other_channels
from genloom.shapes.base import Shape

EVALUATION_SEED = 1  # of the draw by which grey pictures are binarised for a likelihood
MOST_LEVELS = 256


@dataclass(frozen=True)
class LevelHyper(Hyper):
    """How pictures become levels."""

    levels: int | None = hp(
        None, "values a pixel takes, none for as many as the data has: 2 ... 256", low=2, high=MOST_LEVELS
    )
    rounded: bool = hp(False, "round pixels to the levels; settled where the data has others than were asked for")
    binarise: Literal["none", "threshold", "dynamic"] = hp(
        "none", "grey to black and white: at 0.5, or drawn anew each time with the grey as probability"
    )

    def settled(self, data: Dataset) -> Self:
        """Return these values with the number of levels settled, and whether pixels are rounded to them."""
        if self.binarise != "none":
            return replace(self, levels=2)
        if self.levels == MOST_LEVELS:
            return self
        values = values_of(data)
        if self.levels is None:
            return replace(self, levels=least_levels(values))
        return replace(self, rounded=self.rounded or not on_levels(values / 255, self.levels))


def values_of(data: Dataset) -> Tensor:
    """Return which of 0 ... 255 the data's pixels take, as far as it needs to know: up to where only 256 levels will do."""
    found = torch.zeros(256, dtype=torch.bool)
    for part in torch.arange(size(data)).split(1000):
        found[(checked(take(data, part)["x"], data.shape) * 255).round().long().flatten()] = True
        if least_levels(found.nonzero()) == MOST_LEVELS:
            break
    return found.nonzero().flatten()


def least_levels(values: Tensor) -> int:
    """Return the least number of evenly spaced levels that holds these of 0 ... 255."""
    for levels in range(2, MOST_LEVELS):
        steps = (values.double() / 255 * (levels - 1)).round()
        if bool(((steps / (levels - 1) * 255).round() == values).all()):
            return levels
    return MOST_LEVELS


def on_levels(x: Tensor, levels: int) -> bool:
    """Whether values in [0, 1] lie on the levels, as far as the rounding to a byte explains."""
    steps = x * (levels - 1)
    return bool((steps - steps.round()).abs().max() <= 0.51 * (levels - 1) / 255)


def refuse_between(x: Tensor, levels: int) -> None:
    """Raise InputError where values in [0, 1] lie between the levels."""
    if not on_levels(x, levels):
        what = "black and white" if levels == 2 else f"{levels} levels"
        raise InputError(
            f"pixels are not {what}, which this model scores; train with --hyper.binarise dynamic "
            "(or threshold), or with --hyper.levels 256"
        )


class Levelled(Model):
    """A model of pictures as levels."""

    hyper: LevelHyper

    def __init__(self, hyper: LevelHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.levels = 2 if hyper.binarise != "none" else hyper.levels or MOST_LEVELS
        self.channels, self.height, self.width = shape.dims

    @classmethod
    def fits(cls, shape: Shape, hyper: Hyper) -> Shape | Misfit:
        name = cls.__name__.lower()
        return no_pictures(shape, name) or other_channels(shape, name) or shape

    @classmethod
    def settle(cls, hyper: Hyper, data: Dataset) -> Hyper:
        assert isinstance(hyper, LevelHyper)
        return hyper.settled(data)

    @property
    def coding(self) -> str:
        """What a pixel is to the likelihood."""
        ways = {"none": "", "threshold": ", threshold 0.5", "dynamic": f", drawn with seed {EVALUATION_SEED}"}
        rounded = ", rounded" if self.hyper.rounded else ""
        return ("binary" if self.levels == 2 else f"{self.levels} levels") + ways[self.hyper.binarise] + rounded

    def code(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the levels `[B, C, H, W]` of pictures in [0, 1] on these levels: `settle` has looked at all of the data."""
        if self.hyper.binarise == "dynamic":
            u = torch.rand(x.shape, generator=generator, device="cpu" if generator else x.device)
            return (u.to(x.device) < x).long()
        if self.hyper.binarise == "threshold":
            return (x > 0.5).long()
        return (x * (self.levels - 1)).round().long()

    def pictures(self, levels: Tensor) -> Tensor:
        """Return pictures in [0, 1] of levels."""
        return levels.float() / (self.levels - 1)

    def inputs(self, levels: Tensor) -> Tensor:
        """Return levels as what the network sees, in [-1, 1]."""
        return (2 * self.pictures(levels) - 1).to(next(self.parameters()).dtype)

    def checked_code(self, x: Tensor) -> Tensor:
        """Return the levels of pictures from elsewhere, as `code`.

        Raises:
            InputError: pixels lie between the levels, and training rounded none.
        """
        if self.hyper.binarise == "none" and not self.hyper.rounded and not torch.compiler.is_exporting():
            refuse_between(x, self.levels)
        return self.code(x)

    @property
    def draws_levels(self) -> bool:
        """Whether a picture's levels are drawn, by a seed made from the picture: no graph can."""
        return self.hyper.binarise == "dynamic"

    def evaluated(self, x: Tensor) -> Tensor:
        """Return the levels by which pictures in [0, 1] are scored; where they are drawn, each picture has its own draw.

        Raises:
            InputError: these are no pictures of the model's size in [0, 1], or pixels lie between the levels.
        """
        x = checked(x, self.shape)
        if not self.draws_levels:
            return self.checked_code(x).to(self.device)
        draws = [self.code(picture, torch.Generator().manual_seed(seed_of(picture))) for picture in x]
        return torch.stack(draws).to(self.device)


def seed_of(picture: Tensor) -> int:
    """Return the seed of a picture's own draws, so that its likelihood is the same in any batch."""
    return EVALUATION_SEED + zlib.crc32(picture.cpu().contiguous().numpy().tobytes())


def checked(x: Tensor, shape: Shape) -> Tensor:
    """Return pictures `[B, C, H, W]` in [0, 1] on the CPU in fp32, or raise InputError where they are none of this shape.

    A graph that is exported holds no look at values, and no errors.
    """
    if torch.compiler.is_exporting():
        return x
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
