"""Differentiable augmentation of real and fake pictures alike, for small data sets.

Zhao et al. 2020 (arXiv 2006.10738), policy colour + translation + cutout; of a share that follows the discriminator's
over-fitting, Karras et al. 2020 (arXiv 2006.06676).
"""

# B batch, C channels, H height, W width

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.clock import Clock
from genloom.core.model import Note

TARGET = 0.75  # the mean sign of the logits of real pictures; 0.6, as theirs, costs variety in the first ten minutes
RECENT = 0.1  # weight of the newest batch in it
PASSES = 10  # over the pictures before the share grows: what was seen less often is not known by heart
MOST = 0.9  # of a share: what is done to nearly every picture, the generator learns to do
GROWTH = (
    "augment a share of the pictures that grows while the discriminator over-fits, from 0 to 1 in so many examples; 0: never"
)
AUGMENTED = {"augmented": Note("share", shown=False)}


class Adaptive(nn.Module):
    """Changes made to a share of the pictures, which grows while the discriminator over-fits.

    Karras et al. 2020, section 3.1: what over-fits gives nearly all real pictures logits over zero. While the mean sign of
    these lies over a target the share grows by a step a round, else it shrinks. Each process follows its own pictures.
    Digits and the like are told from made ones long before they are known by heart: so nothing grows in the first passes
    over the `pictures` there are, nor faster than in as many.

    Args:
        examples: in which the share can go from 0 to 1, 0 for no changes; theirs are 500,000, of 25 million.
    """

    share: Tensor
    sign: Tensor
    seen: Tensor

    def __init__(self, examples: float) -> None:
        super().__init__()
        self.examples, self.pictures = examples, 0
        if examples:
            self.register_buffer("share", torch.zeros(()))
            self.register_buffer("sign", torch.zeros(()))
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # examples, when the share last moved

    def forward(self, x: Tensor) -> Tensor:
        """Make each change to a share of the pictures `[B, C, H, W]`, zero being mid-grey."""
        if self.examples:
            for change in (recolour, translate, cutout):
                x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < self.share, change(x), x)
        return x

    @torch.no_grad()
    def follow(self, real: Tensor, clock: Clock) -> dict[str, Tensor]:
        """Move the share by what the discriminator says of real pictures, logits `[B]`, and return it as a note."""
        if not self.examples:
            return {}
        self.sign.lerp_(real.sign().float().mean(), RECENT)
        known = PASSES * self.pictures
        passed = (clock.examples - self.seen).clamp(min=0) if clock.examples >= known else 0
        self.share.add_((self.sign - TARGET).sign() * passed / max(self.examples, known)).clamp_(0, MOST)
        self.seen.fill_(clock.examples)
        return {"augmented": self.share.clone()}


def augment(x: Tensor) -> Tensor:
    """Change the colours of, shift, and cut a hole into each picture of `[B, C, H, W]`, zero being mid-grey."""
    return cutout(translate(recolour(x)))


def recolour(x: Tensor) -> Tensor:
    """Shift brightness by up to 0.5, scale saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = torch.rand(3, len(x), 1, 1, 1, device=x.device, dtype=x.dtype)
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (saturation * 2)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def translate(x: Tensor, share: float = 0.125) -> Tensor:
    """Shift by up to an eighth of the size each way, filling with zeros."""
    n, _, height, width = x.shape
    reach_y, reach_x = round(height * share), round(width * share)
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    top = torch.randint(2 * reach_y + 1, (n, 1, 1), device=x.device)
    left = torch.randint(2 * reach_x + 1, (n, 1, 1), device=x.device)
    rows = top + torch.arange(height, device=x.device)[:, None]  # [B, H, 1]
    columns = left + torch.arange(width, device=x.device)  # [B, 1, W]
    item = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[item, rows, columns].permute(0, 3, 1, 2)


def cutout(x: Tensor, share: float = 0.5) -> Tensor:
    """Zero a square of half the size at a random place, which may reach over the border."""
    n, _, height, width = x.shape
    high, wide = round(height * share), round(width * share)
    centre_y = torch.randint(height + (1 - high % 2), (n, 1, 1), device=x.device)
    centre_x = torch.randint(width + (1 - wide % 2), (n, 1, 1), device=x.device)
    rows = torch.arange(height, device=x.device)[:, None] - centre_y + high // 2  # [B, H, 1]
    columns = torch.arange(width, device=x.device) - centre_x + wide // 2  # [B, 1, W]
    hole = (rows >= 0) & (rows < high) & (columns >= 0) & (columns < wide)
    return x.masked_fill(hole[:, None], 0)
