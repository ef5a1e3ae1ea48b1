"""Words from a file of lines."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from genloom.shapes.words import WordShape
from torch import Tensor

from genloom.data.options import WordOptions
from genloom.data.source import Source
from genloom.errors import InputError


@dataclass
class WordData:
    """Words as numbers `[n, L]`."""

    x: Tensor
    shape: WordShape
    source: str
    fingerprint: str
    notes: tuple = ()

    @property
    def lengths(self):
        return {"x": len(self.x)}

    def batch(self, indices, generator=None):
        return {"x": self.x[indices["x"]]}

    def to(self, device):
        return self


class WordSource(Source):
    """A file of words of one length, a line each."""

    Options = WordOptions

    @classmethod
    def finds(cls, name, given):
        return name.endswith(".words")

    def words(self):
        try:
            words = Path(self.name).read_text().split()
        except OSError as error:
            raise InputError(f"cannot read {self.name}: {error.strerror}") from None
        return [word.lower() for word in words] if self.options.lower else words

    def shape(self):
        words = self.words()
        return WordShape(letters="".join(sorted(set("".join(words)))), length=len(words[0]))

    def load(self, shape=None):
        words, own = self.words(), self.shape()
        return WordData(own.encode(words), own, self.name, hashlib.blake2b("\n".join(words).encode()).hexdigest())
