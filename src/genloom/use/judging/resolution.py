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
from genloom.measures.resolution import least, resolution_figures
from genloom.nn.imresize import grown, shrunk
from genloom.nn.tiles import by_tiles
from genloom.shapes.pictures import grid, rounded, to_picture
from genloom.shapes.pieces import PieceShape
from genloom.train.run import Run
from genloom.use.judging.panel import Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import image, slider
from genloom.use.translation.files import quickly

BICUBIC, NEAREST, RIDGE = "bicubic", "nearest pixel", "ridge on patches"
MOST, FITTED = 100, 96  # pictures that are enlarged, or learnt from, and the side of what is learnt from each
TILE = 256  # of the small pictures, that are enlarged at once
TOO_MUCH = 1.15  # of the real pictures' detail, from which it cannot be theirs
SHOWN, SEEN, LARGEST = 4, 160, 480  # pictures on the page, and the sides of the parts of each, in a row and to drag
Make = Callable[[Tensor], Tensor]  # from a small picture to a large one


class ResolutionPanel(Panel):
    """Measures enlargements of pictures, one after the other, of those never trained on where there are any."""

    shown: ClassVar = {name: name for name in (NEAREST, BICUBIC, RIDGE)}
    needs = (Upscales, "enlarges no pictures")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        terms.pictures_only()
        self.terms = terms
        asked = {(run.record["hyper"]["scale"], run.shape.dims[0]) for run in runs}
        if len(asked) > 1:
            raise InputError("runs of one scale and of as many channels are compared with each other, and these differ")
        ((self.scale, _),) = asked
        self.train = pieces_of(runs[0], data, "train")
        self.held = pieces_of(runs[0], test if test is not None else data, "train" if test is not None else "test")
        large = [i for i, size in enumerate(self.held.sizes) if min(size) >= least(self.scale)]
        if not large:
            raise InputError(f"{self.held.source} has no picture of {least(self.scale)} pixels a side, which measures need")
        self.places = [large[i] for i in torch.linspace(0, len(large) - 1, min(len(large), MOST)).long().tolist()]
        key = ["resolution-2", self.train.fingerprint, self.held.fingerprint, self.scale]
        self.rows = cached_rows(key, [NEAREST, BICUBIC, RIDGE], self.baselines)

    def real(self, i: int) -> Tensor:
        """Return the i-th picture that is judged by, cut to a size that the scale divides."""
        return whole_squares(self.held.picture(self.places[i]), self.scale)

    def small(self, i: int) -> Tensor:
        """Return it shrunk, as a file would hold it."""
        return rounded(shrunk(self.real(i), self.scale))

    def by_bicubic(self, x: Tensor) -> Tensor:
        """Enlarge pictures without a network."""
        return grown(x, self.scale).clamp(0, 1)

    def baselines(self) -> Rows:
        """Return the figures of what needs no network."""
        self.terms.say("fit the baselines")
        kernel, offset = fit_patches(*self.learnt_from())
        makers: dict[str, Make] = {
            NEAREST: lambda x: x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3),
            BICUBIC: self.by_bicubic,
            RIDGE: lambda x: seen_by(self.by_bicubic(x), kernel, offset),
        }
        return {name: self.measure(make) for name, make in makers.items()}

    def learnt_from(self) -> tuple[Tensor, Tensor]:
        """Return the middles of some training pictures, shrunk and enlarged by a bicubic filter, and as they are."""
        large = [i for i, size in enumerate(self.train.sizes) if min(size) >= FITTED] or range(len(self.train.sizes))
        side = min(FITTED, *(min(self.train.sizes[i]) for i in large)) // self.scale * self.scale
        places = torch.linspace(0, len(large) - 1, min(len(large), MOST)).long().tolist()
        real = torch.cat([middle(self.train.picture(large[i]), side) for i in places])
        return self.by_bicubic(rounded(shrunk(real, self.scale))), real

    def measure(self, make: Make) -> dict[str, Figure]:
        """Return every figure of what makes small pictures larger."""
        pairs = ((rounded(make(self.small(i))), self.real(i)) for i in range(len(self.places)))
        return resolution_figures(pairs, self.scale)

    def judge(self, run: Run) -> Judgement:
        terms, folder = self.terms, run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Upscales)
        terms.say(f"enlarge by {run.folder}")
        seen: list[Tensor] = []
        cost = 0.0

        def make(x: Tensor) -> Tensor:
            nonlocal cost
            began = time.process_time()
            with torch.inference_mode(), quickly(model.device):
                made = by_tiles(model.upscale, x, TILE, model.reach, self.scale)
            cost += time.process_time() - began
            if len(seen) < SHOWN:
                seen.append(made)
            return made

        figures = self.measure(make)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {name: run.record["data"][name] for name in ("source", "fingerprint", "examples")},
            "pictures": len(self.places),
            "scale": self.scale,
            "never_trained_on": self.never_trained_on(run),
            "seed": terms.seed,
        }
        costs = cost_of(run, folder, model, len(self.places), cost)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, seen)

    def never_trained_on(self, run: Run) -> bool | None:
        """Whether none of the pictures was trained on by a run; None where what it was trained on is not there any more."""
        train = self.train
        if run.record["data"]["fingerprint"] != train.fingerprint:
            try:
                train = pieces_of(run, None, "train")
            except InputError:
                return None
        if run.record["data"]["fingerprint"] != train.fingerprint:
            return None
        known: dict[tuple[int, int], list[int]] = {}
        for i, size in enumerate(train.sizes):
            known.setdefault(size, []).append(i)
        pairs = ((i, j) for i in self.places for j in known.get(self.held.sizes[i], []))
        return not any(torch.equal(self.held.whole(i), train.whole(j)) for i, j in pairs)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        seen = {
            True: "never trained on",
            False: "which training saw: name others with --test",
            None: "which training may have seen: what it was trained on is not there any more",
        }[judgement.about["never_trained_on"]]
        return (
            f"{len(self.places):,} pictures of {self.held.source}, {seen}, shrunk by {self.scale} as MATLAB does it and "
            f"enlarged again; trained on {judgement.about['train']['source']}. Y is MATLAB's luminance, as in papers."
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        shown = range(min(SHOWN, len(self.places)))
        parts = ["<h2>Before and after</h2>", "<p>Drag: bicubic on the left, the run on the right.</p>"]
        for judgement in judgements:
            pairs = [(self.by_bicubic(self.small(i)), judgement.seen[i]) for i in shown]
            sliders = "".join(slider(*(to_picture(middle(x, LARGEST)[0]) for x in pair)) for pair in pairs)
            parts.append(f'<p>{html.escape(judgement.name)}</p><div class="pictures">{sliders}</div>')
        parts.append(
            "<p>From the left: bicubic, " + ", ".join(html.escape(j.name) for j in judgements) + ", the picture.</p>"
        )
        for i in shown:
            row = [self.by_bicubic(self.small(i)), *(judgement.seen[i] for judgement in judgements), self.real(i)]
            parts.append(f"<p>{image(to_picture(grid(torch.cat([middle(x, SEEN) for x in row]), columns=len(row))))}</p>")
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


def whole_squares(x: Tensor, scale: int) -> Tensor:
    """Cut pictures `[n, C, H, W]` to a size that the scale divides."""
    return x[:, :, : x.shape[2] // scale * scale, : x.shape[3] // scale * scale]


def middle(x: Tensor, most: int) -> Tensor:
    """Return the middle of a picture `[1, C, H, W]`, of so many pixels a side at most."""
    top, left = (max((side - most) // 2, 0) for side in x.shape[2:])
    return x[:, :, top : top + most, left : left + most]


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
    if sharp > TOO_MUCH:
        said.append(
            f"it has {sharp:.0%} of the real pictures' fine detail, more than there is: a pattern or noise, look at them"
        )
    else:
        said.append(f"it has {sharp:.0%} of the real pictures' fine detail, bicubic {blurred:.0%}")
    if figures["shrunk again, L1"].value > 2 * rows[BICUBIC]["shrunk again, L1"].value:
        said.append("shrunk again, its pictures are not what they were made of: brightness or colours drift")
    return said
