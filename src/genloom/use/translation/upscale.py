"""Making pictures of a person's own larger: a file, or all of a folder, each into one of the same name."""

# C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Upscales
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.nn.imresize import grown
from genloom.nn.tiles import by_tiles
from genloom.reading import in_words, limit
from genloom.shapes.pairs import in_colour
from genloom.shapes.pictures import to_picture
from genloom.use.translation.files import TILE, parts, quickly, read_picture, side_by_side, turn_files
from genloom.use.translation.translate import Wishes

BYTES_A_VALUE = 12  # of the large picture: itself, a part that it is copied from, its bytes


def refuse_others(model: Model) -> None:
    """Raise InputError for a model that makes no picture larger."""
    if not isinstance(model, Upscales):
        raise InputError(
            f"{type(model).__name__} makes no picture larger: `genloom fit srgan FOLDER -o RUN` trains what does"
        )


def upscale_files(model: Model, source: str, out: str, wishes: Wishes | None = None) -> Iterator[Path]:
    """Enlarge pictures and yield each file as it is written; raises InputError as its parts do."""
    refuse_others(model)
    said = wishes or Wishes()

    def turn(path: Path, i: int) -> Any:
        x = read_picture(path, model.shape.dims[0], said.convert)
        made = upscaled(model, x, said)
        if not said.strip:
            return to_picture(made[0])
        assert isinstance(model, Upscales)
        return side_by_side(in_colour(grown(x, model.scale))[0], in_colour(made)[0])

    return turn_files(source, out, turn)


def upscaled(model: Model, x: Tensor, wishes: Wishes) -> Tensor:
    """Return one picture `[1, C, s H, s W]` of one `[1, C, H, W]`, by parts; InputError for one too large.

    Parts see as far beyond their edge as the network does, so that each pixel is what it would be in the whole.
    """
    assert isinstance(model, Upscales)
    height, width = x.shape[2:]
    needed = BYTES_A_VALUE * x.numel() * model.scale**2
    if needed > limit():
        raise InputError(
            f"a picture of {width:,}x{height:,} takes about {in_words(needed)} once it is {model.scale} times as large, of "
            f"{in_words(limit())} allowed: make it smaller, or say --limit {needed / 1e9:.0f}"
        )
    tile = parts(wishes.tile, wishes.overlap, 0, model.reach) or (TILE // 2, model.reach)
    with torch.inference_mode(), quickly(model.device):
        return by_tiles(model.upscale, x, *tile, model.scale)
