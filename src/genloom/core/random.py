"""Seeds: unrelated streams of numbers from one."""

from __future__ import annotations

MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """Mix integers into one 63-bit seed (splitmix64), so that neighbouring seeds give unrelated streams."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & MASK)) * 0xBF58476D1CE4E5B9 & MASK
        state = (state ^ state >> 30) * 0x94D049BB133111EB & MASK
        state ^= state >> 31
    return state >> 1
