"""A repair as one self-contained page: what was filled, how each method did on known cells, and what not to trust.

Needs matplotlib.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genloom.shapes.columns import Column
from genloom.use.report.html import plot, write_html
from genloom.use.report.plot import figure
from genloom.use.tables.files import LOG, Outcome
from genloom.use.tables.settings import METHODS

NAMES = {"gain": "GAIN", "mean": "mean", "knn": "nearest rows", "ridge": "ridge, chained", "trees": "trees, chained"}
PICTURES = 40  # columns that are drawn, those with most cells filled


def write_report(outcome: Outcome, path: str) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    holes, filled = sum(outcome.missing.values()), sum(outcome.filled.values())
    parts = [
        f"<h1>{html.escape(outcome.source)}</h1>",
        f"<p>{outcome.rows:,} rows, {holes:,} missing cells, {filled:,} filled. "
        f"The table itself was not changed; written: {html.escape(', '.join(outcome.written))}.</p>",
    ]
    if not holes:
        parts.append("<p>No cell is missing.</p>")
    if outcome.repairer.tests:
        parts += tests_part(outcome)
    parts += left_part(outcome) + doubts_part(outcome)
    if outcome.new:
        parts += [
            "<h2>Filled beside known values</h2>",
            "<p>Each column's known values in blue, the filled ones in orange, both as shares. Best guesses lie "
            "closer together than the values that they stand for; drawn versions (<code>--draws</code>) do not.</p>",
            pictures(outcome),
        ]
    write_html(outcome.source, parts, Path(path))


def tests_part(outcome: Outcome) -> list[str]:
    """Return the self-test: a line a column, a method a column."""
    repairer = outcome.repairer
    head = "".join(f"<th>{name}</th>" for name in ("column", "kind", "missing", *NAMES.values(), "cells tested", "doubtful"))
    rows = []
    for column in repairer.columns:
        tests = {method: repairer.tests[method][column.name] for method in METHODS}
        best = min(tests, key=lambda method: np.nan_to_num(tests[method].error, nan=np.inf))
        cells = "".join(
            cell(tests[method].error, method == best, repairer.chosen[column.name] == method) for method in METHODS
        )
        rows.append(
            f"<tr><td>{html.escape(column.name)}</td><td>{column.kind}</td>"
            f'<td class="figure">{outcome.missing[column.name]:,}</td>{cells}'
            f'<td class="figure">{tests["mean"].cells:,}</td>'
            f'<td class="figure">{outcome.doubtful.get(column.name, 0):,}</td></tr>'
        )
    return [
        "<h2>How each method did on known cells</h2>",
        "<p>One known cell in ten was hidden from all methods, then filled by each. Half of these cells chose the "
        "method that fills the column, marked ●; the errors are of the other half, so that choosing does not flatter "
        "them. Errors of numbers are relative to the column's spread: compare with the mean's. Of categories they are "
        "the share that is wrong. The least is bold. A column with few hidden cells takes what did best over all. "
        f"{repairer.covering()}</p>",
        f"<table><tr>{head}</tr>{''.join(rows)}</table>",
    ]


def cell(error: float, best: bool, chosen: bool) -> str:
    """Return an error as a cell."""
    shown = "–" if error != error else f"{error:.3f}"
    return f'<td class="figure">{f"<b>{shown}</b>" if best and error == error else shown}{" ●" if chosen else ""}</td>'


def left_part(outcome: Outcome) -> list[str]:
    """Return what was left empty, and why."""
    why = {field.name: field.why for field in outcome.repairer.layout.fields} if outcome.left() else {}
    lines = [
        f"<li>{count:,} cells of <b>{html.escape(name)}</b>: {html.escape(why[name])}</li>"
        for name, count in outcome.left().items()
    ]
    return ["<h2>Left empty</h2>", f"<ul>{''.join(lines)}</ul>"] if lines else []


def doubts_part(outcome: Outcome) -> list[str]:
    """Return the first of the cells that are not to be trusted."""
    total = sum(outcome.doubtful.values())
    if not total:
        return []
    shown = [name for name in LOG if name != "trusted"]
    head = "".join(f"<th>{name}</th>" for name in shown)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(line[name]))}</td>" for name in shown) + "</tr>" for line in outcome.worst
    )
    first = ", the first of each column here" if total > len(outcome.worst) else ""
    return [
        "<h2>Not to be trusted</h2>",
        f"<p>{total:,} cells{first}; the log names all. Their 90 % interval is about as wide as the column itself, or "
        "the draws for a category disagree, or most of the row is missing, or the column has a single value, or no "
        "method did better on it than the mean.</p>",
        f"<table><tr>{head}</tr>{rows}</table>",
    ]


def pictures(outcome: Outcome) -> str:
    """Return small histograms of known and filled values, a column each."""
    columns = [
        column for column in outcome.repairer.columns if outcome.new.get(column.name) and outcome.known.get(column.name)
    ]
    columns = sorted(columns, key=lambda column: -outcome.filled[column.name])[:PICTURES]
    if not columns:
        return ""
    page, axes = figure(4, [1.7] * -(-len(columns) // 4), 2.6)
    for ax, column in zip(axes.flat, columns, strict=False):
        draw_column(ax, column, outcome.known[column.name], outcome.new[column.name])
    for ax in axes.flat[len(columns) :]:
        ax.set_axis_off()
    axes.flat[0].legend(["known", "filled"], fontsize=6, frameon=False)
    return plot(page)


def draw_column(ax: Any, column: Column, known: Sequence[float], new: Sequence[float]) -> None:
    """Draw the known and the filled values of one column."""
    if column.levels:
        places = np.arange(column.levels)
        for values, shift, colour in ((known, -0.2, "tab:blue"), (new, 0.2, "tab:orange")):
            counts = np.bincount(np.asarray(values, int), minlength=column.levels)
            ax.bar(places + shift, counts / counts.sum(), 0.4, color=colour)
        few = column.levels <= 6
        ax.set_xticks(places if few else [], [str(name)[:10] for name in column.categories] if few else [])
    else:
        low, high = np.quantile(known, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1, 31)
        for values, colour in ((known, "tab:blue"), (new, "tab:orange")):
            inside = np.clip(values, edges[0], edges[-1])
            ax.hist(inside, edges, weights=np.full(len(inside), 1 / len(inside)), color=colour, alpha=0.55)
        ax.locator_params(axis="x", nbins=4)
        if column.kind == "date":
            ticks = np.linspace(edges[0], edges[-1], 3)
            ax.set_xticks(ticks, [str(np.datetime64(int(tick), "s").astype("datetime64[D]")) for tick in ticks])
    ax.set_title(column.name, fontsize=9)
    ax.tick_params(labelsize=7)
    ax.set_yticks([])
