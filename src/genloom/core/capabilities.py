"""What a model can do, as small abstract classes that a model inherits.

Command line, judge and studio ask `isinstance`, never a model's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Samples(ABC):
    """Draws new examples."""

    @abstractmethod
    def sample(
        self,
        n: int,
        given: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `n` examples `[n, *dims]`, on the CPU and without gradient; pictures lie in [0, 1].

        Args:
            given: class indices `[n]`, for a model that takes labels; None draws them evenly.
            temperature: scale of the noise; 1 is the model's own.
            generator: the source of randomness, on the CPU; None takes the global one.
        """


class Latent(Samples):
    """Draws examples from a latent code z, so that one can walk between them."""

    law: str  # "uniform" or "gaussian": decides how to walk

    @abstractmethod
    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes `[n, z]`."""

    @abstractmethod
    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the examples `[n, *dims]` of codes `[n, z]`, and of class indices `[n]` where the model takes labels."""

    @property
    @abstractmethod
    def conditional(self) -> bool:
        """Whether the model takes labels."""

    def sample(
        self,
        n: int,
        given: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        with torch.no_grad():
            return self.generate(self.scaled(self.prior(n, generator), temperature), given).cpu()

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        """Scale the noise of codes `[n, z]` about its mean, which is zero unless a model says otherwise."""
        return z * temperature


class Scores(ABC):
    """Gives the likelihood of examples.

    Attributes:
        bound: `exact`, `elbo`, or `iw-k` for a bound from k importance-weighted draws.
    """

    bound: str

    @property
    @abstractmethod
    def coding(self) -> str:
        """What an example is to the likelihood, such as "256 levels" or "binary, threshold 0.5"."""

    @abstractmethod
    def log_prob(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return log p(x) `[n]` in nats, or its bound, of examples `[n, *dims]`, given labels `[n]` where it takes any."""


class Completes(ABC):
    """Fills in the unknown pixels of pictures."""

    @abstractmethod
    def complete(self, x: Tensor, known: Tensor, generator: torch.Generator | None = None, temperature: float = 1.0,
                 given: Tensor | None = None) -> Tensor:  # fmt: skip
        """Return pictures `[n, C, H, W]` in [0, 1] whose pixels of `known` `[H, W]` are those of `x`, bit for bit."""


class Encodes(ABC):
    """Turns examples into codes and back."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return the codes `[n, z]` of examples `[n, *dims]`."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Return the examples `[n, *dims]` of codes `[n, z]`."""


class Infers(Encodes):
    """Gives a Gaussian posterior over codes."""

    @abstractmethod
    def infer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance `[n, z]` of q(z|x) of examples `[n, *dims]`."""


class Imputes(ABC):
    """Fills in the missing cells of rows."""

    @abstractmethod
    def impute(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return rows `[n, D]` whose cells outside of `mask` `[n, D]` are the best guess: a mean, or the likeliest category.

        Cells of the mask are those of `x`, bit for bit; what `x` holds elsewhere is not looked at. The answer for a row
        does not depend on the rows beside it.
        """

    @abstractmethod
    def draw(self, x: Tensor, mask: Tensor, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Return `draws` ways `[draws, n, D]` to fill the rows in, as different as the known cells leave open."""
