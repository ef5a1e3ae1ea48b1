"""GAIN as a way to fill holes: sized to the table, trained on it, its intervals calibrated on cells held out."""

# n rows, D columns

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genloom.api import load
from genloom.core.capabilities import Imputes
from genloom.core.model import Model
from genloom.core.random import Noise, mix
from genloom.data.tables.dataset import TableData
from genloom.errors import InputError
from genloom.measures.fillers import Filler, Guesses
from genloom.models.tables.gain import GAINHyper
from genloom.shapes.columns import Bits, Column, Numbers, Places
from genloom.train.plan import Report
from genloom.train.request import Request
from genloom.train.session import prepare

DRAWS = 40  # from which an interval is taken
FEW = 80  # held cells of a column below which all columns share one stretch
PACE = 40  # rounds that are timed where a time is given
ROWS = 8192  # rows filled at once
Part = tuple[torch.Tensor, torch.Tensor]  # codes and mask of some rows


def sized(n: int, columns: int) -> tuple[dict[str, Any], int]:
    """Return hyper-parameters and a number of rounds for a table of n rows, so much the larger as there is to learn."""
    cells = n * columns
    if cells < 4000:
        return {"width": 64, "blocks": 1, "z": 8, "batch": 64, "jury": 32, "rate": 3e-3, "ema": 4e3}, 100 + cells // 4
    if cells < 40_000:
        return {"width": 128, "blocks": 2, "batch": 128, "jury": 64, "ema": 3e4}, 3000
    if cells < 300_000:
        return {"width": 256, "batch": 256, "jury": 64, "hide": 0.7, "ema": 6e4}, 6000
    return {}, 8750


class Diverged(InputError):
    """Training came to nothing."""


class Network(Filler):
    """The modern GAIN, or the paper's.

    Args:
        preset: of the model.
        hyper: hyper-parameters to set, over those that the table's size suggests.
        rounds: of training; what the table's size suggests where None.
        seconds: most seconds to train, or None.
        out: a run folder to keep, or None.
        seed: all randomness follows from it.
        threads: of the processor; 1 where None, since the net is small, so that many would wait for each other.
        watch: told of each report of training, with the examples planned.
        exact: fill in with double precision, so that a row's answer does not hang on its neighbours' in the least.
    """

    def __init__(
        self,
        preset: str = "modern",
        hyper: Mapping[str, Any] | None = None,
        rounds: int | None = None,
        seconds: float | None = None,
        out: Path | None = None,
        seed: int = 0,
        threads: int | None = None,
        watch: Callable[[Report, int], None] | None = None,
        exact: bool = True,
    ) -> None:
        self.preset, self.hyper, self.rounds, self.seconds = preset, dict(hyper or {}), rounds, seconds
        self.out, self.seed, self.threads, self.watch = out, seed, threads or 1, watch
        self.exact = exact

    def fit(self, x: Numbers, mask: Bits, columns: Sequence[Column]) -> None:
        began = time.monotonic()
        # Categories may be of any type, which a run folder could not hold: the net needs how many there are.
        coded = [replace(column, categories=tuple(range(column.levels))) for column in columns]
        data = TableData.of(x, mask, coded, "python", self.seed)
        if self.preset == "paper":  # which holds nothing back, and takes the last weights
            data.held = torch.zeros_like(data.held)
        with tempfile.TemporaryDirectory() as folder:
            request = self.request(data, self.out or Path(folder) / "run")
            if self.seconds is not None:
                request = self.paced(request, Path(folder), began)
            for report in self.reports(request):
                self.played = report.rounds
                if self.watch:
                    self.watch(report, request.examples or 0)
            self.model = load(request.out, "best" if data.held.any() else "last")
            if self.exact:
                self.model.double()
        self.columns = columns
        self.stretch, self.calibrated = np.ones(len(columns)), bool(data.held.any())
        self.calibrate(data)

    def reports(self, request: Request) -> Iterator[Report]:
        """Train, and yield the reports.

        Raises:
            Diverged: nothing can be learnt so.
        """
        for report in prepare(request).play():
            if report.fatal:
                raise Diverged(f"GAIN found no way to learn from this table: {report.health[0].text}")
            yield report

    def request(self, data: TableData, out: str | Path) -> Request:
        """Return what is asked of training."""
        hyper, rounds = sized(len(data), data.shape.width) if self.preset == "modern" else ({}, 10_000)
        hyper = hyper | self.hyper
        batch = min(GAINHyper.preset(self.preset).with_values(hyper).batch, len(data))
        examples = math.ceil(self.rounds or rounds) * batch
        if self.preset == "modern":
            hyper = {"anneal": examples} | hyper
        # Checkpoints are due by examples, not by the clock: the same seed then gives the same weights on any machine.
        return Request(
            "gain",
            data,
            out,
            preset=self.preset,
            hyper=hyper,
            examples=examples,
            seed=self.seed,
            device="cpu",
            precision="auto" if self.preset == "modern" else "fp32",
            threads=self.threads,
            save_examples=max(examples // 10, 1),
            report_examples=max(examples // 50, 1),
        )

    def paced(self, request: Request, folder: Path, began: float) -> Request:
        """Return the request with as many examples as the time since `began` still allows, as some rounds foretell.

        What goes before the first round, which is paid again, is taken off; the first rounds, slower, do not count.
        """
        batch = prepare(request).plan.batch
        pace = replace(
            request, out=folder / "pace", examples=PACE * batch, report_examples=batch, save_examples=PACE * batch
        )
        start = time.monotonic()
        marks = [time.monotonic() for _ in self.reports(pace)]
        a_round = float(np.median(np.diff(marks)[PACE // 4 :]))
        left = (self.seconds or 0) - (time.monotonic() - began) - (marks[0] - start)
        examples = batch * max(1, min((request.examples or 0) // batch, int(left / a_round)))
        hyper = {**request.hyper, "anneal": examples} if self.preset == "modern" else request.hyper
        return replace(
            request,
            examples=examples,
            hyper=hyper,
            save_examples=max(examples // 10, 1),
            report_examples=max(examples // 50, 1),
            minutes=max(left, a_round) / 60,
        )

    # -- filling -----------------------------------------------------------------------------------

    def guess(
        self, x: Numbers, mask: Bits, wanted: Bits | None = None, seed: int = 0, rows: Places | None = None
    ) -> Guesses:
        """Return guesses, calibrated ends, and as probabilities the shares of draws; `seed` and `rows` as of `draw`."""
        found = Guesses.begin(x.copy(), self.columns)
        first = 0
        for part, noise in self.batches(x, mask, seed, rows):
            best, drawn = self.drawn(part, DRAWS, noise)
            place = slice(first, first := first + len(best))
            found.best[place], found.low[place], found.high[place], _ = self.summed(best, drawn)
            for d, chances in found.chances.items():
                seen = np.stack([(drawn[:, :, d] == k).sum(0) for k in range(chances.shape[1])], 1)
                likely = np.eye(chances.shape[1])[best[:, d].astype(int)]
                chances[place] = (seen + likely) / (len(drawn) + 1)
        return found

    def fill(self, x: Numbers, mask: Bits) -> Numbers:
        parts = [self.imputer.impute(*part).double().numpy() for part, _ in self.batches(x, mask)]
        return np.concatenate(parts) if parts else x.copy()

    def draw(self, x: Numbers, mask: Bits, draws: int, seed: int, rows: Places | None = None) -> Numbers:
        """Return ways to fill the rows in `[draws, n, D]`, numbers stretched around the best guess as calibrated.

        Args:
            rows: the number of each row `[n]` in its table, from which its noise follows; 0, 1, ... where None.
        """
        parts = [self.drawn(part, draws, noise)[1] for part, noise in self.batches(x, mask, seed, rows)]
        return np.concatenate(parts, 1) if parts else np.repeat(x[None], draws, 0)

    def drawn(self, part: Part, draws: int, noise: Noise) -> tuple[Numbers, Numbers]:
        """Return the best guess `[n, D]` for some rows, and stretched draws `[draws, n, D]`."""
        best = self.imputer.impute(*part).double().numpy()
        drawn = self.imputer.draw(*part, draws, noise).double().numpy()
        return best, best + self.stretch * (drawn - best)

    def interval(
        self, x: Numbers, mask: Bits, seed: int = 0, rows: Places | None = None
    ) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Return the best guess `[n, D]`, the ends of its 90 % interval, and the share of draws that agree with it.

        Of categories the ends are the guess itself, and the share is what there is to know; of numbers the share is 1.
        """
        parts = [self.summed(*self.drawn(part, DRAWS, noise)) for part, noise in self.batches(x, mask, seed, rows)]
        best, low, high, agree = (np.concatenate(values) for values in zip(*parts, strict=True))
        return best, low, high, agree

    def summed(self, best: Numbers, drawn: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Return guess, ends and share `[n, D]` of draws `[draws, n, D]`."""
        drawn = np.sort(drawn, 0)
        edge = round(0.05 * (len(drawn) - 1))
        low, high = np.minimum(best, drawn[edge]), np.maximum(best, drawn[-1 - edge])
        agree = np.ones_like(best)
        for d, column in enumerate(self.columns):
            if column.levels:
                low[:, d] = high[:, d] = best[:, d]
                agree[:, d] = (drawn[:, :, d] == best[:, d]).mean(0)
        return best, low, high, agree

    def batches(self, x: Numbers, mask: Bits, seed: int = 0, rows: Places | None = None) -> Iterator[tuple[Part, Noise]]:
        """Yield codes and masks of some thousand rows at a time, and the noise of these rows."""
        kind = torch.double if self.exact else torch.float
        keys = torch.as_tensor(np.arange(len(x)) if rows is None else rows) + mix(seed) // 2  # within int64
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            codes = torch.as_tensor(np.where(mask[part], x[part], 0), dtype=kind)
            yield (codes, torch.as_tensor(mask[part])), Noise(keys[part])

    @property
    def imputer(self) -> Imputes:
        """The trained model."""
        assert isinstance(self.model, Model) and isinstance(self.model, Imputes)
        return self.model

    def calibrate(self, data: TableData) -> None:
        """Set the stretch of each column's draws so that nine in ten intervals hold the held-out truth.

        Conformal prediction (Vovk et al. 2005; Romano et al. 2019): the least stretch that would have covered each held
        cell, and of these the 90 % quantile, of a column that has enough of them, else of all together.
        """
        rows = data.held.any(1)
        if not rows.any():
            return
        x, held = data.x[rows].double().numpy(), data.held[rows].numpy()
        best, low, high, _ = self.interval(x, (data.mask & ~data.held)[rows].numpy(), self.seed + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = np.where(x > best, (x - best) / (high - best), (best - x) / (best - low))
        needed = np.where(np.abs(x - best) < 1e-9, 0.0, np.nan_to_num(needed, nan=0.0, posinf=20.0))
        numbers = np.array([column.levels == 0 for column in data.shape.columns])
        pooled = ninety(needed[:, numbers][held[:, numbers]])
        for d in np.flatnonzero(numbers):
            mine = needed[held[:, d], d]
            self.stretch[d] = ninety(mine) if len(mine) >= FEW else pooled


def ninety(values: Numbers) -> float:
    """Return the value that nine in ten are to fall below, by the rule that holds for the next one too; 1 without any."""
    if len(values) < 10:
        return 1.0
    return float(np.clip(np.quantile(values, min(1.0, 0.9 * (1 + 1 / len(values)))), 0.1, 10.0))
