"""Networks over piano rolls: what sounds and what begins at each step and pitch."""

# B batch, C channels: what sounds, and, where it is told, what begins; T steps, P pitches, H units

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nn.conv import instance_norm
from genloom.shapes.score import FIRST, sounding


def roll_of(codes: Tensor, pitches: int, up: int = 0) -> Tensor:
    """Return codes `[B, T, V]` as what sounds and what begins `[B, 2, T, P]`, zeros and ones.

    Args:
        up: places between the lowest pitch of the roll and that of the codes; what lies beyond the roll is left out.
    """
    now, rolls = sounding(codes), []
    for each in (now, torch.where(codes >= FIRST, codes, 0)):
        place = torch.where(each >= FIRST, each - FIRST + up, -1)
        place = torch.where((place >= 0) & (place < pitches), place, pitches)
        rolls.append(F.one_hot(place, pitches + 1).amax(2)[..., :pitches])
    return torch.stack(rolls, 1).float()


def binary(p: Tensor) -> Tensor:
    """Return 1 where a probability is above a half, else 0; the gradient is that of the probability (straight-through)."""
    return (p > 0.5).to(p) - p.detach() + p


class RecurrentTranslator(nn.Module):
    """Rolls `[B, C, T, P]` to probabilities of the same size: a GRU that reads both ways says what is to change.

    Made so that at the start it leaves rolls as they are: its answer is added to the roll, as logits.
    """

    def __init__(self, channels: int, pitches: int, width: int, layers: int, keeps: float) -> None:
        super().__init__()
        self.keeps = keeps
        self.gru = nn.GRU(channels * pitches, width, layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, channels * pitches)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.transpose(1, 2).flatten(2)
        change = self.out(self.gru(flat)[0]).float().view(len(x), x.shape[2], x.shape[1], -1).transpose(1, 2)
        return (change + self.keeps * (2 * x - 1)).sigmoid()


class RecurrentCritic(nn.Module):
    """Rolls `[B, C, T, P]` to an answer a step `[B, T]`: a GRU that reads both ways."""

    def __init__(self, channels: int, pitches: int, width: int, layers: int) -> None:
        super().__init__()
        self.enter = nn.Linear(channels * pitches, width)
        self.gru = nn.GRU(width, width, layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.enter(x.transpose(1, 2).flatten(2)), 0.2)
        answer: Tensor = self.out(self.gru(h)[0])
        return answer[..., 0]


class RollCritic(nn.Module):
    """Rolls `[B, C, T, P]` to answers `[B, T / 4, P / 4]`: convolutions of 7 by 7, as Brunner et al. 2018 have them."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 7, stride=2, padding=3)
        self.second = nn.Conv2d(width, 4 * width, 7, stride=2, padding=3)
        self.out = nn.Conv2d(4 * width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.first(x), 0.2)
        answer: Tensor = self.out(F.leaky_relu(instance_norm(self.second(h)), 0.2))
        return answer[:, 0]
