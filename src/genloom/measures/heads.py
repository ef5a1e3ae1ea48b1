"""Classifiers for a few labels: heads on features, and the propagation of labels over a graph of neighbours."""

# N examples, M test examples, Z features, K classes

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genloom.measures.distances import square_distances

Head = Callable[[Tensor, Tensor, Tensor], Tensor]  # features [N, Z] and labels [N], features [M, Z], to labels [M]
NEIGHBOURS = 10
STAY = 0.99  # how much a label comes from the neighbours, Zhou et al. 2003
ROUNDS = 60
DEAD = 0.01  # of the mean variance: an axis that varies less says nothing, and scaling it would make it loud


def logistic(x: Tensor, y: Tensor, test: Tensor) -> Tensor:
    """Multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return fitted(LogisticRegression(max_iter=300), x, y, test)


def radial(x: Tensor, y: Tensor, test: Tensor) -> Tensor:
    """Support vectors with a radial kernel."""
    from sklearn.svm import SVC

    return fitted(SVC(C=10.0), x, y, test)


def nearest(x: Tensor, y: Tensor, test: Tensor) -> Tensor:
    """The label of the nearest example."""
    return y[nearest_places(test, x, 1)[:, 0]]


def nearest_places(test: Tensor, x: Tensor, k: int) -> Tensor:
    """Return the places `[M, k]` in `x` `[N, Z]` of the nearest to each of `[M, Z]`, nearest first."""
    return torch.cat([torch.cdist(part, x).topk(min(k, len(x)), largest=False).indices for part in test.split(1000)])


HEADS: dict[str, Head] = {"logistic": logistic, "RBF": radial, "nearest neighbour": nearest}


def fitted(classifier: object, x: Tensor, y: Tensor, test: Tensor) -> Tensor:
    """Return what a classifier of scikit-learn says of the test features."""
    found = classifier.fit(x.numpy(), y.numpy()).predict(test.numpy())  # type: ignore[attr-defined]
    return torch.from_numpy(np.asarray(found))


def scaled(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Centre features `[N, Z]`, drop the dead axes and bring the mean variance to one: axes keep their proportions."""
    variance, mean = torch.var_mean(train, 0)
    alive = variance >= DEAD * variance.mean()
    scale = variance[alive].mean().sqrt().clamp_min(1e-12)
    return tuple((x[:, alive] - mean[alive]) / scale for x in (train, test))  # type: ignore[return-value]


class Graph:
    """Examples joined with their nearest neighbours, for the propagation of labels.

    Zhou et al. 2003, Learning with Local and Global Consistency; what differs: a fixed number of rounds rather than the
    limit, and classes scaled to one size at the end.

    Args:
        x: features `[N, Z]`.
    """

    def __init__(self, x: Tensor) -> None:
        from scipy.sparse import coo_array

        self.x, n = x, len(x)
        k = min(NEIGHBOURS, n - 1)
        square, index = neighbours(x, k)
        weight = torch.exp(-square / square[:, -1].mean().clamp_min(1e-12))
        rows = np.arange(n).repeat(k)
        graph = coo_array((weight.flatten().numpy(), (rows, index.flatten().numpy())), (n, n)).tocsr()
        graph = (graph + graph.T) / 2
        scale = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12))
        self.graph = graph.multiply(scale[:, None]).multiply(scale[None]).tocsr()

    def propagate(self, index: Tensor, y: Tensor, classes: int) -> Tensor:
        """Return the labels `[N]` that reach every example from those of `index` `[L]` with labels `y` `[L]`."""
        start = np.zeros((self.graph.shape[0], classes), np.float32)
        start[index.numpy(), y.numpy()] = 1
        reached = start
        for _ in range(ROUNDS):
            reached = STAY * (self.graph @ reached) + (1 - STAY) * start
        found = torch.from_numpy((reached / np.maximum(reached.sum(0), 1e-12)).argmax(1))  # classes of one size
        lost = torch.from_numpy(reached.sum(1) == 0)
        if lost.any():  # no label comes so far: the nearest labelled example says
            found[lost] = nearest(self.x[index], y, self.x[lost])
        return found


def neighbours(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return squared distances and places `[N, k]` of the nearest neighbours of `[N, Z]`, nearest first, not itself."""
    found = []
    for start in range(0, len(x), 1000):
        part = x[start : start + 1000]
        square = square_distances(part, x)
        square[torch.arange(len(part)), torch.arange(start, start + len(part))] = float("inf")
        found.append(square.topk(k, largest=False))
    return torch.cat([f.values for f in found]).clamp_min(0), torch.cat([f.indices for f in found])
