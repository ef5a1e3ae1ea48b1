"""The functions of a model: each capability names its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from genloom.core import capabilities as can
from genloom.core.model import Model
from genloom.use.export.entries import Entry, LeftOut
from genloom.use.export.plain import (
    of_classifies,
    of_encodes,
    of_imputes,
    of_infers,
    of_latent,
    of_samples,
    of_scores,
    of_tags,
    of_translates,
    of_upscales,
)
from genloom.use.export.steps import of_composes, of_pixels, of_restyles

BY_CAPABILITY: Sequence[tuple[type, Callable[[Any], Iterator[Entry | LeftOut]]]] = (
    (can.Samples, of_samples),
    (can.Latent, of_latent),
    (can.Encodes, of_encodes),
    (can.Infers, of_infers),
    (can.Classifies, of_classifies),
    (can.Scores, of_scores),
    (can.Translates, of_translates),
    (can.Upscales, of_upscales),
    (can.Imputes, of_imputes),
    (can.Tags, of_tags),
    (can.PixelByPixel, of_pixels),
    (can.Composes, of_composes),
    (can.Restyles, of_restyles),
)


def functions_of(model: Model) -> list[Entry | LeftOut]:
    """Return the functions of a model, and what it can do that no graph can hold."""
    return [entry for kind, of in BY_CAPABILITY if isinstance(model, kind) for entry in of(model)]
