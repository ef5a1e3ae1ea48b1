"""Vectors of words, in files of ours or in word2vec's text form."""

# V words, D width

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
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
GAPS = re.compile("[ \t]+")


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

    Of a word that comes twice the first counts.

    Raises:
        InputError: it is missing, damaged, or holds something else.
    """
    content = content_of(path, "file of word vectors")
    found = from_tensors(content, path) if path.suffix.lower() == OURS else from_text(content, path)
    if not found.vectors.isfinite().all() or not found.vectors.any():
        raise InputError(f"{path} holds vectors that are no numbers, or all zero")
    first = {word: i for i, word in reversed(list(enumerate(found.words))) if word}
    kept = sorted(first.values())
    return WordVectors(tuple(found.words[i] for i in kept), found.vectors[torch.tensor(kept)])


def from_tensors(content: bytes, path: Path) -> WordVectors:
    """Return what `WordVectors.write` wrote."""
    tensors = parse_tensors(content, path, "make it anew with `genloom words`")
    vectors, words = tensors.get("vectors"), tensors.get("words")
    if vectors is None or words is None or (vectors.dim(), words.dim()) != (2, 1) or words.dtype != torch.uint8:
        raise InputError(f"{path} holds no word vectors: `genloom words CORPUS -o {path.name}` makes such a file")
    named = tuple(bytes(words.tolist()).decode("utf-8", "replace").split("\n"))
    if len(named) != len(vectors) or not vectors.shape[1]:
        raise InputError(f"{path} is damaged: {len(named):,} words and vectors of {'x'.join(map(str, vectors.shape))}")
    return WordVectors(named, vectors.float())


def from_text(content: bytes, path: Path) -> WordVectors:
    """Return the vectors of a text: a word and its numbers a line, after a line with two counts or without."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 (byte {error.start:,}); word2vec's binary form is not read") from None
    lines = [line for line in map(clean, text.split("\n")) if line]
    first, width = GAPS.split(lines[0]) if lines else [], 0
    if len(first) == 2 and numeral(first[0]) == len(lines) - 1:  # the counts of words and of numbers
        width, lines = numeral(first[1]) or 0, lines[1:]
    width = width or (len(GAPS.split(lines[0])) - 1 if lines else 0)
    if width < 1 or not lines:
        raise InputError(f"{path} holds no word vectors: a word and its numbers are wanted in each line")
    words, numbers = [], np.empty((len(lines), width), np.float32)
    for i, parts in enumerate(map(GAPS.split, lines)):
        if len(parts) <= width:
            raise InputError(
                f"{path}: {short(parts[0])} has {len(parts) - 1} numbers, and {width} are wanted (word {i + 1:,})"
            )
        try:
            numbers[i] = [float(part) for part in parts[-width:]]
        except ValueError:
            raise InputError(f"{path}: {short(parts[0])} has a part that is no number (word {i + 1:,})") from None
        words.append("_".join(parts[:-width]))
    return WordVectors(tuple(words), torch.from_numpy(numbers))


def clean(line: str) -> str:
    """Return a line without gaps at its ends."""
    return line.strip(" \t\r")
