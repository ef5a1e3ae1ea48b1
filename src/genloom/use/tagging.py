"""Tags of pictures: of one file, or of all pictures of a source."""

# n pictures, V words

from __future__ import annotations

import csv
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Tags
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.data.options import PictureOptions
from genloom.data.pictures.load import PictureSource
from genloom.data.pictures.sources import SUFFIXES
from genloom.data.tags.dataset import TagData
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import kind_of, named
from genloom.shapes.tags import TagShape
from genloom.use.likelihood.complete import read_picture

BLOCK = 100  # pictures tagged at once


@dataclass(frozen=True)
class Tagged:
    """What a model says of pictures.

    Attributes:
        names: of the pictures.
        tags: of each, with what speaks for it as a share of the most, the likeliest first.
    """

    names: list[str]
    tags: list[list[tuple[str, float]]]

    def write(self, path: Path) -> None:
        """Write a CSV that `fit tagger --tags` reads: a picture and its tags in each line."""
        with replaced(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "tags"])
            rows.writerows(
                [name, ";".join(word for word, _ in tags)] for name, tags in zip(self.names, self.tags, strict=True)
            )


def describe_tags(data: TagData, said: Mapping[str, Any], marked: int) -> list[str]:
    """Say what there is to learn from: pictures, tags, what was left out, and the command to type.

    Args:
        said: the options that a person gave.
        marked: pictures that the table keeps for a test.
    """
    words, tags = data.shape.classes, data.tags
    counts = Counter(word for row in tags for word in row)
    frequent = ", ".join(f"{words[word]} {count:,}" for word, count in counts.most_common(10))
    if any(note.startswith("left out ") for note in data.notes):
        said = {**said, "skip_broken": True}
    lone = sum(count == 1 for count in counts.values())
    flags = "".join(
        f" --{name.replace('_', '-')}{'' if value is True else f' {shlex.quote(str(value))}'}"
        for name, value in said.items()
    )
    return [
        f"{len(data.images):,} pictures with {len(counts):,} different tags, {len(data) / len(data.images):.1f} each",
        f"the most frequent: {frequent}",
        f"{lone:,} tags come once, and can hardly be learnt",
        f"{marked:,} pictures are kept for the judge"
        if marked
        else "no picture is kept for the judge: write test into a column `split` for some",
        *data.notes,
        f"to learn from them: genloom fit tagger {shlex.quote(data.source)}{flags} -o RUN",
    ]


def check_tags(model: Model) -> Tags:
    """Return a model that tags; InputError for another."""
    if not isinstance(model, Tags):
        raise InputError(f"{type(model).__name__} does not tag pictures; tagger does")
    return model


def tag(
    model: Model, source: str, count: int = 10, seed: int = 0, split: str = "train", skip_broken: bool = False
) -> Tagged:
    """Tag a picture file, or all pictures of a source, cropped and resized as `fit` does.

    Args:
        count: tags for each.

    Raises:
        InputError: the model does not tag, or there are no pictures that can be read.
    """
    tagger, shape = check_tags(model), model.shape
    assert isinstance(shape, TagShape)
    channels, height, width = shape.pictures
    if kind_of(named(source)) == "file" and source.lower().endswith(SUFFIXES):
        x = read_picture(source, shape.image)
        return Tagged([source], named_tags(next(votes_of(tagger, tagger.features(x), seed)), shape.classes, count))
    options = PictureOptions(size=(height, width), channels=channels, split=split, skip_broken=skip_broken)  # type: ignore[arg-type]
    found = PictureSource(source, options)
    data = found.load()
    tags = []
    for index in torch.arange(len(data)).split(BLOCK):
        votes = tagger.votes(tagger.features(data.pictures(index)), Noise.of(seed, len(index), int(index[0])))
        tags += named_tags(votes, shape.classes, count)
    return Tagged(found.names_of(data), tags)


def votes_of(model: Tags, h: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield how much speaks for each word, in blocks `[b, V]` of features `[n, F]`: of each by its place, alone or not."""
    for index in torch.arange(len(h)).split(BLOCK):
        yield model.votes(h[index], Noise.of(seed, len(index), int(index[0])))


def named_tags(votes: Tensor, words: tuple[str, ...], count: int) -> list[list[tuple[str, float]]]:
    """Return the words with the most votes of each row `[n, V]`, without those that have none."""
    values, places = votes.topk(min(count, votes.shape[1]), dim=1)
    shares = values / values[:, :1].clamp_min(1e-12)
    rows = zip(places.tolist(), shares.tolist(), strict=True)
    return [[(words[k], share) for k, share in zip(*row, strict=True) if share > 0] for row in rows]
