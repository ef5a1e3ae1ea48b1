"""Adversarial objectives: free functions of logits, each a scalar mean over the batch.

D is the probability that an example is real, sigmoid of the logit; everything is computed from
logits, so that no saturated sigmoid meets a logarithm.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.model import Note


def discriminate(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator: -log D(x) - log(1 - D(x_fake)). Goodfellow et al. 2014, eq. (1)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def minimax(fake: Tensor) -> Tensor:
    """Generator: log(1 - D(x_fake)). Goodfellow et al. 2014, eq. (1)."""
    return -F.softplus(fake.float()).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """Generator: -log D(x_fake). Goodfellow et al. 2014, section 3."""
    return F.softplus(-fake.float()).mean()


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator: max(0, 1 - D(x)) + max(0, 1 + D(x_fake)), of logits. Lim & Ye 2017 (arXiv 1705.02894)."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], x: Tensor, target: float = 0.0) -> Tensor:
    """Mean of (|grad critic(x)| - target)^2; with target 0 and x real this is R1 without its gamma / 2.

    Mescheder et al. 2018 (arXiv 1801.04406), eq. (9); Gulrajani et al. 2017, eq. (3) with target 1.
    """
    x = x.detach().requires_grad_()
    x = x.view_as(x)  # no leaf, of which torch's counter of operations takes no gradient
    (gradient,) = torch.autograd.grad(critic(x).float().sum(), x, create_graph=True)
    square = gradient.float().flatten(1).square().sum(1)
    return square.mean() if target == 0 else ((square + 1e-12).sqrt() - target).square().mean()


def accuracy(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Notes on a discriminator: the share of real and of fake examples it calls rightly."""
    return {"d_real": (real > 0).float().mean(), "d_fake": (fake <= 0).float().mean()}


ACCURACY = {"d_real": Note("accuracy", "discriminator"), "d_fake": Note("accuracy", "discriminator")}  # what it declares


def least_squares(logits: Tensor, target: float) -> Tensor:
    """Mao et al. 2017 (arXiv 1611.04076): the mean squared distance of answers to 1 for real and 0 for made."""
    return (logits.float() - target).square().mean()
