"""The test error of a model that tells classes, beside what needs no network: the same labels on pixels."""

# n pictures, K classes

from __future__ import annotations

import torch
from torch import Tensor

from genloom.core.capabilities import Classifies
from genloom.core.model import Model
from genloom.core.random import generator
from genloom.data.pictures.dataset import ImageData
from genloom.measures.figure import Figure, share_figure
from genloom.measures.heads import Graph, nearest
from genloom.measures.mixture import principal_directions
from genloom.use.judging.panel import Rows
from genloom.use.judging.picture_data import JudgedData

ERROR, NEAREST, SPREAD = "test error", "nearest labelled", "labels spread"
MOST, WIDTH, BLOCK = 10_000, 64, 500  # pictures that are looked at, and principal components of their pixels
NUMBERS = 1 << 26  # that are held at once


def errors(model: Model, found: JudgedData) -> tuple[dict[str, Figure], Rows]:
    """Return the test error of a model that tells classes, and the rows beside it; nothing where there is none.

    The rows are the class of the nearest labelled picture, and labels that spread among alike pictures, training and test
    (Zhou et al. 2003), both by principal components of the pixels.
    """
    test, train = found.test, found.train
    if not isinstance(model, Classifies) or test is None or test.labels is None or test.shape.classes != model.shape.classes:
        return {}, {}
    if not model.classes:  # learnt without labels
        return {}, {}
    places = some(test)
    x, truth = test.pictures(places), test.labels[places].cpu()
    own = wrong(torch.cat([model.classify(part).argmax(1).cpu() for part in x.split(BLOCK)]), truth)
    if not found.known:  # which pictures of other data would have been labelled, nobody knows
        return {ERROR: own}, {}
    others, labelled = train.pictures(some(train)), model.labelled(train)
    known, y = train.pictures(labelled), train.labels[labelled].cpu()  # type: ignore[index]
    mean, directions = principal_directions(others.flatten(1), WIDTH)
    codes = [(part.flatten(1) - mean) @ directions for part in (known, others, x)]
    spread = Graph(torch.cat(codes)).propagate(torch.arange(len(known)), y, len(test.shape.classes))[-len(x) :]
    rows = {NEAREST: nearest(codes[0], y, codes[2]), SPREAD: spread}
    return {ERROR: own}, {name: {ERROR: wrong(said, truth)} for name, said in rows.items()}


def some(data: ImageData) -> Tensor:
    """Return the places of all pictures of a set, or of a fair part where these are many or large."""
    most = max(BLOCK, min(MOST, NUMBERS // data.shape.width))
    return torch.randperm(len(data), generator=generator("halves"))[:most].sort().values


def wrong(said: Tensor, truth: Tensor) -> Figure:
    """Return the share of classes `[n]` that are others than those of `truth`."""
    return share_figure(said != truth, "share of test pictures", "lower")
