"""compare(): runs of any family before one panel, on the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genloom.errors import InputError
from genloom.measures.figure import one_protocol
from genloom.train.run import Run
from genloom.use.judging.effort import with_effort
from genloom.use.judging.panel import Judgement, Terms, panel_of, shape_of


def compare(
    runs: Sequence[str | Path | Run],
    data: Any = None,
    n: int | None = None,
    features: str | None = None,
    *,
    test: str | Path | None = None,
    **terms: Any,
) -> list[Judgement]:
    """Judge several runs by the same data, features and seeds; smaller pictures are enlarged to the largest size.

    The real pictures of a larger size went the same way from file to pixels, so no run is favoured by the resize.

    Args: as `judge`, which takes one run.

    Raises:
        InputError: as `judge`; and where the runs were trained on different data and none is named, or differ in kind.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    if len(opened) < 2:
        raise InputError("compare takes two runs or more; `genloom judge` takes one")
    for i, run in enumerate(opened):
        if run.folder.resolve() in {other.folder.resolve() for other in opened[:i]}:
            raise InputError(f"{run.folder} is named twice")
    settled = Terms(n, features, **terms)
    shapes = [shape_of(run) for run in opened]
    for run, shape in zip(opened, shapes, strict=True):
        if shape.kind != shapes[0].kind:
            raise unlike(run, opened[0])
    if data is None:
        refuse_different_data(opened)
    kind = panel_of(shapes[0])
    for run in opened:
        kind.load(run, settled.checkpoint)
    panel = kind(opened, data, test, settled)
    judgements = [with_effort(panel.judge(run)) for run in opened]
    check_protocols(judgements)
    return judgements


def unlike(run: Run, other: Run) -> InputError:
    """Say that two runs give different things."""
    given, first = shape_of(run).describe(), shape_of(other).describe()
    return InputError(f"{run.folder} gives {given}, {other.folder} {first}: only runs of one kind can be compared")


def refuse_different_data(runs: Sequence[Run]) -> None:
    """Raise InputError where runs name different data."""
    sources = [run.record["data"]["source"] for run in runs]
    for run, source in zip(runs, sources, strict=True):
        if source != sources[0]:
            raise InputError(
                f"{runs[0].folder} was trained on {sources[0]}, {run.folder} on {source}: say with --data "
                "what to judge both by"
            )


def check_protocols(judgements: Sequence[Judgement]) -> None:
    """Raise InputError where a column would hold figures of unlike protocol."""
    for name in dict.fromkeys(name for judgement in judgements for name in judgement.measures):
        one_protocol(name, [j.measures[name] for j in judgements if name in j.measures])


def ranking(judgements: Sequence[Judgement]) -> str:
    """Say which of several runs is nearest to the data by their first figure, and whether its interval sets it apart."""
    name = next(iter(judgements[0].measures))
    order = sorted(judgements, key=lambda judgement: judgement.measures[name].value)
    if judgements[0].measures[name].better == "higher":
        order.reverse()
    told = ", ".join(f"{judgement.run.folder} {judgement.measures[name]}" for judgement in order)
    first, second = (judgement.measures[name] for judgement in order[:2])
    if first.low <= second.high and second.low <= first.high:
        return f"{name} does not tell the best two apart: {told}"
    alike = len({tuple(judgement.run.shape.dims) for judgement in judgements}) == 1
    sizes = "" if alike else "; but their pictures are not of one size, and this alone does not say which is better"
    return f"{order[0].run.folder} is the best by {name}: {told}{sizes}"
