"""Enlarging, cutting and mirroring while a translator learns, one way for every picture, alike on both sides of a pair."""

# B batch, C channels, H height, W width

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.placing import there


def jittered(sides: list[tuple[Tensor, bool]], scale: float, mirror: bool) -> list[Tensor]:
    """Return pictures `[B, C, H, W]` in [0, 1], and whether they are planes of classes, in [-1, 1], all changed alike.

    Args:
        scale: by how much they are enlarged before a part of their size is cut out.
        mirror: mirror half of them left to right.
    """
    n, _, height, width = sides[0][0].shape
    h, w = round(height * scale), round(width * scale)
    found = [x if (h, w) == (height, width) else enlarged(x, (h, w), classes) for x, classes in sides]
    if (h, w) != (height, width):
        top, left = torch.randint(h - height + 1, (n,)).tolist(), torch.randint(w - width + 1, (n,)).tolist()
        found = [cut(x, top, left, height, width) for x in found]
    if mirror:
        mirrored = there(torch.rand(n) < 0.5, found[0])[:, None, None, None]
        found = [torch.where(mirrored, x.flip(3), x) for x in found]
    return [x * 2 - 1 for x in found]


def enlarged(x: Tensor, size: tuple[int, int], classes: bool) -> Tensor:
    """Return pictures `[B, C, H, W]` at another size; planes of classes stay 0 or 1."""
    if classes:
        return F.interpolate(x, size, mode="nearest-exact")
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def cut(x: Tensor, top: list[int], left: list[int], height: int, width: int) -> Tensor:
    """Cut a part of each picture `[B, C, h, w]` out: `[B, C, height, width]`."""
    return torch.stack([each[:, t : t + height, s : s + width] for each, t, s in zip(x, top, left, strict=True)])
