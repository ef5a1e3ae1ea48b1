"""Pictures with tags: both found, held against each other and against the words that have vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, ClassVar

import torch

from genloom.bounds import short
from genloom.data.options import Options as AnyOptions
from genloom.data.options import TagOptions
from genloom.data.pictures.load import PictureSource
from genloom.data.source import Progress, Source, silent
from genloom.data.tags.dataset import TagData
from genloom.data.tags.table import Tags, read_tags
from genloom.data.tags.vectors import WordVectors, read_words
from genloom.errors import InputError, nearest
from genloom.reading import named
from genloom.shapes.base import Shape
from genloom.shapes.tags import TagShape

USUAL = 224  # pixels of a side where nobody names any: what the networks that look at pictures take


class TagSource(Source):
    """Pictures as `PictureSource` finds them, with a table of their tags and a file of word vectors."""

    wanted = "pictures with --tags tags.csv and --words words.safetensors"
    Options: ClassVar[type[AnyOptions]] = TagOptions
    options: TagOptions

    def __init__(self, name: str, options: AnyOptions, progress: Progress = silent) -> None:
        super().__init__(name, options, progress)
        self.source = PictureSource(name, options, progress)
        if self.options.flip:
            raise InputError("--flip does nothing to pictures with tags, which are looked at once: leave it out")

    @classmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        return given.get("tags") is not None or given.get("words") is not None

    @cached_property
    def words(self) -> WordVectors:
        """The words that have vectors."""
        if self.options.words is None:
            raise InputError(
                "pictures with tags are what `tagger` learns from, by vectors of words: say --words FILE, which `genloom "
                "words CORPUS` makes, or leave out --tags"
            )
        return read_words(named(self.options.words))

    @cached_property
    def table(self) -> Tags:
        """The tags of pictures by name."""
        if self.options.tags is None:
            raise InputError("pictures need tags to learn from: say --tags tags.csv, with a line for each picture")
        return read_tags(named(self.options.tags))

    def shape(self) -> TagShape:
        """Return what a tag is, and the pictures: no larger than networks take them, where no size is said."""
        found, words = self.source.shape(), self.words
        side = min(*found.size, USUAL)
        height, width = found.size if self.options.size is not None else (side, side)
        return TagShape(words.words, words.vectors.shape[1], found.channels, height, width)

    def load(self, shape: Shape | None = None, every: bool = False) -> TagData:
        """Return the data set; the pictures are decoded into the cache where they are not there yet.

        Args:
            shape: of a run, whose words must be those of the file.
            every: take all pictures, whatever part the table says they are in.

        Raises:
            InputError: the table names other pictures, words have no vectors, or no picture has a tag.
        """
        shape, part = shape or self.shape(), self.options.split
        assert isinstance(shape, TagShape)
        if (shape.classes, shape.columns) != (self.words.words, self.words.vectors.shape[1]):
            raise InputError(f"{self.options.words} holds other words than those that the run was trained with")
        tags, parts, notes = self.tags_by_picture()
        if part == "test" and not every:
            self.refuse_unmarked(parts)
        places = self.places(tags)
        images = self.source.load(shape.image)
        names = self.source.names_of(images)
        unmarked = "train" if "test" in parts.values() else part  # a table may mark those for test alone
        kept = [i for i, name in enumerate(names) if places.get(name) and (every or parts.get(name, unmarked) == part)]
        if not kept:
            raise InputError(f"no picture of {self.name} that is in {part} has a tag in {self.options.tags}")
        if lost := sum(not tags.get(name) for name in names):
            notes.append(f"{lost:,} of {len(names):,} pictures have no tags in {self.options.tags} and are left out")
        if odd := Counter(value for value in parts.values() if value not in ("train", "test")):
            said = ", ".join(f"{count:,} {short(value)}" for value, count in odd.most_common(3))
            notes.append(f"{self.options.tags} puts pictures into parts that are neither train nor test, left out: {said}")
        fingerprint = f"{images.fingerprint}[{part}]"
        chosen = replace(images, pixels=images.pixels[torch.tensor(kept)], labels=None, fingerprint=fingerprint)
        pairs = torch.tensor([(i, place) for i, k in enumerate(kept) for place in places[names[k]]])
        tagged = [names[k] for k in kept]
        return TagData(chosen, tagged, pairs, self.words.vectors, shape, self.name, images.notes + notes)

    @property
    def marked(self) -> int:
        """How many pictures the table says are test."""
        return list(self.tags_by_picture()[1].values()).count("test")

    def refuse_unmarked(self, parts: Mapping[str, str]) -> None:
        """Raise InputError where neither the table nor the source says which pictures are test."""
        others = PictureSource(self.name, replace(self.options, split="train"))
        if "test" not in parts.values() and set(others.pictures.names) & set(self.source.pictures.names):
            raise InputError(
                f"no picture of {self.name} is held out: write test into a column `split` of {self.options.tags} for some "
                "before training, or name others with --test"
            )

    def tags_by_picture(self) -> tuple[dict[str, list[str]], dict[str, str], list[str]]:
        """Return the tags, and the parts, of the source's pictures by their names there, and notes.

        Raises:
            InputError: few of the table's names are those of pictures, and few pictures are named; or a name is of two.
        """
        there = self.source.pictures.names
        called: dict[str, list[str]] = {}
        for name in there:
            for end in ends_of(name):
                called.setdefault(end, []).append(name)
        found: dict[str, list[str]] = {}
        parts, lost = {}, []
        for name, tags in self.table.tags.items():
            meant = next((called[end] for end in ends_of(name) if end in called), [])
            if len(set(meant)) > 1:
                raise InputError(
                    f"{short(name)} in {self.options.tags} may be {meant[0]} or {meant[1]}: write its folder too"
                )
            if not meant:
                lost.append(name)
                continue
            known = found.setdefault(meant[0], [])
            known += [tag for tag in tags if tag not in known]
            if name in self.table.parts:
                parts[meant[0]] = self.table.parts[name]
        if len(found) <= len(lost) and 2 * len(found) <= len(there):
            least = "none" if not found else f"only {len(found):,}"
            raise InputError(
                f"{least} of the {len(self.table.tags):,} names in {self.options.tags} are pictures of {self.name} "
                f"({short(lost[0])} is not; one there is {short(there[0])}): name them as the files are called"
            )
        said = f"{len(lost):,} names in {self.options.tags} are no pictures of {self.name}"
        return found, parts, [f"{said}, such as {short(lost[0])}"] if lost else []

    def places(self, tags: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
        """Return the places of the words of each picture.

        Raises:
            InputError: words are unknown, unless they are to be skipped and some remain.
        """
        words = self.words.words
        place = {word.lower(): i for i, word in reversed(list(enumerate(words)))} | self.words.place
        unknown = Counter(tag for row in tags.values() for tag in row if tag not in place)
        if unknown and not self.options.skip_unknown:
            shown = ", ".join(f"{tag}{nearest(tag, words)}" for tag, _ in unknown.most_common(3))
            total = len({tag for row in tags.values() for tag in row})
            raise InputError(
                f"{len(unknown):,} of {total:,} tags have no vector in {self.options.words} ({shown}): make vectors from a "
                "text that has them, or say --skip-unknown to leave these tags out"
            )
        return {name: [place[tag] for tag in row if tag in place] for name, row in tags.items()}


def ends_of(name: str) -> Iterator[str]:
    """Yield what a picture may be called, the longest first: its path from each folder on, with suffix and then without."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in (".", "/")]
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    for start in range(len(parts)):
        yield "/".join([*parts[start:-1], path.stem])
