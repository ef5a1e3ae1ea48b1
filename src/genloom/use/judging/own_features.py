"""Features by a run of one's own: the codes of a trained encoder."""

from __future__ import annotations

from torch import Tensor

from genloom.api import load
from genloom.core.capabilities import Encodes
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError
from genloom.measures.features.registry import Features, named

PREFIX = "autoencoder:"


def own_features(kind: str, data: ImageData) -> Features:
    """Return the codes of the run that `autoencoder:RUN` names as features of pictures.

    Raises:
        InputError: there is no such run, it has no encoder, or it was trained on pictures of another shape.
    """
    run = kind.removeprefix(PREFIX)
    model = load(run)
    if not isinstance(model, Encodes):
        raise InputError(f"{run} holds {type(model).__name__}, which has no codes; autoencoder and vae have")
    known, there = model.shape, data.shape
    if known.dims != there.dims:
        raise InputError(f"{run} was trained on {known.describe()}, and {data.source} holds {there.describe()}")
    encoder: Encodes = model
    size = "x".join(map(str, data.shape.dims))

    def compute(x: Tensor) -> tuple[Tensor, None]:
        codes: Tensor = encoder.encode(x)
        return codes.float().cpu(), None

    return named("autoencoder", model.state_dict(), compute, f"codes of {type(model).__name__} at {size}, as it was trained")
