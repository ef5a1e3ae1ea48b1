"""Likelihood rows: nats and bits per dimension, exact or a bound, each with its protocol."""

from __future__ import annotations

import math

import torch

from genloom.capabilities import Scores
from genloom.data.arrays import ImageData
from genloom.measures.figure import Figure, mean_figure
from genloom.model import Model

BLOCK = 100


def likelihood_rows(model: Model, data: ImageData | None) -> dict[str, Figure]:
    """Return the mean log-likelihood of pictures never trained on, in nats and in bits per dimension.

    Empty for a model without a likelihood, or where there are no such pictures.
    """
    if not isinstance(model, Scores) or data is None:
        return {}
    parts = []
    with torch.no_grad():
        for index in torch.arange(len(data)).split(BLOCK):
            parts.append(model.log_prob(data.pictures(index)).double().cpu())
    nats = torch.cat(parts)
    protocol = f"{data.source}, {model.coding}, {model.bound}"
    bits = -nats / (math.log(2) * data.shape.width)
    return {
        f"log-likelihood[{model.bound}]": mean_figure(nats, f"{protocol}, nats an example", "higher"),
        f"bits per dimension[{model.bound}]": mean_figure(bits, protocol, "lower"),
    }
