"""Networks over piano rolls: what sounds and what begins at each step and pitch."""

# B batch, C channels: what sounds, and, where it is told, what begins; T steps, P pitches, H units

from __future__ import annotations

from functools import reduce
from operator import mul

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


def content_of(x: Tensor, grid: int, bar: int) -> Tensor:
    """Return what a piece is, whatever its style `[B, T, P + 13 + bar]`, of rolls `[B, 2, T, P]`.

    The highest note of each step, the pitch classes of its quarter note, whether anything begins, the place in the bar.
    Probabilities, too, have a content, with a gradient.
    """
    sounds, steps = x[:, 0], x.shape[2]
    if torch.compiler.is_exporting():  # to where there is no running product; what sounds is zeros and ones there
        silent = (sounds.flip(2).cumsum(2).flip(2) == 0).to(sounds)
    else:
        silent = (1 - sounds).flip(2).cumprod(2).flip(2)  # from this pitch upwards
    top = sounds * F.pad(silent[..., 1:], (0, 1), value=1.0)
    classes = pitch_classes(sounds, grid).repeat_interleave(grid, 1)[:, :steps]
    place = F.one_hot(torch.arange(steps, device=x.device) % bar, bar).to(x).expand(len(x), -1, -1)
    return torch.cat([top, classes, begun(x)[..., None], place], 2)


def pitch_classes(sounds: Tensor, grid: int) -> Tensor:
    """Return how much each pitch class is there in each quarter note `[B, Q, 12]`, 1 at most, of what sounds `[B, T, P]`."""
    padded = F.pad(sounds, (0, -sounds.shape[2] % 12, 0, -sounds.shape[1] % grid))
    return padded.unflatten(2, (-1, 12)).sum(2).unflatten(1, (-1, grid)).mean(2).clamp_max(1)


def begun(x: Tensor) -> Tensor:
    """Return whether anything begins at each step `[B, T]` of rolls `[B, C, T, P]`: the largest of what does."""
    fresh = x[:, 1] if x.shape[1] > 1 else (x[:, 0] - F.pad(x[:, 0, :-1], (0, 0, 1, 0))).clamp_min(0)
    return fresh.amax(2)


class RecurrentTranslator(nn.Module):
    """The content of pieces `[B, T, N]` to voices: a GRU that reads both ways.

    Of each cell of a voice it gives logits of what sounds, nothing or a pitch `[B, T, V, 1 + P]`, and of whether that begins
    `[B, T, V]`. Voices rather than rolls: a voice sounds one pitch, and of two that are likely it takes the likelier, where
    of a roll's cells, each less likely than not, none would sound.
    """

    def __init__(self, inputs: int, pitches: int, voices: int, width: int, layers: int) -> None:
        super().__init__()
        self.voices = voices
        self.gru = nn.GRU(inputs, width, layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, voices * (2 + pitches))

    def forward(self, content: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.out(self.gru(content)[0]).float().unflatten(2, (self.voices, -1))
        return logits[..., 1:], logits[..., 0]


def voices_in_roll(sounds: Tensor, begins: Tensor) -> Tensor:
    """Return voices, as `RecurrentTranslator` gives them, as a roll `[B, 2, T, P]` of zeros and ones.

    Each voice takes what is likeliest; the gradient is that of the probabilities (straight-through).
    """
    p = sounds.softmax(3)
    chosen = F.one_hot(sounds.argmax(3), sounds.shape[3]).to(p) - p.detach() + p
    chosen = chosen[..., 1:]
    struck = chosen * binary(begins.sigmoid())[..., None]
    return torch.stack([1 - reduce(mul, (1 - each).unbind(2)) for each in (chosen, struck)], 1)  # where any voice does


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
