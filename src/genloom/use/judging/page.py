"""A judgement, or several, as one self-contained page: verdicts, figures, and what the panel shows of its kind of data."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.use.judging.compare import ranking
from genloom.use.judging.panel import Judgement
from genloom.use.report.html import plot, write_html
from genloom.use.report.plot import run_figure

COSTS = {
    "weights": "weights",
    "training_cpu_seconds": "training, CPU seconds",
    "samples_per_cpu_second": "samples / CPU second",
}
ARROWS = {"lower": "↓", "higher": "↑", "nearer": "→ real"}


def write_page(judgements: Sequence[Judgement], path: Path) -> None:
    """Write one page over judgements made before the same panel.

    Raises:
        InputError: the file cannot be written.
    """
    first, title = judgements[0], ", ".join(judgement.name for judgement in judgements)
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(f'<p class="verdict">{html.escape(text)}</p>' for text in summary(judgements)),
        *(
            f'<p class="verdict"><b>{html.escape(judgement.name)}</b>: {html.escape(text)}</p>'
            for judgement in judgements
            for text in judgement.verdicts
        ),
        f"<p>{html.escape(first.panel.intro(first))}</p>",
        "<h2>Figures</h2>",
        figures_table(judgements),
        '<p class="quiet">Intervals are 95 %.</p>',
        *first.panel.pages(judgements),
        "<h2>Training</h2>",
        *(training_part(judgement) for judgement in judgements),
    ]
    write_html(title, parts, path)


def summary(judgements: Sequence[Judgement]) -> list[str]:
    """Return what is said of several runs together: which is the best."""
    return [ranking(judgements)] if len(judgements) > 1 else []


def figures_table(judgements: Sequence[Judgement]) -> str:
    """Return the figures of every run and baseline as a table, a measure a row."""
    columns = columns_of(judgements)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = []
    for name in measure_names(judgements):
        cells = "".join(f'<td class="figure">{cell(figures.get(name))}</td>' for figures in columns.values())
        found = next(figures[name] for figures in columns.values() if name in figures)
        rows.append(f"<tr><td>{html.escape(name)} <small>{ARROWS[found.better]}</small></td>{cells}</tr>")
    costs = "".join(
        f"<tr><td>{label}</td>" + "".join(f'<td class="figure">{j.cost[key]:,.0f}</td>' for j in judgements) + "</tr>"
        for key, label in COSTS.items()
    )
    return f"<table><tr><th>measure</th>{head}</tr>{''.join(rows)}{costs}</table>"


def columns_of(judgements: Sequence[Judgement]) -> dict[str, dict[str, Figure]]:
    """Return the columns of the table: the runs, then the baselines."""
    names = [judgement.name for judgement in judgements]
    if len(set(names)) < len(names):
        names = [str(judgement.run.folder) for judgement in judgements]
    return {name: j.measures for name, j in zip(names, judgements, strict=True)} | judgements[0].baselines


def measure_names(judgements: Sequence[Judgement]) -> list[str]:
    """Return the names of all measures, in the order of the panel."""
    return list(dict.fromkeys(name for figures in columns_of(judgements).values() for name in figures))


def cell(value: Figure | None) -> str:
    """Return a figure as the content of a table's cell."""
    if value is None:
        return '<span class="quiet">–</span>'
    interval = f"<small>[{value.low:.3g}, {value.high:.3g}]</small>"
    return f'<span title="{html.escape(value.protocol)}">{value.value:.4g} {interval}</span>'


def training_part(judgement: Judgement) -> str:
    """Return the curves of a run, where it has any."""
    try:
        return plot(run_figure(judgement.run, grids=0))
    except InputError:
        return ""
