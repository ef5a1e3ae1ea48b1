"""The jury: real pictures, feature networks and baselines, made once and used for every run that is judged."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError
from genloom.measures.features.registry import Features, make_features, usual_kind
from genloom.measures.kept import kept_tensors
from genloom.measures.mixture import EXAMPLES, mixture_samples
from genloom.measures.pictures import BLOCK, Jury, View, data_blocks, most_kept, view_of
from genloom.use.judging.own_features import PREFIX, own_features
from genloom.use.judging.panel import LEAST, RECIPE, Rows, Terms, cached_rows
from genloom.use.judging.picture_data import JudgedData, pick

USUAL, COSTLY, QUICK = 10_000, 2000, 1000  # samples
CHEAP = ("classifier", "random", "pixels")  # features that cost less than a millisecond a picture
REAL, SIMPLE, COPIES = "real pictures", "PCA + Gaussian mixture", "copies of the training set"
NETWORK, LOOKED, BASELINE = "feature network", "look at real pictures", "baseline: "


def make_jury(found: JudgedData, terms: Terms, flip: bool) -> Jury:
    """Prepare the real pictures and the feature networks.

    Where no picture was held out of training, the training pictures are halved: one half is compared with, the
    other is the row of real pictures.
    """
    train = found.train
    size = terms.count(len(train), train.source, usual(terms))
    features, reader = make_networks(train, terms)
    order = pick(train, 2 * size, terms.seed)
    half = size if found.test else min(size, len(order) // 2)
    terms.say(LOOKED)
    real = kept_view(train, order[:half], features, reader)
    if found.test:
        fresh = kept_view(found.test, pick(found.test, size, terms.seed), features, reader)
    else:
        fresh = kept_view(train, order[half : 2 * half], features, reader)
    chosen = found.validation
    choice = None if chosen is None else chosen.pictures(pick(chosen, 1000, terms.seed))
    key: list[Any] = [RECIPE, features.digest, reader.digest if reader else "", train.fingerprint]
    key += [data.fingerprint if data else "" for data in (found.test, chosen)]
    key += [len(real), len(fresh), terms.seed, flip, terms.quick]
    return Jury(train, features, reader, real, fresh, found.test is not None, choice, flip, key, terms.quick)


def settled(terms: Terms, train: ImageData) -> Terms:
    """Return terms that name the features, where a person leaves them to us."""
    return replace(terms, features=terms.features or ("random" if terms.quick else usual_kind(train)))


def make_networks(train: ImageData, terms: Terms) -> tuple[Features, Features | None]:
    """Return the features, and what reads the data's own classes; the latter not where it has to be quick."""
    if terms.features == "classifier":  # others say first what they lack
        terms.say(NETWORK)
    if terms.features and terms.features.startswith(PREFIX):
        if terms.weights:
            raise InputError(f"{terms.features} takes no --weights: they are the run's own")
        features = own_features(terms.features, train)
    else:
        features = make_features(terms.features, train, Path(terms.weights) if terms.weights else None, terms.fetch)
    if features.name.startswith("classifier"):
        return features, features
    if terms.quick or train.labels is None or len(train.shape.classes) < 2:
        return features, None
    terms.say(NETWORK)
    return features, make_features("classifier", train)


def usual(terms: Terms) -> int:
    """Return the number of samples where none is said: fewer where a large network looks at each."""
    return QUICK if terms.quick else USUAL if terms.features in CHEAP else COSTLY


def kept_view(data: ImageData, index: Tensor, features: Features, reader: Features | None) -> View:
    """Look at real pictures `index` of a data set; what networks make of them is kept in the cache."""
    digest = hashlib.blake2b(index.numpy().tobytes(), digest_size=8).hexdigest()
    key = [features.digest, reader.digest if reader else "", data.fingerprint, digest]
    parts = ("features", "probabilities", "read")
    wanted = {"features"} | ({"read"} if reader else set())

    def make() -> dict[str, Tensor]:
        view = view_of(data_blocks(data, index), features, reader)
        return {name: value.clone() for name in parts if (value := getattr(view, name)) is not None}

    made = kept_tensors("views", key, make, lambda found: sound(found, wanted, len(index)))
    pixels = data.pixels[index[: most_kept(data.shape.width)].to(data.pixels.device)].permute(0, 3, 1, 2).contiguous().cpu()
    given = None if data.labels is None else data.labels[index].cpu()
    return View(made["features"], made.get("probabilities"), made.get("read"), pixels, given)


def sound(found: Mapping[str, Tensor], wanted: set[str], n: int) -> bool:
    """Whether a kept view is of `n` pictures and has all that is wanted of it."""
    return wanted <= found.keys() and all(len(value) == n for value in found.values())


def baselines(jury: Jury, terms: Terms) -> Rows:
    """Return the figures of fresh real pictures, of a simple model and of copies of the training set; cached."""
    views = baseline_views(jury, terms)
    rows = (REAL, SIMPLE, COPIES)
    return cached_rows(jury.key, rows, lambda: {row: jury.measure(view) | jury.copies(view)[0] for row, view in views})


def baseline_views(jury: Jury, terms: Terms) -> Iterator[tuple[str, View]]:
    """Yield the rows that give a figure its meaning."""
    n, train = len(jury.real), jury.train
    terms.say(BASELINE + REAL)
    yield REAL, jury.fresh
    terms.say(BASELINE + SIMPLE)
    rest = pick(train, len(train), terms.seed)[n:]  # not what it is compared with, where there are others
    places = rest if len(rest) >= LEAST else pick(train, len(train), terms.seed)
    drawn = mixture_samples(train.pictures(places[: 2 * n if terms.quick else EXAMPLES]), n, terms.seed)
    yield SIMPLE, jury.view((part, None) for part in drawn.split(BLOCK))
    terms.say(BASELINE + COPIES)
    places = torch.randint(len(train), (n,), generator=torch.Generator().manual_seed(terms.seed + 1))
    yield COPIES, jury.view(data_blocks(train, places))
