"""Recurrent networks over windows of a record: those of TimeGAN, and RTSGAN's autoencoder with its latent players."""

# B batch, T rows of a window, W numbers of a row, H hidden units, L layers

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.dense import full_precision

SLOPE = 0.2


class Stack(nn.Module):
    """Layers of GRUs and a dense one for each row, `[B, T, inputs] -> [B, T, outputs]`; with a sigmoid, or logits.

    Weights start as TensorFlow 1 has them, of whose GRU cell TimeGAN is made: Glorot's uniform over the input and the state
    together, the gates' biases at 1.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int, sigmoid: bool = True) -> None:
        super().__init__()
        self.cells = nn.GRU(inputs, hidden, layers, batch_first=True)
        self.out, self.sigmoid = nn.Linear(hidden, outputs), sigmoid
        for layer in range(layers):
            start_as_tensorflow(self.cells, layer)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            out: Tensor = self.out(self.cells(x.float())[0])
        return out.sigmoid() if self.sigmoid else out


def start_as_tensorflow(cells: nn.GRU, layer: int) -> None:
    """Give a layer of GRUs the first weights of TensorFlow 1: torch's gates are reset, update, candidate."""
    inner, own = (getattr(cells, f"weight_{part}_l{layer}") for part in ("ih", "hh"))
    hidden, wide = own.shape[1], own.shape[1] + inner.shape[1]
    with torch.no_grad():
        for rows, outputs in ((slice(0, 2 * hidden), 2 * hidden), (slice(2 * hidden, None), hidden)):
            bound = (6 / (wide + outputs)) ** 0.5
            inner[rows].uniform_(-bound, bound)
            own[rows].uniform_(-bound, bound)
        for part in ("ih", "hh"):
            bias = getattr(cells, f"bias_{part}_l{layer}")
            bias.zero_()
            if part == "ih":
                bias[: 2 * hidden] = 1.0


# -- RTSGAN ----------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Windows `[B, T, W]` to codes `[B, H + L H]`: what is so all along, of all rows, and the last states of all layers."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.cells = nn.GRU(inputs, hidden, layers, batch_first=True)
        self.whole = nn.Linear(3 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            out, last = self.cells(x.float())
            pooled = torch.cat([out.amax(1), out.mean(1), last[-1]], 1)
            return torch.cat([F.leaky_relu(self.whole(pooled), SLOPE), last.transpose(0, 1).flatten(1)], 1)


class Decoder(nn.Module):
    """Codes to windows, row by row: each sees the one before, its own or the true one, and what is so all along."""

    def __init__(self, outputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.cells = nn.GRU(hidden + outputs, hidden, layers, batch_first=True)
        self.row = nn.Linear(hidden, outputs)

    def begin(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is so all along `[B, 1, H]`, and the states `[L, B, H]`."""
        hidden = self.cells.hidden_size
        states = code[:, hidden:].reshape(len(code), -1, hidden).transpose(0, 1)
        return code[:, None, :hidden], states.contiguous()

    def forward(self, whole: Tensor, before: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next row `[B, W]` before its activation, and the states, given the row before `[B, W]`."""
        with full_precision(whole):
            out, states = self.cells(torch.cat([whole, before[:, None].float()], 2), states)
            return self.row(out[:, 0]), states


class LatentGenerator(nn.Module):
    """Noise `[B, z]` to codes `[B, H + L H]`."""

    def __init__(self, z: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.first, self.second = block(z, z), block(z, z)
        self.whole = nn.Sequential(block(z, hidden), block(hidden, hidden))
        self.states = nn.Sequential(block(z, hidden * layers), nn.Linear(hidden * layers, hidden * layers))

    def forward(self, z: Tensor) -> Tensor:
        with full_precision(z):
            z = z + self.first(z)
            z = z + self.second(z)
            return torch.cat([self.whole(z), self.states(z)], 1)


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Return a dense layer, layer norm and a leaky rectifier."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.LeakyReLU(SLOPE))


class LatentCritic(nn.Module):
    """Codes `[B, E]` to values `[B]`: two narrowing layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width // 3, width // 3]
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.layers, self.out = nn.ModuleList(layers), nn.Linear(widths[-1], 1)

    def forward(self, code: Tensor) -> Tensor:
        with full_precision(code):
            for layer in self.layers:
                code = F.leaky_relu(layer(code), SLOPE)
            return self.out(code)[:, 0]
