"""A small classifier of the data's own labels: deterministic, trained once, kept in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genloom.core.dataset import take
from genloom.core.order import Order
from genloom.core.random import stream, training
from genloom.data.cache import cache_folder
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError

RECIPE = "3"  # part of the cache's key: raise it with any change of network or training
EPOCHS = 4
BATCH = 128


class Classifier(nn.Module):
    """Pictures `[n, C, H, W]` in [0, 1] to logits `[n, classes]`."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = [channels, 32, 64, 128]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in widths[1:])
        self.hidden = nn.Linear(128 * 9, 128)
        self.out = nn.Linear(128, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer `[n, 128]`."""
        h = x * 2 - 1
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.max_pool2d(F.relu(norm(conv(h))), 2, ceil_mode=True)
        return F.relu(self.hidden(F.adaptive_avg_pool2d(h, 3).flatten(1)))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden layer `[n, 128]` and the logits `[n, classes]`."""
        h = self.features(x)
        return h, self.out(F.dropout(h, 0.3, self.training))

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[1]

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Return the share of pictures `[n, C, H, W]` whose class is `y [n]`."""
        right = [(self(a).argmax(1) == b).sum() for a, b in zip(x.split(500), y.split(500), strict=True)]
        return float(torch.stack(right).sum() / len(y))


def fit_classifier(data: ImageData, seed: int = 0) -> Classifier:
    """Train on the labels of `data`, or take the classifier trained on the same data and seed from the cache.

    Raises:
        InputError: the data has no labels.
    """
    if data.labels is None:
        raise InputError(f"{data.source} has no labels to train a classifier on: put each class into a sub-folder")
    if len(data.shape.classes) < 2:
        raise InputError(f"{data.source} has a single class: a classifier needs two or more; use --features random")
    key = hashlib.blake2b(f"{RECIPE} {data.fingerprint} {seed}".encode(), digest_size=12).hexdigest()
    path = cache_folder() / "classifiers" / f"{key}.safetensors"
    with training(stream("classifier", seed=seed), threads=1):  # more threads cut sums otherwise: other weights come out
        net = Classifier(data.shape.channels, len(data.shape.classes))
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            net.load_state_dict(load_file(path))
        except (OSError, SafetensorError):  # not there yet, or cut short
            train(net, data, seed)
            save(net, path)
    return net.eval()


def save(net: Classifier, path: Path) -> None:
    """Write the weights under a temporary name and rename; a cache that cannot be written costs time, nothing else."""
    with contextlib.suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, part)
        part.replace(path)


@torch.enable_grad()
def train(net: Classifier, data: ImageData, seed: int) -> None:
    """Train by AdamW with a falling rate and shifts of up to a fourteenth of the size."""
    steps = max(EPOCHS * len(data) // BATCH, 200)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
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
