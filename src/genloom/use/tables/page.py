"""A repair as one self-contained page: what was filled, how each method did on known cells, and what not to trust.

Needs matplotlib.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from genloom.shapes.columns import Column, Numbers
from genloom.use.report.html import plot, write_html
from genloom.use.report.plot import figure
from genloom.use.tables.files import LOG, WORST, Outcome

NAMES = {
    "mean": "mean",
    "knn": "nearest rows",
    "ridge": "ridge, chained",
    "trees": "trees, chained",
    "boosted": "boosted trees",
    "gain": "GAIN",
}
LINES = 40  # of the log that the page shows
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
            "<p>Each column's known values in blue, the filled ones in orange, both as shares, both a fair sample of all "
            "rows. Best guesses lie "
            "closer together than the values that they stand for; drawn versions (<code>--draws</code>) do not.</p>",
            pictures(outcome),
        ]
    write_html(outcome.source, parts, Path(path))


def tests_part(outcome: Outcome) -> list[str]:
    """Return the self-test: a line a column, a method a column."""
    repairer = outcome.repairer
    methods = [method for method in NAMES if method in repairer.tests]
    named = [NAMES[method] for method in methods]
    head = "".join(
        f"<th>{name}</th>" for name in ("column", "kind", "missing", *named, "expect", "cells tested", "doubtful")
    )
    rows = []
    for column in repairer.columns:
        tests = {method: repairer.tests[method][column.name] for method in methods}
        best = min(tests, key=lambda method: np.nan_to_num(tests[method].error, nan=np.inf))
        used = repairer.methods(column.name)
        cells = "".join(cell(tests[method].error, method == best, method in used) for method in methods)
        found = repairer.promised[column.name]
        expect = "–" if found.error != found.error else f"{found.error:.3f} ({found.low:.2f} to {found.high:.2f})"
        rows.append(
            f"<tr><td>{html.escape(column.name)}</td><td>{column.kind}</td>"
            f'<td class="figure">{outcome.missing[column.name]:,}</td>{cells}<td class="figure">{expect}</td>'
            f'<td class="figure">{found.cells:,}</td>'
            f'<td class="figure">{outcome.doubtful.get(column.name, 0):,}</td></tr>'
        )
    return [
        "<h2>How each method did on known cells</h2>",
        "<p>Known cells were hidden from all methods, a tenth at a time, then filled by each. A column is filled by the "
        "weighted mean of the methods marked ●, with the weights that did best on the hidden cells of the column and, where "
        "these are few, of all columns. Errors of numbers are relative to the column's spread: compare with the mean's. "
        "Of categories they are the share that is wrong. The least is bold. Expect: the error of the weighted mean, on "
        "cells that had no part in its weights, and in brackets where the error of the filled cells lies, nine times in "
        f"ten. {repairer.covering()}</p>",
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
    """Return the cells that are least to be trusted."""
    total, filled = sum(outcome.doubtful.values()), sum(outcome.filled.values())
    if not total:
        return []
    lines = sorted((line for lines in outcome.worst.values() for line in lines), key=lambda line: line["certainty"])
    shown = [name for name in LOG if name != "trusted"]
    head = "".join(f"<th>{name}</th>" for name in shown)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(line[name]))}</td>" for name in shown) + "</tr>" for line in lines[:LINES]
    )
    return [
        "<h2>Least certain</h2>",
        f"<p>{total:,} of {filled:,} filled cells are not to be trusted: their 90 % interval is about as wide as the column "
        "itself, or no category is likely, or most of the row is missing, or the column has a single value. Here are the "
        f"least certain, at most {WORST} of a column. The log has the certainty of every filled cell, from 0, a guess, to "
        "1: sort by it to look at the worst first.</p>",
        f"<table><tr>{head}</tr>{rows}</table>",
    ]


def pictures(outcome: Outcome) -> str:
    """Return small histograms of known and filled values, a column each."""
    columns = [
        column for column in outcome.repairer.columns if column.name in outcome.new and len(outcome.known[column.name])
    ]
    columns = sorted(columns, key=lambda column: -outcome.filled[column.name])[:PICTURES]
    if not columns:
        return ""
    page, axes = figure(4, [1.7] * -(-len(columns) // 4), 2.6)
    for ax, column in zip(axes.flat, columns, strict=False):
        draw_column(ax, column, outcome.known[column.name], outcome.new[column.name].values)
    for ax in axes.flat[len(columns) :]:
        ax.set_axis_off()
    axes.flat[0].legend(["known", "filled"], fontsize=6, frameon=False)
    return plot(page)


def draw_column(ax: Any, column: Column, known: Numbers, new: Numbers) -> None:
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
