"""Word vectors from a text: skip-gram with negative sampling.

Mikolov, Sutskever, Chen, Corrado, Dean. 2013. arXiv 1310.4546.

A word's vector learns to tell the words that stand near it from words drawn at random. Frequent words are left out by
chance (section 2.3, by the code's rule), a window's reach is drawn for each word, and words are drawn in proportion to
their count to the power of 3/4.

Of our own, since it is a page, needs no package, and gives the same vectors for the same seed and number of threads. What
differs from the paper's code: pairs of an epoch come shuffled, a batch at a time, and share the words drawn at random, of
which one that happens to be the near word says nothing; AdaGrad, with one number a word, in place of a falling rate;
vectors are centred at the end.
"""

# V words, D width, B pairs, S shared words

from __future__ import annotations

import gzip
import io
import re
import unicodedata
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.random import stream, training
from genloom.data.tags.table import read_tags
from genloom.data.tags.vectors import WordVectors
from genloom.errors import InputError
from genloom.reading import content_of, limit, refuse_large

WORD = re.compile(r"\w+(?:['’_-]\w+)*")
FREQUENT = 1e-3  # share of a text from which on a word is left out by chance; the paper's 1e-5 is for billions of words
SHARED, NEGATIVE = 64, 5  # words drawn for a batch, and how many of them weigh as much as one pair's
PAIRS = 2048  # a batch
RATE = 0.25


@dataclass(frozen=True)
class Text:
    """A text as numbers.

    Attributes:
        words: that come often enough, the most frequent first; `counts [V]`, how often.
        tokens: which word `[n]`, and `sentence [n]`, in which sentence.
    """

    words: tuple[str, ...]
    counts: Tensor
    tokens: Tensor
    sentence: Tensor


def words_of(line: str) -> list[str]:
    """Return the words of a line in small letters; of a line of a table, those behind the last tab."""
    return WORD.findall(unicodedata.normalize("NFC", line.rsplit("\t", 1)[-1]).lower())


def sentences_of(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line of a text, plain or .gz; or the tags of each picture of a table but for its test part.

    Raises:
        InputError: it cannot be read, or holds no text.
    """
    if path.name.lower().endswith((".csv.gz", ".tsv.gz")):
        raise InputError(f"{path} is a packed table: unpack it first, as a .csv or .tsv")
    if path.suffix.lower() in (".csv", ".tsv"):
        found = read_tags(path)
        yield from (tags for name, tags in found.tags.items() if found.parts.get(name) != "test")
        return
    content = content_of(path, "text")
    if path.suffix.lower() == ".gz":
        content = unpacked(content, path)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 (byte {error.start:,})") from None
    yield from map(words_of, lines)


def unpacked(content: bytes, path: Path) -> bytes:
    """Return the text of a .gz; InputError where it is damaged or too large."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            text = file.read(limit() + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged or cut short ({error})") from None
    refuse_large(len(text), str(path))
    return text


def read_text(paths: Sequence[Path], least: int) -> Text:
    """Return texts as numbers, without words that come fewer than `least` times.

    Raises:
        InputError: there are fewer than two words to learn.
    """
    number: dict[str, int] = {}
    tokens, lengths = array("i"), array("i")  # a word takes four bytes so, and tens of them as text
    for words in (words for path in paths for words in sentences_of(path) if words):
        tokens.extend([number.setdefault(word, len(number)) for word in words])
        lengths.append(len(words))
    counts = np.bincount(np.asarray(tokens, np.int64), minlength=len(number))
    order = np.argsort(-counts, kind="stable")  # of words as frequent the first met comes first
    known, names = list(number), " and ".join(map(str, paths))
    kept = [(known[i], int(counts[i])) for i in order if counts[i] >= least]
    if not number:
        raise InputError(f"{names} holds no words")
    if len(kept) < 2:
        most, count = known[order[0]], int(counts[order[0]])
        raise InputError(
            f"{names} holds {len(kept) or 'no'} word that comes as often as --least says, {least}, and two are needed "
            f"({most!r} comes most often, {count}): give a longer text, or say a smaller --least"
        )
    place = np.full(len(number), -1)
    place[order[: len(kept)]] = np.arange(len(kept))
    placed, sentence = place[np.asarray(tokens, np.int64)], np.repeat(np.arange(len(lengths)), lengths)
    there = placed >= 0
    rest = torch.from_numpy(placed[there]), torch.from_numpy(sentence[there])
    return Text(tuple(word for word, _ in kept), torch.tensor([count for _, count in kept]), *rest)


def pairs_of(text: Text, window: int) -> tuple[Tensor, Tensor]:
    """Return the pairs of an epoch, shuffled: words `[n]`, and words `[n]` that stand near them."""
    share = text.counts / text.counts.sum()
    chance = ((FREQUENT / share).sqrt() + FREQUENT / share)[text.tokens]
    kept = torch.rand(len(text.tokens)) < chance
    tokens, sentence = text.tokens[kept], text.sentence[kept]
    reach = torch.randint(1, window + 1, (len(tokens),))
    centres, others = [], []
    for step in range(1, min(window, len(tokens) - 1) + 1):
        together = sentence[:-step] == sentence[step:]
        for centre, other, far in (
            (tokens[:-step], tokens[step:], reach[:-step]),
            (tokens[step:], tokens[:-step], reach[step:]),
        ):
            near = together & (far >= step)
            centres.append(centre[near])
            others.append(other[near])
    if not centres:
        return tokens[:0], tokens[:0]
    centre, other = torch.cat(centres), torch.cat(others)
    order = torch.randperm(len(centre))
    return centre[order], other[order]


class SkipGram:
    """The vectors of words, `inner [V, D]`, and those of the words near them, `outer [V, D]`."""

    def __init__(self, counts: Tensor, width: int) -> None:
        self.inner = (torch.rand(len(counts), width) - 0.5) / width
        self.outer = torch.zeros(len(counts), width)
        self.seen = torch.full((2, len(counts)), 1e-6)  # sums of squares of gradients
        self.chance = counts.float() ** 0.75

    def descend(self, centre: Tensor, other: Tensor) -> None:
        """Learn from pairs `[B]` and words drawn at random, which all of them share: equation (4) of the paper."""
        drawn = torch.multinomial(self.chance, SHARED, replacement=True)
        v, u, w = self.inner[centre], self.outer[other], self.outer[drawn]
        near = torch.sigmoid(-(v * u).sum(1, keepdim=True))  # [B, 1]
        far = torch.sigmoid(v @ w.T) * (drawn != other[:, None]) * (NEGATIVE / SHARED)  # [B, S]
        self.step(self.inner, self.seen[0], centre, far @ w - near * u)
        places = torch.cat([other, drawn])
        self.step(self.outer, self.seen[1], places, torch.cat([-near * v, far.T @ v]))

    @staticmethod
    def step(vectors: Tensor, seen: Tensor, places: Tensor, gradient: Tensor) -> None:
        """Move the vectors at `places` [n] against gradients [n, D]."""
        seen.index_add_(0, places, gradient.square().mean(1))
        vectors.index_add_(0, places, gradient * (-RATE / seen[places].sqrt())[:, None])


def learn_words(
    text: Text, width: int = 100, window: int = 5, epochs: int = 10, seed: int = 0, threads: int = 1, watch: Any = iter
) -> WordVectors:
    """Return the vectors of a text's words, of about mean zero."""
    with training(stream("words", seed=seed), threads=threads):
        net = SkipGram(text.counts, width)
        for _ in watch(range(epochs)):
            for centre, other in zip(*(each.split(PAIRS) for each in pairs_of(text, window)), strict=True):
                net.descend(centre, other)
    return WordVectors(text.words, net.inner - net.inner.mean(0))


def nearest_words(vectors: Tensor, words: WordVectors, count: int) -> Tensor:
    """Return the places `[n, count]` of the words nearest to vectors `[n, D]` by cosine, nearest first."""
    return (F.normalize(vectors, dim=1) @ words.directions.T).topk(min(count, len(words.words)), dim=1).indices


def neighbourhoods(words: WordVectors, of: Iterable[str], count: int = 8) -> list[tuple[str, list[str]]]:
    """Return words with those nearest to them."""
    places = [words.place[word] for word in of]
    near = nearest_words(words.vectors[places], words, count + 1).tolist()
    return [(words.words[i], [words.words[j] for j in row if j != i][:count]) for i, row in zip(places, near, strict=True)]
