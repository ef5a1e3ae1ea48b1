"""Words of one length: the toy by which tests add a kind of data."""

from dataclasses import dataclass
from pathlib import Path

import torch

from genloom.shapes.base import Shape


@dataclass(frozen=True)
class WordShape(Shape):
    """Words as numbers `[L]` in [0, 1], one a letter."""

    kind, named, suffixes = "words", "words", (".npy", ".words")
    letters: str = ""
    length: int = 1

    @property
    def dims(self):
        return (self.length,)

    def describe(self):
        return f"words of {self.length} letters"

    def encode(self, values):
        places = [[self.letters.index(letter) for letter in word] for word in values]
        return (torch.tensor(places) + 0.5) / len(self.letters)

    def decode(self, samples):
        places = (samples * len(self.letters)).long().clamp(0, len(self.letters) - 1)
        return ["".join(self.letters[i] for i in word) for word in places.tolist()]

    def write(self, parts, n, path, zoom=None):
        if path.suffix == ".words":
            Path(path).write_text("\n".join(word for part in parts for word in self.decode(part)))
        else:
            super().write(parts, n, path)
