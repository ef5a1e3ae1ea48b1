"""Vectors of words, in files of ours or in word2vec's text form."""

# V words, D width

from __future__ import annotations

import re
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
    tensors = parse_tensors(content, path)
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
    lines = [GAPS.split(line.strip(" \t\r")) for line in text.split("\n") if line.strip(" \t\r")]
    width = 0
    if lines and len(lines[0]) == 2 and numeral(lines[0][0]) == len(lines) - 1:  # the counts of words and of numbers
        width, lines = numeral(lines[0][1]) or 0, lines[1:]
    width = width or (len(lines[0]) - 1 if lines else 0)
    if width < 1:
        raise InputError(f"{path} holds no word vectors: a word and its numbers are wanted in each line")
    numbers: list[list[float]] = []
    for i, parts in enumerate(lines):
        if len(parts) <= width:
            raise InputError(
                f"{path}: {short(parts[0])} has {len(parts) - 1} numbers, and {width} are wanted (word {i + 1:,})"
            )
        try:
            numbers.append([float(part) for part in parts[-width:]])
        except ValueError:
            raise InputError(f"{path}: {short(parts[0])} has a part that is no number (word {i + 1:,})") from None
    return WordVectors(tuple("_".join(parts[:-width]) for parts in lines), torch.tensor(numbers))
