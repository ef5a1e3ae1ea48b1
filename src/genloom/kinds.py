"""Every kind of data: where its shape, its source and its judge are, each imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Kind:
    """Where the classes of a kind are, as `module:Class`.

    Attributes:
        shape: what one example is.
        source: finds and loads what a person names; "" for data that only programs make.
        panel: what the judge measures; "" for a kind that cannot be judged.
    """

    shape: str
    source: str = ""
    panel: str = ""


# What a person names is offered to the sources in this order; the first takes it, unless a model reads another kind.
KINDS = {
    "pairs": Kind(
        "genloom.shapes.pairs:PairShape", "genloom.data.pairs.load:PairSource", "genloom.use.judging.pairs:PairPanel"
    ),
    "tags": Kind("genloom.shapes.tags:TagShape", "genloom.data.tags.load:TagSource", "genloom.use.judging.tags:TagPanel"),
    "score": Kind(
        "genloom.shapes.score:ScoreShape", "genloom.data.music.load:ScoreSource", "genloom.use.judging.music:MusicPanel"
    ),
    "styles": Kind(
        "genloom.shapes.styles:StyleShape", "genloom.data.music.styles:StyleSource", "genloom.use.judging.styles:StylePanel"
    ),
    "events": Kind(
        "genloom.shapes.events:EventShape", "genloom.data.music.events:EventSource", "genloom.use.judging.music:MusicPanel"
    ),
    "series": Kind(
        "genloom.shapes.series:SeriesShape",
        "genloom.data.series.load:SeriesSource",
        "genloom.use.judging.series:SeriesPanel",
    ),
    "table": Kind(
        "genloom.shapes.table:TableShape", "genloom.data.tables.load:TableSource", "genloom.use.judging.tables:TablePanel"
    ),
    "images": Kind(
        "genloom.shapes.pictures:ImageShape",
        "genloom.data.pictures.load:PictureSource",
        "genloom.use.judging.pictures:PicturePanel",
    ),
    "pieces": Kind(
        "genloom.shapes.pieces:PieceShape",
        "genloom.data.pieces.load:PieceSource",
        "genloom.use.judging.resolution:ResolutionPanel",
    ),
    "points": Kind("genloom.shapes.points:PointShape", panel="genloom.use.judging.points:PointPanel"),
}


def imported(place: str) -> Any:
    """Return what is at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
