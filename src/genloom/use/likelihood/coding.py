"""Arithmetic coding: symbols to bits by their probabilities, to within a few bits of the sum of -log2 p.

Witten, Neal, Cleary. 1987. Arithmetic Coding for Data Compression. An interval [low, high] of whole numbers is cut in
proportion to the probabilities, and the part of the symbol kept; leading bits on which both ends agree are written.
"""

# N symbols coded side by side, L levels

from __future__ import annotations

from bisect import bisect_right

import torch
from torch import Tensor

from genloom.errors import InputError

BITS = 62  # of the interval: so many that cutting it costs nothing
TOP, HALF, QUARTER = (1 << BITS) - 1, 1 << (BITS - 1), 1 << (BITS - 2)
BEYOND = BITS + 4096  # zeros after the last bit that a whole file may need: it ends with what tells its last symbols apart
TOTAL = 1 << 24  # what probabilities sum to, as whole numbers


class Encoder:
    """Writes symbols, each by the bounds of its part of `TOTAL`."""

    def __init__(self) -> None:
        self.low, self.high, self.open = 0, TOP, 0
        self.bits: list[int] = []

    def put(self, start: int, stop: int) -> None:
        """Code a symbol whose part is [start, stop) of `TOTAL`."""
        size = self.high - self.low + 1
        self.high = self.low + size * stop // TOTAL - 1
        self.low += size * start // TOTAL
        while True:
            if self.high < HALF:
                self.write(0)
            elif self.low >= HALF:
                self.write(1)
                self.low, self.high = self.low - HALF, self.high - HALF
            elif self.low >= QUARTER and self.high < HALF + QUARTER:
                self.open += 1  # the two ends close in on the middle: which bit it is shows later
                self.low, self.high = self.low - QUARTER, self.high - QUARTER
            else:
                return
            self.low, self.high = 2 * self.low, 2 * self.high + 1

    def write(self, bit: int) -> None:
        self.bits += [bit] + [1 - bit] * self.open
        self.open = 0

    def finish(self) -> bytes:
        """Return all that was coded; what follows reads as zeros."""
        self.open += 1
        self.write(0 if self.low < QUARTER else 1)
        while self.bits and self.bits[-1] == 0:
            self.bits.pop()
        padded = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(bit << (7 - i) for i, bit in enumerate(padded[k : k + 8])) for k in range(0, len(padded), 8))


class Decoder:
    """Reads symbols back.

    Raises:
        InputError: while symbols are taken: there are more than the bits can hold.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0
        self.low, self.high = 0, TOP
        self.value = 0
        for _ in range(BITS):
            self.value = 2 * self.value + self.bit()

    def bit(self) -> int:
        """Return the next bit; what follows the last one reads as zeros."""
        place, self.place = self.place, self.place + 1
        if place >= 8 * len(self.data) + BEYOND:
            raise InputError("the file is damaged: it announces more than it holds")
        return self.data[place >> 3] >> (7 - (place & 7)) & 1 if place < 8 * len(self.data) else 0

    def take(self, bounds: list[int]) -> int:
        """Return the next symbol, where `bounds` `[L + 1]` are the ends of the symbols' parts of `TOTAL`."""
        size = self.high - self.low + 1
        symbol = bisect_right(bounds, ((self.value - self.low + 1) * TOTAL - 1) // size) - 1
        self.high = self.low + size * bounds[symbol + 1] // TOTAL - 1
        self.low += size * bounds[symbol] // TOTAL
        while True:
            if self.low >= HALF:
                self.shift(HALF)
            elif self.high < HALF:
                self.shift(0)
            elif self.low >= QUARTER and self.high < HALF + QUARTER:
                self.shift(QUARTER)
            else:
                return symbol

    def shift(self, by: int) -> None:
        self.low, self.high = 2 * (self.low - by), 2 * (self.high - by) + 1
        self.value = 2 * (self.value - by) + self.bit()


def bounds_of(logits: Tensor) -> list[list[int]]:
    """Return the ends `[N][L + 1]` of the levels' parts of `TOTAL`, of logits `[N, outputs]`; no part is empty."""
    logits = logits.double()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    levels = logits.shape[1]
    ends = (logits.softmax(1).cumsum(1).clamp_max(1) * (TOTAL - levels)).floor().long() + torch.arange(1, levels + 1)
    ends[:, -1] = TOTAL
    found: list[list[int]] = torch.cat([torch.zeros(len(ends), 1, dtype=torch.long), ends], 1).tolist()
    return found
