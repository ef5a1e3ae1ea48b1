"""Ways in which cells go missing, for studies of imputation: at random, by what is seen, by what is not.

Rubin 1976, Inference and Missing Data, Biometrika 63; the logistic forms are those of Muzellec et al. 2020 (arXiv
2002.03860), section 4.
"""

# n rows, D columns

from __future__ import annotations

from typing import Literal

import numpy as np

from genloom.errors import InputError
from genloom.shapes.columns import Bits, Numbers

Mechanism = Literal["mcar", "mar", "mnar"]
SEEN = 0.3  # share of the columns that `mar` never hides and that decide about the others


def known_mask(x: Numbers, share: float, mechanism: Mechanism = "mcar", seed: int = 0) -> Bits:
    """Return a mask `[n, D]` of the cells that stay known when about `share` of all cells go missing.

    Args:
        x: a complete table of numbers `[n, D]`.
        mechanism: `mcar`, each cell alike. `mar`, some columns never go missing and the rest do by a logistic function of
            those: what is seen explains the holes. `mnar`, each cell by a logistic function of its own value, large ones
            more often: nothing that is seen explains the holes.

    Raises:
        InputError: the share is not between 0 and 1, or more than `mar` has columns for.

    Example:
        >>> mask = known_mask(np.random.default_rng(0).normal(size=(1000, 4)), 0.2, "mnar")
        >>> bool(abs((~mask).mean() - 0.2) < 0.02)
        True
    """
    if not 0 < share < 1:
        raise InputError(f"the share of missing cells lies between 0 and 1, got {share}")
    if mechanism not in ("mcar", "mar", "mnar"):
        raise InputError(f"a mechanism is mcar, mar or mnar, got {mechanism!r}")
    generator = np.random.default_rng(seed)
    if mechanism == "mcar":
        return np.greater_equal(generator.random(x.shape), share)
    z = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
    if mechanism == "mnar":
        return np.greater_equal(generator.random(x.shape), np.stack([chances(2 * column, share) for column in z.T], 1))
    d = x.shape[1]
    seen = generator.permutation(d)[: max(1, round(SEEN * d))]
    hidden = np.setdiff1d(np.arange(d), seen)
    wanted = share * d / max(len(hidden), 1)
    if wanted >= 0.95:
        raise InputError(f"mar cannot hide {share:.0%} of {d} columns: it never hides {len(seen)} of them; ask for fewer")
    weights = generator.normal(size=(len(seen), len(hidden)))
    score = z[:, seen] @ (2 * weights / np.maximum(np.linalg.norm(weights, axis=0), 1e-12))
    mask: Bits = np.ones(x.shape, bool)
    mask[:, hidden] = generator.random((len(x), len(hidden))) >= np.stack([chances(s, wanted) for s in score.T], 1)
    return mask


def chances(score: Numbers, share: float) -> Numbers:
    """Return probabilities `[n]`, logistic in a score `[n]`, whose mean is `share`."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-score - middle))).mean() < share else (low, middle)
    return 1 / (1 + np.exp(-score - low))
