"""The panel of pairs: what a run makes of pictures of A, against their partners in B, beside what needs no network."""

# n pairs, C channels, H height, W width

from __future__ import annotations

import html
import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.core.capabilities import Translates
from genloom.core.random import Noise
from genloom.data.pairs.dataset import PairData
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.measures.labels_back import fit_reader, label_figures, read_labels
from genloom.measures.partners import MOST, fit_baselines, partner_figures
from genloom.nn.unet import UNet
from genloom.shapes.pairs import PairShape
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of
from genloom.use.report.html import image

BASELINES = ("unchanged", "mean partner", "nearest pair's partner", "ridge on patches")
REAL = "real pictures"  # of which labels alone are read back
PAIRS = 1000  # that are translated, at most
BLOCK = 20
SHOWN = 8
SAME = 0.1  # of the way to its partner, below which a picture was left as it is


class PairPanel(Panel):
    """Measures translations of pairs, of those never trained on where there are any."""

    shown: ClassVar = {name: name for name in (*BASELINES, REAL)}
    needs = (Translates, "turns no picture into another")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        terms.pictures_only()
        self.terms = terms
        self.train = pairs_of(runs[0], data, "train")
        for run in runs:
            if run.record["data"]["fingerprint"] != self.train.fingerprint:
                raise InputError(
                    f"{run.folder} was trained on other pairs than {self.train.source} are now: name those after the run"
                )
        self.held = pairs_of(runs[0], test if test is not None else data, "train" if test is not None else "test")
        self.unseen = self.held.fingerprint != self.train.fingerprint
        places = torch.linspace(0, len(self.held) - 1, min(len(self.held), PAIRS)).long()
        self.a, self.b = (self.held.pictures(side, places) for side in "AB")
        self.rows = self.baselines()

    @property
    def shape(self) -> PairShape:
        """What the pairs are."""
        return self.held.shape

    def baselines(self) -> Rows:
        """Return the figures of what needs no network, fitted to the training pairs; cached."""
        names = [name for name in BASELINES if name != "unchanged" or self.a.shape[1] == self.b.shape[1]]
        key = ["pairs-2", self.train.fingerprint, self.held.fingerprint, list(self.shape.size)]
        names += [REAL] if self.shape.palette else []
        return cached_rows(key, names, self.fitted)

    def fitted(self) -> Rows:
        """Fit what needs no network, and measure it."""
        places = torch.linspace(0, len(self.train) - 1, min(len(self.train), MOST)).long()
        self.terms.say("fit the baselines")
        found = fit_baselines(*(self.train.pictures(side, places) for side in "AB"))
        rows = {name: self.measure(torch.cat([make(x) for x in self.a.split(BLOCK)])) for name, make in found.items()}
        if self.shape.palette:
            rows[REAL] = self.labels_read(self.b)
        return rows

    @cached_property
    def reader(self) -> UNet:
        """What reads labels back from pictures of B, trained on the training pairs."""
        self.terms.say("train what reads labels back")
        return fit_reader(self.train)

    def measure(self, made: Tensor) -> dict[str, Figure]:
        """Return every figure of pictures `[n, C', H, W]` that were made of those of A."""
        figures = partner_figures(made, self.b)
        return figures | self.labels_read(made) if self.shape.palette else figures

    def labels_read(self, x: Tensor) -> dict[str, Figure]:
        """Return how well the labels of A are read back from pictures of B."""
        return label_figures(read_labels(self.reader, x), self.a.argmax(1), self.shape.channels)

    def judge(self, run: Run) -> Judgement:
        terms, folder = self.terms, run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Translates)
        terms.say(f"translate by {run.folder}")
        began = time.process_time()
        parts = [
            model.translate(x, noise=Noise.of(terms.seed, len(x), i * BLOCK)).float()
            for i, x in enumerate(self.a.split(BLOCK))
        ]
        cost = time.process_time() - began
        made = (torch.cat(parts).clamp(0, 1) * 255).round() / 255
        figures = self.measure(made)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {"source": self.train.source, "fingerprint": self.train.fingerprint, "pairs": len(self.train)},
            "pairs": len(self.a),
            "never_trained_on": self.unseen,
            "seed": terms.seed,
        }
        costs = cost_of(run, folder, model, len(made), cost)
        said = verdicts(figures, self.rows, unchanged(self.a, made, self.b))
        return Judgement(run, figures, self.rows, costs, said, about, self, made)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        about = judgement.about
        seen = "never trained on" if self.unseen else "which training saw: name others with --test, or put them into test/"
        return f"{about['pairs']:,} pairs of {self.held.source}, {seen}; trained on {about['train']['pairs']:,} pairs."

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        return [
            "<h2>Before, after, partner</h2>",
            "<p>From above: pictures of A, what the run made of them, and their partners in B.</p>",
            *(self.strips(judgement) for judgement in judgements),
        ]

    def strips(self, judgement: Judgement) -> str:
        """Return the first pictures, what a run made of them, and their partners."""
        rows = [("A", self.a), ("B", judgement.seen), ("B", self.b)]
        strip = self.shape.strip([(side, x[:SHOWN]) for side, x in rows])
        return f"<p>{html.escape(judgement.name)}</p>{image(strip)}"


def pairs_of(run: Run, data: Any, split: str) -> PairData:
    """Return the pairs that a run was trained on, or their other split, loaded as then."""
    record = run.record["data"]
    if isinstance(data, PairData):
        return data
    if data is not None and not isinstance(data, str | os.PathLike):
        raise InputError(f"pairs are a source to name, not of {type(data).__name__}")
    named = os.fspath(data) if data is not None else str(record["source"])
    if named == "python":
        raise InputError(f"{run.folder} was trained on a Python object: name its pairs after the run")
    given = {name: value for name, value in record["loaded"].items() if value is not None}
    found = find_source(named, given | {"split": split}).load(run.shape)
    if not isinstance(found, PairData) or not found.shape.paired:
        raise InputError(f"{named} holds no pairs, and {run.folder} is judged by partners")
    return found


def unchanged(a: Tensor, made: Tensor, b: Tensor) -> bool:
    """Whether pictures were left as they are though their partners differ."""
    return a.shape == b.shape and bool((made - a).abs().mean() < SAME * (b - a).abs().mean())


def verdicts(figures: dict[str, Figure], rows: Rows, same: bool) -> list[str]:
    """Say in words what the figures mean."""
    said = ["the pictures come out as they went in: nothing was learnt yet"] if same else []
    best = min((row for row in rows if "L1" in rows[row]), key=lambda row: rows[row]["L1"].value)
    simple, own = rows[best]["L1"], figures["L1"]
    if simple.value < own.value:
        tied = " (within the interval)" if simple.value >= own.low else ""
        compared = f"{best}, which needs no network, is nearer to the partners{tied}"
    else:
        compared = f"nearer to the partners than {best}, the best that needs no network"
    if "pixel accuracy" in figures:
        back, real = figures["pixel accuracy"].value, rows[REAL]["pixel accuracy"].value
        said.append(f"labels are read back rightly from {back:.0%} of its pixels, from {real:.0%} of the real pictures'")
    said.append(f"{compared} (L1 of the run {own.value:.3g}, of the other {simple.value:.3g})")
    return said
