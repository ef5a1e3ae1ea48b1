"""A table of counts that knows music: what stands beside every likelihood of a network.

Each cell of a step is counted in contexts from the most particular to none at all, all of them the same in every key; its
probability mixes their shares, the particular ones weighing the more the oftener they were seen (Witten & Bell 1991).
"""

# T steps, V voices

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genloom.shapes.score import FIRST, HELD, REST, ScoreShape

Codes = np.ndarray[Any, np.dtype[np.int64]]
DOUBT = 3  # times of what Witten & Bell have, and for one choice more: held-out chorales have the best likelihood so
OLDEST = 8  # steps for which a note has been held that are told apart


@dataclass
class CountTable:
    """How often what was done in which context, of pieces of a shape."""

    shape: ScoreShape
    seen: dict[Hashable, Counter[Hashable]] = field(default_factory=lambda: defaultdict(Counter))

    def learn(self, pieces: Sequence[tuple[Codes, Codes]]) -> CountTable:
        """Count in pieces: codes `[T, V]`, and the step in the bar of each `[T]`."""
        for codes, beat in pieces:
            for _, _, done, contexts in self.choices(codes, beat):
                for context in contexts:
                    self.seen[context][done] += 1
        return self

    def nats(self, codes: Codes, beat: Codes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return -log p of each step `[T]` of a piece."""
        found = np.zeros(len(codes))
        for t, ways, done, contexts in self.choices(codes, beat):
            found[t] -= np.log(self.chance(ways, done, contexts))
        return found

    def chance(self, ways: int, done: Hashable, contexts: Sequence[Hashable]) -> float:
        """Return the probability of a choice of so many, by contexts of which the most particular comes first."""
        share = 1.0 / ways
        for context in reversed(contexts):
            counts = self.seen.get(context)
            if counts:
                total, different = counts.total(), len(counts)
                doubt = DOUBT * (different + 1)
                share = (counts[done] + doubt * share) / (total + doubt)
        return share

    def choices(self, codes: Codes, beat: Codes) -> Iterator[tuple[int, int, Hashable, list[Hashable]]]:
        """Yield the step of each choice, how many there are, what is chosen, and its contexts, the most particular first."""
        pitches = self.shape.codes - FIRST
        sounding = np.zeros(codes.shape[1], np.int64)  # 0 for none, else the code that the pitch began with
        age, earlier = np.zeros(codes.shape[1], np.int64), sounding
        for t, step in enumerate(codes):
            now = np.where(step == HELD, sounding, np.where(step >= FIRST, step, 0))
            for v in range(len(step)):
                if self.shape.chords:
                    yield t, pitches + 1, *next_in_chord(v, step, sounding, int(beat[t]))
                    continue
                yield t, FIRST + 1, *what_to_do(v, step, sounding, age, int(beat[t]))
                if step[v] >= FIRST:
                    yield t, pitches, *where_to(v, step, now, sounding, earlier)
            age = np.where(step == HELD, np.minimum(age + 1, OLDEST), 0)
            earlier, sounding = np.where(now != sounding, sounding, earlier), now


def what_to_do(v: int, step: Codes, before: Codes, age: Codes, beat: int) -> tuple[Hashable, list[Hashable]]:
    """Return whether a voice rests, holds or begins, and the contexts of that."""
    flags, sounds = tuple(int(min(each, FIRST)) for each in step[:v]), bool(before[v])
    own, ages = int(age[v]), tuple(map(int, age))
    return int(min(step[v], FIRST)), [
        (v, "do", 4, beat, flags, ages),
        (v, "do", 3, beat, flags, own, sounds),
        (v, "do", 2, beat % 4, flags, own, sounds),
        (v, "do", 1, flags[-1:], own, sounds),
        (v, "do", 0, sounds),
    ]


def where_to(v: int, step: Codes, now: Codes, before: Codes, earlier: Codes) -> tuple[Hashable, list[Hashable]]:
    """Return the pitch that a voice begins, from its own last one on, and the contexts of that."""
    own = int(before[v])
    above = tuple(int(each) - own if each and own else None for each in now[:v])
    was = tuple(int(each) - own if each and own else None for each in before)
    came = own - int(earlier[v]) if own and earlier[v] else None
    return ("to", int(step[v]) - own if own else int(step[v])), [
        (v, "to", 6, above, was, came),
        (v, "to", 5, above, was),
        (v, "to", 4, above, came),
        (v, "to", 3, above),
        (v, "to", 2, above[:1], above[-1:]),
        (v, "to", 1, above[-1:]),
        (v, "to", 0, bool(own)),
    ]


def next_in_chord(v: int, step: Codes, before: Codes, beat: int) -> tuple[Hashable, list[Hashable]]:
    """Return which note a chord has next, downwards from the one above or from the highest of the chord before."""
    origin = int(step[v - 1]) if v else int(before[0])
    done: Hashable = REST if step[v] < FIRST else ("down", origin - int(step[v]) if origin else int(step[v]))
    so_far = tuple(origin - int(each) for each in step[:v])
    was = tuple(origin - int(each) if each else None for each in before) if origin else ()
    return done, [(v, 4, so_far, was, beat), (v, 3, so_far, was), (v, 2, so_far, was[:1], was[-1:]), (v, 1, so_far), (v, 0)]
