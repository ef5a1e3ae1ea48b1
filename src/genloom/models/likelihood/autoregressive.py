"""Pictures pixel by pixel: what PixelCNN and PixelRNN share. Likelihood, sampling, completion.

log p(x) = sum over pixels and channels of log p(x_i | x_<i), in raster order, red before green before blue. Values
are levels, and their likelihood is exact.
"""

# B batch, C channels, L levels, H height, W width

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.capabilities import Certifies, Claim, Coder, Completes, Compresses, PixelByPixel
from genloom.core.clock import Clock
from genloom.core.dataset import Batch
from genloom.core.hyper import hp
from genloom.core.model import Move, Note, Player
from genloom.core.random import Noise
from genloom.core.schedules import Descent
from genloom.errors import InputError
from genloom.models.likelihood.levels import LevelHyper, Levelled, checked, level_log_prob
from genloom.nn.causal import pointwise
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class AutoregressiveHyper(LevelHyper, Descent):
    """Table 1 and section 5 of van den Oord et al. 2016: two 1x1 layers, skip connections, RMSProp, batches of 16."""

    optimizer: Literal["adam", "rmsprop", "adagrad"] = hp("rmsprop", "descends the likelihood")
    batch: int = hp(16, "examples a batch", low=1)
    head: int = hp(32, "channels of the layers before the last", low=3)
    head_layers: int = hp(2, "layers of ReLU and 1x1 convolution before the last", low=1)
    skips: bool = hp(True, "let the first of them see the maps of all layers, not of the last alone")
    waves: int = hp(0, "cosines down and across that tell a pixel where it lies, 0 for none", low=0, high=32)


class Layered(nn.Module):
    """A net of layers whose maps `[B, inputs, H, W]` end in ReLU and 1x1 convolutions. Table 1 of the paper.

    The paper connects each layer with the output, and does not say how: here the first 1x1 convolution sees all maps.
    """

    def finish(self, hyper: AutoregressiveHyper, layers: int, inputs: int, channels: int, outputs: int) -> None:
        """Make the last layers, which come last in the order of random numbers too."""
        self.seen = layers if hyper.skips else 1
        self.head = pointwise(self.seen * inputs, hyper.head, channels, self.seen)
        self.deeper = nn.ModuleList(pointwise(hyper.head, hyper.head, channels) for _ in range(hyper.head_layers - 1))
        self.out = pointwise(hyper.head, channels * outputs, channels)

    def end(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits `[B, channels * outputs, H, W]` of the layers' maps."""
        # A sum over maps costs half of what the product with all of them, laid side by side, does.
        weights, biases = self.head.masked().chunk(self.seen, 1), [self.head.bias, *[None] * (self.seen - 1)]
        parts = zip(maps[-self.seen :], weights, biases, strict=True)
        first, *others = (F.conv2d(F.relu(x), weight, bias) for x, weight, bias in parts)
        h = sum(others, first)
        for layer in (*self.deeper, self.out):
            h = layer(F.relu(h))
        return h


class Autoregressive(Levelled, PixelByPixel, Certifies, Completes, Compresses):
    """A model of pictures that gives the distribution of each pixel from the earlier ones."""

    hyper: AutoregressiveHyper
    network: nn.Module
    bound = "exact"
    notes: ClassVar = {"nats": Note("nats", "network")}
    method = "cached"

    def __init__(self, hyper: AutoregressiveHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.outputs = 1 if self.levels == 2 else self.levels  # logits of one value
        self.watch: Callable[[range], Iterable[int]] = lambda rows: rows  # a progress bar around the rows drawn

    # -- training ----------------------------------------------------------------------------------

    def players(self) -> Sequence[Player]:
        return [self.hyper.player("network", self)]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        nats = -self.score(self.code(batch["x"]), batch["y"] if self.conditional else None).mean()
        yield Move("network", nats, {"nats": nats})

    def recorded(self, n: int) -> Sequence[tuple[nn.Module, tuple[Any, ...]]]:
        x = torch.zeros(n, *self.shape.dims, device=self.device)
        labels = (torch.zeros(n, len(self.shape.classes), device=self.device),) if self.conditional else ()
        return [(self.network, (x, *labels))]

    # -- likelihood --------------------------------------------------------------------------------

    @abstractmethod
    def logits(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the logits `[B, C, outputs, H, W]` of pictures in [-1, 1] and class indices `[B]`."""

    def score(self, levels: Tensor, given: Tensor | None = None) -> Tensor:
        """Return log p `[B]` of levels `[B, C, H, W]`, in nats."""
        return level_log_prob(self.logits(self.inputs(levels), given), levels).flatten(1).sum(1)

    def log_prob(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return log p(x) `[B]` in nats, exactly, of pictures in [0, 1]; `coding` says what is scored.

        Raises:
            InputError: the pictures cannot be scored; or labels are given to a model without, or left out of one with.
        """
        if given is not None and not self.conditional:
            raise InputError("labels are given, but this model was trained without")
        return self.score(self.evaluated(x), given)

    # -- sampling ----------------------------------------------------------------------------------

    @abstractmethod
    def incremental(self, n: int, given: Tensor | None) -> Incremental:
        """Return the network in the form that computes one pixel after the other, each once."""

    def indexed(self, n: int, given: Tensor | None) -> Any:
        """Return the same for columns that are tensors, so that a graph can hold it; None where no graph can."""
        return None

    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        blank = torch.zeros(n, *self.shape.dims, dtype=torch.long)
        unknown = torch.ones(self.height, self.width, dtype=torch.bool)
        return self.pictures(self.fill(blank, unknown, given, temperature, noise)).cpu()

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        noise: Noise | None = None,
        temperature: float = 1.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """Fill in the unknown pixels of pictures `[B, C, H, W]`; those of `known` `[H, W]` stay bit for bit.

        Exact where the unknown pixels come after all known ones in raster order; elsewhere each pixel is drawn
        given the earlier ones alone.

        Raises:
            InputError: these are no pictures of the model's size, `known` has another, or a model with labels got none.
        """
        x, known = checked(x, self.shape), known.cpu().bool()
        if tuple(known.shape) != (self.height, self.width):
            raise InputError(f"the mask is {list(known.shape)}, the pictures {self.height}x{self.width}")
        if given is None and self.conditional:
            raise InputError("this model was trained with labels: give those of the pictures")
        levels = self.evaluated(x).cpu()
        return torch.where(known, x, self.pictures(self.fill(levels, ~known, given, temperature, noise)).cpu())

    @torch.no_grad()
    def fill(self, levels: Tensor, unknown: Tensor, given: Tensor | None, temperature: float, noise: Noise | None) -> Tensor:
        """Draw the unknown pixels `[H, W]` of levels `[B, C, H, W]` in raster order, by inverting the distribution.

        The noise is drawn first, one number a value, so that both methods make the same picture of it.
        """
        levels = levels.to(self.device)
        drawn_by = (Noise.fresh(len(levels)) if noise is None else noise).uniform(*levels.shape[1:], device=self.device)
        if given is None and self.conditional:
            given = torch.arange(len(levels)) % len(self.shape.classes)
        given = None if given is None else given.to(self.device)
        step = self.naive(levels, given) if self.method == "naive" else self.cached(levels, given)
        for row in self.watch(range(self.height)):
            for column, channel in product(range(self.width), range(self.channels)):
                drawn = bool(unknown[row, column])
                logits = step(row, column, channel, drawn)
                if drawn:
                    u = drawn_by[:, channel, row, column]
                    levels[:, channel, row, column] = invert(logits.float() / max(temperature, 1e-6), u)
        return levels

    def naive(self, levels: Tensor, given: Tensor | None) -> Callable[[int, int, int, bool], Tensor]:
        """Return a step that runs the whole network and looks at one value."""

        def step(row: int, column: int, channel: int, drawn: bool) -> Tensor:
            if not drawn:
                return levels
            return self.logits(self.inputs(levels), given)[:, channel, :, row, column]

        return step

    def cached(self, levels: Tensor, given: Tensor | None) -> Callable[[int, int, int, bool], Tensor]:
        """Return a step that carries the network from pixel to pixel."""
        network = self.incremental(len(levels), given)

        def step(row: int, column: int, channel: int, drawn: bool) -> Tensor:
            if channel == 0 and (row or column):  # the pixel before is whole now
                before = row - (column == 0), column - 1
                network.see(before[1] % self.width, self.inputs(levels[:, :, before[0], before[1]]))
            if channel == 0 and column == 0:
                network.begin_row()
            if channel:  # its later channels are not looked at
                network.see(column, self.inputs(levels[:, :, row, column]))
            return network.pixel(column).unflatten(1, (self.channels, -1))[:, channel]

        return step

    # -- claims and codes --------------------------------------------------------------------------

    def claims(self) -> Iterator[Claim]:
        from genloom.models.likelihood.claims import pixel_claims

        return pixel_claims(self)

    def sight(self) -> Tensor:
        from genloom.models.likelihood.claims import middle_sight

        return middle_sight(self)

    def coder(self) -> Coder:
        return copy.deepcopy(self).double().cpu().eval()


class Incremental:
    """A network that computes the logits of one pixel after the other, from the left, a row after the other."""

    def begin_row(self) -> None:
        """Move to the next row: compute all that the rows above decide."""
        raise NotImplementedError

    def see(self, column: int, x: Tensor) -> None:
        """Take the pixel `[B, C]` of this column, in [-1, 1], as far as it is known."""
        raise NotImplementedError

    def pixel(self, column: int) -> Tensor:
        """Return the logits `[B, C * outputs]` of this column."""
        raise NotImplementedError


def invert(logits: Tensor, u: Tensor) -> Tensor:
    """Return the level `[B]` at which the distribution of logits `[B, outputs]` passes `u` `[B]` in [0, 1)."""
    if logits.shape[1] == 1:
        return (u < logits[:, 0].sigmoid()).long()
    wide = torch.float32 if logits.device.type == "mps" else torch.float64  # which Apple's devices lack
    passed = logits.to(wide).softmax(1).cumsum(1) <= u.to(wide)[:, None]
    return passed.sum(1).clamp_max(logits.shape[1] - 1)
