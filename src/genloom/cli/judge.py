"""`genloom judge` and `genloom compare`: the table in the terminal, judge.json and the page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.use.judging.compare import compare
from genloom.use.judging.judge import Judgement, judge
from genloom.use.judging.jury import COPIES, REAL, SIMPLE
from genloom.use.judging.page import ARROWS, COSTS, columns_of, intro, measure_names, write_page
from genloom.use.report.evidence import record

console = Console(highlight=False, markup=False)


def judge_command(run: str, data: str | None, out: str | None, evidence: str | None, **terms: Any) -> None:
    """Judge one run; print, write JSON and page, and the evidence where asked."""
    target = json_path(out, Path(run) / "judge.json")
    page = target.with_suffix(".html") if out else Path(run) / "report.html"
    check_writable(target, page)
    judgement = judge(run, data, say=say, **terms)
    show([judgement])
    write_json(target, judgement.to_json())
    write_page([judgement], page)
    console.print(f"figures in {target}, pictures and figures in {page}", soft_wrap=True)
    if evidence:
        figures = {name: [f.value, f.low, f.high] for name, f in judgement.measures.items()} | judgement.cost
        rows = {f"{name}, {row}": f.value for row, figures in judgement.baselines.items() for name, f in figures.items()}
        cost = judgement.cost["training_cpu_seconds"]
        path = record(evidence, figures | rows, seed=judgement.about["seed"], cpu_seconds=cost,
                      notes=f"{intro(judgement)} {' '.join(judgement.verdicts)}", about=judgement.about)  # fmt: skip
        console.print(f"recorded in {path}")


def compare_command(runs: Sequence[str], data: str | None, out: str, **terms: Any) -> None:
    """Judge several runs before one jury; print, write JSON and page."""
    if Path(out).suffix != ".html":
        raise InputError(f"the comparison is a page, name it so: -o {Path(out).stem or 'compare'}.html")
    target = Path(out).with_suffix(".json")
    check_writable(target, Path(out))
    judgements = compare(runs, data, say=say, **terms)
    show(judgements)
    write_json(target, {str(judgement.run.folder): judgement.to_json() for judgement in judgements})
    write_page(judgements, Path(out))
    console.print(f"figures in {target}, pictures and figures in {out}", soft_wrap=True)


def say(text: str) -> None:
    """Show what is being done, on a terminal alone."""
    if console.is_terminal:
        console.print(f"  {text}", style="dim")


def show(judgements: Sequence[Judgement]) -> None:
    """Print the figures as a table, a measure a row, and what they say."""
    columns = columns_of(judgements)
    console.print(intro(judgements[0]), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    for name in columns:
        table.add_column({SIMPLE: "mixture", REAL: "real", COPIES: "copies"}.get(name, name), no_wrap=True)
    for name in measure_names(judgements):
        found = next(figures[name] for figures in columns.values() if name in figures)
        cells = [cell(figures.get(name), found.n, i < len(judgements)) for i, figures in enumerate(columns.values())]
        count = f" n={found.n}" if len(judgements) == 1 and name in judgements[0].measures else ""
        table.add_row(f"{name} {ARROWS[found.better]}", cells[0] + count, *cells[1:])
    for key, label in COSTS.items():
        table.add_row(label, *(f"{judgement.cost[key]:,.0f}" for judgement in judgements))
    wide = Measurement.get(console, console.options.update(width=1000), table).maximum
    # A narrow terminal wraps the rows; cutting figures short would be worse.
    Console(width=max(wide, console.width), highlight=False, markup=False).print(table)
    console.print(f"real: {REAL}; mixture: {SIMPLE}, fitted in seconds; copies: {COPIES}", style="dim", soft_wrap=True)
    for judgement in judgements:
        for text in judgement.verdicts:
            console.print(f"{judgement.run.folder}: {text}", soft_wrap=True)


def cell(figure: Figure | None, n: int, interval: bool) -> str:
    """Return a figure as text: with its interval for a run; for a baseline with its count where that is not `n`."""
    if figure is None:
        return "-"
    return str(figure) if interval else f"{figure.value:.3g}{f' n={figure.n}' if figure.n != n else ''}"


def json_path(out: str | None, default: Path) -> Path:
    """Return where the figures go; InputError where it cannot hold JSON."""
    path = Path(out) if out else default
    if path.suffix != ".json":
        raise InputError(f"the figures are written as JSON, name them so: -o {path.stem or 'judge'}.json")
    return path


def check_writable(*paths: Path) -> None:
    """Raise InputError where a file cannot be written: better before the work than after it."""
    for path in paths:
        folder = next(part for part in path.absolute().parents if part.exists())
        if path.is_dir() or not os.access(folder, os.W_OK) or not folder.is_dir():
            raise InputError(f"cannot write {path}; name another place after -o")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the figures; InputError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
