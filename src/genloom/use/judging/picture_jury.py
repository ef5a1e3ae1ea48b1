"""The jury: real pictures, feature networks and baselines, made once and used for every run that is judged."""

# n pictures, C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from genloom.measures.features.registry import make_features
from genloom.measures.mixture import EXAMPLES, mixture_samples
from genloom.measures.pictures import BLOCK, Jury, View, data_blocks, view_of
from genloom.use.judging.panel import LEAST, Rows, Terms, cached_rows
from genloom.use.judging.picture_data import JudgedData, pick

USUAL = 10_000  # samples
REAL, SIMPLE, COPIES = "real pictures", "PCA + Gaussian mixture", "copies of the training set"


def make_jury(found: JudgedData, terms: Terms, flip: bool) -> Jury:
    """Prepare the real pictures and the feature networks.

    Where no picture was held out of training, the training pictures are halved: one half is compared with, the
    other is the row of real pictures.
    """
    train = found.train
    size = terms.count(len(train), train.source, USUAL)
    terms.say("feature network")
    features = make_features(terms.features, train, Path(terms.weights) if terms.weights else None, terms.fetch)
    labelled = train.labels is not None and len(train.shape.classes) > 1
    reader = features if features.name.startswith("classifier") else make_features("classifier", train) if labelled else None
    order = pick(train, 2 * size, terms.seed)
    half = size if found.test else min(size, len(order) // 2)
    terms.say("real pictures")
    real = view_of(data_blocks(train, order[:half]), features, reader)
    if found.test:
        fresh = view_of(data_blocks(found.test, pick(found.test, size, terms.seed)), features, reader)
    else:
        fresh = view_of(data_blocks(train, order[half : 2 * half]), features, reader)
    chosen = found.validation
    choice = None if chosen is None else chosen.pictures(pick(chosen, 1000, terms.seed))
    return Jury(train, features, reader, real, fresh, found.test is not None, choice, flip)


def baselines(jury: Jury, found: JudgedData, terms: Terms) -> Rows:
    """Return the figures of fresh real pictures, of a simple model and of copies of the training set; cached."""
    held = [data.fingerprint if data else "" for data in (found.test, found.validation)]
    reader = jury.reader.digest if jury.reader else ""
    key = [
        jury.features.digest,
        reader,
        jury.train.fingerprint,
        *held,
        len(jury.real),
        len(jury.fresh),
        terms.seed,
        jury.flip,
    ]
    views = baseline_views(jury, terms)
    rows = (REAL, SIMPLE, COPIES)
    return cached_rows(key, rows, lambda: {row: jury.measure(view) | jury.copies(view)[0] for row, view in views})


def baseline_views(jury: Jury, terms: Terms) -> Iterator[tuple[str, View]]:
    """Yield the rows that give a figure its meaning."""
    n, train = len(jury.real), jury.train
    terms.say(f"baseline: {REAL}")
    yield REAL, jury.fresh
    terms.say(f"baseline: {SIMPLE}")
    rest = pick(train, len(train), terms.seed)[n:]  # not what it is compared with, where there are others
    places = rest if len(rest) >= LEAST else pick(train, len(train), terms.seed)
    drawn = mixture_samples(train.pictures(places[:EXAMPLES]), n, terms.seed)
    yield SIMPLE, jury.view((part, None) for part in drawn.split(BLOCK))
    terms.say(f"baseline: {COPIES}")
    places = torch.randint(len(train), (n,), generator=torch.Generator().manual_seed(terms.seed + 1))
    yield COPIES, jury.view(data_blocks(train, places))
