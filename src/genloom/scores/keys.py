"""The key of a piece, estimated from how long each pitch class sounds.

The profiles are those that listeners gave to the tones of a key (Krumhansl & Kessler 1982, Psychological Review 89); the key
is the one whose profile goes best with the piece's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genloom.scores.score import Key, Notes

IN_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
IN_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def key_of(notes: Notes) -> Key:
    """Return the likeliest key of notes; C where there is nothing to go by."""
    weight = np.bincount(notes["pitch"] % 12, weights=notes["length"], minlength=12)
    return key_of_weights(weight)


def key_of_weights(weight: Any) -> Key:
    """Return the likeliest key of twelve weights, that of C first."""
    profiles = np.stack([np.roll(each, tonic) for each in (IN_MAJOR, IN_MINOR) for tonic in range(12)])
    profiles = profiles - profiles.mean(1, keepdims=True)
    fits = profiles @ (weight - weight.mean()) / np.linalg.norm(profiles, axis=1)
    minor, tonic = divmod(int(fits.round(9).argmax()), 12)
    return with_tonic(tonic, bool(minor))


def with_tonic(tonic: int, minor: bool) -> Key:
    """Return the key that rests on a pitch class, with the fewest accidentals."""
    major = (tonic + 3) % 12 if minor else tonic
    return Key((7 * major + 5) % 12 - 5, minor)
