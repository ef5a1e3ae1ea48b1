"""certify: proves what a model with a likelihood claims, on its own weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from genloom.core.capabilities import Certifies, Claim, Scores
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.pictures import enlarged, grid, to_picture

SIGHT = 256  # pixels in height of the picture of what the middle pixel sees


def certify(model: Model) -> Iterator[Claim]:
    """Yield each claim of a model with a likelihood with its verdict.

    Raises:
        InputError: the model gives no likelihood, or cannot prove anything of it.
    """
    if not isinstance(model, Scores):
        raise InputError(f"{type(model).__name__} gives no likelihood: there is nothing to certify")
    if not isinstance(model, Certifies):
        raise InputError(f"{type(model).__name__} claims nothing of its likelihood that could be proved")
    yield from model.claims()


def write_sight(model: Model, path: Path) -> bool:
    """Draw what the middle value sees, dark not at all, light strongly; return whether there is anything to draw."""
    seen = model.sight() if isinstance(model, Certifies) else None
    if seen is None:
        return False
    picture = to_picture(grid(enlarged(seen[None], max(1, SIGHT // seen.shape[1]))))
    with replaced(path) as part:
        picture.save(part)
    return True
