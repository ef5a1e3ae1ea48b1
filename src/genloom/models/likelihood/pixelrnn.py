"""Pixel Recurrent Neural Networks: the Row LSTM and the Diagonal BiLSTM.

van den Oord, Kalchbrenner, Kavukcuoglu. 2016. arXiv 1601.06759.

A 7x7 convolution of mask A, LSTM layers that run over the picture with a residual connection each, two layers of ReLU and
1x1 convolution that see the maps of all LSTM layers, and a 1x1 convolution to the logits of a Bernoulli or a softmax.
`row`: from the top down, a state sees three states of the row above, so that a pixel sees a triangle. `diagonal`: from both
upper corners along the diagonals; the map of the right-to-left layer is moved down by one row before the two are added, so
that no pixel to the right is seen.

Still a blind spot is left in the diagonal kind as the paper has it: the features of a row's last pixel do not hold that
pixel, so the next row sees it only where the first kernel reaches it. `whole` lets the maps run one column further,
whose features hold it; `modern` does so and `paper` does not.

What differs from the paper: diagonals are slices of the unskewed map (`nn/recurrent.py`), and what lies outside of the
picture has the learnt initial state, where the paper pads a skewed map. What it leaves open is ours: the learning rate, set
by hand there; how the maps reach the output; the Row LSTM's width on MNIST, for which the diagonal kind's is taken. `modern`
has one layer before the last and no skip connections, Adam, a clipped gradient, averaged weights and `waves`, which tell the
first map where a pixel lies.
"""

# B batch, C channels of the picture, h features of a state, H height, W width

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.hyper import hp
from genloom.models.likelihood.autoregressive import Autoregressive, AutoregressiveHyper, Incremental, Layered
from genloom.models.likelihood.cached_pixelrnn import CachedDiagonal, CachedRow
from genloom.nn.causal import Causal, Own, Places, pointwise
from genloom.nn.dense import full_precision
from genloom.nn.recurrent import by_diagonals, by_rows, scan
from genloom.shapes.base import Shape


@dataclass(frozen=True)
class PixelRNNHyper(AutoregressiveHyper):
    """Table 1 and section 5 of the paper, the Diagonal BiLSTM of MNIST."""

    kind: Literal["diagonal", "row"] = hp("diagonal", "the way the states run")
    features: int = hp(16, "features h of a state; maps between layers have 2h", low=3)
    layers: int = hp(7, "LSTM layers", low=1)
    whole: bool = hp(False, "one column more, so that the diagonal kind sees the last pixel of the row above")

    @classmethod
    def modern(cls) -> Self:
        """The blind spot mended, states told where they are, Adam, averaged weights."""
        return cls(
            head_layers=1,
            skips=False,
            whole=True,
            waves=6,
            optimizer="adam",
            rate=3e-3,
            beta2=0.99,
            clip=1.0,
            warmup=2000,
            ema=5000.0,
        )

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return cls(
            features=12,
            layers=2,
            head=24,
            head_layers=1,
            skips=False,
            whole=True,
            waves=4,
            optimizer="adam",
            rate=8e-3,
            beta2=0.99,
            clip=1.0,
            batch=32,
            ema=2000.0,
        )


class Recurrent(nn.Module):
    """One layer: maps `[H, W, B, 2h]` to the same. Figure 4 of the paper, with its residual connection."""

    def __init__(self, features: int, kind: str, groups: int) -> None:
        super().__init__()
        self.kind = kind
        directions, taps, reach = (2, 2, 0) if kind == "diagonal" else (1, 3, 1)
        self.below = nn.ModuleList(
            Own(2 * features, 4 * features, reach, groups, gates=4) for _ in range(directions)
        )  # input to state, mask B
        self.states = nn.Parameter(torch.empty(directions, taps * features, 4 * features))  # state to state
        self.start = nn.Parameter(torch.zeros(2, directions, features))  # state and memory outside of the picture
        self.up = pointwise(features, 2 * features, groups)
        nn.init.uniform_(self.states, -((taps * features) ** -0.5), (taps * features) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        height, width, _, _ = x.shape
        route = by_rows(height, width) if self.kind == "row" else by_diagonals(height, width)
        views = [x] if self.kind == "row" else [x, x.flip(1)]
        wide = torch.stack([look(own, view) for own, view in zip(self.below, views, strict=True)])
        states = scan(wide.flatten(1, 2), self.states, self.start.unbind(), route).unflatten(1, (height, width))
        h = states[0]
        if self.kind == "diagonal":
            h = h + F.pad(states[1].flip(1)[:-1], (0, 0, 0, 0, 0, 0, 1, 0))  # down by one row
        return x + F.linear(h, self.up.flat().t(), self.up.bias)


def look(own: Any, x: Tensor) -> Tensor:
    """Return what a cell sees of the layer below, itself and, in the row kind, its left neighbour `[H, W, B, 4h]`."""
    if own.reach:
        x = torch.cat([F.pad(x[:, :-1], (0, 0, 0, 0, 1, 0)), x], 3)
    return F.linear(x, own.flat().t(), own.bias)


class Network(Layered):
    """x `[B, C, H, W]` in [-1, 1] to logits `[B, C * outputs, H, W]`."""

    def __init__(self, hyper: PixelRNNHyper, dims: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        channels, width = dims[0], 2 * hyper.features
        self.extra = int(hyper.whole and hyper.kind == "diagonal")
        self.first = Causal(channels, width, 3, channels, itself=False)
        self.place = Places((dims[1], dims[2] + self.extra), hyper.waves, width) if hyper.waves else None
        self.layers = nn.ModuleList(Recurrent(hyper.features, hyper.kind, channels) for _ in range(hyper.layers))
        self.finish(hyper, hyper.layers, width, channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            h = self.first(F.pad(x, (0, self.extra)))
            if self.place is not None:
                h = h + self.place()
            h = h.permute(2, 3, 0, 1).contiguous()
            maps = []
            for layer in self.layers:
                h = layer(h)
                maps.append(h[:, : x.shape[3]].permute(2, 3, 0, 1))
            return self.end(maps)


class PixelRNN(Autoregressive):
    """van den Oord et al. 2016."""

    Hyper = PixelRNNHyper
    hyper: PixelRNNHyper
    compilable = False  # the recurrence would be unrolled, cell by cell

    def __init__(self, hyper: PixelRNNHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.network = Network(hyper, (self.channels, self.height, self.width), self.outputs)

    def logits(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.network(x).unflatten(1, (self.channels, -1))

    def incremental(self, n: int, given: Tensor | None) -> Incremental:
        cached = CachedRow if self.hyper.kind == "row" else CachedDiagonal
        return cached(self.network, n, (self.channels, self.width))
