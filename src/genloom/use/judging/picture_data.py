"""The pictures that a run is judged against: those it was trained on, and others that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.catalogue import find_model
from genloom.data.options import PictureOptions
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.load import PictureSource, load_pictures, split_range
from genloom.errors import InputError
from genloom.shapes.pictures import ImageShape
from genloom.train.run import Run
from genloom.use.judging.panel import LEAST, shape_of


@dataclass
class JudgedData:
    """Real pictures for a judgement.

    Attributes:
        train: what training saw.
        test: pictures that training never saw, or None.
        validation: others that it never saw, for choices a measure needs, or None.
        known: whether `train` is what the run recorded as its training data.
    """

    train: ImageData
    test: ImageData | None
    validation: ImageData | None
    known: bool


def find_data(
    run: Run, source: str | Path | None, test: str | Path | None, size: tuple[int, int] | None = None
) -> JudgedData:
    """Load the pictures for judging a run, at its size or at `size`.

    Args:
        source: a data source, or None for the one that the run names.
        test: a source of pictures never trained on, or None for the test split or the rest of a slice.

    Raises:
        InputError: there is no such data, too little of it, or it has another shape than the run's.
    """
    record, shape = run.record, shape_of(run)
    if not isinstance(shape, ImageShape):
        raise InputError(f"pictures are wanted here; {run.folder} gives {shape.describe()}")
    named = str(source or record["data"]["source"])
    if named == "python":
        raise InputError(f"{run.folder} was trained on a Python object: name the pictures to compare with, after the run")
    options = options_of(record, shape, size)
    train = load_pictures(named, options)
    known = size is not None or train.fingerprint == record["data"]["fingerprint"]
    if not known:
        refuse_another_shape(run, named, train, shape, options)
    if len(train) < LEAST:
        raise InputError(f"{named} has {len(train)} pictures; the judge needs {LEAST} at least")
    held, validation = held_out(named, str(test) if test else None, options, train, known)
    return JudgedData(train, held, validation, known)


def options_of(record: dict[str, Any], shape: ImageShape, size: tuple[int, int] | None = None) -> PictureOptions:
    """Return the options with which the pictures of a run were loaded."""
    loaded = PictureOptions.of(record["data"]["loaded"])
    return replace(loaded, size=size or shape.size, channels=shape.channels)  # type: ignore[arg-type]


def trained_on(run: Run) -> ImageData:
    """Return the pictures that a run was trained on, without asking whether they are enough to judge by.

    Raises:
        InputError: they are not there any more, have changed, or were no files.
    """
    named, shape = str(run.record["data"]["source"]), shape_of(run)
    if named == "python" or not isinstance(shape, ImageShape):
        raise InputError(f"{run.folder} was trained on a Python object: there are no files to look for neighbours in")
    data = load_pictures(named, options_of(run.record, shape))
    if data.fingerprint != run.record["data"]["fingerprint"]:
        raise InputError(f"{named} does not hold the pictures any more that {run.folder} was trained on")
    return data


def pictures_at(source: str, dims: Sequence[int]) -> Tensor:
    """Return all pictures of a source `[n, C, H, W]` in [0, 1], cropped and resized to these dimensions `(C, H, W)`."""
    channels, height, width = dims
    data = load_pictures(source, PictureOptions(size=(height, width), channels=channels))  # type: ignore[arg-type]
    return data.pictures(torch.arange(len(data)))


def refuse_another_shape(run: Run, named: str, data: ImageData, shape: ImageShape, options: PictureOptions) -> None:
    """Raise InputError where data that the run was not trained on has another shape than its samples."""
    record = run.record
    try:
        natural = PictureSource(named, PictureOptions(skip_broken=options.skip_broken)).shape()
    except InputError:  # pictures of many sizes have none of their own; they were resized all right
        natural = data.shape
    model = find_model(record["model"])
    taken = model.fits(natural, model.Hyper.from_json(record["hyper"]))
    sized = record["data"]["loaded"]["size"] or named == record["data"]["source"]  # then resizing is part of the run
    sizes = (natural.size, taken.size if isinstance(taken, ImageShape) else None)
    if natural.channels != shape.channels or not (sized or shape.size in sizes):
        raise InputError(
            f"{run.folder} gives {shape.describe()}, {named} has {natural.describe()}: "
            "judge it against pictures like its own"
        )
    if data.shape.classes and shape.classes and data.shape.classes != shape.classes:
        raise InputError(f"{run.folder} has {len(shape.classes)} classes, {named} has {len(data.shape.classes)} others")


def held_out(
    named: str, test: str | None, options: PictureOptions, train: ImageData, known: bool
) -> tuple[ImageData | None, ImageData | None]:
    """Return pictures never trained on: to measure against, and to choose a measure's settings on."""
    base, rows = split_range(named)
    rest = None
    if rows and known:  # else the rest of a slice may have been trained on
        rest = f"{base}[{rows.stop}:]" if rows.stop is not None else f"{base}[:{rows.start}]" if rows.start else None
    validation = load_quietly(rest, options) if rest else None
    if test is not None:
        found: ImageData | None = load_pictures(test, options)
        if found is not None and len(found) < LEAST:
            raise InputError(f"{test} has {len(found)} pictures; the judge needs {LEAST} at least")
        if found is not None and found.fingerprint == train.fingerprint:
            raise InputError(f"{test} is the training data itself: name pictures that were never trained on after --test")
        if found is not None and found.shape.classes and found.shape.classes != train.shape.classes:
            raise InputError(f"{test} has other classes than {named}: their folders need the same names")
    else:
        found = load_quietly(base, replace(options, split="test"))
        whole = load_quietly(base, options)
        found = None if found is None or whole is None or found.fingerprint == whole.fingerprint else found
    held = [data if data is not None and len(data) >= LEAST else None for data in (found, validation)]
    return (held[0], held[1]) if held[0] is not None else (held[1], None)


def load_quietly(source: str, options: PictureOptions) -> ImageData | None:
    """Return a data set, or None where there is none."""
    try:
        return load_pictures(source, options)
    except InputError:
        return None


def pick(data: ImageData, n: int, seed: int) -> torch.Tensor:
    """Return `n` places in a data set, drawn without repetition."""
    return torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:n]
