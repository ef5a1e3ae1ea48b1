"""Pixel Recurrent Neural Networks: the PixelCNN. And its gated form.

van den Oord, Kalchbrenner, Kavukcuoglu. 2016. arXiv 1601.06759.
van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu. 2016. arXiv 1606.05328 (`kind` gated).

`plain`: a 7x7 convolution of mask A, residual blocks (1x1 to half the channels, 3x3 of mask B, 1x1 back), two layers of
ReLU and 1x1 convolution that see the maps of all blocks, and a 1x1 convolution to the logits of a Bernoulli or a softmax. A
stack of such blocks cannot see a wedge to the upper right: the blind spot.
`gated`: a vertical stack that sees all rows above, a horizontal one that sees the row to the left and takes the
vertical one's map before its gate; tanh and sigmoid gates; labels as a bias before each gate.

What differs from the papers: masks are made by crop and shift, so that what must not be seen is never computed
(`nn/causal.py`). What the first paper leaves open is ours: the learning rate, set by hand there; the width on MNIST and how
the maps reach the output, which it does not print; how weights start. Its depth of 15 is of CIFAR-10. Grey pictures may
have any number of levels. `modern` is the gated net with one layer before the last and without skip connections, Adam,
averaged weights, a clipped gradient, `waves` (the first layer is told where a pixel lies, which kernels see only near the
border) and `dilations` (taps of the vertical kernels further apart, after Yu & Koltun 2015, 1511.07122, which reach further
for the same work).
"""

# B batch, C channels of the picture, F features, L levels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit
from genloom.errors import InputError
from genloom.models.fitting import no_labels
from genloom.models.likelihood.autoregressive import Autoregressive, AutoregressiveHyper, Incremental, Layered
from genloom.models.likelihood.cached_pixelcnn import CachedGated, CachedPlain, IndexedWindow, Window
from genloom.nn.causal import Causal, Own, Places, pointwise
from genloom.nn.dense import one_hot
from genloom.shapes.base import Shape

FIRST = 3  # reach of the first kernel, 7x7
Dims = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class PixelCNNHyper(AutoregressiveHyper):
    """Table 1 and section 5 of the first paper: the depth of CIFAR-10, the last layers' width of MNIST."""

    kind: Literal["plain", "gated"] = hp("plain", "the first paper's blocks, or two gated stacks without blind spot")
    features: int = hp(64, "channels h of the inner convolutions; maps between blocks have 2h (plain) or h (gated)", low=3)
    layers: int = hp(15, "residual blocks or gated layers after the first", low=1)
    kernel: Literal[3, 5, 7] = hp(3, "size of the kernels after the first, which is 7x7")
    dilations: tuple[int, ...] = hp((1,), "steps between the taps of vertical kernels, layer by layer; gated alone", low=1)
    rate: float = hp(3e-4, "learning rate", low=0)  # of 1e-3 and 3e-4 the better one, after 5,000 examples
    conditional: bool = hp(False, "give labels to every gate; gated alone")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conditional and self.kind == "plain":
            raise InputError("--conditional needs --hyper.kind gated")
        if not self.dilations:
            raise InputError("--hyper.dilations takes one number at least, such as 1")
        if self.kind == "plain" and set(self.dilations) != {1}:
            raise InputError("--hyper.dilations is the gated kind's: say --hyper.kind gated or --hyper.dilations 1")

    @classmethod
    def modern(cls) -> Self:
        """Gated stacks that reach far and are told where they are, Adam, averaged weights."""
        return cls(
            kind="gated",
            layers=9,
            head_layers=1,
            skips=False,
            dilations=(1, 2, 4),
            waves=6,
            optimizer="adam",
            rate=2e-3,
            beta2=0.99,
            clip=1.0,
            warmup=2000,
            ema=5000.0,
        )

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return cls(
            kind="gated",
            features=24,
            layers=4,
            head=24,
            head_layers=1,
            skips=False,
            waves=4,
            optimizer="adam",
            rate=4e-3,
            beta2=0.99,
            clip=1.0,
            warmup=500,
            batch=32,
            ema=2000.0,
        )


class Block(nn.Module):
    """ReLU, 1x1 to h, ReLU, causal convolution, ReLU, 1x1 to 2h, and the way around. Figure 5 of the paper."""

    def __init__(self, features: int, reach: int, groups: int) -> None:
        super().__init__()
        self.down = pointwise(2 * features, features, groups)
        self.causal = Causal(features, features, reach, groups, itself=True)
        self.up = pointwise(features, 2 * features, groups)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.down(F.relu(x)))
        return x + self.up(F.relu(self.causal(h)))


class PlainNet(Layered):
    """x `[B, C, H, W]` in [-1, 1] to logits `[B, C * outputs, H, W]`."""

    def __init__(self, hyper: PixelCNNHyper, dims: Dims, outputs: int) -> None:
        super().__init__()
        channels = dims[0]
        width, reach = 2 * hyper.features, hyper.kernel // 2
        self.first = Causal(channels, width, FIRST, channels, itself=False)
        self.place = Places(dims[1:], hyper.waves, width) if hyper.waves else None
        self.blocks = nn.ModuleList(Block(hyper.features, reach, channels) for _ in range(hyper.layers))
        self.finish(hyper, hyper.layers, width, channels, outputs)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.first(x)
        if self.place is not None:
            h = h + self.place()
        maps = []
        for block in self.blocks:
            h = block(h)
            maps.append(h)
        return self.end(maps)


class Gated(nn.Module):
    """One layer of the two stacks: v `[B, F, H, W]`, h `[B, F, H, W]` to the next v and h. Figure 2 of the second paper.

    The first layer takes the picture as both, and sees nothing of a pixel itself.
    """

    def __init__(
        self, inputs: int, features: int, reach: int, groups: int, classes: int, first: bool, dilation: int = 1
    ) -> None:
        super().__init__()
        self.first, self.far = first, reach * dilation
        rows = reach if first else reach + 1  # later v already lie strictly above
        self.vertical = nn.Conv2d(inputs, 2 * features, (rows, 2 * reach + 1), dilation=dilation)
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.own = Own(inputs, 2 * features, reach, groups, itself=not first, gates=2)
        self.mix = pointwise(features, features, groups)
        self.label = nn.Linear(classes, 4 * features, bias=False) if classes else None
        self.place: Places | None = None  # of the first layer alone: the horizontal stack carries it on
        # The vertical stack has no way around it: from the usual start, what it sees is gone after three layers.
        for layer, gain in ((self.vertical, 1 if first else 2.5), (self.link, 0.7), (self.own, 1), (self.mix, 1)):
            nn.init.normal_(layer.weight, 0, gain * layer.weight[0].numel() ** -0.5)

    def forward(self, v: Tensor, h: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        v = self.down(v)
        wide = self.own(h) + self.link(v)
        for of_v, of_h in self.biases(y):
            v, wide = v + of_v, wide + of_h
        out = self.mix(gate(wide))
        return gate(v), out if self.first else h + out

    def biases(self, y: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the gates of both stacks are told: of labels `[B, 2F, 1, 1]`, of places `[1, 2F, H, W]`."""
        if self.label is not None and y is not None:
            of_v, of_h = self.label(y)[:, :, None, None].chunk(2, 1)
            yield of_v, of_h
        if self.place is not None:
            of_v, of_h = self.place()[None].chunk(2, 1)
            yield of_v, of_h

    def down(self, v: Tensor) -> Tensor:
        """Return the vertical map before its gate `[B, 2F, H, W]`: rows above, and from the second layer on v's own."""
        padded = F.pad(v, (self.far, self.far, self.far, 0))
        return self.wide(padded[:, :, :-1] if self.first else padded)

    def wide(self, seen: Tensor) -> Tensor:
        """Convolve with the vertical kernel.

        oneDNN's gradient to a dilated kernel in bf16 is wrong, or not a number, with channels last and not in sixteens
        (seen with torch 2.13); channels first it is right.
        """
        conv = self.vertical
        if self.far == self.own.reach or conv.in_channels % 16 == 0:
            return conv(seen)
        return F.conv2d(seen.contiguous(), conv.weight.contiguous(), conv.bias, dilation=conv.dilation)


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the channels times sigmoid of the second. Equation (2) of the second paper."""
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedNet(Layered):
    """x `[B, C, H, W]` in [-1, 1] and one-hot labels `[B, K]` to logits `[B, C * outputs, H, W]`."""

    def __init__(self, hyper: PixelCNNHyper, dims: Dims, outputs: int, classes: int) -> None:
        super().__init__()
        channels = dims[0]
        width, reach = hyper.features, hyper.kernel // 2
        first = Gated(channels, width, FIRST, channels, classes, first=True)
        if hyper.waves:
            first.place = Places(dims[1:], hyper.waves, 4 * width)
        self.layers = nn.ModuleList([first])
        for i in range(hyper.layers):
            dilation = hyper.dilations[i % len(hyper.dilations)]
            self.layers.append(Gated(width, width, reach, channels, classes, first=False, dilation=dilation))
        self.finish(hyper, hyper.layers, width, channels, outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        v = h = x
        maps = []
        for layer in self.layers:
            v, h = layer(v, h, y)
            maps.append(h)
        return self.end(maps)


class PixelCNN(Autoregressive):
    """van den Oord et al. 2016."""

    Hyper = PixelCNNHyper
    hyper: PixelCNNHyper

    def __init__(self, hyper: PixelCNNHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.network: PlainNet | GatedNet
        dims = (self.channels, self.height, self.width)
        if hyper.kind == "gated":
            classes = len(shape.classes) if hyper.conditional else 0
            self.network = GatedNet(hyper, dims, self.outputs, classes)
        else:
            self.network = PlainNet(hyper, dims, self.outputs)

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, PixelCNNHyper)
        fit = super().fits(shape, hyper)
        unlabelled = no_labels(shape, "--conditional needs labels") if hyper.conditional else None
        return fit if isinstance(fit, Misfit) else unlabelled or fit

    def logits(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        labels = self.labels(given)
        return self.network(x, *(() if labels is None else (labels,))).unflatten(1, (self.channels, -1))

    @property
    def conditional(self) -> bool:
        return self.hyper.conditional

    def labels(self, given: Tensor | None) -> Tensor | None:
        """Return class indices `[B]` as one-hot rows `[B, K]`, or None for a model without labels."""
        if not self.conditional:
            return None
        if given is None:
            raise InputError("this model was trained with labels: its likelihood needs the label of each picture")
        return one_hot(given.to(self.device), len(self.shape.classes)).to(self.network.head.weight.dtype)

    def incremental(self, n: int, given: Tensor | None, window: type[Window] = Window) -> Incremental:
        if isinstance(self.network, GatedNet):
            return CachedGated(self.network, n, (self.channels, self.width), self.labels(given), window)
        return CachedPlain(self.network, n, (self.channels, self.width), window)

    def indexed(self, n: int, given: Tensor | None) -> Incremental:
        return self.incremental(n, given, IndexedWindow)
