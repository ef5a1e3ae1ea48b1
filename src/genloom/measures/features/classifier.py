"""A small classifier of the data's own labels: deterministic, trained once, kept in the cache."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.dataset import take
from genloom.core.order import Order
from genloom.core.precision import pick_precision
from genloom.core.random import stream, training
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError
from genloom.measures.kept import kept_tensors, shapes_of

RECIPE = "5"  # part of the cache's key: raise it with any change of network or training
EPOCHS, MOST = 4, 48_000  # every picture so often, as far as so many pictures in all allow
BATCH, LEAST_STEPS = 128, 200


class Classifier(nn.Module):
    """Pictures `[n, C, H, W]` in [0, 1] to logits `[n, classes]`."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = [16, 24, 48, 96]
        self.first = nn.Conv2d(channels, widths[0], 5, stride=2, padding=2)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in widths)
        self.hidden = nn.Linear(96 * 4, 128)
        self.out = nn.Linear(128, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer `[n, 128]`."""
        h = F.relu(self.norms[0](self.first(x * 2 - 1)))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            h = F.relu(norm(F.max_pool2d(conv(h), 2, ceil_mode=True)))
        return F.relu(self.hidden(F.adaptive_avg_pool2d(h, 2).flatten(1)))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden layer `[n, 128]` and the logits `[n, classes]`; in bf16 where that is faster."""
        with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16"):
            h = self.features(x)
            return h.float(), self.out(F.dropout(h, 0.3, self.training)).float()

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[1]

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Return the share of pictures `[n, C, H, W]` whose class is `y [n]`."""
        right = [(self(a).argmax(1) == b).sum() for a, b in zip(x.split(500), y.split(500), strict=True)]
        return float(torch.stack(right).sum() / len(y))


def precision() -> str:
    """Return the precision of the classifier's products on this processor."""
    return pick_precision("auto", torch.device("cpu"))


def fit_classifier(data: ImageData, seed: int = 0) -> Classifier:
    """Train on the labels of `data`, or take the classifier trained on the same data and seed from the cache.

    Raises:
        InputError: the data has no labels.
    """
    if data.labels is None:
        raise InputError(f"{data.source} has no labels to train a classifier on: put each class into a sub-folder")
    if len(data.shape.classes) < 2:
        raise InputError(f"{data.source} has a single class: a classifier needs two or more; use --features random")
    with training(stream("classifier", seed=seed), threads=1):  # more threads cut sums otherwise: other weights come out
        net = Classifier(data.shape.channels, len(data.shape.classes))
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        wanted = shapes_of(net.state_dict())
        key = [RECIPE, precision(), data.fingerprint, seed]
        kept = kept_tensors("classifiers", key, lambda: train(net, data, seed), lambda found: shapes_of(found) == wanted)
        net.load_state_dict(kept)
    return net.eval()


@torch.enable_grad()
def train(net: Classifier, data: ImageData, seed: int) -> dict[str, Tensor]:
    """Train by AdamW with a falling rate and shifts of up to a fourteenth of the size; return the weights."""
    steps = max(min(EPOCHS * len(data), MOST) // BATCH, LEAST_STEPS)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    order = Order(len(data), stream("classifier order", seed=seed))
    net.train()
    for step in range(steps):
        batch = take(data, order.take(step * BATCH, BATCH))
        reach = data.shape.height // 14
        down, right = torch.randint(-reach, reach + 1, (2,)).tolist()
        loss = F.cross_entropy(net(batch["x"].roll((down, right), (2, 3))), batch["y"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.state_dict()
