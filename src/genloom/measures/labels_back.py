"""Reading labels back: does a network that learnt from real pictures find in a translation the labels that it was made from.

In the spirit of the FCN score of Isola et al. 2017, section 4: theirs was a published network, ours is a small one trained
on the real pairs at hand, so that its figures compare with those of the real pictures beside them, and with nothing else.
"""

# n pictures, K classes, H height, W width

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.dataset import take
from genloom.core.order import Order
from genloom.core.precision import pick_precision
from genloom.core.random import stream, training
from genloom.data.pairs.dataset import PairData
from genloom.measures.figure import Figure, around, half_error, mean_figure
from genloom.measures.kept import kept_tensors, shapes_of
from genloom.nn.unet import UNet

RECIPE = "1"  # part of the cache's key: raise it with any change of network or training
WIDTH, DEPTH = 24, 5
SEEN, BATCH, RATE = 6000, 8, 2e-3  # pictures that are learnt from in all
BLOCK = 16


def fit_reader(pairs: PairData) -> UNet:
    """Train a network from pictures of B to the labels of A, or take the one trained on the same pairs from the cache."""
    shape = pairs.shape
    with training(stream("label reader"), threads=1):
        depth = min(DEPTH, max(shape.size).bit_length() - 1)
        net = UNet(shape.channels_b, shape.channels, WIDTH, depth, norm="instance", dropout=0.0, squash=False)
        wanted = shapes_of(net.state_dict())
        key = [RECIPE, precision(), pairs.fingerprint]
        kept = kept_tensors("readers", key, lambda: train(net, pairs), lambda found: shapes_of(found) == wanted)
        net.load_state_dict(kept)
    return net.eval()


def precision() -> str:
    """Return the precision of its products on this processor."""
    return pick_precision("auto", torch.device("cpu"))


@torch.enable_grad()
def train(net: UNet, pairs: PairData) -> dict[str, Tensor]:
    """Train by AdamW with a falling rate, half of the pictures mirrored; return the weights."""
    steps = SEEN // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    order = Order(len(pairs), stream("label reader order"))
    for step in range(steps):
        batch = take(pairs, order.take(step * BATCH, BATCH))
        x, labels = batch["b"] * 2 - 1, batch["x"].argmax(1)
        if step % 2:
            x, labels = x.flip(3), labels.flip(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16"):
            logits = net(x)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
        schedule.step()
    return net.state_dict()


@torch.no_grad()
def read_labels(net: UNet, x: Tensor) -> Tensor:
    """Return the labels `[n, H, W]` that a reader finds in pictures `[n, C, H, W]` in [0, 1]."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16"):
        return torch.cat([net(part * 2 - 1).argmax(1) for part in x.split(BLOCK)])


def label_figures(read: Tensor, truth: Tensor, classes: int) -> dict[str, Figure]:
    """Return pixel accuracy, mean class accuracy and mean IoU of labels `[n, H, W]` that were read, against the true ones.

    Classes that no true pixel has do not count.
    """
    n, protocol = len(read), "read back by a network trained on the real pairs"
    counts = torch.stack([confusion(a, b, classes) for a, b in zip(read, truth, strict=True)])  # [n, K true, K read]
    figures = {"pixel accuracy": mean_figure((read == truth).flatten(1).double().mean(1), protocol, "higher")}
    for name, score in (("class accuracy", class_accuracy), ("IoU", overlap)):
        error = half_error(partial(of_some, score, counts), (n, n)) if n > 3 else float("nan")
        figures[name] = around(score(counts.sum(0)), error, n, protocol, "higher")
    return figures


def of_some(score: Callable[[Tensor], float], counts: Tensor, places: Tensor, _: Tensor) -> float:
    """Return a score of the counts `[n, K, K]` of some pictures."""
    return score(counts[places].sum(0))


def confusion(read: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Count the pixels of one picture `[H, W]` by true and by read class, `[K, K]`."""
    return torch.bincount((truth * classes + read).flatten(), minlength=classes**2).view(classes, classes).double()


def class_accuracy(counts: Tensor) -> float:
    """Return the mean over classes of the share of its pixels that are read rightly, of counts `[K, K]`."""
    there = counts.sum(1) > 0
    return float((counts.diagonal() / counts.sum(1).clamp_min(1))[there].mean())


def overlap(counts: Tensor) -> float:
    """Return the mean over classes of intersection over union, of counts `[K, K]`."""
    there, right = counts.sum(1) > 0, counts.diagonal()
    return float((right / (counts.sum(0) + counts.sum(1) - right).clamp_min(1))[there].mean())
