"""Strided convolutions as matrix products where that is faster: small maps with many channels on a CPU in bf16.

oneDNN runs such layers at a fifth to a half of the processor's matrix peak, above all their weight
gradients. Unfolding the patches costs one copy of a strided view; after it everything is one product
at full speed. The ordinary convolution is the oracle in the tests and does the work everywhere else.
Measured in docs/evidence/training-speed.json.
"""

# B batch, I input channels, O output channels, k kernel, H x W the larger map, h x w the smaller

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRODUCT_AREA = 16  # h * w up to which the forward and the input gradient are products
PRODUCT_AREA_OF_WEIGHTS = 64  # the same for the weight gradient, which oneDNN is slower at
PRODUCT_CHANNELS = 128


class Down(nn.Conv2d):
    """A convolution `[B, I, H, W] -> [B, O, H / 2, W / 2]`, for kernels of 4 or 5."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, stride=2, padding=(kernel - 1) // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # read once: under spectral norm each reading is a power iteration
        if not pays(x, weight):
            return self._conv_forward(x, weight, self.bias)
        ticket: list[tuple[Tensor, Tensor]] = []
        y = _Correlate.apply(x.bfloat16(), _Weight.apply(weight, ticket), ticket)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]


class Up(nn.ConvTranspose2d):
    """A transposed convolution `[B, I, h, w] -> [B, O, 2 h, 2 w]`, for kernels of 4 or 5."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=kernel % 2, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not pays(x, self.weight, up=True):
            return super().forward(x)
        ticket: list[tuple[Tensor, Tensor]] = []
        y = _Spread.apply(x.bfloat16(), _Weight.apply(self.weight, ticket), ticket)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]


def pays(x: Tensor, weight: Tensor, up: bool = False) -> bool:
    """Whether products are faster: a CPU, bf16 by autocast, and a small map with many channels."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return False
    area = x.shape[2] * x.shape[3] // (1 if up else 4)
    return (
        area <= PRODUCT_AREA_OF_WEIGHTS and min(weight.shape[:2]) >= PRODUCT_CHANNELS and not torch.compiler.is_compiling()
    )


def unfold(x: Tensor, k: int) -> Tensor:
    """Return the patches of `[B, C, H, W]` at stride 2 as rows: `[B * h * w, k * k * C]`."""
    n, channels, height, width = x.shape
    p = (k - 1) // 2
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, p, k - 2 - p, p, k - 2 - p))  # [B, H + k - 2, W + k - 2, C]
    b, r, c, one = padded.stride()
    view = padded.as_strided((n, height // 2, width // 2, k, k, channels), (b, 2 * r, 2 * c, r, c, one))
    return view.reshape(n * (height // 2) * (width // 2), k * k * channels)


def rows(y: Tensor) -> Tensor:
    """`[B, C, h, w]` to `[B * h * w, C]`: no copy where the memory is channels last."""
    return y.permute(0, 2, 3, 1).reshape(-1, y.shape[1])


def correlate(x: Tensor, w: Tensor) -> Tensor:
    """The strided convolution of `x [B, I, H, W]` with `w [O, I, k, k]`."""
    n, _, height, width = x.shape
    if height * width // 4 > PRODUCT_AREA:
        return F.conv2d(x, w, stride=2, padding=(w.shape[2] - 1) // 2)
    y = unfold(x, w.shape[2]) @ w.permute(0, 2, 3, 1).reshape(len(w), -1).T
    return y.view(n, height // 2, width // 2, len(w)).permute(0, 3, 1, 2)


def spread(y: Tensor, w: Tensor) -> Tensor:
    """The transposed convolution of `y [B, O, h, w]` with `w [O, I, k, k]`: oneDNN is quick at it."""
    k = w.shape[2]
    return F.conv_transpose2d(y, w, stride=2, padding=(k - 1) // 2, output_padding=k % 2)


def weight_gradient(x: Tensor, y: Tensor, k: int) -> Tensor:
    """The gradient `[O, I, k, k]` from the larger map `x [B, I, H, W]` and the smaller `y [B, O, h, w]`."""
    w = rows(y).T @ unfold(x, k)
    return w.view(y.shape[1], k, k, x.shape[1]).permute(0, 3, 1, 2)


class _Weight(torch.autograd.Function):
    """Cast a weight to bf16; its gradient is made here, from what the layer's backward left on the ticket.

    A node of its own, because autograd asks a node for all of its gradients or none: so the generator's
    turn, which needs no weight gradient of the discriminator, does not pay for one.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ticket: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.ticket, ctx.kernel = ticket, weight.shape[2]
        return weight.to(torch.bfloat16, copy=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if torch.is_grad_enabled() or not ctx.ticket:
            return gradient.float(), None
        larger, smaller = ctx.ticket.pop()
        made = weight_gradient(larger, smaller, ctx.kernel).float()
        # Beside the promise, which is zero, a gradient penalty brings a gradient of its own.
        return (made if is_promise(gradient) else made + gradient), None


def promise(w: Tensor) -> Tensor:
    """A gradient of the right size that takes no memory; `_Weight` puts the real one in its place."""
    return w.new_zeros(()).expand(w.shape)


def is_promise(gradient: Tensor) -> bool:
    """Whether a gradient is a `promise` and nothing was added to it."""
    return not any(gradient.stride())


def differentiable(ctx: Any, gradient: Tensor, transposed: bool) -> tuple[Tensor, Tensor, None]:
    """Both gradients by the ordinary convolution, which can be differentiated again (for gradient penalties)."""
    x, w = ctx.saved_tensors
    k = w.shape[2]
    p, extra = (k - 1) // 2, k % 2 if transposed else 0
    gx, gw, _ = torch.ops.aten.convolution_backward(
        gradient, x, w, None, [2, 2], [p, p], [1, 1], transposed, [extra, extra], 1, [True, True, False]
    )
    return gx, gw, None


class _Correlate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, ticket: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.ticket = ticket
        return correlate(x, w)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, Tensor, None]:
        if torch.is_grad_enabled():
            return differentiable(ctx, gy, transposed=False)
        x, w = ctx.saved_tensors
        ctx.ticket.append((x, gy))
        return spread(gy, w) if ctx.needs_input_grad[0] else None, promise(w), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, ticket: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.ticket = ticket
        return spread(x, w)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, Tensor, None]:
        if torch.is_grad_enabled():
            return differentiable(ctx, gy, transposed=True)
        x, w = ctx.saved_tensors
        ctx.ticket.append((gy, x))  # the larger map is the output here
        return correlate(gy, w) if ctx.needs_input_grad[0] else None, promise(w), None
