"""judge(): a run's samples against real pictures, with intervals, baselines and memorisation."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.api import load
from genloom.core.model import Model
from genloom.data.pictures.decode import resize
from genloom.measures.copies import Nearest
from genloom.measures.figure import Figure
from genloom.measures.likelihood import OF_TRAINING, likelihood_rows
from genloom.measures.panels.pictures import Blocks, Jury, View
from genloom.train.run import Run
from genloom.train.session import count_weights
from genloom.use.judging.data import JudgedData, find_data
from genloom.use.judging.jury import REAL, SIMPLE, Rows, Terms, baselines, rows_to_json, seat_jury
from genloom.use.sampling.draw import stream

OVERFITTED = 0.1  # share of its size by which the log-likelihood of training pictures may exceed that of others
COPIED = 0.05  # share of near-copies, five times that of pictures never seen, that is called memorising


@dataclass
class Judgement:
    """What was measured.

    Attributes:
        measures: of the run's samples, by name and features.
        baselines: the same measures of the rows that give them meaning.
        cost: weights, training CPU seconds, samples per CPU second.
        verdicts: what the figures say, in words.
        about: what they were measured with.
        view, nearest, jury: for pictures; not written.
    """

    run: Run
    measures: dict[str, Figure]
    baselines: Rows
    cost: dict[str, float]
    verdicts: list[str]
    about: dict[str, Any]
    view: View = field(repr=False)
    nearest: Nearest = field(repr=False)
    jury: Jury = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures."""
        measures = {name: figure.to_json() for name, figure in self.measures.items()}
        return {"run": str(self.run.folder), "measures": measures, "baselines": rows_to_json(self.baselines),
                "cost": self.cost, "verdicts": self.verdicts, "about": self.about}  # fmt: skip


def judge(
    run: str | Path | Run, data: str | Path | None = None, n: int | None = None, features: str | None = None, *,
    test: str | Path | None = None, **terms: Any,
) -> Judgement:  # fmt: skip
    """Judge a run's samples against real pictures.

    Args:
        data: a source of the pictures it was trained on; None takes the one that the run names.
        n: samples; None takes 10,000, or as many as there are training pictures.
        features: `classifier`, `inception`, `dinov2`, `pixels` or `random`; None takes `classifier` where
            there are labels, else `random`.
        test: a source of pictures never trained on, where `data` has no test split.
        terms: the other fields of `Terms`: checkpoint, seed, weights, fetch, say.

    Raises:
        InputError: no checkpoint, data of another shape, too few pictures, no weights, no labels, or
            samples that are no numbers.

    Example:
        >>> judgement = judge("runs/digits")  # doctest: +SKIP
        >>> str(judgement.measures["FID[classifier:0d1b]"])  # doctest: +SKIP
        '12.25 [11.38, 13.12]'
    """
    run = run if isinstance(run, Run) else Run.open(run)
    settled = Terms(n, features, **terms)
    load(run, settled.checkpoint)  # what is wrong with the run shows before the long work
    found = find_data(run, data, test)
    jury = seat_jury(found, settled, mirrors(run))
    return judge_run(run, jury, baselines(jury, found, settled), found, settled)


def mirrors(run: Run) -> bool:
    """Whether the run was trained on mirrored pictures too."""
    return bool(run.record["data"]["options"].get("flip", False))


def judge_run(run: Run, jury: Jury, rows: Rows, found: JudgedData, terms: Terms) -> Judgement:
    """Measure one run's samples before a jury."""
    folder, n = run.checkpoint(terms.checkpoint), terms.count(found)
    model = load(run, folder.name)  # training may go on meanwhile
    terms.say(f"samples of {run.folder}")
    clock = {"seconds": 0.0}
    samples = stream(model, n, terms.seed, given=labels_like(jury, model, n, terms.seed))
    view = jury.view(at_size(timed(samples, clock), jury.train.shape.dims[1:]))
    terms.say(f"measures of {run.folder}")
    copied, nearest = jury.copies(view)
    figures = jury.measure(view) | copied
    if model.shape.dims == jury.train.shape.dims:  # enlarged pictures have another likelihood
        figures |= likelihood_rows(model, found.test, found.train)
    cost = {
        "weights": count_weights(model),
        "training_cpu_seconds": round(run.state(folder)["cpu_seconds"], 1),
        "samples_per_cpu_second": round(n / max(clock["seconds"], 1e-9), 1),
    }
    about = describe(run, jury, found, terms) | {"checkpoint": folder.name, "n": n}
    return Judgement(run, figures, rows, cost, verdicts(figures, rows, found), about, view, nearest, jury)


def labels_like(jury: Jury, model: Model, n: int, seed: int) -> Tensor | None:
    """Return class indices `[n]` as often as the training data has them, for a model that takes labels."""
    labels = jury.train.labels
    if labels is None or not getattr(model, "conditional", False):
        return None
    places = torch.randint(len(labels), (n,), generator=torch.Generator().manual_seed(seed))
    return labels[places].cpu()


def describe(run: Run, jury: Jury, found: JudgedData, terms: Terms) -> dict[str, Any]:
    """Return all that the figures were measured with."""
    features, train = jury.features, found.train
    return {
        "model": run.record["model"], "preset": run.record["preset"],
        "features": {"name": features.name, "hash": features.digest, "about": features.about},
        "train": {"source": train.source, "fingerprint": train.fingerprint, "pictures": len(train),
                  "of_the_run": found.known},
        "compared_with": len(jury.real), "real_pictures": len(jury.fresh), "never_trained_on": jury.unseen,
        "dims": list(train.shape.dims), "coding": "8 bits", "resize": "bicubic, antialiased", "seed": terms.seed,
    }  # fmt: skip


def timed(blocks: Blocks, clock: dict[str, float]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pass blocks on, adding up the CPU seconds that making them took."""
    began = time.process_time()
    for block in blocks:
        clock["seconds"] += time.process_time() - began
        yield block
        began = time.process_time()


def at_size(blocks: Blocks, size: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pass blocks on, resized as files are where their size is another."""
    height, width = size
    for x, given in blocks:
        yield (x if x.shape[2:] == (height, width) else resize(x, (height, width))), given


def verdicts(figures: dict[str, Figure], rows: Rows, found: JudgedData) -> list[str]:
    """Say in words what the figures mean."""
    said = []
    for name, figure in figures.items():
        if name.startswith("near-copies") and figure.low > COPIED:
            said.append(f"{figure.value:.0%} of the samples are near-copies of training pictures by {name[12:-1]}, of real "
                        "pictures 1 %: the model memorises; train less, on more pictures, or with augmentation")  # fmt: skip
    fid, recall = (next(name for name in figures if name.startswith(kind)) for kind in ("FID", "recall"))
    simple, real = rows[SIMPLE][fid].value, rows[REAL]
    if figures[fid].value > simple:
        said.append(f"a mixture of Gaussians fitted in seconds is nearer to the data by {fid}: {simple:.3g}")
    if figures[recall].high < real[recall].low / 2:
        said.append(f"the samples reach {figures[recall].value:.0%} of the variety of the data, other real pictures "
                    f"{real[recall].value:.0%}: much of the data is never drawn")  # fmt: skip
    for name, trained in figures.items():
        if (
            name.startswith(OF_TRAINING)
            and trained.low > (fresh := figures[name.replace(OF_TRAINING, "log-likelihood")]).high
        ):
            gap = (trained.value - fresh.value) / abs(fresh.value)
            if gap > OVERFITTED:
                said.append(f"training pictures are {trained.value - fresh.value:.0f} nats likelier than unseen ones "
                            f"({gap:.0%}): the model is over-fitted; train less, or on more pictures")  # fmt: skip
    if not found.known:
        said.append("these are not the pictures that the run was trained on: memorisation says nothing about those")
    return said or ["nothing stands out"]
