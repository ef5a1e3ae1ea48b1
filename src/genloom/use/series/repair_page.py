"""The repair of a record as one self-contained page. Needs matplotlib."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np

from genloom.use.report.html import plot, write_html
from genloom.use.report.plot import figure
from genloom.use.series.repair import METHODS, SeriesRepair

EXPLAINED = (
    "Gaps were made where cells are known: each as long as a real one, in the same columns, at another time. Every method "
    "filled them. Of numbers the error is over the column's spread, where 1 is no better than the mean; of categories it is "
    "the share that is wrong. The least is bold, and fills the column: where a line or the last value wins, it is used."
)


def write_report(outcome: SeriesRepair, path: str) -> None:
    """Write the page; InputError where it cannot be written."""
    filled = sum(outcome.filled.values())
    parts = [
        f"<h1>{html.escape(outcome.source)}</h1>",
        f"<p>{outcome.rows:,} rows, {filled:,} cells filled. The record itself was not changed; written: "
        f"{html.escape(', '.join(outcome.written))}.</p>",
        "<h2>How each method did on gaps like the real ones</h2>",
        f"<p>{EXPLAINED}</p>",
        errors_table(outcome),
        errors_plot(outcome),
    ]
    write_html(outcome.source, parts, Path(path))


def errors_table(outcome: SeriesRepair) -> str:
    """Return a line for each column with filled cells."""
    names = ("column", "filled", *METHODS, "nine in ten within", "cells tested")
    rows = []
    for d, column in enumerate(outcome.columns):
        if not outcome.filled.get(column.name):
            continue
        errors = [float(outcome.errors[name][d]) for name in METHODS]
        shown = ["–" if error != error else f"{error:.3f}" for error in errors]
        best = outcome.chosen[d]
        cells = "".join(
            f'<td class="figure">{f"<b>{text}</b>" if name == best else text}</td>'
            for name, text in zip(METHODS, shown, strict=True)
        )
        within = "" if column.levels or outcome.reach[d] != outcome.reach[d] else f"± {outcome.reach[d]:.3g}"
        rows.append(
            f'<tr><td>{html.escape(column.name)}</td><td class="figure">{outcome.filled[column.name]:,}</td>{cells}'
            f'<td class="figure">{within}</td><td class="figure">{outcome.hidden[column.name]:,}</td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def errors_plot(outcome: SeriesRepair) -> str:
    """Return the errors of methods as bars, a group a column."""
    chosen = [d for d, column in enumerate(outcome.columns) if outcome.filled.get(column.name)][:30]
    page, axes = figure(1, [2.8], max(5.0, 0.6 * len(chosen) + 2))
    ax, wide = axes[0][0], 0.8 / len(METHODS)
    for i, name in enumerate(METHODS):
        heights = [float(np.nan_to_num(outcome.errors[name][d])) for d in chosen]
        ax.bar(np.arange(len(chosen)) + (i - (len(METHODS) - 1) / 2) * wide, heights, wide, label=name)
    ax.set_xticks(range(len(chosen)), [outcome.columns[d].name[:14] for d in chosen], rotation=45, ha="right")
    ax.set_ylabel("error")
    ax.legend(frameon=False, ncols=len(METHODS))
    return plot(page)
