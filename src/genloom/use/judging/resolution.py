"""The panel of super-resolution: pictures shrunk and enlarged again, against what they were, and what needs no network."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.core.capabilities import Upscales
from genloom.data.options import PictureOptions
from genloom.data.pieces.dataset import PieceData
from genloom.data.pieces.load import PieceSource
from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.measures.partners import fit_patches, seen_by
from genloom.measures.resolution import resolution_figures
from genloom.models.resolution.srgan import rounded
from genloom.nn.imresize import grown, shrunk
from genloom.nn.tiles import by_tiles
from genloom.shapes.pictures import grid, to_picture
from genloom.shapes.pieces import PieceShape
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import image, slider

BICUBIC, NEAREST, RIDGE = "bicubic", "nearest pixel", "ridge on patches"
MOST, FITTED = 100, 40  # pictures that are enlarged, and that the ridge is fitted to
TILE = 256  # of the small pictures, that are enlarged at once
SHOWN, SEEN = 4, 160  # pictures on the page, and the side of the part of each


class ResolutionPanel(Panel):
    """Measures enlargements of pictures, of those never trained on where there are any."""

    shown: ClassVar = {name: name for name in (NEAREST, BICUBIC, RIDGE)}
    needs = (Upscales, "enlarges no pictures")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        terms.pictures_only()
        self.terms = terms
        scales = {run.record["hyper"]["scale"] for run in runs}
        if len(scales) > 1:
            raise InputError(f"runs of one scale are compared with each other, and these enlarge by {sorted(scales)}")
        (self.scale,) = scales
        self.train = pieces_of(runs[0], data, "train")
        for run in runs:
            if run.record["data"]["fingerprint"] != self.train.fingerprint and test is None:
                raise InputError(
                    f"{run.folder} was trained on other pictures than {self.train.source} holds now: name those after the "
                    "run, or others to judge by with --test"
                )
        self.held = pieces_of(runs[0], test if test is not None else data, "train" if test is not None else "test")
        self.unseen = self.held.fingerprint != self.train.fingerprint
        self.real = [whole_squares(x, self.scale) for x in spread(self.held, MOST, 4 * self.scale)]
        self.small = [rounded(shrunk(x, self.scale)) for x in self.real]
        if not self.real:
            raise InputError(f"{self.held.source} has no picture large enough to be shrunk by {self.scale}")
        key = ["resolution-1", self.train.fingerprint, self.held.fingerprint, self.scale]
        self.rows = cached_rows(key, [NEAREST, BICUBIC, RIDGE], self.baselines)

    def baselines(self) -> Rows:
        """Return the figures of what needs no network."""
        self.terms.say("fit the baselines")
        seen = [whole_squares(x, self.scale) for x in spread(self.train, FITTED, 4 * self.scale)]
        bicubic = [self.by_bicubic(rounded(shrunk(x, self.scale))) for x in seen]
        side = min(min(x.shape[2:]) for x in seen)  # of a part of each that all have
        a, b = (torch.cat([x[:, :, :side, :side] for x in each]) for each in (bicubic, seen))
        kernel, offset = fit_patches(a, b)
        makers: dict[str, Callable[[Tensor], Tensor]] = {
            NEAREST: lambda x: x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3),
            BICUBIC: self.by_bicubic,
            RIDGE: lambda x: seen_by(self.by_bicubic(x), kernel, offset),
        }
        return {name: self.measure([rounded(make(x)) for x in self.small]) for name, make in makers.items()}

    def by_bicubic(self, x: Tensor) -> Tensor:
        """Enlarge pictures without a network."""
        return grown(x, self.scale).clamp(0, 1)

    def measure(self, made: Sequence[Tensor]) -> dict[str, Figure]:
        """Return every figure of enlarged pictures."""
        return resolution_figures(made, self.real, self.scale)

    def judge(self, run: Run) -> Judgement:
        terms, folder = self.terms, run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Upscales)
        terms.say(f"enlarge by {run.folder}")
        began = time.process_time()
        made = [rounded(by_tiles(model.upscale, x, TILE, model.reach, self.scale)) for x in self.small]
        cost = time.process_time() - began
        figures = self.measure(made)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {
                "source": self.train.source, "fingerprint": self.train.fingerprint, "pictures": len(self.train.sizes)
            },
            "pictures": len(self.real),
            "scale": self.scale,
            "never_trained_on": self.unseen,
            "seed": terms.seed,
        }  # fmt: skip
        costs = cost_of(run, folder, model, len(made), cost)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, made)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        seen = "never trained on" if self.unseen else "which training saw: name others with --test"
        return (
            f"{len(self.real):,} pictures of {self.held.source}, {seen}, shrunk by {self.scale} as MATLAB does it and "
            f"enlarged again; trained on {judgement.about['train']['pictures']:,}. Y is MATLAB's luminance, as in papers."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        parts = ["<h2>Before and after</h2>", "<p>Drag: bicubic on the left, the run on the right.</p>"]
        for judgement in judgements:
            pairs = [(self.by_bicubic(self.small[i]), judgement.seen[i]) for i in range(min(SHOWN, len(self.real)))]
            sliders = "".join(slider(*(to_picture(x[0]) for x in pair)) for pair in pairs)
            parts.append(f'<p>{html.escape(judgement.name)}</p><div class="pictures">{sliders}</div>')
        parts.append(
            "<p>From the left: bicubic, " + ", ".join(html.escape(j.name) for j in judgements) + ", the picture.</p>"
        )
        for i in range(min(SHOWN, len(self.real))):
            row = [self.by_bicubic(self.small[i]), *(judgement.seen[i] for judgement in judgements), self.real[i]]
            parts.append(f"<p>{image(to_picture(grid(torch.cat([middle(x) for x in row]), columns=len(row))))}</p>")
        return parts


def pieces_of(run: Run, data: Any, split: str) -> PieceData:
    """Return the pictures that a run was trained on, or others, whole and in its channels."""
    if isinstance(data, PieceData):
        return data
    named, shape = source_of(run, data, "pictures"), run.shape
    assert isinstance(shape, PieceShape)
    loaded = {name: value for name, value in run.record["data"]["loaded"].items() if value is not None}
    options = PictureOptions.of(loaded | {"split": split, "size": None})
    # Small pictures, which hold no piece, can be enlarged all the same.
    return PieceSource(named, options).load(PieceShape((), shape.channels, 1, 1))


def spread(data: PieceData, most: int, least: int) -> list[Tensor]:
    """Return up to so many pictures `[1, C, H, W]` from all over the data, none smaller than `least`."""
    large = [i for i, size in enumerate(data.sizes) if min(size) >= least]
    places = torch.linspace(0, len(large) - 1, min(len(large), most)).long().tolist() if large else []
    return [data.picture(large[i]) for i in places]


def whole_squares(x: Tensor, scale: int) -> Tensor:
    """Cut pictures `[n, C, H, W]` to a size that the scale divides."""
    return x[:, :, : x.shape[2] // scale * scale, : x.shape[3] // scale * scale]


def middle(x: Tensor) -> Tensor:
    """Return the middle of a picture `[1, C, H, W]`."""
    top, left = (max((side - SEEN) // 2, 0) for side in x.shape[2:])
    return x[:, :, top : top + SEEN, left : left + SEEN]


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    own, simple = figures["PSNR-Y"].value, {name: row["PSNR-Y"].value for name, row in rows.items()}
    best = max(simple, key=lambda name: simple[name])
    said = []
    if own < simple[best]:
        said.append(f"{best}, which needs no network, is nearer to the pictures by {simple[best] - own:.2f} dB")
    else:
        said.append(f"nearer to the pictures than {best} by {own - simple[best]:.2f} dB, the best that needs no network")
    sharp, blurred = figures["detail"].value, rows[BICUBIC]["detail"].value
    said.append(f"it has {sharp:.0%} of the real pictures' fine detail, bicubic {blurred:.0%}")
    if figures["shrunk again, L1"].value > 2 * rows[BICUBIC]["shrunk again, L1"].value:
        said.append("shrunk again, its pictures are not what they were made of: brightness or colours drift")
    return said
