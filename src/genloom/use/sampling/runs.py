"""Draw records of any length from a model that knows how a record goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from genloom.bounds import short, whole
from genloom.core.capabilities import Follows
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.shapes.series import SeriesShape
from genloom.use.sampling.draw import check_temperature, checked

SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
CELLS = 2_000_000  # of records drawn at once
LONGEST = 10_000_000  # rows


def follower(model: Model) -> tuple[Follows, SeriesShape]:
    """Return a model that draws records, and its shape; InputError for another."""
    if not isinstance(model, Follows) or not isinstance(model.shape, SeriesShape):
        raise InputError(f"--length and --given are for records, as rtsgan draws them; {type(model).__name__} draws none")
    return model, model.shape


def rows_of(length: str | None, shape: SeriesShape) -> int:
    """Return how many rows a length such as 6h, 90min or 500 (rows) has; without one, those of a window.

    Raises:
        InputError: it is no length, or is less than two rows or more than ten million.
    """
    if length is None:
        return shape.window
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", length.strip().lower())
    if not found or (found[2] and found[2] not in SECONDS):
        raise InputError(f"--length takes rows, or a time such as 90min, 6h or 2d, got {short(length)}")
    rows = round(float(found[1]) * SECONDS[found[2]] / shape.step) if found[2] else int(float(found[1]))
    if not 2 <= rows <= LONGEST:
        raise InputError(f"--length {length} is {rows:,} rows of {shape.step:g} s: from 2 to {LONGEST:,} can be drawn")
    return rows


def stated(pairs: Sequence[str]) -> dict[str, str]:
    """Return what is given as NAME=VALUE, by name; InputError where it is not so written."""
    found = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name or not value:
            raise InputError(f"--given takes NAME=VALUE, got {short(pair)}")
        found[name] = value
    return found


def stream_runs(
    model: Model, n: int, rows: int, given: Mapping[str, str], seed: int = 0, temperature: float = 1.0
) -> Iterator[Tensor]:
    """Yield `n` records in parts `[b, rows, D]`; the i-th of a seed is the same whatever `n` is.

    Raises:
        InputError: the model draws no records, or a condition is none of its own or was never seen.
    """
    follows, shape = follower(model)
    n, seed = whole("n", n), whole("seed", seed)
    check_temperature(temperature)
    shape.stated(given)
    block = max(1, min(250, CELLS // (rows * len(shape.columns))))
    for start in range(0, n, block):
        noise = Noise.of(seed, min(block, n - start), start)
        yield checked(follows.run(len(noise), rows, given, temperature, noise))


def shape_of(model: Model, rows: int) -> SeriesShape:
    """Return the shape of records of so many rows."""
    return replace(follower(model)[1], window=rows)
