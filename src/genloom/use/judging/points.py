"""The panel of points: how far samples lie from real ones, axis by axis and all together, beside a fitted Gaussian."""

# n points, D axes

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.api import load
from genloom.core.dataset import size, take
from genloom.core.random import generator
from genloom.data.points import PointData
from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.measures.points import point_figures
from genloom.train.run import Run
from genloom.use.judging.panel import LEAST, Judgement, Panel, Rows, Terms, cost_of
from genloom.use.report.html import plot
from genloom.use.report.plot import figure
from genloom.use.sampling.draw import draw

USUAL = 5000
REAL, SIMPLE = "other real points", "one Gaussian"


class PointPanel(Panel):
    """Measures samples of points against one half of the real ones; the other half is the row of real points."""

    shown: ClassVar = {REAL: "real", SIMPLE: "Gaussian"}

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        if test is not None:
            raise InputError("points are judged by two halves of one set: leave --test away")
        if terms.features or terms.weights or terms.quick:
            raise InputError("--features, --weights and --quick are for pictures: leave them away")
        if not isinstance(data, PointData):
            raise InputError(
                f"{runs[0].folder} was trained on a Python object: give the points to genloom.judge(run, points)"
            )
        self.terms, self.source = terms, data.source
        half = size(data) // 2
        if half < LEAST:
            raise InputError(f"{data.source} has {size(data)} points; the judge needs {2 * LEAST} at least")
        self.n = terms.count(half, data.source, USUAL)
        order = torch.randperm(size(data), generator=torch.Generator().manual_seed(terms.seed))
        self.real, self.fresh = (take(data, part[: self.n])["x"].float() for part in (order[:half], order[half:]))
        self.rows: Rows = {REAL: self.measure(self.fresh), SIMPLE: self.measure(self.gaussian())}

    def gaussian(self) -> Tensor:
        """Return draws of the Gaussian with the real points' mean and covariance."""
        centred = self.real - self.real.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / (len(centred) - 1))
        noise = torch.randn(self.real.shape, generator=generator("projections", seed=self.terms.seed))
        return noise * values.clamp_min(0).sqrt() @ vectors.T + self.real.mean(0)

    def measure(self, x: Tensor) -> dict[str, Figure]:
        """Return the figures of points `[n, D]`."""
        return point_figures(x, self.real)

    def judge(self, run: Run) -> Judgement:
        folder = run.checkpoint(self.terms.checkpoint)
        model = load(run, folder.name)
        began = time.process_time()
        x = draw(model, self.n, self.terms.seed)
        seconds = time.process_time() - began
        figures = self.measure(x)
        cost = cost_of(run, folder, model, self.n, seconds)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "n": self.n,
            "train": {"source": self.source},
            "seed": self.terms.seed,
        }
        name = next(iter(figures))
        simple = self.rows[SIMPLE][name]
        far = figures[name].low > simple.high
        said = [f"one Gaussian fitted in no time is nearer to the data by {name}: {simple.value:.3g}"] if far else []
        return Judgement(run, figures, self.rows, cost, said or ["nothing stands out"], about, self, x)

    def intro(self, judgement: Judgement) -> str:
        return f"{self.n:,} samples against as many real points of {self.source}; real points: as many others."

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        page, axes = figure(min(self.real.shape[1], 4), [2.6], 3.2)
        for d, ax in enumerate(axes.flat):
            low, high = float(self.real[:, d].min()), float(self.real[:, d].max())
            sets = [(REAL, self.fresh), *((judgement.name, judgement.seen) for judgement in judgements)]
            for name, x in sets:
                ax.hist(x[:, d].clamp(low, high).numpy(), 60, (low, high), density=True, histtype="step", label=name)
            ax.set(title=f"axis {d}", yticks=[])
        axes.flat[0].legend(frameon=False)
        return ["<h2>Samples</h2>", plot(page)]
