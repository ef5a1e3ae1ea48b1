"""compare(): runs of any family before one jury, on the same data at one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genloom.errors import InputError
from genloom.measures.figure import one_protocol
from genloom.shapes.base import Shape
from genloom.shapes.pictures import ImageShape
from genloom.train.run import Run
from genloom.use.judging.data import find_data
from genloom.use.judging.judge import Judgement, judge_run, mirrors
from genloom.use.judging.jury import Terms, baselines, seat_jury


def compare(
    runs: Sequence[str | Path | Run], data: str | Path | None = None, n: int | None = None, features: str | None = None, *,
    test: str | Path | None = None, **terms: Any,
) -> list[Judgement]:  # fmt: skip
    """Judge several runs by the same pictures, features and seeds; smaller samples are enlarged to the largest size.

    The real pictures of a larger size went the same way from file to pixels, so no run is favoured by the resize.

    Args: as `judge`, which takes one run.

    Raises:
        InputError: as `judge`; and where the runs were trained on different data and none is named, or differ in
            channels.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    if len(opened) < 2:
        raise InputError("compare takes two runs or more; `genloom judge` takes one")
    for i, run in enumerate(opened):
        if run.folder.resolve() in {other.folder.resolve() for other in opened[:i]}:
            raise InputError(f"{run.folder} is named twice")
    settled = Terms(n, features, **terms)
    for run in opened:
        run.checkpoint(settled.checkpoint)
    size = common_size(opened)
    if data is None:
        refuse_different_data(opened)
    largest = max(opened, key=lambda run: run.record["shape"].get("height", 0))
    found = find_data(largest, data, test, size)
    jury = seat_jury(found, settled, any(mirrors(run) for run in opened))
    rows = baselines(jury, found, settled)
    known = [find_data(run, data, test).known for run in opened]  # refuses data unlike a run's own, too
    judgements = [
        judge_run(run, jury, rows, replace(found, known=own), settled) for run, own in zip(opened, known, strict=True)
    ]
    check_protocols(judgements)
    return judgements


def common_size(runs: Sequence[Run]) -> tuple[int, int]:
    """Return the largest (height, width) of the runs' samples, or raise InputError where they are unlike."""
    shapes = [Shape.from_json(run.record["shape"]) for run in runs]
    pictures = [shape for shape in shapes if isinstance(shape, ImageShape)]
    for run, shape in zip(runs, shapes, strict=True):
        if not isinstance(shape, ImageShape) or shape.channels != pictures[0].channels:
            raise InputError(f"{run.folder} gives {shape.describe()}, {runs[0].folder} {shapes[0].describe()}: "
                             "only runs of one kind of pictures can be compared")  # fmt: skip
    return max((shape.height, shape.width_px) for shape in pictures)


def refuse_different_data(runs: Sequence[Run]) -> None:
    """Raise InputError where runs name different data."""
    sources = [run.record["data"]["source"] for run in runs]
    for run, source in zip(runs, sources, strict=True):
        if source != sources[0]:
            raise InputError(f"{runs[0].folder} was trained on {sources[0]}, {run.folder} on {source}: say with --data "
                             "what to judge both by")  # fmt: skip


def check_protocols(judgements: Sequence[Judgement]) -> None:
    """Raise InputError where a column would hold figures of unlike protocol."""
    for name in dict.fromkeys(name for judgement in judgements for name in judgement.measures):
        one_protocol(name, [j.measures[name] for j in judgements if name in j.measures])
