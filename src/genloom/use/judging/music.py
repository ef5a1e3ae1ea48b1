"""The panel of music: pieces that a run composes against pieces that it never learnt from, beside a table of counts."""

# n pieces, T steps, V voices

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.core.capabilities import Composes, Samples
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.data.music.dataset import ScoreData
from genloom.data.music.events import EventData
from genloom.data.music.files import STEPS
from genloom.data.music.load import ScoreSource
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.figure import Figure, mean_figure, share_figure
from genloom.measures.music import distributions, faults, overlaps, rate, shuffled
from genloom.measures.shared_runs import longest_shared, melodies, passages
from genloom.measures.style import StyleMeter
from genloom.models.music.counts import Counts
from genloom.scores.audio import wav_of
from genloom.scores.roll import roll_picture
from genloom.scores.voices import Voices
from genloom.shapes.score import ScoreShape
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of, shape_of, source_of
from genloom.use.report.html import image, sound

HELD, KNOWN, TABLE, BARS_MIXED = "held-out pieces", "training pieces", "counts", "bars shuffled"
USUAL, QUICK, MOST, LEAST = 60, 16, 1000, 2  # pieces composed, at most, and pieces to compare with at least
SHORTEST, LONGEST = 4, 64  # bars of a piece that is composed
SHOWN = 3  # pieces of the page
NATS, MELODY, PASSAGE = "nats a step", "longest melody shared", "longest passage shared"
PARALLELS, CROSSINGS, STYLE = "parallels a bar", "crossings a bar", "told as its composer's"


class MusicPanel(Panel):
    """Measures pieces against those of the data that were held out, or those of a test part or set."""

    shown: ClassVar = {HELD: "held out", KNOWN: "training", TABLE: "counts", BARS_MIXED: "shuffled"}
    needs: ClassVar = (Samples, "makes no music")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        if terms.features or terms.weights:
            raise InputError("--features and --weights are for pictures: leave them away")
        if terms.n is not None and not LEAST <= terms.n <= MOST:
            raise InputError(f"-n takes from {LEAST} to {MOST:,} pieces, got {terms.n:,}")
        self.terms, learnt = terms, music_of(runs[0], data)
        for run in runs:
            if run.record["data"]["fingerprint"] != learnt.fingerprint:
                raise InputError(
                    f"{run.folder} was trained on other pieces, or read otherwise, than {learnt.source} now gives: name "
                    "those after the run"
                )
        self.data = learnt if isinstance(learnt, ScoreData) else learnt.music
        self.shape = shape = self.data.shape
        self.unseen, self.where = unseen_of(runs[0], self.data, test)
        bars = [len(piece["x"][0]) / shape.bar for piece in self.unseen]
        if isinstance(learnt, EventData):  # so many as an example has
            bars = (learnt.quarters() / shape.metre.quarters).tolist()
        self.bars = int(np.clip(np.median(bars), SHORTEST, LONGEST))
        self.n = terms.n or (QUICK if terms.quick else USUAL)
        self.table = Counts.of(self.data)
        train = [self.data.piece(i) for i in range(self.data.trained)]
        self.train = [shape.on_grid(shape.held(piece["x"][0])) for piece in train]
        self.lines = [line for piece in self.train for line in melodies(piece)]
        self.chords = [line for piece in self.train for line in passages(piece)]
        self.real = [self.piece(piece["x"][0]) for piece in usual(self.unseen, shape.bar)]
        self.known = [self.piece(piece["x"][0]) for piece in usual(train, shape.bar)]
        self.of_real = [self.counted(piece) for piece in self.real]
        self.style = self.meter()
        self.rows = self.baselines()

    def piece(self, codes: Tensor) -> Voices:
        """Return the beginning of a piece `[T, V]`, as long as those that are composed."""
        return self.shape.on_grid(self.shape.held(codes[: self.bars * self.shape.bar]))

    def counted(self, piece: Voices) -> dict[str, np.ndarray[Any, Any]]:
        return distributions(piece, self.shape.grid, self.shape.bar)

    def meter(self) -> StyleMeter | None:
        """Return what tells composers apart, where the data has several."""
        shape, labels = self.shape, self.data.labels[: self.data.trained]
        if len(labels.unique()) < 2:
            return None
        return StyleMeter(self.train, labels.tolist(), len(shape.classes), shape.grid, shape.bar)

    # -- measuring ---------------------------------------------------------------------------------

    def baselines(self) -> Rows:
        """Return the figures of what needs no network; cached."""
        seed = self.terms.seed
        places = np.linspace(0, len(self.known) - 1, min(self.n, len(self.known))).round().astype(int)
        makers: dict[str, Callable[[], list[Voices]]] = {
            HELD: lambda: self.real,
            KNOWN: lambda: [self.known[i] for i in places],
            TABLE: lambda: self.pieces(self.compose(self.table)),
            BARS_MIXED: lambda: [self.mixed(piece, seed + i) for i, piece in enumerate(self.real)],
        }

        def make() -> Rows:
            rows = {}
            for name, maker in makers.items():
                self.terms.say(f"measures of {name}")
                rows[name] = self.measure(maker(), name == HELD)
            rows[TABLE][NATS] = self.nats(self.table)
            if self.style is not None and all("y" in piece for piece in self.unseen):
                rows[HELD][STYLE] = self.told(self.style)
            return rows

        seen = hashlib.blake2b(b"".join(piece["x"].numpy().tobytes() for piece in self.unseen), digest_size=12).hexdigest()
        return cached_rows(["music", self.data.fingerprint, seen, seed, self.n, self.bars], list(makers), make)

    def mixed(self, piece: Voices, seed: int) -> Voices:
        """Return a piece with its bars in another order."""
        return self.piece(shuffled(self.shape.encode(piece), self.shape.bar, seed))

    def measure(self, made: Sequence[Voices], real: bool = False) -> dict[str, Figure]:
        """Return the figures of pieces; those that are real themselves have no overlap with themselves."""
        figures, seed = {}, self.terms.seed
        if not real:
            figures = overlaps([self.counted(piece) for piece in made], self.of_real, seed)
        for name, part, known, unit in (
            (MELODY, melodies, self.lines, "notes from one to the next in one voice, mean of pieces"),
            (PASSAGE, passages, self.chords, "steps at which some voice begins, all voices alike, mean of pieces"),
        ):
            lines = [part(piece) for piece in made]
            runs = iter(longest_shared([line for piece in lines for line in piece], known))
            longest = torch.tensor([float(max(next(runs) for _ in piece)) for piece in lines])
            figures[name] = mean_figure(longest, unit, "nearer")
        if len(self.shape.voices) > 1 and not self.shape.chords:
            found = np.array([faults(piece) for piece in made])
            bars = np.array([len(piece.pitch) / self.shape.bar for piece in made])
            figures[PARALLELS] = rate(found[:, 0], bars, "fifths and octaves", "nearer", seed)
            figures[CROSSINGS] = rate(found[:, 1], bars, "voices that begin to cross", "nearer", seed)
        return figures

    def compose(self, model: Samples) -> list[Tensor]:
        """Return as many pieces `[T, V]` as are measured, of which nothing is asked."""
        noise = Noise.of(self.terms.seed, self.n)
        if isinstance(model, Composes):
            return list(model.compose(self.n, self.bars * self.shape.bar, None, 1.0, noise))
        assert isinstance(model, Model)
        return [self.shape.encode(score) for score in model.shape.decode(model.sample(self.n, noise=noise))]

    def pieces(self, made: Sequence[Tensor]) -> list[Voices]:
        return [self.piece(codes) for codes in made]

    def nats(self, model: Composes) -> Figure:
        """Return -log p of a step of whole unseen pieces, each given all before it."""
        found = [model.step_nats(piece)[0] for piece in self.unseen]
        sums, counts = np.array([float(each.sum()) for each in found]), np.array([len(each) for each in found])
        protocol = f"{self.shape.grid} steps a quarter note, {len(self.shape.voices)} voices, all before it known"
        return replace(rate(sums, counts, protocol, "lower", self.terms.seed), n=len(found))

    def told(self, style: StyleMeter) -> Figure:
        """Return the share of unseen pieces that the style meter knows the composer of."""
        labels = torch.stack([piece["y"][0] for piece in self.unseen])
        pieces = [self.shape.on_grid(self.shape.held(piece["x"][0])) for piece in self.unseen]
        return share_figure(torch.as_tensor(style(pieces).argmax(1)) == labels, METER)

    def told_of(self, model: Samples) -> Figure | None:
        """Return the share of pieces composed in a composer's manner that the style meter tells as his; None for no such."""
        if self.style is None or not isinstance(model, Composes) or not getattr(model, "conditional", False):
            return None
        each = max(1, self.n // len(self.shape.classes))
        given = torch.arange(len(self.shape.classes)).repeat_interleave(each)
        noise = Noise.of(self.terms.seed, len(given), start=self.n)
        drawn = model.compose(len(given), self.bars * self.shape.bar, {"composer": given}, 1.0, noise)
        return share_figure(torch.as_tensor(self.style(self.pieces(list(drawn))).argmax(1)) == given, METER)

    def judge(self, run: Run) -> Judgement:
        folder = run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Samples)
        began = time.process_time()
        self.terms.say(f"composing by {run.folder}")
        made = self.compose(model)
        seconds = time.process_time() - began
        self.terms.say(f"measures of {run.folder}")
        figures = self.measure(self.pieces(made))
        if isinstance(model, Composes):
            figures[NATS] = self.nats(model)
        if (told := self.told_of(model)) is not None:
            figures[STYLE] = told
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "n": self.n,
            "bars": self.bars,
            "train": {"source": self.data.source, "fingerprint": self.data.fingerprint, "pieces": self.data.trained},
            "compared": {"source": self.where, "pieces": len(self.unseen), "of the usual metre": len(self.real)},
            "seed": self.terms.seed,
        }
        costs = cost_of(run, folder, model, self.n, seconds)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, made)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        return (
            f"{self.n:,} pieces of {self.bars} bars against {len(self.real):,} of {self.where}, which training never saw. "
            "Overlaps are of distributions, 1 for the same. A melody or a passage that is shared with a training piece is "
            "counted in any key; held-out pieces share some too, and that is what a run may. Training pieces share all of "
            "themselves; real bars in another order overlap as well as can be, and are no music."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        parts = ["<h2>Pieces</h2>", f"<p>Of {self.where}, never learnt from:</p>"]
        parts += [heard(self.shape, piece) for piece in self.real[:SHOWN]]
        for judgement in judgements:
            parts.append(f"<p>{judgement.name}:</p>")
            parts += [heard(self.shape, self.shape.on_grid(codes)) for codes in judgement.seen[:SHOWN]]
        return parts


METER = "logistic regression on four bars at a time, learnt from training pieces"
PAGE_RATE = 11_025  # samples a second of a page's sound


def heard(shape: ScoreShape, found: Voices) -> str:
    """Return a piece as its roll and what plays it."""
    from PIL import Image

    roll = image(Image.fromarray(roll_picture(found, shape.low, shape.high, shape.bar)))
    return f"<p>{roll}<br>{sound(wav_of(shape.score(found, 'piece'), PAGE_RATE)[0])}</p>"


def usual(pieces: Sequence[dict[str, Tensor]], bar: int) -> list[dict[str, Tensor]]:
    """Return the pieces of the usual metre, where these are two at least; else all."""
    kept = [piece for piece in pieces if int(piece["bar"][0]) == bar]
    return kept if len(kept) >= LEAST else list(pieces)


def music_of(run: Run, data: Any) -> ScoreData | EventData:
    """Return the pieces that a run was trained on, read as then."""
    if isinstance(data, ScoreData | EventData):
        return data
    named = source_of(run, data, "pieces")
    found = find_source(named, run.record["data"]["loaded"], kind=shape_of(run).kind).load()
    if not isinstance(found, ScoreData | EventData):
        raise InputError(f"{named} is no music, and {run.folder} learnt from pieces")
    return found


def unseen_of(run: Run, data: ScoreData, test: str | Path | None) -> tuple[list[dict[str, Tensor]], str]:
    """Return pieces that a run never learnt from, on its grid, and where they come from.

    Those of `test`; else the test part of the data, where it has one; else the pieces held out, which chose checkpoints.
    """
    loaded = {**run.record["data"]["loaded"], "split": "test", "grid": data.shape.grid}
    found = None
    if test is not None:
        found, where = pieces_like(data, str(test), loaded), str(test)
    elif data.source.lower().endswith(STEPS):
        with contextlib.suppress(InputError):  # it has no such part
            found, where = pieces_like(data, data.source, loaded), f"the test part of {data.source}"
    if found is None:
        found, where = [data.piece(i) for i in range(data.trained, len(data.names))], f"held-out pieces of {data.source}"
    if len(found) < LEAST:
        raise InputError(
            f"{where}: {len(found)}, which is too few to judge by; name pieces that the run never learnt from with --test"
        )
    train = {data.piece(i)["x"].numpy().tobytes() for i in range(data.trained)}
    if all(piece["x"].numpy().tobytes() in train for piece in found):
        raise InputError(f"{where}: every piece is one that the run learnt from; name others with --test")
    return found, where


def pieces_like(data: ScoreData, name: str, loaded: dict[str, Any]) -> list[dict[str, Tensor]]:
    """Return the pieces that a person named, on the grid of a data set."""
    source = find_source(name, loaded, kind="score")
    if not isinstance(source, ScoreSource):
        raise InputError(f"{name} is no music: name pieces that the run never learnt from")
    found = source.onto(data.shape)
    return [found.piece(i) for i in range(len(found.names))]


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    said, table, real = [], rows[TABLE], rows[HELD]
    if NATS in figures and table[NATS].value < figures[NATS].value - 1e-6:
        said.append(
            f"the table of counts is likelier: {table[NATS].value:.3f} nats a step against {figures[NATS].value:.3f}"
        )
    if table["overlap"].value > figures["overlap"].value:
        tied = " (within the interval)" if table["overlap"].value <= figures["overlap"].high else ""
        near, own = table["overlap"].value, figures["overlap"].value
        said.append(f"what the table of counts composes overlaps more with real pieces: {near:.3f} against {own:.3f}{tied}")
    for name in (MELODY, PASSAGE):
        if figures[name].low > real[name].high:
            said.append(
                f"{name} with a training piece is {figures[name].value:.1f} on average, of held-out pieces "
                f"{real[name].value:.1f}: it copies"
            )
    for name in (PARALLELS, CROSSINGS):
        if name in figures and figures[name].low > 2 * real[name].high:
            said.append(
                f"{name}: {figures[name].value:.2f}, more than twice as many as in real pieces ({real[name].value:.2f})"
            )
    return said or ["nothing stands out"]
