"""judge(): a run against real data, with intervals, baselines and what is typical of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Terms, panel_of, shape_of


def judge(
    run: str | Path | Run,
    data: Any = None,
    n: int | None = None,
    features: str | None = None,
    *,
    test: str | Path | None = None,
    **terms: Any,
) -> Judgement:
    """Judge a run: samples against real pictures or points, filled cells against true ones.

    Args:
        data: a source of what it was trained on; None takes the one that the run names.
        n: samples; None takes 10,000, or as many as there are training examples.
        features: of pictures: `classifier`, `inception`, `dinov2`, `lite0` to `lite2`, `pixels` or `random`; None takes
            `lite2` for colour where its package is installed, else `classifier` where there are labels, else `random`.
        test: a source of pictures never trained on, where `data` has no test split.
        terms: the other fields of `Terms`: checkpoint, seed, weights, fetch, say.

    Raises:
        InputError: no checkpoint, data of another shape, too few examples, no weights, no labels, or
            samples that are no numbers.

    Example:
        >>> judgement = judge("runs/digits")  # doctest: +SKIP
        >>> str(judgement.measures["FID[classifier:0d1b]"])  # doctest: +SKIP
        '12.25 [11.38, 13.12]'
    """
    run = run if isinstance(run, Run) else Run.open(run)
    settled = Terms(n, features, **terms)
    panel = panel_of(shape_of(run))
    panel.load(run, settled.checkpoint)  # what is wrong with the run shows before the long work
    return panel([run], data, test, settled).judge(run)
