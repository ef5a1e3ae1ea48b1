"""The panel of tags: words given to pictures never trained on, beside what needs no generator."""

# n pictures, V words, F features

from __future__ import annotations

import hashlib
import html
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genloom.core.capabilities import Tags
from genloom.core.model import Model
from genloom.data.options import TagOptions
from genloom.data.tags.dataset import TagData
from genloom.data.tags.load import TagSource
from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.measures.tags import (
    COUNT,
    NEIGHBOURS,
    RIDGES,
    Scorer,
    Truth,
    by_frequency,
    by_neighbours,
    by_ridge,
    chosen,
    first_words,
    given_by,
    tag_figures,
)
from genloom.shapes.pictures import to_picture
from genloom.train.run import Run
from genloom.use.judging.panel import LEAST, Judgement, Panel, Rows, Terms, cached_rows, cost_of, source_of
from genloom.use.report.html import image
from genloom.use.tagging import votes_of

FREQUENCY, NEAREST, RIDGE = "tag frequency", "neighbours' vote", "ridge regression"
LEAST_PICTURES = LEAST // 2
BLOCK, SHOWN = 100, 24


class TagPanel(Panel):
    """Measures the first words of pictures never trained on, by the same features as the baselines'."""

    shown: ClassVar = {name: name for name in (FREQUENCY, NEAREST, RIDGE)}
    needs = (Tags, "tags no pictures")

    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None:
        terms.pictures_only()
        if len({(run.record["hyper"]["features"], run.record["hyper"]["seen"], run.shape) for run in runs}) > 1:
            raise InputError("runs that see the same pictures by the same features, and know the same words, are compared")
        self.terms = terms
        self.train = tags_of(runs[0], data, "train")
        self.held = tags_of(runs[0], test, "train", every=True) if test is not None else tags_of(runs[0], data, "test")
        if len(self.held.images) < LEAST_PICTURES:
            raise InputError(
                f"{self.held.source} has {len(self.held.images)} pictures with tags that training never saw, and the judge "
                f"needs {LEAST_PICTURES}: mark some as `test` in a column `split` of the tags, or name others with --test"
            )
        if not isinstance(data, TagData):
            self.refuse_seen(runs, test)
        self.truth = truth_of(self.held)
        model = self.load(runs[0], terms.checkpoint)
        self.h = self.features(model, self.held)
        key = ["tags", self.train.fingerprint, self.held.fingerprint, model.taught_by, runs[0].record["hyper"]["seen"]]
        self.rows = cached_rows(key, list(self.shown), lambda: self.baselines(model))

    def refuse_seen(self, runs: Sequence[Run], test: str | Path | None) -> None:
        """Raise InputError where pictures, tags or words are others than those of the training, or training saw the test."""
        for run in runs:
            if run.record["data"]["fingerprint"] != self.train.fingerprint:
                raise InputError(
                    f"{self.train.source}, its tags or its words are no longer those that {run.folder} was trained on, so "
                    "nobody knows which pictures it never saw: bring them back, or train it anew"
                )
        seen = set(digests(self.train))
        if both := sum(digest in seen for digest in digests(self.held)) if test is not None else 0:
            many = f"{both:,} of {len(self.held.images):,} pictures of {test}"
            raise InputError(f"{many} were trained on: name others with --test")

    def features(self, model: Model, data: TagData) -> Tensor:
        """Return what a model goes by, of all pictures."""
        assert isinstance(model, Tags)
        self.terms.say(f"features of {len(data.images):,} pictures")
        return torch.cat([model.features(data.images.pictures(i)) for i in torch.arange(len(data.images)).split(BLOCK)])

    def baselines(self, model: Model) -> Rows:
        """Return the figures of what needs no generator."""
        h, truth, vectors = self.features(model, self.train), truth_of(self.train), self.train.vectors
        scorers: dict[str, Scorer] = {
            FREQUENCY: by_frequency(truth),
            NEAREST: chosen(h, truth, NEIGHBOURS, lambda h, truth, k: by_neighbours(h, truth, int(k))),
            RIDGE: chosen(h, truth, RIDGES, lambda h, truth, ridge: by_ridge(h, truth, vectors, ridge)),
        }
        return {name: tag_figures(given_by(score, self.h), self.truth) for name, score in scorers.items()}

    def judge(self, run: Run) -> Judgement:
        folder = run.checkpoint(self.terms.checkpoint)
        model = self.load(run, folder.name)
        assert isinstance(model, Tags)
        began = time.process_time()
        first = torch.cat([first_words(votes) for votes in votes_of(model, self.h, self.terms.seed)])
        seconds = time.process_time() - began
        figures = tag_figures(first, self.truth)
        about = {
            "model": run.record["model"],
            "preset": run.record["preset"],
            "checkpoint": folder.name,
            "train": {name: run.record["data"][name] for name in ("source", "fingerprint", "examples")},
            "pictures": len(self.held.images),
            "words": int((self.truth.frequencies > 0).sum()),
            "seed": self.terms.seed,
        }
        costs = cost_of(run, folder, model, len(self.h), seconds)
        return Judgement(run, figures, self.rows, costs, verdicts(figures, self.rows), about, self, first)

    # -- the page ----------------------------------------------------------------------------------

    def intro(self, judgement: Judgement) -> str:
        return (
            f"the first {COUNT} words of {len(self.held.images):,} pictures of {self.held.source} never trained on, which "
            f"have {self.truth.counts.float().mean():.1f} tags each, of {judgement.about['words']:,} words; intervals "
            "are over pictures, of which some may be alike"
        )

    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        parts = ["<h2>Tags</h2>", "<p>Words that are tags of the picture are bold; its tags stand below.</p>"]
        index = torch.linspace(0, len(self.h) - 1, min(SHOWN, len(self.h))).long()
        pictures, words = self.held.images.pictures(index), self.held.shape.classes
        parts.append('<div class="pictures">')
        hits, tags = [self.truth.holds(judgement.seen) for judgement in judgements], self.held.tags
        for i, x in zip(index.tolist(), pictures, strict=True):
            lines = [image(to_picture(x))]
            for judgement, right in zip(judgements, hits, strict=True):
                label = f"{html.escape(judgement.name)}: " if len(judgements) > 1 else ""
                lines.append(label + self.marked(judgement.seen[i], right[i], words))
            own = ", ".join(html.escape(words[k]) for k in tags[i])
            parts.append(f'<div style="width: 15rem">{"<br>".join(lines)}<br><small>{own}</small></div>')
        return [*parts, "</div>"]

    @staticmethod
    def marked(first: Tensor, right: Tensor, words: Sequence[str]) -> str:
        """Return the words given to a picture, places `[k]`, -1 for none, as HTML, those that are tags in bold."""
        given = [(html.escape(words[k]), hit) for k, hit in zip(first.tolist(), right.tolist(), strict=True) if k >= 0]
        return ", ".join(f"<b>{word}</b>" if hit else word for word, hit in given)


def tags_of(run: Run, data: Any, split: str, every: bool = False) -> TagData:
    """Return the pictures and tags that a run was trained on, or others, in its shape."""
    if isinstance(data, TagData):
        return data
    named = source_of(run, data, "pictures with tags")
    loaded = {name: value for name, value in run.record["data"]["loaded"].items() if value is not None}
    return TagSource(named, TagOptions.of(loaded | {"split": split, "size": None})).load(run.shape, every)


def digests(data: TagData) -> list[bytes]:
    """Return what tells pictures apart, one for each."""
    rows = (data.images.pictures(i[None])[0] for i in torch.arange(len(data.images)))
    return [hashlib.blake2b(x.numpy().tobytes(), digest_size=16).digest() for x in rows]


def truth_of(data: TagData) -> Truth:
    """Return which words are tags of which pictures."""
    return Truth(data.pairs, len(data.images), len(data.shape.classes))


def verdicts(figures: dict[str, Figure], rows: Rows) -> list[str]:
    """Say in words what the figures mean."""
    name = f"F1@{COUNT}"
    own, simple = figures[name], {row: found[name] for row, found in rows.items()}
    best = max(simple, key=lambda row: simple[row].value)
    both = f"{name} {own.value:.3f} against {simple[best].value:.3f}"
    if own.high < simple[best].low:
        return [f"worse tags than {best}, which needs no generator: {both}"]
    if own.low > simple[best].high:
        return [f"tags better than {best}, the best of what needs no generator: {both}"]
    return [f"tags about as well as {best}, which needs no generator: {both}"]
