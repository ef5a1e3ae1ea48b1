"""Classifiers with noise and normalised weights, and their generators. Salimans et al. 2016 (arXiv 1606.03498)."""

# B batch, C channels, K classes, z latent width

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import full_precision
from genloom.nn.strided import Up
from genloom.nn.weight_norm import weight_normed

SLOPE, START = 0.2, 0.05


class Noise(nn.Module):
    """Add Gaussian noise while training."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.deviation * torch.randn_like(x) if self.training else x


class ShiftNorm(nn.Module):
    """Batch norm with a bias and without a gain, of `[B, C]` or `[B, C, H, W]`."""

    def __init__(self, channels: int, flat: bool) -> None:
        super().__init__()
        made = nn.BatchNorm1d if flat else nn.BatchNorm2d
        self.norm = made(channels, eps=1e-6, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.norm(x)
        return h + self.bias.view([-1] + [1] * (x.dim() - 2))


class MinibatchDiscrimination(nn.Module):
    """Features `[B, F]` to `[B, F + kernels]`: beside each example, how near it is to the others of its batch. Section 3.2.

    A tensor takes features to kernels of five numbers each; of each kernel, exp(-L1 distance) is summed over the others.
    """

    def __init__(self, inputs: int, kernels: int, numbers: int = 5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, kernels, numbers) * START)
        self.scale = nn.Parameter(torch.zeros(kernels, numbers))
        self.bias = nn.Parameter(torch.full((kernels,), -1.0))

    def forward(self, x: Tensor, batches: int = 1) -> Tensor:
        """Look at each of so many equal batches, which lie one after the other in x, for itself."""
        with full_precision(x):
            far = self.distances(x.float().unflatten(0, (batches, -1)))
            near = torch.exp(-far).sum(2).flatten(0, 1) - 1  # without oneself, whose distance is 0
            return torch.cat([x, (near + self.bias).to(x.dtype)], 1)

    def distances(self, x: Tensor) -> Tensor:
        """Return how far examples `[..., B, F]` lie from each other by each kernel, `[..., B, B, kernels]`."""
        weight = self.weight * (self.scale.exp() / self.weight.square().sum(0).sqrt())
        m = torch.einsum("...bf,fkn->...bkn", x, weight)
        return (m[..., :, None, :, :] - m[..., None, :, :, :]).abs().sum(-1)

    @torch.no_grad()
    def start(self, x: Tensor, batches: int = 1) -> None:
        """Bring the nearest of others to a distance of 2 on average, and the sums to a mean of zero, as the code does."""
        assert batches == 1
        far = self.distances(x.float())
        apart = far + torch.eye(len(x), device=x.device)[:, :, None] * 1e6
        nearest = apart.amin(1).mean(0) / 2
        self.scale.sub_(nearest.log()[:, None])
        self.bias.copy_(1 - torch.exp(-far / nearest).sum(1).mean(0))


class DenseClassifier(nn.Module):
    """x `[B, D]` to features `[B, F]`, those of the last hidden layer before its noise, and logits `[B, K]`.

    Args:
        hidden: units of each hidden layer.
        noise: deviation of the noise on the input and on every hidden layer.
        kernels: of minibatch discrimination before the last layer, 0 for none.

    Several `batches` may lie one after the other in x: minibatch discrimination alone tells them apart.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int, noise: tuple[float, float], kernels: int) -> None:
        super().__init__()
        self.noise = nn.ModuleList(Noise(noise[min(i, 1)]) for i in range(len(hidden) + 1))
        self.layers = nn.ModuleList(normal(nn.Linear(a, b), 0.1) for a, b in itertools.pairwise([inputs, *hidden]))
        self.beside = MinibatchDiscrimination(hidden[-1], kernels) if kernels else None
        self.out = normal(nn.Linear(hidden[-1] + kernels, classes), 0.1, learns=True)

    def forward(self, x: Tensor, batches: int = 1) -> tuple[Tensor, Tensor]:
        h = x.flatten(1)
        for noise, layer in zip(self.noise, self.layers, strict=False):
            h = F.relu(layer(noise(h)))
        return h, self.logits(beside(self.beside, self.noise[-1](h), batches))

    def logits(self, h: Tensor) -> Tensor:
        """Apply the last layer in fp32."""
        with full_precision(h):
            logits: Tensor = self.out(h.float())
        return logits


class ConvClassifier(nn.Module):
    """x `[B, C, H, W]` to features `[B, 2 width]`, means over the last maps, and logits `[B, K]`.

    Args:
        width: channels of the first three maps; the others have twice as many.
        drop: share of the input, and of the maps after each halving, that is dropped.
        kernels: of minibatch discrimination before the last layer, 0 for none.
    """

    def __init__(self, channels: int, width: int, classes: int, drop: tuple[float, float], kernels: int) -> None:
        super().__init__()
        wide = 2 * width
        plan = [(channels, width, 3, 1, 1), (width, width, 3, 1, 1), (width, width, 3, 2, 1)]
        plan += [(width, wide, 3, 1, 1), (wide, wide, 3, 1, 1), (wide, wide, 3, 2, 1)]
        plan += [(wide, wide, 3, 1, 0), (wide, wide, 1, 1, 0), (wide, wide, 1, 1, 0)]
        self.layers = nn.ModuleList(normal(nn.Conv2d(a, b, k, s, p), START) for a, b, k, s, p in plan)
        self.drop = nn.ModuleDict({"0": nn.Dropout(drop[0]), "3": nn.Dropout(drop[1]), "6": nn.Dropout(drop[1])})
        self.beside = MinibatchDiscrimination(wide, kernels) if kernels else None
        self.out = normal(nn.Linear(wide + kernels, classes), START, learns=True, deviation=0.1)

    def forward(self, x: Tensor, batches: int = 1) -> tuple[Tensor, Tensor]:
        for i, layer in enumerate(self.layers):
            x = self.drop[str(i)](x) if str(i) in self.drop else x
            x = F.leaky_relu(layer(x), SLOPE)
        h = x.float().mean((2, 3))
        with full_precision(h):
            logits: Tensor = self.out(beside(self.beside, h, batches))
        return h, logits


def beside(layer: MinibatchDiscrimination | None, h: Tensor, batches: int) -> Tensor:
    """Return features `[B, F]` with what minibatch discrimination puts beside them, where there is any."""
    return h if layer is None else layer(h, batches)


def normal(layer: nn.Module, spread: float, learns: bool = False, dim: int = 0, deviation: float = 1.0) -> nn.Module:
    """Return a layer with normalised weights, their directions from N(0, spread), and biases zero."""
    assert isinstance(layer.weight, Tensor) and isinstance(layer.bias, Tensor)
    nn.init.normal_(layer.weight, 0.0, spread)
    nn.init.zeros_(layer.bias)
    return weight_normed(layer, dim, learns, deviation)


class DenseGenerator(nn.Module):
    """z `[B, z]` to x `[B, D]` in (0, 1): two layers of softplus with batch norm, and a sigmoid's of normalised weights."""

    def __init__(self, z: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, hidden, bias=False) for a in (z, hidden))
        self.norms = nn.ModuleList(ShiftNorm(hidden, flat=True) for _ in range(2))
        out = nn.Linear(hidden, outputs)
        for layer in (*self.layers, out):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(out.bias)
        self.out = weight_normed(out, learns=True)

    def forward(self, z: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            z = F.softplus(norm(layer(z)))
        with full_precision(z):
            return torch.sigmoid(self.out(z.float()))


class ConvGenerator(nn.Module):
    """z `[B, z]` to x `[B, C, H, W]` in (-1, 1), by three transposed convolutions of 5x5 from an eighth of the size.

    Args:
        width: channels of the largest map; four times as many of the smallest.
    """

    def __init__(self, z: int, channels: int, size: tuple[int, int], width: int) -> None:
        super().__init__()
        self.size, wide = (size[0] // 8, size[1] // 8), 4 * width
        self.project = nn.Linear(z, wide * self.size[0] * self.size[1], bias=False)
        # Every number of the smallest map has a norm of its own, as in the authors' code, where it is still flat.
        norms = [
            ShiftNorm(wide * self.size[0] * self.size[1], flat=True),
            ShiftNorm(2 * width, False),
            ShiftNorm(width, False),
        ]
        self.norms = nn.ModuleList(norms)
        self.convs = nn.ModuleList([Up(wide, 2 * width, 5), Up(2 * width, width, 5)])
        for layer in (self.project, *self.convs):
            nn.init.normal_(layer.weight, 0.0, START)
        self.out = normal(Up(width, channels, 5, bias=True), START, learns=True, dim=1, deviation=0.1)

    def forward(self, z: Tensor) -> Tensor:
        h = F.relu(self.norms[0](self.project(z))).unflatten(1, (-1, *self.size))
        for conv, norm in zip(self.convs, list(self.norms)[1:], strict=True):
            h = F.relu(norm(conv(h)))
        return torch.tanh(self.out(h).float())
