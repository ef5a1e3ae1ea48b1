"""What a model can do, as small abstract classes that a model inherits: what asks, asks `isinstance`, never a name."""

# n examples, C channels, H height, W width, D columns

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from genloom.core.dataset import Dataset
from genloom.core.random import Noise


class Samples(ABC):
    """Draws new examples."""

    @abstractmethod
    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        """Draw `n` examples `[n, *dims]`, on the CPU and without gradient; pictures lie in [0, 1].

        Args:
            given: class indices `[n]`, for a model that takes labels; None draws them evenly.
            temperature: scale of the noise; 1 is the model's own.
            noise: the randomness of each example, such as `Noise.of(seed, n)`; None takes some that nobody has seen.
        """


class PixelByPixel(Samples):
    """Draws pictures one value after the other, which takes time.

    Attributes:
        watch: a progress bar around the rows drawn.
        method: `cached` computes each value once, `naive` runs the whole network for each; both draw the same.
    """

    watch: Callable[[range], Iterable[int]]
    method: Literal["cached", "naive"]


class Latent(Samples):
    """Draws examples from a latent code z, so that one can walk between them."""

    law: ClassVar[Literal["uniform", "gaussian"]]  # decides how to walk

    @property
    @abstractmethod
    def code_width(self) -> int:
        """The width of a code."""

    @abstractmethod
    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        """Draw `n` codes `[n, z]` where the weights are; without noise from torch's own generator."""

    @abstractmethod
    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the examples `[n, *dims]` of codes `[n, z]`, and of class indices `[n]` where the model takes labels."""

    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        with torch.no_grad():
            z = self.prior(n, Noise.fresh(n) if noise is None else noise)
            return self.generate(self.scaled(z, temperature), given).cpu()

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        """Scale the noise of codes `[n, z]` about its mean, which is zero unless a model says otherwise."""
        return z * temperature


class Likens(Latent):
    """Draws examples like given ones, which need not be those it was trained on."""

    @abstractmethod
    def instances(self, x: Tensor) -> Tensor:
        """Return what the model goes by, `[n, F]` on the CPU, of examples `[n, *dims]`; InputError where it follows none."""

    @abstractmethod
    def sample_like(
        self, h: Tensor, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None
    ) -> Tensor:
        """Draw an example `[n, *dims]` like each of `instances` `[n, F]`; the rest as `sample`."""


@dataclass(frozen=True)
class Unusual:
    """How unusual rows are, given the rows before them.

    Attributes:
        surprise: -log p of the window that ends with a row, in nats a number `[n]`.
        expected: what the other tags of the window say of each cell of the row `[n, D]`, as codes; not-a-number for
            categories and for columns that are given.
        spread: the deviation of that `[n, D]`.
        rest: the surprise of the window without a tag `[n, D]`: least for the one that all the others speak against;
            not-a-number where it was not asked for.
    """

    surprise: Tensor
    expected: Tensor
    spread: Tensor
    rest: Tensor


class Follows(Samples):
    """Knows how a record goes on: draws records of any length, fills gaps, says what is unusual."""

    @abstractmethod
    def run(
        self,
        n: int,
        rows: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
    ) -> Tensor:
        """Draw records `[n, rows, D]`, on the CPU.

        Args:
            given: plain values of the columns that it takes as conditions; InputError for others, or beyond what was seen.
        """

    @abstractmethod
    def fill(self, x: Tensor, mask: Tensor, draws: int, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """Fill windows `[n, T, D]` outside of a mask: the best guess `[n, T, D]`, and draws `[draws, n, T, D]`."""

    @abstractmethod
    def unusual(self, x: Tensor, mask: Tensor, closely: bool = False) -> Unusual:
        """Say how unusual the last rows of windows `[n, T, D]` are; cells outside of the mask are not looked at.

        Args:
            closely: whether to leave each tag out of all that is said of it, and to say `rest`; it takes some 30 times as
                long. Else a tag may help to choose the Gaussian by which it is judged.
        """


class Composes(Samples):
    """Writes music step by step, and knows the exact likelihood of each step."""

    @abstractmethod
    def compose(
        self,
        n: int,
        steps: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
        known: Tensor | None = None,
    ) -> Tensor:
        """Draw pieces `[n, steps, V]`, on the CPU.

        Args:
            given: what is asked of them by name: `key`, `density`, `composer`; InputError for others.
            known: codes `[n, T, V]` of their first steps; below 0 where they are not.
        """

    @abstractmethod
    def harmonise(
        self,
        known: Tensor,
        n: int,
        given: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        noise: Noise | None = None,
    ) -> Tensor:
        """Draw pieces `[n, T, V]` around codes `[T, V]` that are given in some of the voices, below 0 in the others."""

    @abstractmethod
    def density_of_piece(self, codes: Tensor) -> str:
        """Return how densely notes begin in a piece `[T, V]`: low, medium or high."""

    @abstractmethod
    def step_nats(self, piece: Mapping[str, Tensor]) -> Tensor:
        """Return -log p of each step `[n, T]` of pieces as a batch has them, in nats, given all steps before it."""


class Restyles(ABC):
    """Turns pieces of music from one style into the other."""

    @abstractmethod
    def restyle(self, x: Tensor, to: int) -> Tensor:
        """Return what sounds and what begins `[2, T, P]`, pitches from the shape's lowest on, of codes `[T, V]`."""


class Tags(ABC):
    """Says by which words pictures may be called: those of its shape's classes."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return what it goes by, `[n, F]` on the CPU, of pictures `[n, C, H, W]` in [0, 1]."""

    @abstractmethod
    def votes(self, h: Tensor, noise: Noise | None = None) -> Tensor:
        """Return how much speaks for each word, `[n, V]` on the CPU, of features `[n, F]`; 0 for what is never given."""


class Scores(ABC):
    """Gives the likelihood of examples.

    Attributes:
        bound: `exact`, `elbo`, or `iw-k` for a bound from k importance-weighted draws.
    """

    bound: ClassVar[str]

    @property
    @abstractmethod
    def coding(self) -> str:
        """What an example is to the likelihood, such as "256 levels" or "binary, threshold 0.5"."""

    @abstractmethod
    def log_prob(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return log p(x) `[n]` in nats, or its bound, of examples `[n, *dims]`, given labels `[n]` where it takes any."""


@dataclass(frozen=True)
class Claim:
    """What was claimed, whether it holds, and what was found."""

    text: str
    holds: bool
    found: str


class Certifies(Scores):
    """Can prove what it claims of its likelihood, on its own weights."""

    @abstractmethod
    def claims(self) -> Iterator[Claim]:
        """Yield each claim with its verdict."""

    def sight(self) -> Tensor | None:
        """Return what the middle value sees as a picture `[1, H, W]`, or None for a model that sees everything."""
        return None


class Coder(Protocol):
    """Gives the probabilities by which values are coded one after the other, the same again on the way back."""

    levels: int

    @property
    def coding(self) -> str: ...

    def checked_code(self, x: Tensor) -> Tensor:
        """Return the levels `[n, C, H, W]` of pictures in [0, 1]; InputError where pixels lie between them."""

    def pictures(self, levels: Tensor) -> Tensor:
        """Return pictures in [0, 1] of levels."""

    def cached(self, levels: Tensor, given: Tensor | None) -> Callable[[int, int, int, bool], Tensor]:
        """Return a step: row, column, channel, and whether its answer is wanted, to the logits of that value."""

    def score(self, levels: Tensor, given: Tensor | None = None) -> Tensor:
        """Return log p `[n]` of levels in nats."""


class Compresses(ABC):
    """Can code examples without loss in as many bits as it finds them unlikely."""

    @abstractmethod
    def coder(self) -> Coder:
        """Return what codes, in double precision on the CPU, apart from this model."""


class Completes(ABC):
    """Fills in the unknown pixels of pictures."""

    @abstractmethod
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        noise: Noise | None = None,
        temperature: float = 1.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """Return pictures `[n, C, H, W]` in [0, 1] whose pixels of `known` `[H, W]` are those of `x`, bit for bit."""


class Classifies(ABC):
    """Says of which class an example is."""

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """Return the probability `[n, K]` of each class for examples `[n, *dims]`, without gradient."""

    @abstractmethod
    def labelled(self, data: Dataset) -> Tensor:
        """Return the places `[m]` of the training examples whose labels it learns from."""


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


class Translates(ABC):
    """Turns pictures of one side, A or B, into pictures of the other.

    Attributes:
        sides: what it can make.
        margin: pixels beyond a tile that are looked at, at least.
        multiple: pictures whose sides are no multiple of this are padded.
    """

    sides: ClassVar[tuple[str, ...]]
    margin: ClassVar[int]
    multiple: int

    @abstractmethod
    def strip(self) -> Any:
        """Return a few pictures that it was trained on, what it makes of them, and their partners, as one pillow image."""

    @abstractmethod
    def translate(self, x: Tensor, to: str = "B", noise: Noise | None = None, tile: tuple[int, int] | None = None) -> Tensor:
        """Return pictures of side `to`, `[n, C', H, W]`, of pictures `[n, C, H, W]` of the other, all in [0, 1].

        Any size will do. No picture hangs on those beside it. Of a model without randomness `noise` changes nothing; None
        takes some that nobody has seen. `tile`, a side and a margin in multiples of 4, makes one picture by parts, the same.
        """


class Upscales(ABC):
    """Makes pictures larger, with the detail that they lack."""

    @property
    @abstractmethod
    def scale(self) -> int:
        """By how much."""

    @property
    @abstractmethod
    def reach(self) -> int:
        """Pixels of the small picture, in each direction, that a pixel of the large one hangs on."""

    @abstractmethod
    def strip(self) -> Any:
        """Return a few small pictures, what it makes of them, and what they were, as one pillow image."""

    @abstractmethod
    def upscale(self, x: Tensor) -> Tensor:
        """Return pictures `[n, C, scale * H, scale * W]` of pictures `[n, C, H, W]`, all in [0, 1]; any size will do."""


class Imputes(ABC):
    """Fills in the missing cells of rows."""

    @abstractmethod
    def impute(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return rows `[n, D]` whose cells outside of `mask` `[n, D]` are the best guess: a mean, or the likeliest category.

        Cells of the mask are those of `x`, bit for bit; what `x` holds elsewhere is not looked at. The answer for a row
        does not depend on the rows beside it.
        """

    @abstractmethod
    def draw(self, x: Tensor, mask: Tensor, draws: int, noise: Noise | None = None) -> Tensor:
        """Return `draws` ways `[draws, n, D]` to fill the rows in, as different as the known cells leave open.

        `noise` is the randomness of each row; None takes some that nobody has seen.
        """
