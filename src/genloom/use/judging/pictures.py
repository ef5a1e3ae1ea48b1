"""The panel of pictures: quality, variety, copies and likelihood of samples, beside real pictures and simple models."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.api import load
from genloom.core.model import Model
from genloom.data.pictures.decode import resize
from genloom.measures.copies import Nearest
from genloom.measures.likelihood import likelihood_rows
from genloom.measures.pictures import Blocks, Jury, View
from genloom.shapes.base import Shape
from genloom.shapes.pictures import ImageShape, grid, to_picture
from genloom.train.run import Run
from genloom.use.judging.compare import unlike
from genloom.use.judging.few_labels import errors
from genloom.use.judging.panel import Judgement, Panel, Terms, cost_of, shape_of
from genloom.use.judging.picture_data import JudgedData, find_data
from genloom.use.judging.picture_jury import (
    BASELINE,
    COPIES,
    LOOKED,
    NETWORK,
    REAL,
    SIMPLE,
    baselines,
    make_jury,
    settled,
    usual,
)
from genloom.use.judging.picture_verdicts import flattered, verdicts
from genloom.use.judging.progress import Progress
from genloom.use.judging.variety import variety, variety_figure
from genloom.use.report.html import image, plot
from genloom.use.report.plot import figure
from genloom.use.sampling.draw import stream

VARIETY = "scale the noise of "


@dataclass
class Seen:
    """What is kept of a run's samples for the page: a view of them, and their nearest training pictures."""

    view: View
    nearest: Nearest


class PicturePanel(Panel):
    """Measures samples of pictures before one jury."""

    shown: ClassVar = {SIMPLE: "mixture", REAL: "real", COPIES: "copies"}

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        size = common_size(runs) if len(runs) > 1 else None
        largest = max(runs, key=lambda run: shape_of(run).dims[1:])
        self.found = find_data(largest, data, test, size)
        terms = settled(terms, self.found.train)
        self.terms = terms = replace(terms, say=Progress(terms.say, stages(runs, self.found, terms)))
        self.jury = make_jury(self.found, terms, any(mirrors(run) for run in runs))
        self.rows = baselines(self.jury, terms)
        # Refuses data unlike a run's own, too.
        known = [find_data(run, data, test).known for run in runs] if len(runs) > 1 else [self.found.known]
        self.known = {run.folder: own for run, own in zip(runs, known, strict=True)}

    def judge(self, run: Run) -> Judgement:
        jury, terms, found = self.jury, self.terms, replace(self.found, known=self.known[run.folder])
        folder, n = run.checkpoint(terms.checkpoint), terms.count(len(found.train), found.train.source, usual(terms))
        model = load(run, folder.name)  # training may go on meanwhile
        terms.say(f"draw samples of {run.folder}")
        clock = {"seconds": 0.0}
        samples = stream(model, n, terms.seed, given=labels_like(jury, model, n, terms.seed))
        view = jury.view(at_size(timed(samples, clock), jury.train.shape.size))
        terms.say(f"measure {run.folder}")
        copied, nearest = jury.copies(view)
        figures = jury.measure(view) | copied
        if model.shape.dims == jury.train.shape.dims:  # enlarged pictures have another likelihood
            figures |= likelihood_rows(model, found.test, found.train)
        told, beside = errors(model, found)
        figures |= told
        cost = cost_of(run, folder, model, n, clock["seconds"])
        if not terms.quick:
            terms.say(f"{VARIETY}{run.folder}")
        about = self.describe(run, found) | {"checkpoint": folder.name, "n": n, "variety": variety(model, jury, terms.seed)}
        said = [*enlarged_verdict(model.shape, jury.train.shape), *flattered(model.taught_by, jury.features.name)]
        said += verdicts(figures, self.rows, found)
        return Judgement(run, figures, self.rows | beside, cost, said, about, self, Seen(view, nearest))

    def describe(self, run: Run, found: JudgedData) -> dict[str, Any]:
        """Return all that the figures were measured with."""
        features, train, record = self.jury.features, found.train, run.record
        return {
            "model": record["model"],
            "preset": record["preset"],
            "features": {"name": features.name, "hash": features.digest, "about": features.about},
            "train": {
                "source": train.source,
                "fingerprint": train.fingerprint,
                "pictures": len(train),
                "of_the_run": found.known,
            },
            "compared_with": len(self.jury.real),
            "real_pictures": len(self.jury.fresh),
            "never_trained_on": self.jury.unseen,
            "dims": list(train.shape.dims),
            "coding": "8 bits",
            "resize": "bicubic, antialiased",
            "seed": self.terms.seed,
            "quick": self.terms.quick,
        }

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        about = judgement.about
        quick = " A quick look: without --quick, a classifier, patches and similarity have their say too."
        quick = quick if about["quick"] else ""
        held = "never trained on" if about["never_trained_on"] else "from the other half of the training pictures"
        return (
            f"{about['n']:,} samples against {about['compared_with']:,} of the {about['train']['pictures']:,} training "
            f"pictures of {about['train']['source']}, {'x'.join(map(str, about['dims']))}; real pictures: "
            f"{about['real_pictures']:,}, {held}.{quick}"
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        features = judgements[0].about["features"]
        quiet = f"Features {html.escape(features['name'])}: {html.escape(features['about'])}."
        return [
            f'<p class="quiet">{quiet}</p>',
            "<h2>Samples</h2>",
            self.samples_part(judgements),
            "<h2>Nearest training pictures</h2>",
            "<p>Each row: a sample, then its three nearest training pictures by pixels. First the eight that look most like "
            "copies, then eight at random.</p>",
            *(self.neighbours_part(judgement) for judgement in judgements),
            *self.variety_part(judgements),
            "<h2>Where samples lie</h2>",
            "<p>Real pictures and samples on the two directions in which real features vary most.</p>",
            *(self.manifold_part(judgement) for judgement in judgements),
        ]

    def samples_part(self, judgements: Sequence[Judgement]) -> str:
        """Return sample grids of the runs, from the same seed, beside real pictures."""
        sets = [(judgement.name, judgement.seen.view.floats(64)) for judgement in judgements]
        sets.append((REAL, self.jury.fresh.floats(64)))
        shown = "".join(
            f'<div style="max-width: 47%"><p>{html.escape(name)}</p>{image(to_picture(grid(x, 8)))}</div>'
            for name, x in sets
        )
        return f'<div class="pictures">{shown}</div>'

    def neighbours_part(self, judgement: Judgement) -> str:
        """Return samples beside their nearest training pictures: those most like copies, and some at random."""
        nearest = judgement.seen.nearest
        sheets = []
        for chosen in (nearest.ratio.argsort()[:8], torch.arange(8)):
            places = nearest.index[chosen, :3]
            found = self.jury.training_at(places.flatten()).view(len(chosen), -1, *self.jury.train.shape.dims)
            rows = torch.cat([judgement.seen.view.floats(len(nearest.ratio))[chosen][:, None], found], 1)
            sheets.append(image(to_picture(grid(rows.flatten(0, 1), rows.shape[1]))))
        shown = "".join(f"<div>{sheet}</div>" for sheet in sheets)
        return f'<p>{html.escape(judgement.name)}</p><div class="pictures">{shown}</div>'

    def variety_part(self, judgements: Sequence[Judgement]) -> list[str]:
        """Return how precision and recall hang on the scale of the noise, for the runs that have any."""
        curves = [(judgement.name, judgement.about["variety"]) for judgement in judgements if judgement.about["variety"]]
        if not curves:
            return []
        return [
            "<h2>Quality against variety</h2>",
            "<p>Samples of less noise (genloom sample --temperature) are to lie nearer to real pictures, and reach fewer of "
            "them. Each point is named by its temperature; 1 is the model's own.</p>",
            plot(variety_figure(curves)),
        ]

    def manifold_part(self, judgement: Judgement) -> str:
        """Return real pictures and samples as points on the two directions of greatest variance of the real features."""
        real, fake = (view.features[:2000] for view in (self.jury.real, judgement.seen.view))
        mean = real.mean(0)
        _, directions = torch.linalg.eigh((real - mean).T @ (real - mean))
        page, axes = figure(1, [4.2], 6.0)
        ax = axes[0][0]
        for x, colour, label in ((real, "tab:blue", REAL), (fake, "tab:orange", judgement.name)):
            points = (x - mean) @ directions[:, -2:]
            ax.scatter(points[:, 1], points[:, 0], s=4, alpha=0.35, color=colour, label=label, linewidths=0)
        ax.set(xlabel="first direction", ylabel="second direction")
        ax.legend(frameon=False, markerscale=3)
        return plot(page)


def common_size(runs: Sequence[Run]) -> tuple[int, int]:
    """Return the largest (height, width) of the runs' samples, or raise InputError where they are unlike."""
    shapes = [shape_of(run) for run in runs]
    for run, shape in zip(runs, shapes, strict=True):
        if shape.dims[0] != shapes[0].dims[0]:
            raise unlike(run, runs[0])
    return max(shape.size for shape in shapes if isinstance(shape, ImageShape))


def mirrors(run: Run) -> bool:
    """Whether the run was trained on mirrored pictures too."""
    return bool(run.record["data"]["options"].get("flip", False))


def labels_like(jury: Jury, model: Model, n: int, seed: int) -> Tensor | None:
    """Return class indices `[n]` as often as the training data has them, for a model that takes labels."""
    labels = jury.train.labels
    if labels is None or not model.conditional:
        return None
    places = torch.randint(len(labels), (n,), generator=torch.Generator().manual_seed(seed))
    return labels[places].cpu()


def timed(blocks: Blocks, clock: dict[str, float]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pass blocks on, adding up the CPU seconds that making them took."""
    began = time.process_time()
    for block in blocks:
        clock["seconds"] += time.process_time() - began
        yield block
        began = time.process_time()


def stages(runs: Sequence[Run], found: JudgedData, terms: Terms) -> dict[str, float]:
    """Return what a judgement does, in order, with the seconds that each part usually takes on one thread."""
    n = terms.count(len(found.train), found.train.source, usual(terms))
    size = found.train.shape.width / 1024 * (0.1 if terms.quick else 1.0)
    row = 2 + size * (n / 1500 + len(found.train) / 20_000)
    first = {NETWORK: 15 * size, LOOKED: size * n / 10_000, BASELINE + REAL: row + size * 8, BASELINE + SIMPLE: row + 2}
    own = [(f"draw samples of {run.folder}", f"measure {run.folder}", f"{VARIETY}{run.folder}") for run in runs]
    return first | {BASELINE + COPIES: row} | {stage: row for pair in own for stage in pair}


def enlarged_verdict(own: Shape, judged: ImageShape) -> list[str]:
    """Say where a run's pictures are smaller than those that it is judged by."""
    if own.dims[1:] == judged.size:
        return []
    (height, width), (h, w) = own.dims[1:], judged.size
    return [
        f"makes {height}x{width} and was enlarged to {h}x{w}: it cannot have the detail of that size, and a figure that "
        "hardly sees detail may still call it the better; look at the pictures, and at SWD"
    ]


def at_size(blocks: Blocks, size: tuple[int, int]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pass blocks on, resized as files are where their size is another."""
    for x, given in blocks:
        yield (x if x.shape[2:] == size else resize(x, size)), given
