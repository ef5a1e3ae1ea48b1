"""Pieces of music in two styles as a data set: examples of both, each in an order of its own."""

# n examples, T steps, V voices

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from genloom.data.music.dataset import ScoreData
from genloom.data.music.load import ScoreSource
from genloom.errors import InputError
from genloom.placing import there
from genloom.shapes.base import Shape
from genloom.shapes.styles import StyleShape


@dataclass
class StyleData:
    """Two styles.

    Attributes:
        music: the pieces of both.
        places: of the examples of each `[n]`.
    """

    music: ScoreData
    places: tuple[Tensor, Tensor]
    shape: StyleShape

    @property
    def source(self) -> str:
        return self.music.source

    @property
    def fingerprint(self) -> str:
        return self.music.fingerprint

    @property
    def notes(self) -> Sequence[str]:
        return self.music.notes

    def __len__(self) -> int:
        return len(self.places[0])

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.places[0]), "b": len(self.places[1])}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return examples of the first style `x [n, T, V]` and of the second `b [n, T, V]`, as codes."""
        found = {}
        for key, places in zip(("x", "b"), self.places, strict=True):
            if key in indices:
                found[key] = self.music.batch(
                    {"x": there(places, self.music.starts)[there(indices[key], self.music.starts)]}
                )["x"]
        return found

    def to(self, device: torch.device) -> StyleData:
        """Return the pieces on a GPU that has room for them; elsewhere they stay."""
        music = self.music.to(device)
        a, b = (places.to(music.starts.device) for places in self.places)
        return StyleData(music, (a, b), self.shape)


class StyleSource(ScoreSource):
    """Music in two sub-folders, a style each."""

    wanted: ClassVar = "a folder with two sub-folders of MIDI, MusicXML or ABC files, a style each"

    def shape(self) -> StyleShape:
        """Return what an example is; InputError where there are not two styles."""
        own = self.data.shape
        if len(own.classes) != 2 or "" in self.found.labels:
            there = ", ".join(sorted(set(self.found.labels) - {""})) or "none"
            raise InputError(f"{self.name} is to have two sub-folders, one for each style; there are: {there}")
        return StyleShape(**{f.name: getattr(own, f.name) for f in fields(own)})

    def load(self, shape: Shape | None = None) -> StyleData:  # type: ignore[override]
        """Return the examples of both styles."""
        shape, music = self.shape(), self.data
        label = music.labels[music.owner]
        whole = (music.beat[music.starts] == 0) & (music.bar[music.owner] == shape.bar)  # bars of the usual metre
        places = tuple(torch.nonzero((label == k) & whole)[:, 0] for k in range(2))
        if not all(map(len, places)):
            name = shape.classes[int(len(places[0]) > 0)]
            raise InputError(f"{self.name}: no piece of {name} in {shape.metre}, the usual metre, is left to learn from")
        return StyleData(music, (places[0], places[1]), shape)
