"""The jury: real pictures, feature networks and baselines, made once and used for every run that is judged."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from genloom.data.cache import cache_folder
from genloom.errors import InputError
from genloom.measures.features.registry import make_features
from genloom.measures.figure import Figure
from genloom.measures.mixture import EXAMPLES, mixture_samples
from genloom.measures.panels.pictures import BLOCK, Jury, View, data_blocks, view_of
from genloom.train.checkpoint import write_json
from genloom.use.judging.data import LEAST, JudgedData, pick

DEFAULT_SAMPLES = 10_000
RECIPE = "5"  # part of the key of cached baselines: raise it with any change of a measure
REAL, SIMPLE, COPIES = "real pictures", "PCA + Gaussian mixture", "copies of the training set"
Rows = dict[str, dict[str, Figure]]  # baselines by name, each with its figures


@dataclass(frozen=True)
class Terms:
    """What the figures depend on besides run and data.

    Attributes:
        n: samples; None takes 10,000, or as many as there are training pictures.
        features: the kind; None takes `classifier` where there are labels, else `random`.
        checkpoint: `last`, `best`, or the name of a folder in `checkpoints/`.
        weights: a file or folder of published feature weights.
        fetch: whether these may be fetched over the network.
        say: called with a line of text as the work goes on.
    """

    n: int | None = None
    features: str | None = None
    checkpoint: str = "last"
    seed: int = 0
    weights: str | Path | None = None
    fetch: bool = False
    say: Callable[[str], None] = lambda text: None

    def count(self, found: JudgedData) -> int:
        """Return the number of samples to draw.

        Raises:
            InputError: too few for any measure, or more than there are pictures to compare with.
        """
        train = found.train
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed takes a number from 0 to {2**32 - 1}, got {self.seed}")
        if self.n is not None and self.n < LEAST:
            raise InputError(f"-n {self.n} is too few for any measure; use {LEAST} or more")
        if self.n is not None and self.n > len(train):
            raise InputError(
                f"-n {self.n} is more than the {len(train):,} pictures of {train.source} to compare with; use fewer"
            )
        return min(self.n or DEFAULT_SAMPLES, len(train))


def seat_jury(found: JudgedData, terms: Terms, flip: bool) -> Jury:
    """Prepare the real pictures and the feature networks.

    Where no picture was held out of training, the training pictures are halved: one half is compared with, the
    other is the row of real pictures.
    """
    train, size = found.train, terms.count(found)
    terms.say("feature network")
    features = make_features(terms.features, train, Path(terms.weights) if terms.weights else None, terms.fetch)
    labelled = train.labels is not None and len(train.shape.classes) > 1
    reader = features if features.name.startswith("classifier") else make_features(None, train) if labelled else None
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
    key = [RECIPE, jury.features.digest, jury.reader.digest if jury.reader else "", jury.train.fingerprint, *held,
           len(jury.real), len(jury.fresh), terms.seed, jury.flip]  # fmt: skip
    name = hashlib.blake2b(json.dumps(key).encode(), digest_size=12).hexdigest()
    path = cache_folder() / "baselines" / f"{name}.json"
    if (kept := read_rows(path)) is not None and kept.keys() == {REAL, SIMPLE, COPIES}:
        return kept
    rows = {row: jury.measure(view) | jury.copies(view)[0] for row, view in baseline_views(jury, terms)}
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows_to_json(rows))
    return rows


def read_rows(path: Path) -> Rows | None:
    """Return cached baselines, or None where there are none or the file is cut short."""
    try:
        rows = json.loads(path.read_text())
        return {row: {name: Figure(**figure) for name, figure in figures.items()} for row, figures in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, cut short or of an older form
        return None


def rows_to_json(rows: Rows) -> dict[str, dict[str, object]]:
    """Return baselines as plain JSON."""
    return {row: {name: figure.to_json() for name, figure in figures.items()} for row, figures in rows.items()}


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
