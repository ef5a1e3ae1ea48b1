"""The panel of records: windows that a run makes against windows that it never learnt from, beside simple samplers."""

# n windows, T rows of a window, D columns, W numbers of a row

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.core.random import generator
from genloom.data.series.dataset import SeriesData
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.figure import Figure, around
from genloom.measures.series import (
    copies,
    discriminative_score,
    forest_score,
    mixture_windows,
    predictive_score,
    rejoined,
    series_distances,
)
from genloom.nn.cells import UnitCells
from genloom.nn.gaps import bridged
from genloom.train.run import Run
from genloom.use.judging.panel import LEAST, Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import image
from genloom.use.sampling.draw import draw

SEARCHED = 50_000  # training windows that copies are looked for among
USUAL, REPEATS, STEPS, STRONG = 1000, 2, 500, 32
KNOWN, BLOCKS, SIMPLE = "training windows", "blocks rejoined", "mixture"
UNITS = {
    "autocorrelation": "mean difference",
    "correlation": "mean difference",
    "spectrum": "nepers",
    "differences": "Wasserstein distance, deviations",
}


class SeriesPanel(Panel):
    """Measures windows against those of the record that were held out of training."""

    shown: ClassVar = {KNOWN: "training", BLOCKS: "blocks", SIMPLE: "mixture"}

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        if test is not None:
            raise InputError("a record is judged by its own windows that training never saw: leave --test away")
        if terms.features or terms.weights:
            raise InputError("--features and --weights are for pictures: leave them away")
        self.terms, self.data = terms, record_of(runs[0], data)
        for run in runs:
            if run.record["data"]["fingerprint"] != self.data.fingerprint:
                raise InputError(
                    f"{run.folder} was trained on another record, or other windows, than {self.data.source} now gives: name "
                    "that one after the run"
                )
        self.cells = UnitCells(self.data.shape.columns)
        available = min(len(self.data.held), len(self.data.starts))
        if available < LEAST:
            raise InputError(f"{self.data.source} has {available} windows held out; the judge needs {LEAST} at least")
        self.n = terms.count(available, self.data.source, 500 if terms.quick else USUAL)
        self.steps, self.repeats = (STEPS // 4 if terms.quick else STEPS), REPEATS
        self.real, self.train = (self.windows(starts) for starts in (self.data.held, self.data.starts))
        self.learnt = self.windows(self.data.starts, min(len(self.data.starts), SEARCHED))
        self.rows = self.baselines()

    def windows(self, starts: Tensor, n: int = 0) -> Tensor:
        """Return windows from all over the record, as numbers in [0, 1] `[n, T, W]`, their gaps bridged."""
        batch = self.data.windows(starts[torch.linspace(0, len(starts) - 1, n or self.n).round().long()])
        steps = torch.tensor([column.levels > 0 for column in self.data.shape.columns])
        return self.cells.enter(bridged(batch["x"], batch["mask"], steps))

    def baselines(self) -> Rows:
        """Return the figures of what needs no network; cached."""
        seed = self.terms.seed
        makers: dict[str, Callable[[], Tensor]] = {
            KNOWN: lambda: self.train,
            BLOCKS: lambda: rejoined(self.train, self.n, seed),
            SIMPLE: lambda: mixture_windows(self.train, self.n, seed),
        }

        def make() -> Rows:
            rows = {}
            for name, maker in makers.items():
                self.terms.say(f"measures of {name}")
                rows[name] = self.measure(maker())
            return rows

        return cached_rows(["series", self.data.fingerprint, seed, self.n, self.steps, self.repeats], list(makers), make)

    def measure(self, made: Tensor) -> dict[str, Figure]:
        """Return the figures of made windows `[n, T, W]`."""
        real, n = self.real, self.n
        scores: dict[str, Callable[[int], float]] = {
            "discriminative": lambda seed: discriminative_score(real, made, 0, seed, self.steps),
            f"discriminative, {STRONG} units": lambda seed: discriminative_score(real, made, STRONG, seed, self.steps),
            "told apart by a forest": lambda seed: forest_score(real, made, seed),
        }
        numbers = len(self.cells.low)  # which come first
        if numbers > 1:
            scores["predictive"] = lambda seed: predictive_score(real[..., :numbers], made[..., :numbers], seed, self.steps)
        figures = {}
        for name, score in scores.items():
            values = torch.tensor([score(self.terms.seed + i) for i in range(self.repeats)], dtype=torch.float64)
            error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
            figures[name] = above_zero(around(float(values.mean()), error, n, f"{self.repeats} nets of {self.steps} steps"))
        order = torch.randperm(n, generator=generator("halves", seed=self.terms.seed))
        halves = [series_distances(real[part], made[part]) for part in order.chunk(2)]
        for name, value in series_distances(real, made).items():
            error = abs(halves[0][name] - halves[1][name]) / 2
            figures[name] = above_zero(around(value, error, n, UNITS[name]))
        near, usual = copies(made, self.learnt, real)
        half = order[: n // 2]
        part = copies(made[half], self.learnt, real[half])
        ratio = near / max(usual, 1e-9)
        figures["nearest training window"] = around(ratio, abs(part[0] / max(part[1], 1e-9) - ratio), n, COPIES, "nearer")
        return figures

    def judge(self, run: Run) -> Judgement:
        folder = run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        began = time.process_time()
        self.terms.say(f"drawing from {run.folder}")
        codes = draw(model, self.n, self.terms.seed)
        seconds = time.process_time() - began
        self.terms.say(f"measures of {run.folder}")
        figures = self.measure(self.cells.enter(codes).clamp(0, 1))
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "n": self.n,
            "train": {"source": self.data.source, "fingerprint": self.data.fingerprint, "windows": len(self.data)},
            "seed": self.terms.seed,
        }
        costs = cost_of(run, folder, model, self.n, seconds)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, codes)

    def intro(self, judgement: Judgement) -> str:
        shape = self.data.shape
        return (
            f"{self.n:,} windows of {shape.window} rows against as many of {self.data.source} that training never saw: "
            "whole runs, or the end of the record. Training windows differ from these too: their row is what time alone "
            "changes. A score of 0 cannot be told apart, .5 always can; copies of training windows would also score 0, so "
            "how near samples lie to these stands below, 1 where held-out windows lie."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        shape = self.data.shape
        real = self.data.windows(self.data.held[torch.linspace(0, len(self.data.held) - 1, 6).round().long()])["x"]
        parts = ["<h2>Windows</h2>", f"<p>Held out of training:</p>{image(shape.preview(real))}"]
        for judgement in judgements:
            parts.append(f"<p>{judgement.name}:</p>{image(shape.preview(judgement.seen))}")
        return parts


COPIES = "median distance to the nearest training window, over that of held-out windows"


def above_zero(figure: Figure) -> Figure:
    """Return a figure whose interval does not reach below zero, which no distance does."""
    return replace(figure, low=max(figure.low, 0.0))


def record_of(run: Run, data: Any) -> SeriesData:
    """Return the windows that a run was trained on, read as then."""
    if isinstance(data, SeriesData):
        return data
    named = source_of(run, data, "records")
    found = find_source(named, run.record["data"]["loaded"], kind="series").load()
    if not isinstance(found, SeriesData):
        raise InputError(f"{named} is no record, and {run.folder} makes windows of one")
    return found


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    said, strong = [], f"discriminative, {STRONG} units"
    for name in (strong, "told apart by a forest"):
        simple, own = rows[SIMPLE][name], figures[name]
        if simple.value < own.value:
            tied = " (within the interval)" if simple.value >= own.low else ""
            said.append(
                f"a mixture of Gaussians is harder to tell by {name}: {simple.value:.3f} against {own.value:.3f}{tied}"
            )
    if figures["nearest training window"].value < 0.5:
        near = figures["nearest training window"].value
        said.append(f"windows lie {near:.2f} times as far from training windows as held-out ones do: they may be copies")
    return said or ["nothing stands out"]
