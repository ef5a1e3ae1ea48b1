"""A normal law fitted to rows with holes, and what it expects of the missing numbers given the known ones: the best linear
guess, from which a net need learn only how the data differ.
"""

# n rows, B batch, W numbers

from __future__ import annotations

import torch
from torch import Tensor, nn

ROUNDS = 30
STILL = 1e-3  # change of a covariance below which it has settled
RIDGE = 0.02  # of a standardised number's variance, added to each: a table of few rows has no steadier a covariance


class Gaussian(nn.Module):
    """Mean `[W]` and covariance `[W, W]` of numbers, which `fit` learns; `forward` gives conditional means."""

    mean: Tensor
    covariance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("covariance", torch.eye(width))

    def forward(self, w: Tensor, m: Tensor) -> Tensor:
        """Return numbers `[B, W]` with those outside of the mask `[B, W]` replaced by their mean given the others."""
        if torch.compiler.is_exporting():  # to where there is no Cholesky
            expected = self.mean + (m * eliminated(self.among(m), m * (w - self.mean))) @ self.covariance
            return torch.where(m > 0, w, expected)
        return self.conditional(w, m)[0]

    def among(self, m: Tensor) -> Tensor:
        """Return the covariance `[B, W, W]` of known numbers; unknown ones stand apart, with nothing to say."""
        both = m[:, :, None] * m[:, None, :]
        return both * self.covariance + torch.diag_embed(1 - m)

    def conditional(self, w: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers `[B, W]`, filled, and the Cholesky factor of the known ones' covariance `[B, W, W]`."""
        factor = torch.linalg.cholesky_ex(self.among(m)).L  # without a look at whether it failed, which a GPU would wait for
        solved = torch.cholesky_solve((m * (w - self.mean))[:, :, None], factor)[:, :, 0]
        expected = self.mean + (m * solved) @ self.covariance
        return torch.where(m > 0, w, expected), factor

    def fitted(self, w: Tensor, m: Tensor) -> dict[str, Tensor]:
        """Return mean and covariance as `fit` learns them."""
        self.fit(w, m)
        return {"mean": self.mean, "covariance": self.covariance}

    @torch.no_grad()
    def fit(self, w: Tensor, m: Tensor) -> None:
        """Learn from numbers `[n, W]` and the mask of known ones, by expectation and maximisation.

        Dempster, Laird & Rubin 1977, section 4.1.3. The data are standardised beforehand.
        """
        w, m, keep = w.double(), m.double(), self.mean.dtype
        self.double()
        eye = torch.eye(w.shape[1], dtype=torch.double)
        for _ in range(ROUNDS):
            total, square = torch.zeros_like(eye[0]), torch.zeros_like(eye)
            for part, known in zip(w.split(500), m.split(500), strict=True):
                filled, factor = self.conditional(part, known)
                left = torch.cholesky_solve(known[:, :, None] * self.covariance, factor)  # known -> how much they tell
                spread = self.covariance - (known[:, :, None] * self.covariance).mT @ (known[:, :, None] * left)
                open_ = (1 - known)[:, :, None] * (1 - known)[:, None, :]
                total += filled.sum(0)
                square += filled.mT @ filled + (open_ * spread).sum(0)
            before, self.mean = self.covariance, total / len(w)
            self.covariance = square / len(w) - self.mean[:, None] * self.mean + RIDGE * eye
            if (self.covariance - before).abs().max() < STILL:
                break
        self.to(keep)


def eliminated(a: Tensor, b: Tensor) -> Tensor:
    """Return x `[B, W]` of a x = b for positive definite matrices `[B, W, W]`, by elimination, unrolled."""
    rows, width = torch.cat([a, b[:, :, None]], 2), b.shape[1]
    for k in range(width):
        row = rows[:, k : k + 1] / rows[:, k : k + 1, k : k + 1]
        others = rows - rows[:, :, k : k + 1] * row
        rows = torch.cat([others[:, :k], row, others[:, k + 1 :]], 1)
    return rows[:, :, width]
