"""Likelihood rows: nats and bits per dimension, exact or a bound, each with its protocol."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genloom.core.capabilities import Scores
from genloom.core.model import Model
from genloom.data.pictures.dataset import ImageData
from genloom.measures.figure import Figure, mean_figure

BLOCK = 100
SCORED, TRAINED = 12_800, 1000  # pictures never seen, and of training, that are scored; fewer where each takes many draws
OF_TRAINING = "log-likelihood of training pictures"


def likelihood_rows(model: Model, fresh: ImageData | None, train: ImageData | None = None) -> dict[str, Figure]:
    """Return the mean log-likelihood of pictures never trained on, in nats and in bits per dimension.

    And that of up to 1,000 training pictures, where these are given: a model that gives them far more has learnt them by
    heart. A bound from many draws is taken on fewer pictures: they are the figure's count. Empty for a model without a
    likelihood, or where there are no fresh pictures.
    """
    if not isinstance(model, Scores) or fresh is None:
        return {}
    draws = int(model.bound.removeprefix("iw-")) if model.bound.startswith("iw-") else 1
    nats = log_likelihoods(model, fresh, spread_places(fresh, SCORED // draws))
    protocol = f"{model.coding}, {model.bound}, nats an example"
    bits = -nats / (math.log(2) * fresh.shape.width)
    rows = {
        f"log-likelihood[{model.bound}]": mean_figure(nats, f"{fresh.source}, {protocol}", "higher"),
        f"bits per dimension[{model.bound}]": mean_figure(bits, f"{fresh.source}, {protocol}", "lower"),
    }
    if train is not None:
        trained = log_likelihoods(model, train, spread_places(train, min(TRAINED, SCORED // draws // 2)))
        protocol = f"{train.source}, {protocol}"
        rows[f"{OF_TRAINING}[{model.bound}]"] = mean_figure(trained, protocol, "nearer")
    return rows


def spread_places(data: ImageData, most: int) -> Tensor:
    """Return the places of at most so many pictures, evenly spread: all where there are no more."""
    return torch.linspace(0, len(data) - 1, min(len(data), most), dtype=torch.float64).round().long()


def log_likelihoods(model: Model, data: ImageData, index: Tensor, block: int = BLOCK) -> Tensor:
    """Return log p in nats of the pictures at these places `[n]`, in float64."""
    assert isinstance(model, Scores)
    labels = data.labels if model.conditional else None
    parts = []
    with torch.no_grad():
        for part in index.split(block):
            given = None if labels is None else labels[part]
            parts.append(model.log_prob(data.pictures(part), given).double().cpu())
    return torch.cat(parts)
