"""A recurrent net that gives each voice of each step its distribution, from all steps before and the voices above it."""

# B batch, T steps, V voices, P pitches, E width of an embedding, H width of a state

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.shapes.score import FIRST, HELD, REST, sounding

FLAGS = 3  # a cell rests, is held, or begins
WAY, PLACES, BARS = 8, 96, 97  # width of a flag's embedding; steps of a bar, and lengths of bars, that are told apart
FIFTH = 7  # semitones
REACH = 24  # semitones: intervals beyond count as one
SCALE = 2.0  # of what tables add: a weight moves by a learning rate at most
STRICT = 30.0  # of what is added for what may be forbidden, which has to go far down; so few weights learn nothing by heart
NEVER = -1e9  # the logit of what cannot be


@dataclass
class Rules:
    """What a piece's shape rules out.

    Attributes:
        pitches: how many there are.
        chords: whether all notes of a step begin there, the highest first, each pitch once.
        repeats: whether a pitch may begin anew right after itself.
    """

    pitches: int
    chords: bool
    repeats: bool

    def apply(self, logits: Tensor, before: Tensor, above: Tensor | None) -> Tensor:
        """Return logits `[..., 2 + P]` of a voice with what cannot be ruled out.

        Args:
            before: the pitch that sounded in the voice a step before `[...]`, 0 for none, else counted from 1.
            above: in chords, the code of the voice above `[...]`; None for the first.
        """
        places = torch.arange(logits.shape[-1], device=logits.device)
        if self.chords:
            ruled_out = (places == HELD).expand(logits.shape)
            if above is not None:  # below the note above; nothing after a rest
                ruled_out = ruled_out | ((places >= above[..., None]) & (places >= FIRST))
                ruled_out = ruled_out | ((above[..., None] == REST) & (places != REST))
            return logits.masked_fill(ruled_out, NEVER)
        ruled_out = (before[..., None] == 0) & (places == HELD)
        if not self.repeats:
            ruled_out = ruled_out | ((before[..., None] > 0) & (places == before[..., None] + FIRST - 1))
        return logits.masked_fill(ruled_out, NEVER)


class Counterpoint(nn.Module):
    """What a voice may do next to those above it and to its own last note, the same wherever they lie: added to its logits.

    Of each pitch that it may begin, or go on with: how far it is from each voice above; from which fifth, octave or other
    interval they come, whether each moves up, down or not; and how far it leaps. A net of embeddings would have to learn for
    each pair of pitches anew that fifths are not followed by fifths.
    """

    def __init__(self, voices: int) -> None:
        super().__init__()
        pairs, spans = voices * (voices - 1) // 2, 2 * REACH + 2
        self.near = nn.Parameter(torch.zeros(pairs, spans))  # by the interval to a voice above
        self.moves = nn.Parameter(torch.zeros(pairs, 13 * 12 * 9))  # and by where both come from
        self.leap = nn.Parameter(torch.zeros(voices, spans))
        self.strict = nn.Parameter(torch.zeros(pairs, 4))  # parallel octaves and fifths, hidden ones, crossing

    def forward(self, pitches: int, now: Sequence[Tensor], before: Tensor) -> Tensor:
        """Return what is added for holding and for each pitch `[..., 1 + P]`.

        Args:
            now: what sounds in each voice above `[...]`, 0 for none, else counted from 1.
            before: what sounded in every voice a step before `[..., V]`.
        """
        v = len(now)
        own = before[..., v, None]
        every = torch.arange(1, pitches + 1, device=own.device).expand(*own.shape[:-1], -1)
        chosen = torch.cat([own, every], -1)
        both = (own > 0) & (chosen > 0)
        moved = torch.where(both, torch.sign(chosen - own), 0)
        found = F.embedding(span(chosen - own, both), self.leap[v, :, None])
        strict = found.new_zeros(chosen.shape)
        for u, other in enumerate(now):
            pair, other, was = v * (v - 1) // 2 + u, other[..., None], before[..., u, None]
            both = (other > 0) & (chosen > 0)
            came = torch.where((was > 0) & (own > 0), (was - own) % 12 + 1, 0)
            turned = torch.where((was > 0) & (other > 0), torch.sign(other - was), 0)
            place = (came * 12 + (other - chosen) % 12) * 9 + (turned + 1) * 3 + moved + 1
            found = found + F.embedding(span(other - chosen, both), self.near[pair, :, None])
            found = found + F.embedding(place, self.moves[pair, :, None]) * both[..., None]
            kind, together = (other - chosen) % 12, both & (turned * moved > 0)
            perfect = (kind == 0) | (kind == FIFTH)
            parallel = together & (came == kind + 1) & perfect
            said = (
                parallel & (kind == 0),
                parallel & (kind == FIFTH),
                together & perfect & ~parallel,
                both & (chosen > other),
            )
            strict = strict + torch.stack(said, -1).to(strict) @ self.strict[pair]
        return SCALE * found[..., 0] + STRICT * strict


def span(interval: Tensor, known: Tensor) -> Tensor:
    """Return the place of an interval in semitones among those that are told apart; 0 where there is none."""
    return torch.where(known, interval.clamp(-REACH, REACH) + REACH + 1, 0)


class VoiceNet(nn.Module):
    """Steps `[B, T, V]` to the logits of each voice `[B, T, V, 2 + P]`, each from what comes before it alone.

    A stack of GRUs runs over the steps; at each, a small net a voice sees its state, the step before and the voices above.
    What is told of a piece as a whole, such as its composer, enters the GRUs at each step, one embedding each.
    """

    def __init__(
        self,
        voices: int,
        rules: Rules,
        told: Sequence[int],
        width: int = 256,
        layers: int = 2,
        embedding: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.rules, self.voices = rules, voices
        self.pitch = nn.ModuleList(nn.Embedding(rules.pitches + 1, embedding) for _ in range(voices))
        self.flag = nn.Embedding(FLAGS, WAY)
        self.place, self.bar = nn.Embedding(PLACES, 16), nn.Embedding(BARS, 8)
        self.told = nn.ModuleList(nn.Embedding(count, 16) for count in told)
        cell, around = embedding + WAY, 16 + 8 + 16 * len(told)
        self.gru = nn.GRU(voices * cell + around, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width + (voices + above) * cell + around, width),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(width, FIRST + rules.pitches),
            )
            for above in range(voices)
        )
        self.drop = nn.Dropout(dropout)
        self.counterpoint = Counterpoint(voices)
        self.cell_width = cell

    def cells(self, codes: Tensor, sounding: Tensor) -> list[Tensor]:
        """Return what is told of each voice's cells `[..., E + 8]`, of codes and of the pitches that sound `[..., V]`."""
        flags = self.flag(codes.clamp_max(FIRST))
        return [torch.cat([net(sounding[..., v]), flags[..., v, :]], -1) for v, net in enumerate(self.pitch)]

    def around(self, beat: Tensor, bar: Tensor, told: Sequence[Tensor]) -> Tensor:
        """Return what is told of steps: their place in the bar `[..., T]`, and what holds for the piece `[...]`."""
        places = self.place(beat % PLACES)
        whole = [self.bar(bar.clamp_max(BARS - 1)), *(net(each) for net, each in zip(self.told, told, strict=True))]
        return torch.cat([places, *(each[..., None, :].expand(*places.shape[:-1], -1) for each in whole)], -1)

    def forward(self, codes: Tensor, beat: Tensor, bar: Tensor, told: Sequence[Tensor]) -> Tensor:
        sounding = sounding_of(codes)
        cells = self.cells(codes, sounding)
        before = [F.pad(each[:, :-1], (0, 0, 1, 0)) for each in cells]
        around = self.around(beat, bar, told)
        state = self.drop(self.gru(torch.cat([*before, around], -1))[0])
        earlier = F.pad(sounding[:, :-1], (0, 0, 1, 0))
        logits = []
        for v, head in enumerate(self.heads):
            wide = head(torch.cat([state, *before, around, *cells[:v]], -1)).float()
            wide = self.led(wide, sounding.unbind(-1)[:v], earlier)
            logits.append(self.rules.apply(wide, earlier[..., v], codes[..., v - 1] if v else None))
        return torch.stack(logits, 2)

    def led(self, logits: Tensor, now: Sequence[Tensor], before: Tensor) -> Tensor:
        """Return logits `[..., 2 + P]` of a voice with what `Counterpoint` adds to all but a rest."""
        added = self.counterpoint(self.rules.pitches, now, before)
        return torch.cat([logits[..., :HELD], logits[..., HELD:] + added], -1)


class StepByStep:
    """The same net, a step after the other: what has been played is remembered.

    Args:
        n: pieces at once.
    """

    def __init__(self, net: VoiceNet, n: int, bar: Tensor, told: Sequence[Tensor]) -> None:
        device = bar.device
        self.net, self.bar, self.told = net, bar, told
        self.state = torch.zeros(net.gru.num_layers, n, net.gru.hidden_size, device=device)
        self.sounding = torch.zeros(n, net.voices, dtype=torch.long, device=device)
        self.before = [torch.zeros(n, net.cell_width, device=device) for _ in range(net.voices)]

    def select(self, rows: Tensor) -> None:
        """Go on with some of the pieces, by their places; one may come several times."""
        self.state, self.sounding = self.state[:, rows], self.sounding[rows]
        self.before = [each[rows] for each in self.before]

    def carried(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is remembered: state `[n, layers, H]`, what sounds `[n, V]`, the cells before `[n, V, width]`."""
        return self.state.transpose(0, 1), self.sounding, torch.stack(self.before, 1)

    def carry(self, state: Tensor, sounding: Tensor, before: Tensor) -> None:
        """Go on from what was remembered."""
        self.state, self.sounding, self.before = state.transpose(0, 1).contiguous(), sounding, list(before.unbind(1))

    def step(self, beat: Tensor, choose: Any) -> Tensor:
        """Play one step `[n, V]`; `choose(v, logits [n, 2 + P])` picks the codes of a voice."""
        net = self.net
        around = net.around(beat[:, None], self.bar, self.told)
        out, self.state = net.gru(torch.cat([*(each[:, None] for each in self.before), around], -1), self.state)
        codes: list[Tensor] = []
        sounding = self.sounding.clone()
        cells: list[Tensor] = []
        for v, head in enumerate(net.heads):
            wide = head(torch.cat([out[:, 0], *self.before, around[:, 0], *cells], -1)).float()
            wide = net.led(wide, sounding.unbind(1)[:v], self.sounding)
            logits = net.rules.apply(wide, self.sounding[:, v], codes[-1] if codes else None)
            code = choose(v, logits)
            codes.append(code)
            sounding[:, v] = torch.where(code >= FIRST, code - FIRST + 1, torch.where(code == REST, 0, sounding[:, v]))
            flag = net.flag(code.clamp_max(FIRST))
            cells.append(torch.cat([net.pitch[v](sounding[:, v]), flag], -1))
        self.sounding, self.before = sounding, cells
        return torch.stack(codes, 1)


def sounding_of(codes: Tensor) -> Tensor:
    """Return the pitch that sounds in each cell of codes `[B, T, V]`, 0 for none, else counted from 1."""
    return (sounding(codes) - FIRST + 1).clamp_min(0)
