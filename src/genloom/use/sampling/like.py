"""Samples like given pictures, by a model that follows instances, and the sheet that shows both with their neighbours."""

# n samples, m instances, F features, C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genloom.bounds import whole
from genloom.core.capabilities import Likens
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.nn.neighbours import neighbours
from genloom.train.run import Run
from genloom.use.judging.picture_data import pictures_at, trained_on
from genloom.use.likelihood.complete import read_picture
from genloom.use.sampling.draw import BLOCK, check_temperature, checked, labels_for

NEAR, MADE = 4, 8  # neighbours, and samples, of an instance on a sheet
COLUMNS = 1 + NEAR + MADE


@dataclass
class Instances:
    """Pictures to go by `[m, C, H, W]` in [0, 1], and what a model sees in them `[m, F]`."""

    pictures: Tensor
    h: Tensor


def likening(model: Model) -> Likens:
    """Return a model that draws pictures like given ones; InputError for another."""
    if not isinstance(model, Likens):
        raise InputError(f"{type(model).__name__} does not follow given pictures; icgan does: genloom fit icgan")
    return model


def instances_of(model: Model, like: str | None, folder: str | None) -> Instances:
    """Return the instance that a picture file is, or those of a folder or other source, cropped to the model's shape.

    Raises:
        InputError: the model follows no instances; there is no picture, or a file is none; both or neither is named.
    """
    follows = likening(model)
    if (like is None) == (folder is None):
        raise InputError("say either --like PICTURE or --instances FOLDER")
    x = read_picture(like, model.shape) if like is not None else pictures_at(str(folder), model.shape.dims)
    return Instances(x, follows.instances(x))


def stream_like(
    model: Model, found: Instances, n: int, seed: int = 0, label: str | int | None = None, temperature: float = 1.0
) -> Iterator[Tensor]:
    """Yield `n` samples in blocks `[b, C, H, W]`, the i-th like the instance i, which go round; raises as `draw`."""
    follows = likening(model)
    n, seed = whole("n", n), whole("seed", seed)
    check_temperature(temperature)
    given = labels_for(model, label, n) if label is not None else None
    for start in range(0, n, BLOCK):
        noise = Noise.of(seed, min(BLOCK, n - start), start)
        places = torch.arange(start, start + len(noise)) % len(found.h)
        part = None if given is None else given[start : start + BLOCK]
        yield checked(follows.sample_like(found.h[places], part, temperature, noise))


def sheet(model: Model, run: Run, found: Instances | None, rows: int, seed: int = 0) -> Tensor:
    """Return rows of pictures `[rows * COLUMNS, C, H, W]`: an instance, the training pictures most like it, samples.

    Args:
        found: the instances; None for pictures of the run's own data, spread over it, which are no neighbours of themselves.

    Raises:
        InputError: the run's data is not there, or the model follows no instances.
    """
    follows = likening(model)
    train = trained_on(run)
    own = torch.cat([follows.instances(train.pictures(index)) for index in torch.arange(len(train)).split(BLOCK)])
    if len(train) <= NEAR:
        raise InputError(f"{run.folder} was trained on {len(train)} pictures: too few to show {NEAR} neighbours of one")
    if found is None:
        index = torch.linspace(0, len(train) - 1, min(rows, len(train))).long()
        found, close = Instances(train.pictures(index), own[index]), neighbours(own, NEAR)[index]
    else:
        found = Instances(found.pictures[:rows], found.h[:rows])
        close = neighbours(own, NEAR, found.h)
    parts = []
    for i, (x, h) in enumerate(zip(found.pictures, found.h, strict=True)):
        samples = checked(follows.sample_like(h.expand(MADE, -1), None, 1.0, Noise.of(seed, MADE, i * MADE)))
        parts.append(torch.cat([x[None], train.pictures(close[i]), samples]))
    return torch.cat(parts)
