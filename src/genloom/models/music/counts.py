"""A table of counts that knows music: what stands beside every likelihood of a network, and composes too.

Each cell of a step is counted in contexts from the most particular to none at all. Its probability mixes their shares, from
the last context up: (count + doubt * share so far) / (total + doubt), the particular ones weighing the more the oftener they
were seen (Witten & Bell 1991, IEEE Transactions on Information Theory 37). The doubt of a context is so many times its
different outcomes and one; how many times, of each order of context, is what gives the training pieces, each by the counts
of all others, the best likelihood. What cannot be has no probability, and what can adds up to one.

Nothing is trained: all is learnt when the pieces are first looked at. Nobody published this table: no preset `paper`.
"""

# N choices, L orders of context, W ways, n pieces, T steps, V voices, C contexts, E entries

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Player, Remember
from genloom.errors import InputError
from genloom.models.fitting import no_score
from genloom.models.music.contexts import CHORD, KINDS, ORDERS, Choices, CountHand
from genloom.models.music.stepwise import Stepwise, thirds
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, ScoreShape

DOUBTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
USUAL, SWEEPS = 3.0, 2  # the doubt before any is chosen, and how often each is chosen anew
CELLS = 600_000  # that are learnt from at most: of more pieces, some from all over
CHUNK = 4096  # choices looked up at once
ENDED, LIMIT = -2000, 2048  # the outcome that a chord has no more notes; outcomes lie below this, and above its negative


@dataclass(frozen=True)
class CountsHyper(AnyHyper):
    """Nothing to choose."""

    paper = None  # type: ignore[assignment]  # nobody published it
    contexts: int = hp(0, "contexts that were seen; settled by the data", low=0)
    entries: int = hp(0, "different outcomes of these; settled by the data", low=0)

    @classmethod
    def modern(cls) -> Self:
        """The defaults."""
        return cls()

    @classmethod
    def tiny(cls) -> Self:
        """The same."""
        return cls()


class Counts(Model, Stepwise):
    """How often what was done in which context."""

    Hyper = CountsHyper
    hyper: CountsHyper
    shape: ScoreShape
    reads: ClassVar = "score"
    at_once: ClassVar = True
    context: Tensor
    offset: Tensor
    outcome: Tensor
    count: Tensor
    doubt: Tensor

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        return no_score(shape, "counts") or shape

    @classmethod
    def settle(cls, hyper: CountsHyper, data: Dataset) -> CountsHyper:  # type: ignore[override]
        table = cls(hyper, data.shape).learnt(data)  # type: ignore[arg-type]
        return replace(hyper, contexts=len(table["context"]), entries=len(table["count"]))

    @classmethod
    def of(cls, data: Dataset) -> Counts:
        """Return the table of a data set."""
        assert isinstance(data.shape, ScoreShape)
        found = cls(CountsHyper(), data.shape).learnt(data)
        table = cls(CountsHyper(len(found["context"]), len(found["count"])), data.shape)
        table.study(data, lambda name, make: found | {"dense": thirds(data)})
        return table.eval()

    def __init__(self, hyper: CountsHyper, shape: ScoreShape) -> None:
        super().__init__(hyper, shape)
        self.register_buffer("context", torch.zeros(hyper.contexts, dtype=torch.long))
        self.register_buffer("offset", torch.zeros(hyper.contexts + 1, dtype=torch.long))  # where entries of each begin
        self.register_buffer("outcome", torch.zeros(hyper.entries, dtype=torch.long))
        self.register_buffer("count", torch.zeros(hyper.entries, dtype=torch.long))
        self.register_buffer("doubt", torch.full((KINDS, ORDERS), USUAL, dtype=torch.float64))
        self.register_buffer("dense", torch.zeros(2))

    @property
    def device(self) -> torch.device:
        return self.dense.device

    # -- learning ----------------------------------------------------------------------------------

    @classmethod
    def studies(cls, hyper: AnyHyper) -> str:
        return "counts what is done in which context"

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        found = remember("counts", lambda: self.learnt(data) | {"dense": thirds(data)})
        for name, value in found.items():
            getattr(self, name).copy_(value)
        return data

    def players(self) -> Sequence[Player]:
        return []

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        return iter(())

    @torch.no_grad()
    def learnt(self, data: Any) -> dict[str, Tensor]:
        """Return the table of the training pieces of a data set."""
        pieces = [data.piece(i) for i in range(data.trained)]
        cells = sum(piece["x"].numel() for piece in pieces)
        pieces = pieces[:: -(-cells // CELLS)]
        seen = [self.seen(i, piece) for i, piece in enumerate(pieces)]
        found = {kind: [torch.cat(each) for each in zip(*(part[kind] for part in seen), strict=True)] for kind in seen[0]}
        context = torch.cat([contexts.flatten() for contexts, *_ in found.values()])
        outcome = torch.cat([done[:, None].expand_as(contexts).flatten() for contexts, done, *_ in found.values()])
        known, place = context.unique(return_inverse=True)
        entry = place * (2 * LIMIT) + outcome + LIMIT
        entries, where, count = entry.unique(return_inverse=True, return_counts=True)
        offset = torch.searchsorted(entries, torch.arange(len(known) + 1) * (2 * LIMIT))
        table = {"context": known, "offset": offset, "outcome": entries % (2 * LIMIT) - LIMIT, "count": count}
        doubt, begin = torch.full((KINDS, ORDERS), USUAL, dtype=torch.float64), 0
        for kind, (contexts, _, ways, piece) in found.items():
            rows = slice(begin, begin := begin + contexts.numel())
            told = without_own(place[rows], where[rows], piece[:, None].expand_as(contexts).flatten(), offset, count)
            doubt[kind, : contexts.shape[1]] = chosen_doubts(told.view(*contexts.shape, 3), ways)
        return table | {"doubt": doubt}

    def seen(self, number: int, piece: Mapping[str, Tensor]) -> dict[int, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return of a piece, by kind: contexts `[N, L]`, outcomes, how many ways there were, and its number, each `[N]`."""
        found: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
        for choices, way, _ in self.made(piece):
            rows = torch.arange(len(way))
            assert choices.open[rows, way].all()
            done = torch.where(way == 0, ENDED, way - choices.origin) if choices.kind == CHORD else way - choices.origin
            said = choices.contexts, done, choices.open.sum(1)
            found.setdefault(choices.kind, []).append(said)
        parts = {kind: [torch.cat(each) for each in zip(*said, strict=True)] for kind, said in found.items()}
        return {kind: (a, b, c, torch.full_like(b, number)) for kind, (a, b, c) in parts.items()}

    def made(self, piece: Mapping[str, Tensor]) -> Iterator[tuple[Choices, Tensor, Tensor]]:
        """Yield the choices of a piece `[1, T, V]`, voice by voice: which way was taken, and at which steps, each `[N]`."""
        x, beat = piece["x"][0].long().to(self.device), piece["beat"][0].to(self.device)
        hand = CountHand(self.shape, self.shares, 1, self.device)
        parts = []
        for codes in x:
            parts.append((hand.before, hand.earlier, hand.age))
            hand.go_on(codes[None])
        hand.before, hand.earlier, hand.age = (torch.cat(each) for each in zip(*parts, strict=True))
        steps = torch.arange(len(x), device=self.device)
        for v in range(x.shape[1]):
            if self.shape.chords:
                yield hand.next_in_chord(v, x, beat), (x[:, v] - 1).clamp_min(0), steps
                continue
            yield hand.what_to_do(v, x, beat), x[:, v].clamp_max(FIRST), steps
            begun = x[:, v] >= FIRST
            chosen = hand.where_to(v, x, beat)
            own = Choices(chosen.kind, v, chosen.contexts[begun], chosen.origin[begun], chosen.open[begun])
            yield own, x[begun, v] - FIRST, steps[begun]

    # -- likelihood --------------------------------------------------------------------------------

    def shares(self, choices: Choices) -> Tensor:
        """Return the probability of each way `[N, W]`."""
        parts = [
            self.shares_of(choices.kind, choices.contexts[rows], choices.origin[rows], choices.open[rows])
            for rows in torch.arange(len(choices.origin), device=self.device).split(CHUNK)
        ]
        return torch.cat(parts)

    def shares_of(self, kind: int, contexts: Tensor, origin: Tensor, can: Tensor) -> Tensor:
        share = can.double() / can.sum(1, keepdim=True).clamp_min(1)
        for order in reversed(range(contexts.shape[1])):
            counts = self.counts(contexts[:, order].contiguous(), origin, can)
            doubt = self.doubt[kind, order] * ((counts > 0).sum(1, keepdim=True) + 1)
            share = (counts + doubt * share) / (counts.sum(1, keepdim=True) + doubt)
        return share

    def counts(self, context: Tensor, origin: Tensor, can: Tensor) -> Tensor:
        """Return how often each way `[N, W]` was taken in contexts `[N]`, of those that can be."""
        found = torch.zeros(can.shape, dtype=torch.float64, device=self.device)
        if not len(self.context):
            return found
        place = torch.searchsorted(self.context, context).clamp_max(len(self.context) - 1)
        hit = self.context[place] == context
        first, last = self.offset[place] * hit, self.offset[place + 1] * hit
        row = torch.arange(len(context), device=self.device).repeat_interleave(last - first)
        entry = first[row] + torch.arange(len(row), device=self.device) - (last - first).cumsum(0)[row] + (last - first)[row]
        done = self.outcome[entry]
        way = torch.where(done == ENDED, 0, origin[row] + done)
        kept = (way >= 0) & (way < can.shape[1])
        found[row[kept], way[kept]] = self.count[entry[kept]].double()
        return found * can

    @torch.no_grad()
    def step_nats(self, piece: Mapping[str, Tensor]) -> Tensor:
        found = []
        for i in range(len(piece["x"])):
            nats = torch.zeros(piece["x"].shape[1], dtype=torch.float64, device=self.device)
            for choices, way, steps in self.made({name: piece[name][i : i + 1] for name in ("x", "beat")}):
                share = self.shares(choices).gather(1, way[:, None])[:, 0]
                nats.index_add_(0, steps, -share.log())
            found.append(nats)
        return torch.stack(found).float().cpu()

    def begin(self, n: int, given: Mapping[str, Any]) -> CountHand:
        if odd := given.keys() - {"key", "density"}:  # these come by drawing anew and moving
            raise InputError(f"counts takes key and density, not {sorted(odd)[0]}: music learns that")
        return CountHand(self.shape, self.shares, n, self.device)


def without_own(place: Tensor, entry: Tensor, piece: Tensor, offset: Tensor, count: Tensor) -> Tensor:
    """Return for choices in contexts `[N]` what all other pieces say `[N, 3]`: count, total and different outcomes.

    Args:
        place: of the context in the table; `entry`, of the outcome; `piece`, whose it is.
        offset, count: of the table.
    """
    whose, row, own = (piece * len(count) + entry).unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(offset) - 1, dtype=torch.long).index_add_(
        0, torch.repeat_interleave(torch.arange(len(offset) - 1), offset.diff()), count
    )
    _, within, own_total = (piece * len(total) + place).unique(return_inverse=True, return_counts=True)
    alone = (own == count[whose % len(count)]).long()  # outcomes that no other piece has
    first = torch.zeros(len(whose), dtype=torch.long).scatter_(0, row, torch.arange(len(row)))  # a choice of each
    own_alone = torch.zeros(len(own_total), dtype=torch.long).index_add_(0, within[first], alone)
    left = count[entry] - own[row], total[place] - own_total[within], offset.diff()[place] - own_alone[within]
    return torch.stack(left, 1)


def chosen_doubts(told: Tensor, ways: Tensor) -> Tensor:
    """Return the doubt of each order `[L]` by which choices are likeliest, of `without_own` `[N, L, 3]` and ways `[N]`."""
    count, total, different = told.double().unbind(2)
    doubts = torch.full((told.shape[1],), USUAL, dtype=torch.float64)

    def nats(doubts: Tensor) -> float:
        share = 1.0 / ways.double()
        for order in reversed(range(len(doubts))):
            doubt = doubts[order] * (different[:, order] + 1)
            share = (count[:, order] + doubt * share) / (total[:, order] + doubt)
        return -float(share.log().mean())

    for _ in range(SWEEPS):
        for order in range(len(doubts)):
            tried = doubts.repeat(len(DOUBTS), 1)
            tried[:, order] = torch.tensor(DOUBTS, dtype=torch.float64)
            # Where none is better than another, as with a single piece, it stays the usual one.
            doubts = min(tried, key=lambda each: (round(nats(each), 9), abs(math.log(float(each[order]) / USUAL))))
    return doubts
