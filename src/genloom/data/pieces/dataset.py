"""Pictures of any size as bytes one after the other, of which pieces are cut, each time at another place."""

# n pieces, C channels, H height, W width of a piece

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from genloom.data.pictures.dataset import as_floats
from genloom.errors import InputError
from genloom.placing import has_room
from genloom.shapes.pieces import PieceShape


@dataclass
class PieceData:
    """Pictures as uint8 `[pixels, C]`, one after the other, usually a view of a memory-mapped file.

    A picture counts as often as pieces lie in it side by side, so that an epoch sees every part of them about once.

    Attributes:
        places: of each picture its first pixel, its height and its width.
        flip: mirror half of the pieces left to right.
    """

    pixels: Tensor
    places: tuple[tuple[int, int, int], ...]
    shape: PieceShape
    source: str
    fingerprint: str
    flip: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each picture."""
        return [(height, width) for _, height, width in self.places]

    @cached_property
    def ends(self) -> Tensor:
        """How many pieces there are in the first picture, the first two, ..."""
        height, width = self.shape.size
        return torch.tensor(list(accumulate((h // height) * (w // width) for h, w in self.sizes)))

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self)}

    def whole(self, i: int) -> Tensor:
        """Return picture i as bytes `[H, W, C]`."""
        start, height, width = self.places[i]
        return self.pixels[start : start + height * width].view(height, width, -1)

    def picture(self, i: int) -> Tensor:
        """Return picture i whole, `[1, C, H, W]` in [0, 1], on the CPU."""
        return as_floats(self.whole(i)[None]).cpu()

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return pieces `x [n, C, H, W]` in [0, 1], stored channels last."""
        (height, width), found = self.shape.size, []
        places = torch.rand(len(indices["x"]), 3, generator=generator).tolist()
        which = torch.searchsorted(self.ends, indices["x"].cpu(), right=True).tolist()
        for i, (down, across, mirror) in zip(which, places, strict=True):
            picture = self.whole(i)
            top, left = int(down * (len(picture) - height + 1)), int(across * (picture.shape[1] - width + 1))
            piece = picture[top : top + height, left : left + width]
            found.append(piece.flip(1) if self.flip and mirror < 0.5 else piece)
        return {"x": as_floats(torch.stack(found))}

    def part(self, start: int, stop: int | None) -> PieceData:
        """Return the pictures `start ... stop - 1` as a data set of their own; InputError where there are none."""
        places = self.places[start:stop]
        if not places:
            raise InputError(f"{self.source}[{start}:{stop}] is empty: the data has {len(self.places)} pictures")
        name = f"[{start}:{'' if stop is None else stop}]"
        return replace(self, places=places, source=self.source + name, fingerprint=self.fingerprint + name)

    def to(self, device: torch.device) -> PieceData:
        """Return the pictures on a GPU that has room for them; elsewhere they stay."""
        return replace(self, pixels=self.pixels.to(device)) if has_room(device, self.pixels.nbytes) else self
