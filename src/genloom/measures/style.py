"""In whose manner a piece is: a classifier of a few bars by what comes in them and how often. Needs scikit-learn."""

# n segments, K classes, F features

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genloom.measures.music import distributions
from genloom.scores.voices import Voices

SEGMENT = 4  # bars that are told at once
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class StyleMeter:
    """A logistic regression on the square roots of shares: of pitch classes, intervals, onsets, lengths, notes at once.

    Args:
        pieces: to learn from; `labels`, of each the place of its class.
        classes: how many there are.
        grid, bar: steps of a quarter note, and of a bar.
    """

    def __init__(self, pieces: Sequence[Voices], labels: Sequence[int], classes: int, grid: int, bar: int) -> None:
        from sklearn.linear_model import LogisticRegression

        self.grid, self.bar, self.classes = grid, bar, classes
        found = [self.features(piece) for piece in pieces]
        y = np.repeat(np.asarray(labels), [len(each) for each in found])
        weight = 1.0 / np.bincount(y, minlength=classes).clip(1)[y]
        self.net = LogisticRegression(max_iter=2000, C=10.0)
        self.net.fit(np.concatenate(found), y, weight * len(y) / classes)

    def features(self, piece: Voices) -> Numbers:
        """Return what comes in each few bars of a piece `[n, F]`; of one that is shorter, in all of it."""
        span = SEGMENT * self.bar
        starts = range(0, max(len(piece.pitch) - span, 0) + 1, span)
        parts = [Voices(piece.pitch[i : i + span], piece.struck[i : i + span]) for i in starts]
        rows = []
        for part in parts:
            shares = [each / max(each.sum(), 1) for each in distributions(part, self.grid, self.bar).values()]
            rows.append(np.sqrt(np.concatenate(shares)))
        return np.stack(rows)

    def __call__(self, pieces: Sequence[Voices]) -> Numbers:
        """Return how likely each piece is of each class `[n, K]`, the mean over its parts."""
        found = np.zeros((len(pieces), self.classes))
        found[:, self.net.classes_] = [self.net.predict_proba(self.features(piece)).mean(0) for piece in pieces]
        return found
