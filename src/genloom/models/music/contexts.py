"""What a table of counts goes by: the contexts in which each cell of a step is chosen, all of them the same in every key."""

# N choices, L orders of context, W ways, n pieces, V voices

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genloom.nn.voices import NEVER
from genloom.shapes.score import FIRST, HELD, REST, ScoreShape

OLDEST = 8  # steps for which a note has been held that are told apart
NONE = 1000  # an interval where there is none
DO, TO, CHORD = 0, 1, 2  # whether a voice rests, holds or begins; the pitch that it begins; the next note of a chord
KINDS, ORDERS = 3, 7  # of choices, and orders of context at most
MIXED = -7046029254386353131  # 2**64 over the golden ratio, which spreads contexts over all numbers


@dataclass
class Choices:
    """Choices of one kind.

    Attributes:
        kind: do, to or chord; of which `voice`.
        contexts: of each, as numbers that stand for them `[N, L]`, the most particular first.
        origin: the way `[N]` that the outcome 0 is.
        open: which ways can be `[N, W]`.
    """

    kind: int
    voice: int
    contexts: Tensor
    origin: Tensor
    open: Tensor


class CountHand:
    """Plays pieces by a table: what sounds in each voice, what did before, and for how long it has been held.

    Args:
        shares: gives the probability of each way of choices `[N, W]`.
    """

    def __init__(self, shape: ScoreShape, shares: Callable[[Choices], Tensor], n: int, device: torch.device) -> None:
        voices = len(shape.voices)
        self.shape, self.shares = shape, shares
        self.before, self.earlier, self.age = (torch.zeros(n, voices, dtype=torch.long, device=device) for _ in range(3))

    def select(self, rows: Tensor) -> None:
        self.before, self.earlier, self.age = (each[rows] for each in (self.before, self.earlier, self.age))

    def step(self, beat: Tensor, choose: Callable[[int, Tensor], Tensor]) -> Tensor:
        codes = torch.zeros_like(self.before)
        for v in range(codes.shape[1]):
            codes[:, v] = choose(v, self.logits(v, codes, beat))
        self.go_on(codes)
        return codes

    def go_on(self, codes: Tensor) -> None:
        """Take a step `[n, V]` as played."""
        now = self.sounding(codes)
        self.age = torch.where(codes == HELD, (self.age + 1).clamp_max(OLDEST), 0)
        self.earlier = torch.where(now != self.before, self.before, self.earlier)
        self.before = now

    def sounding(self, codes: Tensor) -> Tensor:
        """Return the codes that the pitches of a step `[n, V]` began with, 0 for none."""
        return torch.where(codes == HELD, self.before, torch.where(codes >= FIRST, codes, REST))

    def logits(self, v: int, codes: Tensor, beat: Tensor) -> Tensor:
        """Return log p of each code of a voice `[n, codes]`, given those of the voices above it in `codes` `[n, V]`."""
        if self.shape.chords:
            chosen = self.shares(self.next_in_chord(v, codes, beat))
            every = torch.cat([chosen[:, :1], torch.zeros_like(chosen[:, :1]), chosen[:, 1:]], 1)
        else:
            do = self.shares(self.what_to_do(v, codes, beat))
            every = torch.cat([do[:, :FIRST], do[:, FIRST:] * self.shares(self.where_to(v, codes, beat))], 1)
        return every.log().clamp_min(NEVER)

    # -- choices -----------------------------------------------------------------------------------

    def what_to_do(self, v: int, codes: Tensor, beat: Tensor) -> Choices:
        """Return the choice of a voice to rest, hold or begin."""
        flags, own, grid = codes[:, :v].clamp_max(FIRST), self.age[:, v : v + 1], self.shape.grid
        sounds, place = (self.before[:, v : v + 1] > 0).long(), beat[:, None]
        orders = [
            [place, flags, self.age, (self.before > 0).long()],
            [place, flags, own, sounds],
            [place % grid, flags, own, sounds],
            [flags[:, -1:], own, sounds],
            [sounds],
        ]
        can = torch.ones(len(codes), FIRST + 1, dtype=torch.bool, device=codes.device)
        can[:, HELD] = sounds[:, 0] > 0
        return self.choices(DO, v, orders, torch.zeros_like(beat), can)

    def where_to(self, v: int, codes: Tensor, beat: Tensor) -> Choices:
        """Return the choice of the pitch that a voice begins, from its own last one on."""
        own = self.before[:, v : v + 1]
        above = interval(self.sounding(codes)[:, :v], own)
        was, came = interval(self.before, own), interval(own, self.earlier[:, v : v + 1])
        orders = [
            [above, was, came],
            [above, was],
            [above, came],
            [above],
            [above[:, :1], above[:, -1:]],
            [above[:, -1:]],
            [(own > 0).long()],
        ]
        pitches = torch.arange(self.shape.codes - FIRST, device=codes.device)
        can = torch.ones(len(codes), len(pitches), dtype=torch.bool, device=codes.device)
        if not self.shape.repeats:
            can = pitches != own - FIRST
        origin = torch.where(own[:, 0] > 0, own[:, 0] - FIRST, 0)
        return self.choices(TO, v, orders, origin, can)

    def next_in_chord(self, v: int, codes: Tensor, beat: Tensor) -> Choices:
        """Return the choice of the next note of a chord: none, or one below, from the one above or the highest before."""
        origin = codes[:, v - 1] if v else self.before[:, 0]
        so_far, was = origin[:, None] - codes[:, :v], interval(self.before, origin[:, None])
        orders = [[so_far, was, beat[:, None]], [so_far, was], [so_far, was[:, :1], was[:, -1:]], [so_far], []]
        ways = torch.arange(self.shape.codes - FIRST + 1, device=codes.device)  # a rest, then the pitches
        can = torch.ones(len(codes), len(ways), dtype=torch.bool, device=codes.device)
        if v:
            can = ways < origin[:, None] - 1
            can[:, 0] = True
        return self.choices(CHORD, v, orders, torch.where(origin >= FIRST, origin - 1, 0), can)

    def choices(self, kind: int, v: int, orders: Sequence[Sequence[Tensor]], origin: Tensor, can: Tensor) -> Choices:
        """Return choices of a kind; each order of context is told from all others."""
        found = []
        for order, parts in enumerate(orders):
            mixed = spread(torch.full_like(origin, (kind * 64 + v) * 64 + order + 1))
            for column in torch.cat(list(parts), 1).T if parts else ():
                mixed = spread(mixed ^ column)
            found.append(mixed)
        return Choices(kind, v, torch.stack(found, 1), origin, can)


def interval(codes: Tensor, own: Tensor) -> Tensor:
    """Return how far codes of pitches lie above another; NONE where there is either no pitch or no other."""
    return torch.where((codes > 0) & (own > 0), codes - own, NONE)


def spread(mixed: Tensor) -> Tensor:
    """Return numbers that differ in all bits where these differ in one."""
    mixed = mixed * MIXED
    return mixed ^ (mixed >> 29)
