"""Vectors of words, in files of ours or in word2vec's text form."""

# V words, D width

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from genloom.bounds import numeral, short
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import content_of
from genloom.tensors import parse_tensors

OURS = ".safetensors"


@dataclass(frozen=True)
class WordVectors:
    """Words, and a vector of each `[V, D]`, in fp32."""

    words: tuple[str, ...]
    vectors: Tensor

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each word stands."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def directions(self) -> Tensor:
        """The vectors, each of length 1, `[V, D]`."""
        return F.normalize(self.vectors, dim=1)

    def write(self, path: Path) -> None:
        """Write a safetensors file."""
        words = torch.frombuffer(bytearray("\n".join(self.words).encode()), dtype=torch.uint8)
        with replaced(path) as part:
            part.write_bytes(save({"vectors": self.vectors.contiguous(), "words": words}))


def read_words(path: Path) -> WordVectors:
    """Return the vectors of a file: one that `genloom words` wrote, or word2vec's text form, with or without its first line.

    Raises:
        InputError: it is missing, damaged, or holds something else.
    """
    content = content_of(path, "file of word vectors")
    found = from_tensors(content, path) if path.suffix == OURS else from_text(content, path)
    if not found.words or len(set(found.words)) < len(found.words):
        raise InputError(f"{path} holds no words, or one of them twice")
    if not found.vectors.isfinite().all():
        raise InputError(f"{path} holds vectors that are no numbers")
    return found


def from_tensors(content: bytes, path: Path) -> WordVectors:
    """Return what `WordVectors.write` wrote."""
    tensors = parse_tensors(content, path)
    vectors, words = tensors.get("vectors"), tensors.get("words")
    if vectors is None or words is None or vectors.dim() != 2 or words.dtype != torch.uint8:
        raise InputError(f"{path} holds no word vectors: `genloom words CORPUS -o {path.name}` makes such a file")
    named = tuple(bytes(words.tolist()).decode("utf-8", "replace").split("\n"))
    if len(named) != len(vectors):
        raise InputError(f"{path} is damaged: {len(named):,} words and {len(vectors):,} vectors")
    return WordVectors(named, vectors.float())


def from_text(content: bytes, path: Path) -> WordVectors:
    """Return the vectors of a text: a word and its numbers a line, after a line with two counts or without."""
    try:
        lines = [line.split(" ") for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 (byte {error.start:,}); word2vec's binary form is not read") from None
    lines = [[part for part in line if part] for line in lines]
    if lines and len(lines[0]) == 2 and None not in map(numeral, lines[0]):
        lines = lines[1:]
    width = len(lines[0]) - 1 if lines else 0
    if width < 1:
        raise InputError(f"{path} holds no word vectors: a word and its numbers are wanted in each line")
    numbers: list[Sequence[float]] = []
    for i, (word, *rest) in enumerate(lines):
        if len(rest) != width:
            raise InputError(
                f"{path}: {short(word)} has {len(rest)} numbers, and the first word has {width} (word {i + 1:,})"
            )
        try:
            numbers.append([float(part) for part in rest])
        except ValueError:
            raise InputError(f"{path}: {short(word)} has a part that is no number (word {i + 1:,})") from None
        if not all(map(math.isfinite, numbers[-1])):
            raise InputError(f"{path}: {short(word)} has a part that is no number (word {i + 1:,})")
    return WordVectors(tuple(word for word, *_ in lines), torch.tensor(numbers, dtype=torch.float32))
