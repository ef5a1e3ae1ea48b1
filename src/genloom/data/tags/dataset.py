"""Pictures and their tags as a data set: an example is a picture with one of its tags."""

# n examples, V words, D width

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from genloom.data.pictures.dataset import ImageData
from genloom.placing import there
from genloom.shapes.tags import TagShape


@dataclass
class TagData:
    """Pictures, words, and which belong together.

    Attributes:
        images: pictures that have tags, and no others; `names`, what they are called.
        pairs: of each example the place of its picture and that of its word `[n, 2]`.
        vectors: of the words `[V, D]`.
    """

    images: ImageData
    names: list[str]
    pairs: Tensor
    vectors: Tensor
    shape: TagShape
    source: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the pictures, their tags, and the words with their vectors."""
        digest = hashlib.blake2b(self.images.fingerprint.encode(), digest_size=16)
        for part in (self.pairs, self.vectors):
            digest.update(part.contiguous().numpy().tobytes())
        digest.update("\n".join(self.shape.classes).encode())
        return digest.hexdigest()

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.pairs)}

    @property
    def tags(self) -> list[list[int]]:
        """The places of the words of each picture."""
        found: list[list[int]] = [[] for _ in range(len(self.images))]
        for picture, word in self.pairs.tolist():
            found[picture].append(word)
        return found

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return vectors of tags `x [n, D]`, and the pictures that they belong to, `picture [n, C, H, W]` in [0, 1]."""
        pictures, words = self.pairs[indices["x"].cpu()].unbind(1)
        x, images = self.vectors[there(words, self.vectors)], self.images
        return {"x": x, "picture": images.batch({"x": pictures}, generator)["x"]}

    def to(self, device: torch.device) -> TagData:
        """Return the data as it is: what models learn from is small, and made from the pictures once."""
        return replace(self)
