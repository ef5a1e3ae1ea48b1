"""The panel of music in two styles: how far a run brings unseen pieces into the other style, and what it leaves of them."""

# T steps, V voices

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.core.capabilities import Restyles
from genloom.core.random import Noise
from genloom.data.music.styles import StyleData
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.figure import Figure, mean_figure, share_figure
from genloom.measures.music import kept
from genloom.measures.style import StyleMeter
from genloom.models.music.counts import Counts
from genloom.scores.voices import SILENT, Voices, on_grid
from genloom.shapes.score import REST
from genloom.train.run import Run
from genloom.use.judging.music import heard
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of

SAME, VOICED = "left as they are", "re-voiced by counts"
MOST, QUICK, FEW, LEAST = 40, 8, 12, 2  # unseen pieces of a style; of these re-voiced; and at least
SHOWN, BARS = 2, 16  # pieces of the page from either style, and bars of each
RAISED, ONSETS, CLASSES, TOLD = "raised", "onsets kept", "pitch classes kept", "told by the meter"
Turn = Callable[[Tensor, int], Voices]


class StylePanel(Panel):
    """Measures what is made of the pieces of either style that were held out."""

    shown: ClassVar = {SAME: "as it was", VOICED: "counts"}
    needs: ClassVar = (Restyles, "turns no piece into another style")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        if test is not None:
            raise InputError("styles are judged by the pieces that were held out: leave --test away")
        terms_of_pictures = terms.features or terms.weights
        if terms_of_pictures or terms.n is not None:
            raise InputError("-n, --features and --weights are for pictures: leave them away")
        self.terms, self.data = terms, styles_of(runs[0], data)
        for run in runs:
            if run.record["data"]["fingerprint"] != self.data.fingerprint:
                raise InputError(f"{run.folder} was trained on other pieces than {self.data.source} now gives")
        self.shape, music = self.data.shape, self.data.music
        places = range(music.trained, len(music.names))
        most = QUICK if terms.quick else MOST
        held = [music.piece(i) for i in places]
        self.held = [some([piece["x"][0] for piece in held if int(piece["y"]) == k], most) for k in range(2)]
        for name, pieces in zip(self.shape.classes, self.held, strict=True):
            if len(pieces) < LEAST:
                raise InputError(f"{len(pieces)} pieces of {name} were held out, which is too few to judge by")
        train = [self.shape.on_grid(music.piece(i)["x"][0]) for i in range(music.trained)]
        labels = music.labels[: music.trained].tolist()
        self.meter = StyleMeter(train, labels, 2, self.shape.grid, self.shape.bar)
        self.rows = self.baselines()

    def baselines(self) -> Rows:
        """Return the figures of doing nothing, and of other voices around the same melody; cached."""

        def make() -> Rows:
            self.terms.say("telling styles apart")
            real = [self.shape.on_grid(piece) for pieces in self.held for piece in pieces]
            own = torch.tensor([0] * len(self.held[0]) + [1] * len(self.held[1]))
            told = share_figure(torch.as_tensor(self.meter(real).argmax(1)) == own, "held-out pieces, by style")
            self.terms.say("re-voicing by tables of counts")
            tables = [Counts.of(self.data.music.only(k)) for k in range(2)]
            voiced = self.measure(lambda codes, to: self.voiced(codes, tables[to]), FEW)
            return {SAME: self.measure(lambda codes, to: self.shape.on_grid(codes)) | {TOLD: told}, VOICED: voiced}

        key = ["styles", self.data.fingerprint, self.terms.seed, [len(each) for each in self.held]]
        return cached_rows(key, [SAME, VOICED], make)

    def voiced(self, codes: Tensor, table: Counts) -> Voices:
        """Return a piece's highest voice with others around it, by a table of the other style."""
        known = torch.full_like(codes, -1)
        known[:, 0] = codes[:, 0]
        silent = (codes == REST).all(1)
        known[silent] = REST
        return self.shape.on_grid(table.harmonise(known, 1, None, 1.0, Noise.of(self.terms.seed, 1))[0])

    def turned(self, model: Restyles) -> Turn:
        """Return what makes a run's piece of one in the other style."""
        shape = self.shape

        def turn(codes: Tensor, to: int) -> Voices:
            made = on_grid(shape.of_roll(model.restyle(codes, to)), shape.grid, len(shape.voices))
            return padded(made, len(codes))

        return turn

    def measure(self, turn: Turn, most: int = MOST) -> dict[str, Figure]:
        """Return the figures of what is made of the held-out pieces, of each style into the other."""
        figures, parts = {}, []
        for to in (1, 0):
            chosen = some(self.held[1 - to], most)
            before, after = [self.shape.on_grid(codes) for codes in chosen], [turn(codes, to) for codes in chosen]
            raised = self.meter(after)[:, to] - self.meter(before)[:, to]
            stay = np.array([kept(a, b, self.shape.grid) for a, b in zip(before, after, strict=True)])
            parts.append(np.column_stack([raised, stay]))
            for name, values in zip((RAISED, ONSETS, CLASSES), parts[-1].T, strict=True):
                figures[f"{name}, to {self.shape.classes[to]}"] = mean_figure(torch.as_tensor(values), UNITS[name], "higher")
        whole = np.concatenate(parts)
        means = {
            name: mean_figure(torch.as_tensor(v), UNITS[name], "higher") for name, v in zip(UNITS, whole.T, strict=True)
        }
        return means | figures

    def judge(self, run: Run) -> Judgement:
        folder = run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Restyles)
        began = time.process_time()
        self.terms.say(f"turning pieces by {run.folder}")
        figures = self.measure(self.turned(model))
        count = sum(map(len, self.held))
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "styles": list(self.shape.classes),
            "held out": [len(pieces) for pieces in self.held],
            "train": {"source": self.data.source, "fingerprint": self.data.fingerprint},
            "seed": self.terms.seed,
        }
        costs = cost_of(run, folder, model, count, time.process_time() - began)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, model)

    def intro(self, judgement: Judgement) -> str:
        a, b = self.shape.classes
        told = self.rows[SAME][TOLD]
        return (
            f"Pieces of {a} and of {b} that training never saw, each turned into the other style. `raised` is by how much a "
            f"meter of style finds the other one likelier than before; the meter tells {told.value:.0%} of the held-out "
            "pieces rightly. What is kept is F1: notes added cost as much as notes left out. Beside it, the highest voice "
            "with others around it, drawn from a table of counts of the other style."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        parts, shape = ["<h2>Pieces, before and after</h2>"], self.shape
        for judgement in judgements:
            turn = self.turned(judgement.seen)
            for to in (1, 0):
                for codes in self.held[1 - to][:SHOWN]:
                    codes = codes[: BARS * shape.bar]
                    parts.append(f"<p>{shape.classes[1 - to]}, and as {shape.classes[to]} by {judgement.name}:</p>")
                    parts += [heard(shape, shape.on_grid(codes)), heard(shape, turn(codes, to))]
        return parts


UNITS = {
    RAISED: "probability of the other style, after less before",
    ONSETS: "F1 of the steps at which notes begin",
    CLASSES: "F1 of each quarter note's pitch classes",
}


def some(pieces: list[Tensor], most: int) -> list[Tensor]:
    """Return so many pieces from all over."""
    return [pieces[i] for i in np.linspace(0, len(pieces) - 1, min(most, len(pieces))).round().astype(int)]


def padded(found: Voices, steps: int) -> Voices:
    """Return a piece of so many steps, with rests at its end."""
    more = ((0, max(steps - len(found.pitch), 0)), (0, 0))
    pitch = np.pad(found.pitch, more, constant_values=SILENT)[:steps]
    return Voices(pitch, np.pad(found.struck, more)[:steps], found.left)


def styles_of(run: Run, data: Any) -> StyleData:
    """Return the pieces that a run was trained on, read as then."""
    if isinstance(data, StyleData):
        return data
    named = source_of(run, data, "pieces")
    found = find_source(named, run.record["data"]["loaded"], kind="styles").load()
    if not isinstance(found, StyleData):
        raise InputError(f"{named} is no music in two styles, and {run.folder} learnt from that")
    return found


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    said, simple = [], rows[VOICED]
    if simple[RAISED].value >= figures[RAISED].value and simple[CLASSES].value >= figures[CLASSES].value:
        said.append("other voices around the same melody, drawn from counts, go further and keep more")
    if figures[RAISED].low <= 0:
        said.append("the other style is no likelier than before")
    return said or ["nothing stands out"]
