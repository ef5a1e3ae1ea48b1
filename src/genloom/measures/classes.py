"""Measures that need class probabilities: Inception score, and whether a label asked for is the label drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genloom.measures.figure import Figure, around, share_figure

SPLITS = 10


def inception_score(probabilities: Tensor, protocol: str) -> Figure:
    """Return the Inception score of class probabilities `[n, K]` (Salimans et al. 2016, arXiv 1606.03498).

    exp of the mean divergence of p(y|x) from p(y): the mean over ten parts, as published figures are.
    """
    values = torch.tensor([score_of(part) for part in probabilities.double().chunk(SPLITS)], dtype=torch.float64)
    error = float(values.std() / math.sqrt(len(values)))
    return around(float(values.mean()), error, len(probabilities), f"{protocol}, {len(values)} parts", "higher")


def score_of(p: Tensor) -> float:
    """Return the score of one part, probabilities `[n, K]`."""
    logs = torch.xlogy(p, p) - torch.xlogy(p, p.mean(0))
    return float(logs.sum(1).mean().exp())


def class_accuracy(probabilities: Tensor, given: Tensor, protocol: str) -> Figure:
    """Return the share of examples, class probabilities `[n, K]`, whose likeliest class is the one asked for, `[n]`."""
    return share_figure(probabilities.argmax(1) == given, protocol)
