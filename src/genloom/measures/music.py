"""What pieces of music are like, as counts: of pitch classes, intervals, onsets, lengths, and of what sounds at once.

Two sets of pieces are compared by the overlap of their distributions, the sum over bins of the smaller share: 1 for the
same, 0 where nothing is shared (overlapped area: Yang & Lerch 2018, Neural Computing and Applications 32).
"""

# P pieces, T steps, V voices, K bins

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from genloom.measures.figure import Better, Figure
from genloom.scores.keys import key_of_weights
from genloom.scores.voices import Voices

Numbers = np.ndarray[Any, np.dtype[Any]]
WIDEST = 13  # semitones: intervals beyond an octave count as one
LONGEST = 8  # quarter notes: longer ones count as one
DRAWS = 400  # of the pieces, for intervals
PERFECT = (0, 7)  # octaves and fifths, of an interval's remainder by twelve


def distributions(found: Voices, grid: int, bar: int) -> dict[str, Numbers]:
    """Return how often what comes in a piece, by name `[K]`: of pitch classes from the tonic on, as `key_of` finds it.

    Args:
        grid: steps of a quarter note; `bar`, of a bar.
    """
    sounds, pitch = found.sounds, found.pitch
    weight = np.bincount(pitch[sounds] % 12, minlength=12).astype(float)
    tonic = key_of_weights(weight).tonic
    leaps, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for v in range(pitch.shape[1]):
        begun = np.flatnonzero(found.struck[:, v])
        leaps.append(np.diff(pitch[begun, v]))
        edges = np.flatnonzero(found.struck[:, v] | ~sounds[:, v])
        ends = np.append(edges, len(pitch))[np.searchsorted(edges, begun, side="right")]
        lengths.append(ends - begun)
    lowest = np.where(sounds, pitch, 999).min(1)
    above = sounds & (pitch > lowest[:, None])
    lengths_of = np.concatenate(lengths).clip(1, LONGEST * grid)
    return {
        "pitch classes": np.roll(weight, -tonic),
        "intervals": np.bincount(np.concatenate(leaps).clip(-WIDEST, WIDEST) + WIDEST, minlength=2 * WIDEST + 1),
        "onsets": np.bincount(np.nonzero(found.struck)[0] % bar, minlength=bar),
        "lengths": np.bincount(lengths_of, minlength=LONGEST * grid + 1),
        "notes at once": np.bincount(sounds.sum(1), minlength=pitch.shape[1] + 1),
        "intervals at once": np.bincount(((pitch - lowest[:, None]) % 12)[above], minlength=12),
    }


def faults(found: Voices) -> tuple[int, int]:
    """Return how often two voices go on in parallel fifths or octaves, and how often one begins to cross another.

    Parallel: both move, in one direction, from one fifth or octave, or one with octaves between, to another of its kind.
    Looked at wherever something begins, against where something began before.
    """
    rows = np.flatnonzero(found.struck.any(1) | (np.diff(found.sounds, axis=0, prepend=False)).any(1))
    pitch, sounds = found.pitch[rows], found.sounds[rows]
    parallel = crossed = 0
    for upper, lower in combinations(range(pitch.shape[1]), 2):
        both = sounds[:, upper] & sounds[:, lower]
        apart = pitch[:, upper] - pitch[:, lower]
        moved = np.diff(pitch[:, [upper, lower]], axis=0)
        kind = apart % 12
        same = both[1:] & both[:-1] & (moved[:, 0] * moved[:, 1] > 0) & (kind[1:] == kind[:-1]) & np.isin(kind[1:], PERFECT)
        below = both & (apart < 0)
        parallel += int(same.sum())
        crossed += int((below & ~np.concatenate([[False], below[:-1]])).sum())
    return parallel, crossed


def kept(before: Voices, after: Voices, grid: int) -> tuple[float, float]:
    """Return how much of a piece is in another: of the steps at which notes begin, and of each quarter note's pitch classes.

    Each is F1, twice what both have over what either has: notes added cost as much as notes left out.
    """
    shares = []
    for part in (begun_at, classes_at):
        a, b = (part(each, grid) for each in (before, after))
        shares.append(2 * len(a & b) / max(len(a) + len(b), 1))
    return shares[0], shares[1]


def begun_at(found: Voices, grid: int) -> set[int]:
    """Return the steps at which notes begin."""
    return set(np.flatnonzero(found.struck.any(1)).tolist())


def classes_at(found: Voices, grid: int) -> set[tuple[int, int]]:
    """Return each quarter note with each pitch class that sounds in it."""
    steps, voices = np.nonzero(found.sounds)
    return set(zip((steps // grid).tolist(), (found.pitch[steps, voices] % 12).tolist(), strict=True))


def overlap(made: Numbers, real: Numbers) -> float:
    """Return the overlap of two histograms `[K]`; 0 where one is empty."""
    if not made.sum() or not real.sum():
        return 0.0
    return float(np.minimum(made / made.sum(), real / real.sum()).sum())


def overlaps(made: Sequence[Mapping[str, Numbers]], real: Sequence[Mapping[str, Numbers]], seed: int) -> dict[str, Figure]:
    """Return the overlap of each of the distributions of pieces, and their mean, with intervals by resampling pieces."""
    names = [name for name in real[0] if sum(each[name].sum() for each in real)]  # one voice has no intervals at once
    a, b = ({name: np.stack([each[name] for each in pieces]) for name in names} for pieces in (made, real))

    def take(i: Numbers, j: Numbers) -> Numbers:
        each = [overlap(a[name][i].sum(0), b[name][j].sum(0)) for name in names]
        return np.array([np.mean(each), *each])

    return dict(
        zip(["overlap", *names], resampled(take, (len(made), len(real)), "overlap", "higher", seed, 1.0), strict=True)
    )


def rate(amount: Numbers, per: Numbers, protocol: str, better: Better, seed: int) -> Figure:
    """Return the sum of an amount of pieces `[P]` over the sum of another, with its interval by resampling pieces."""
    return resampled(lambda i, _: np.array([amount[i].sum() / per[i].sum()]), (len(amount), 1), protocol, better, seed)[0]


def resampled(
    measure: Callable[[Numbers, Numbers], Numbers],
    sizes: tuple[int, int],
    protocol: str,
    better: Better,
    seed: int,
    most: float = math.inf,
) -> list[Figure]:
    """Return the figures of a measure of two sets of pieces, from 0 to `most`, with intervals by drawing pieces anew."""
    random = np.random.default_rng(seed)
    whole = measure(*(np.arange(size) for size in sizes))
    drawn = np.stack([measure(*(random.integers(0, size, size) for size in sizes)) for _ in range(DRAWS)])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    # Drawn anew, some pieces come twice and overlap less: the interval is moved to where the whole is.
    shift = whole - np.median(drawn, 0)
    return [
        Figure(float(value), max(float(a), 0.0), min(float(b), most), sizes[0], protocol, better)
        for value, a, b in zip(whole, low + shift, high + shift, strict=True)
    ]


def shuffled(codes: torch.Tensor, bar: int, seed: int) -> torch.Tensor:
    """Return a piece `[T, V]` with its bars in another order: each bar is real, and nothing goes on."""
    random = torch.Generator().manual_seed(seed)
    whole = len(codes) // bar
    bars = codes[: whole * bar].view(whole, bar, codes.shape[1])
    return torch.cat([bars[torch.randperm(whole, generator=random)].flatten(0, 1), codes[whole * bar :]])
