"""A piano roll as a picture: time to the right, pitch upwards, a colour for each voice, a line at each bar."""

# T steps, V voices, H height, W width

from __future__ import annotations

from typing import Any

import numpy as np

from genloom.scores.voices import Voices

# Distinct to most eyes, colour-blind ones too: Okabe & Ito's colours, less the yellow, which white swallows.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (90, 90, 90))
PAPER, BLACK_KEYS, LINE = 255, 240, 205
IS_BLACK = np.isin(np.arange(12), (1, 3, 6, 8, 10))
WIDE, HIGH = 3, 3  # pixels of a step, and of a semitone


def roll_picture(found: Voices, low: int, high: int, bar: int, wide: int = WIDE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a piece on a grid as a picture `[H, W, 3]`, of the pitches from `low` to `high`, with `bar` steps a bar."""
    steps, height = len(found.pitch), (high - low + 1) * HIGH
    shade = np.where(IS_BLACK[np.arange(high, low - 1, -1) % 12], BLACK_KEYS, PAPER).repeat(HIGH)
    picture = np.broadcast_to(shade[:, None, None], (height, max(steps, 1) * wide, 3)).astype(np.uint8)
    picture[:, :: bar * wide] = LINE
    for voice in reversed(range(found.pitch.shape[1])):  # the highest voice lies on top
        for step in np.flatnonzero(found.sounds[:, voice]):
            top = (high - int(found.pitch[step, voice])) * HIGH
            begin = step * wide + int(found.struck[step, voice])  # a gap before a note that is struck
            if 0 <= top < height:
                picture[top : top + HIGH, begin : (step + 1) * wide] = COLOURS[voice % len(COLOURS)]
    return picture
