"""The panel of tables: cells that training never saw, filled by the run and by simple fillers, and set against the truth."""

# n rows, D columns

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from genloom.core.capabilities import Imputes
from genloom.core.random import Noise
from genloom.data.source import find_source
from genloom.data.tables.dataset import TableData
from genloom.errors import InputError
from genloom.measures.chains import Boosted, Ridge, Trees
from genloom.measures.figure import Figure
from genloom.measures.fillers import Filler, Mean, Neighbours
from genloom.measures.holes import column_errors, hole_figures
from genloom.shapes.columns import Bits, Numbers
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import plot
from genloom.use.report.plot import figure

DRAWS = 40  # from which a 90 % interval is taken
ROWS = 20_000  # with held-out cells, that are filled
BLOCK = 4000
FILLERS: dict[str, Callable[[int], Filler]] = {
    "mean": lambda seed: Mean(),
    "nearest rows": lambda seed: Neighbours(seed=seed),
    "ridge, chained": lambda seed: Ridge(seed=seed),
    "trees, chained": lambda seed: Trees(seed=seed),
    "boosted trees": lambda seed: Boosted(seed=seed),
}


class TablePanel(Panel):
    """Measures how holes are filled, on the cells of the training table that were held out of training."""

    shown: ClassVar = {name: name for name in FILLERS}
    needs = (Imputes, "fills in no cells")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        if test is not None:
            raise InputError("a table is judged by its own cells that training never saw: leave --test away")
        terms.pictures_only()
        self.terms, self.data = terms, table_of(runs[0], data)
        for run in runs:
            if run.record["data"]["fingerprint"] != self.data.fingerprint:
                raise InputError(
                    f"{run.folder} was trained on another table than {self.data.source} is now: name that one after the run"
                )
        rows = self.data.held.any(1).nonzero()[:, 0]
        if not len(rows):
            raise InputError(
                f"{self.data.source} has too few known cells for any to be held out of training, so none to judge by"
            )
        rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), ROWS)).long()]  # from all over the table
        self.held: Bits = self.data.held[rows].numpy()
        self.x: Numbers = self.data.x[rows].double().numpy()
        self.mask: Bits = (self.data.mask & ~self.data.held)[rows].numpy()
        self.rows = self.baselines()

    @property
    def columns(self) -> Sequence[Any]:
        """How the columns are coded."""
        return self.data.shape.columns

    def baselines(self) -> Rows:
        """Return the figures of the simple fillers, which learn from the same cells; cached."""
        key = ["table-2", self.data.fingerprint, self.terms.seed, len(self.x)]
        return cached_rows(key, list(FILLERS), lambda: {name: self.filled_by(name) for name in FILLERS})

    def filled_by(self, name: str) -> dict[str, Figure]:
        """Return the figures of one simple filler."""
        self.terms.say(f"baseline: {name}")
        filler = FILLERS[name](self.terms.seed)
        filler.fit(self.data.x.double().numpy(), (self.data.mask & ~self.data.held).numpy(), self.columns)
        return self.measure(filler.fill(self.x, self.mask))

    def measure(self, best: Numbers, drawn: Numbers | None = None) -> dict[str, Figure]:
        """Return the figures of best guesses `[n, D]` and, where there are any, of draws `[draws, n, D]`."""
        return hole_figures(best, drawn, self.x, self.mask, self.held, self.columns, self.terms.seed)

    def judge(self, run: Run) -> Judgement:
        terms, folder = self.terms, run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Imputes)
        terms.say(f"filling in by {run.folder}")
        began = time.process_time()
        best = self.in_blocks(lambda x, mask, start: model.impute(x, mask))
        cost = time.process_time() - began
        drawn = self.in_blocks(lambda x, mask, start: model.draw(x, mask, DRAWS, Noise.of(terms.seed, len(x), start)), 1)
        terms.say(f"measures of {run.folder}")
        figures = self.measure(best, drawn)
        costs = cost_of(run, folder, model, len(best), cost)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {"source": self.data.source, "fingerprint": self.data.fingerprint, "rows": len(self.data)},
            "rows": len(self.x),
            "cells": int(self.held.sum()),
            "draws": DRAWS,
            "seed": terms.seed,
        }
        errors = column_errors(best, self.x, self.held, self.columns)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, errors)

    def in_blocks(self, fill: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor], axis: int = 0) -> Numbers:
        """Return what `fill` makes of all rows, some thousands at a time."""
        parts = []
        for start in range(0, len(self.x), BLOCK):
            part = slice(start, start + BLOCK)
            x = torch.as_tensor(np.where(self.mask[part], self.x[part], 0), dtype=torch.float32)
            parts.append(fill(x, torch.as_tensor(self.mask[part]), start).double().cpu().numpy())
        return np.concatenate(parts, axis)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        about = judgement.about
        return (
            f"{about['cells']:,} known cells in {about['rows']:,} rows of {about['train']['source']} "
            f"({about['train']['rows']:,} rows), held out of training; they chose among the run's checkpoints, and nothing "
            "else. The simple fillers learnt from the same cells as the run."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        return [
            "<h2>Error of each column</h2>",
            "<p>Of numbers relative to the column's spread, of categories the wrong share; the line is the mean's, or "
            "that of the most frequent category.</p>",
            self.columns_part(judgements),
        ]

    def columns_part(self, judgements: Sequence[Judgement]) -> str:
        """Return the error of each column, a bar a run."""
        mean = Mean()
        mean.fit(self.data.x.double().numpy(), (self.data.mask & ~self.data.held).numpy(), self.columns)
        usual = column_errors(mean.fill(self.x, self.mask), self.x, self.held, self.columns)
        places = np.arange(len(self.columns))
        page, axes = figure(1, [3.2], max(5.0, 0.35 * len(places) + 2))
        ax = axes[0][0]
        wide = 0.8 / len(judgements)
        for i, judgement in enumerate(judgements):
            ax.bar(places + (i - (len(judgements) - 1) / 2) * wide, judgement.seen, wide, label=html.escape(judgement.name))
        ax.hlines(usual, places - 0.45, places + 0.45, color="0.3", linewidth=1, label="mean")
        ax.set_xticks(places, [column.name[:14].replace("$", r"\$") for column in self.columns], rotation=60, ha="right")
        ax.set_ylabel("error")
        ax.legend(frameon=False)
        return plot(page)


def table_of(run: Run, data: Any) -> TableData:
    """Return the table that a run was trained on, coded as then, with the same cells held out."""
    record = run.record["data"]
    if isinstance(data, TableData):
        return data
    named = source_of(run, data, "tables")
    found = find_source(named, record["loaded"]).load()
    if not isinstance(found, TableData):
        raise InputError(f"{named} is no table, and {run.folder} fills in tables")
    return found


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    said = []
    for name in ("error of numbers", "wrong categories"):
        if name in figures:
            best = min(rows, key=lambda row: rows[row][name].value)
            simple = rows[best][name]
            if simple.value < figures[name].value:
                tied = " (within the interval)" if simple.value >= figures[name].low else ""
                said.append(f"{best} fill in better by {name}: {simple.value:.3g} against {figures[name].value:.3g}{tied}")
    covered = figures.get("held by 90 % intervals")
    if covered and not covered.low <= 0.9 <= covered.high:
        said.append(
            f"the 90 % intervals of draws hold {covered.value:.0%} of the true numbers; `genloom repair` calibrates its own"
        )
    told = figures.get("told apart by a forest")
    if told and told.low > 0.6:
        said.append(
            f"a forest tells rows with drawn cells from true ones in {told.value:.0%} of cases, where half is chance"
        )
    return said or ["nothing stands out"]
