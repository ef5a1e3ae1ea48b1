"""What instance-conditioned models learn from: each picture's features, and the pictures most like it."""

# n examples, F features, k neighbours

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.dataset import Dataset, size, take
from genloom.nn.efficientnet_lite import EfficientNetLite
from genloom.nn.resize import to_size
from genloom.placing import there
from genloom.shapes.base import Shape

BLOCK = 4  # pictures whose maps stay within a processor's caches


@dataclass
class Studied:
    """Data from which a model has made batches of its own; what it is called stays."""

    data: Dataset

    @property
    def shape(self) -> Shape:
        return self.data.shape

    @property
    def source(self) -> str:
        return self.data.source

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    @property
    def notes(self) -> Sequence[str]:
        return self.data.notes


@dataclass
class Neighbourhoods(Studied):
    """Data of which a batch holds neighbours of instances, and the features of those and of other instances.

    A batch has `x`, a random neighbour of each instance, and its label `y` where there are labels; `h [B, F]`, the features
    of those instances; `h_fake [B, F]`, those of instances drawn by themselves, for the generator, and the label `y_fake` of
    a random neighbour of each.

    Attributes:
        features: `[n, F]`.
        near: the places of neighbours `[n, k]`.
        labels: `[n]`, or None.
    """

    features: Tensor
    near: Tensor
    labels: Tensor | None

    @property
    def lengths(self) -> Mapping[str, int]:
        return {**self.data.lengths, "instance": len(self.near)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return a batch, as the class says."""
        pick = torch.randint(self.near.shape[1], (2, len(indices["x"])), generator=generator)
        x, other = (there(indices[key], self.near) for key in ("x", "instance"))
        near, near_other = (self.near[i, there(p, self.near)].long() for i, p in zip((x, other), pick, strict=True))
        found = self.data.batch({**indices, "x": near}, generator)
        found |= {"h": self.features[x].float(), "h_fake": self.features[other].float()}
        return found if self.labels is None else {**found, "y_fake": self.labels[near_other]}

    def to(self, device: torch.device) -> Neighbourhoods:
        return replace(self, data=self.data.to(device))


@dataclass
class TaggedFeatures(Studied):
    """Data of which a batch has vectors of tags, `x [B, D]`, which words they are, and the features of pictures `h [B, F]`.

    `apart` says whether a tag is none of the picture before, the last being before the first.

    Attributes:
        data: pictures with tags.
        features: of the pictures, `[m, F]`.
        vectors: of the words `[V, D]`.
        pairs: of each example the place of its picture and that of its word `[n, 2]`.
    """

    features: Tensor
    vectors: Tensor
    pairs: Tensor

    @property
    def lengths(self) -> Mapping[str, int]:
        return self.data.lengths

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return a batch, as the class says."""
        picture, word = self.pairs[there(indices["x"], self.pairs)].unbind(1)
        apart = ~torch.isin(picture.roll(1) * len(self.vectors) + word, self.codes)
        return {"x": self.vectors[word], "word": word, "h": self.features[picture], "apart": apart}

    @cached_property
    def codes(self) -> Tensor:
        """A number for each pair of a picture and its tag."""
        picture, word = self.pairs.unbind(1)
        return picture * len(self.vectors) + word

    def to(self, device: torch.device) -> TaggedFeatures:
        tensors = (each.to(device) for each in (self.features, self.vectors, self.pairs))
        return TaggedFeatures(self.data, *tensors)


def features_of(net: EfficientNetLite, x: Tensor, side: int) -> Tensor:
    """Return the pooled features `[n, 1280]` of pictures `[n, C, H, W]` in [0, 1], enlarged to `side`, on the CPU."""
    device = next(net.parameters()).device
    with torch.no_grad():
        parts = [net.features(to_size(part.to(device).expand(-1, 3, -1, -1), side)).float().cpu() for part in x.split(BLOCK)]
    return torch.cat(parts)


def all_features(net: EfficientNetLite, data: Dataset, side: int, normed: bool = True) -> Tensor:
    """Return the features of every example, of length 1 where `normed`, `[n, 1280]`, not mirrored, in 16 bits."""
    found = (features_of(net, pictures(data, rows), side) for rows in torch.arange(size(data)).split(256))
    return torch.cat([(F.normalize(h, dim=1) if normed else h).half() for h in found])


def pictures(data: Dataset, index: Tensor) -> Tensor:
    """Return the examples at places as they are stored: never mirrored, where the data can do that."""
    plain: Any = getattr(data, "pictures", None)
    return plain(index) if plain else take(data, index)["x"].cpu()
