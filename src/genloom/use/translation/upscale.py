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
from genloom.nn.imresize import REACH, grown
from genloom.nn.tiles import by_tiles
from genloom.shapes.pairs import in_colour
from genloom.shapes.pictures import as_picture, to_bytes
from genloom.use.translation.files import parts, quickly, read_picture, refuse_much, side_by_side, turn_files
from genloom.use.translation.translate import Wishes

BYTES_A_VALUE = 3  # of the large picture: itself, as pillow has it, and what is written
TILE = 256  # side of a part of the small picture where nobody names one


def refuse_others(model: Model) -> None:
    """Raise InputError for a model that makes no picture larger."""
    if not isinstance(model, Upscales):
        raise InputError(
            f"{type(model).__name__} makes no picture larger: `genloom fit srgan FOLDER -o RUN` trains what does"
        )


def upscale_files(model: Model, source: str, out: str, wishes: Wishes | None = None) -> Iterator[Path]:
    """Enlarge pictures and yield each file as it is written; raises InputError as its parts do."""
    refuse_others(model)
    assert isinstance(model, Upscales)
    said = wishes or Wishes()

    tile = parts(said.tile, said.overlap, model.reach, TILE)

    def turn(path: Path, i: int) -> Any:
        x = read_picture(path, model.shape.dims[0], said.convert)
        made = upscaled(model, x, tile)
        if not said.strip:
            return as_picture(made[0])
        before = by_tiles(lambda part: to_bytes(grown(part, model.scale)), x, TILE, REACH, model.scale)
        return side_by_side(*(in_colour(each / 255)[0] for each in (before, made)))

    return turn_files(source, out, turn)


def upscaled(model: Upscales, x: Tensor, tile: tuple[int, int]) -> Tensor:
    """Return one picture, as bytes `[1, C, s H, s W]`, of one `[1, C, H, W]` in [0, 1]; InputError for one too large.

    It is made by parts that see as far beyond their edge as the network does, so that each pixel is what it would be in the
    whole.
    """
    assert isinstance(model, Model)
    refuse_much(BYTES_A_VALUE * x.numel() * model.scale**2, x)
    with torch.inference_mode(), quickly(model.device):
        return by_tiles(lambda part: to_bytes(model.upscale(part)), x, *tile, model.scale)
