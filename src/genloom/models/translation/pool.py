"""The image pool of Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3: made pictures of before are judged too."""

# B batch

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps up to `size` made pictures, and gives old ones for new.

    Each picture by itself: while there is room it is kept and given; after that, with a chance of a half an old one is given
    in its place and it takes that one's. The pool is a buffer, so that it lies in the checkpoint of every process.
    """

    kept: Tensor
    count: Tensor

    def __init__(self, size: int, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, *dims, dtype=torch.float16))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, made: Tensor) -> Tensor:
        """Return pictures `[B, *dims]` for new ones `[B, *dims]`."""
        if not len(self.kept):
            return made
        count, given = int(self.count), made.clone()
        for i in range(len(made)):
            if count < len(self.kept):
                self.kept[count] = made[i]
                count += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(len(self.kept), ()))
                given[i] = self.kept[place]
                self.kept[place] = made[i]
        self.count.fill_(count)
        return given
