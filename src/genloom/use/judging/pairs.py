"""The panel of pairs: what a run makes of pictures of A, against their partners in B, beside what needs no network."""

# n pairs, C channels, H height, W width

from __future__ import annotations

import html
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
from genloom.data.pairs.load import PairSource
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.domains import cycle_figures, lab_shift
from genloom.measures.features.registry import Features, make_features
from genloom.measures.figure import Figure
from genloom.measures.frechet import fid
from genloom.measures.labels_back import fit_reader, label_figures, read_labels
from genloom.measures.partners import MOST, fit_baselines, partner_figures
from genloom.nn.unet import UNet
from genloom.shapes.pairs import PairShape, in_colour
from genloom.shapes.pictures import rounded, to_picture
from genloom.train.run import Run
from genloom.use.judging.panel import LEAST, Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import image, slider
from genloom.use.translation.files import quickly

NEAREST = "nearest pair's partner"
BASELINES = ("unchanged", "mean partner", NEAREST, "ridge on patches")
REAL = "real pictures"  # of B, which have no L1
PAIRS = 1000  # that are translated, at most
HELD, FEWEST = 1 << 28, 20  # bytes of pictures of a side that are held at once, and pictures that are in any case
BLOCK = 20
SHOWN, DRAGGED = 8, 4  # pictures in the strip, and with a slider between before and after
HIDES = 2.0  # times, by which the way back is worse from what a file would hold, that is worth a word
STILL = 0.02  # mean change of pictures without partners, below which they were left as they are
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
        self.a, self.b = (spread(self.held, side, PAIRS) for side in "AB")
        self.rows = self.baselines()

    @property
    def shape(self) -> PairShape:
        """What the pairs are."""
        return self.held.shape

    def baselines(self) -> Rows:
        """Return the figures of what needs no network, fitted to the training pairs, and of real pictures; cached."""
        features = self.features.digest if self.features else ""
        key = ["pairs-3", self.train.fingerprint, self.held.fingerprint, list(self.shape.size), self.shape.paired, features]
        return cached_rows(key, self.row_names(), self.fitted)

    def row_names(self) -> list[str]:
        """Return the names of the baselines that these pictures have."""
        names = [name for name in BASELINES if self.shape.paired or name == "unchanged"]
        names = [name for name in names if self.unseen or name != NEAREST]  # which would be the pair itself
        alike = self.a.shape[1] == self.b.shape[1] and bool(self.shape.palette) == bool(self.shape.palette_b)
        return [*(name for name in names if name != "unchanged" or alike), REAL]

    def fitted(self) -> Rows:
        """Fit what needs no network, and measure it."""
        self.terms.say("fit the baselines")
        rows: Rows = {}
        if self.shape.paired:
            found = fit_baselines(*(spread(self.train, side, MOST) for side in "AB"))
            rows = {name: self.measure(torch.cat([make(x) for x in self.a.split(BLOCK)])) for name, make in found.items()}
        elif "unchanged" in self.row_names():
            rows["unchanged"] = self.measure(self.a)
        others = spread(self.train, "B", PAIRS) if self.unseen else self.b
        rows[REAL] = self.of_the_domain(others) | (self.labels_read(self.b) if self.has_labels else {})
        return {name: rows[name] for name in self.row_names()}

    @property
    def has_labels(self) -> bool:
        """Whether A is a label map whose labels can be read back."""
        return bool(self.shape.palette) and self.shape.paired

    @cached_property
    def reader(self) -> UNet:
        """What reads labels back from pictures of B, trained on the training pairs."""
        self.terms.say("train what reads labels back")
        return fit_reader(self.train)

    @cached_property
    def features(self) -> Features | None:
        """What FID is taken in; None for label maps, and for too few pictures."""
        enough = (
            len(self.a) >= LEAST and len(self.b) >= LEAST and self.shape.channels_b in (1, 3) and not self.shape.palette_b
        )
        return make_features(None, self.train.b) if enough else None

    @cached_property
    def real(self) -> Tensor:
        """The features `[m, D]` of the real pictures of B."""
        assert self.features is not None
        return self.features(self.b)[0]

    def measure(self, made: Tensor) -> dict[str, Figure]:
        """Return every figure of pictures `[n, C', H, W]` that were made of those of A."""
        figures = partner_figures(made, self.b) if self.shape.paired else {}
        figures |= self.of_the_domain(made)
        return figures | (self.labels_read(made) if self.has_labels else {})

    def of_the_domain(self, x: Tensor) -> dict[str, Figure]:
        """Return how like those of B pictures `[n, C', H, W]` are, one by one without partners."""
        figures = {}
        if self.features is not None:
            name = f"FID[{self.features.name}]"
            figures[name] = fid(self.features(x)[0], self.real, f"{len(x)} pictures")
        if self.shape.channels_b == 3 and not self.shape.palette_b:
            figures["Lab shift"] = lab_shift(x, self.b)
        return figures

    def labels_read(self, x: Tensor) -> dict[str, Figure]:
        """Return how well the labels of A are read back from pictures of B."""
        return label_figures(read_labels(self.reader, x), self.a.argmax(1), self.shape.channels)

    def judge(self, run: Run) -> Judgement:
        terms, folder = self.terms, run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Translates)
        terms.say(f"translate by {run.folder}")
        began = time.process_time()
        raw = self.translated(model, self.a, "B")
        cost = time.process_time() - began
        made = rounded(raw, self.shape.bits_b)
        terms.say(f"measure {run.folder}")
        figures = self.measure(made)
        if "A" in model.sides:
            figures |= cycle_figures(self.a, raw, lambda y: self.translated(model, y, "A"))
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {"source": self.train.source, "fingerprint": self.train.fingerprint, "pairs": len(self.train)},
            "pairs": len(self.a),
            "paired": self.shape.paired,
            "never_trained_on": self.unseen,
            "seed": terms.seed,
        }
        costs = cost_of(run, folder, model, len(made), cost)
        said = verdicts(figures, self.rows, unchanged(self.a, made, self.b) if self.shape.paired else still(self.a, made))
        return Judgement(run, figures, self.rows, costs, said, about, self, made)

    def translated(self, model: Any, x: Tensor, to: str) -> Tensor:
        """Return what a model makes of pictures `[n, C, H, W]`, some at a time."""
        blocks = x.split(BLOCK)
        noises = (Noise.of(self.terms.seed, len(part), i * BLOCK) for i, part in enumerate(blocks))
        with torch.inference_mode(), quickly(model.device, self.shape.bits_of(to)):  # as `genloom translate` does it
            made = [model.translate(part, to, noise).float() for part, noise in zip(blocks, noises, strict=True)]
        return torch.cat(made)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        about = judgement.about
        seen = "never trained on" if self.unseen else "which training saw: name others with --test, or put them into test/"
        what = f"{about['pairs']:,} {'pairs' if self.shape.paired else 'pictures of A'} of {self.held.source}, {seen}"
        return f"{what}; trained on {about['train']['pairs']:,}. Labels, colours and FID are set against real pictures of B."

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        whose = "their partners" if self.shape.paired else "other pictures"
        return [
            "<h2>Before and after</h2>",
            f"<p>From above: pictures of A, what the run made of them, and {whose} in B; drag to compare.</p>",
            *(self.strips(judgement) for judgement in judgements),
        ]

    def strips(self, judgement: Judgement) -> str:
        """Return the first pictures, what a run made of them, and their partners."""
        rows = [("A", self.a), ("B", judgement.seen), ("B", self.b)]
        strip = self.shape.strip([(side, x[:SHOWN]) for side, x in rows])
        pairs = [in_colour(self.shape.drawable(x[:DRAGGED], side)) for side, x in rows[:2]]
        sliders = "".join(slider(to_picture(a), to_picture(b)) for a, b in zip(*pairs, strict=True))
        return f'<p>{html.escape(judgement.name)}</p>{image(strip)}<div class="pictures">{sliders}</div>'


def pairs_of(run: Run, data: Any, split: str) -> PairData:
    """Return the pairs that a run was trained on, or their other split, loaded as then."""
    record = run.record["data"]
    if isinstance(data, PairData):
        return data
    named = source_of(run, data, "pairs")
    given = {name: value for name, value in record["loaded"].items() if value is not None}
    try:
        found = find_source(named, given | {"split": split})
    except InputError:  # its options are none of a source of another kind
        found = None
    if not isinstance(found, PairSource):
        raise InputError(
            f"{named} holds no pictures of two sides, in folders A and B, and {run.folder} turns one into the other"
        )
    return found.load(run.shape)


def spread(pairs: PairData, side: str, most: int) -> Tensor:
    """Return up to so many pictures `[n, C, H, W]` of a side, from all over it; fewer of large ones."""
    count, shape = len(pairs.a if side == "A" else pairs.b), pairs.shape
    each = 4 * max(shape.channels, shape.channels_b) * shape.height * shape.width_px
    most = min(most, max(HELD // each, FEWEST))
    return pairs.pictures(side, torch.linspace(0, count - 1, min(count, most)).long())


def unchanged(a: Tensor, made: Tensor, b: Tensor) -> bool:
    """Whether pictures were left as they are though their partners differ."""
    return a.shape == b.shape and bool((made - a).abs().mean() < SAME * (b - a).abs().mean())


def still(a: Tensor, made: Tensor) -> bool:
    """Whether pictures of a domain were left as they are."""
    return a.shape == made.shape and bool((made - a).abs().mean() < STILL)


def verdicts(figures: dict[str, Figure], rows: Rows, same: bool) -> list[str]:
    """Say in words what the figures mean."""
    said = ["the pictures come out as they went in: nothing was learnt yet"] if same else []
    if "pixel accuracy" in figures:
        back, real = figures["pixel accuracy"].value, rows[REAL]["pixel accuracy"].value
        said.append(f"labels are read back rightly from {back:.0%} of its pixels, from {real:.0%} of the real pictures'")
    if "L1" in figures:
        said.append(against_the_best(figures["L1"], {name: row["L1"] for name, row in rows.items() if "L1" in row}))
    if "cycle L1" in figures:
        plain, rough = figures["cycle L1"].value, figures["cycle L1, 8 bits and noise"].value
        if rough > HIDES * plain:
            hides = "the translation hides the picture in detail that nobody sees"
            said.append(f"the way back goes wrong {rough / plain:.1f} times as far once a little noise is added: {hides}")
    if "Lab shift" in figures and figures["Lab shift"].low > rows[REAL]["Lab shift"].high + 1:
        said.append(f"its colours are off by {figures['Lab shift'].value:.1f} in Lab on the mean; 1 is just seen")
    return said or ["nothing stands out"]


def against_the_best(own: Figure, others: dict[str, Figure]) -> str:
    """Say how a run stands beside the best that needs no network, by L1."""
    best = min(others, key=lambda name: others[name].value)
    simple = others[best]
    if simple.value < own.value:
        tied = " (within the interval)" if simple.value >= own.low else ""
        compared = f"{best}, which needs no network, is nearer to the partners{tied}"
    else:
        compared = f"nearer to the partners than {best}, the best that needs no network"
    return f"{compared} (L1 of the run {own.value:.3g}, of the other {simple.value:.3g})"
