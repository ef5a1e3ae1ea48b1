"""The contract of a model: players, the round by which they learn, and the moves of that round.

A model's training rule is one method, `round`, a generator that reads like the algorithm box of
its paper and yields a `Move` for each descent. The trainer does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genloom.core.clock import Clock
from genloom.core.hyper import Hyper as AnyHyper
from genloom.shapes.base import Shape

Batch = Mapping[str, Tensor]  # always "x"; else "y", "mask", "b", "neighbour", ...


@dataclass(frozen=True)
class Player:
    """Networks that learn together by one optimizer.

    Attributes:
        name: the field's word for it: generator, discriminator, critic, encoder, denoiser.
        modules: the networks whose parameters this player moves.
        optimizer: builds the optimizer from the parameters.
        schedule: the optimizer's settings, such as `lr`, as a pure function of the clock.
        clip: largest norm of the gradient, or None.
        shadow: half-life, in examples, of the averaged weights used for sampling, or None; early on it is shorter.
    """

    name: str
    modules: tuple[nn.Module, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    schedule: Callable[[Clock], Mapping[str, float]] = lambda clock: {}
    clip: float | None = None
    shadow: float | None = None

    def parameters(self) -> list[nn.Parameter]:
        """Return the player's trainable parameters, each once."""
        found = {id(p): p for module in self.modules for p in module.parameters() if p.requires_grad}
        return list(found.values())


@dataclass(frozen=True)
class Move:
    """This player now descends this loss (a scalar). Notes are figures to report: floats or scalar tensors."""

    player: str
    loss: Tensor
    notes: Mapping[str, Tensor | float] = field(default_factory=dict)


Round = Callable[[Iterator[Batch], Clock], Iterator[Move]]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own round.

    Attributes:
        name: shown while training.
        round: the rule of play.
        share: the part of the run's examples, relative to the other phases.
        batch: examples a batch, or None for the run's.
        view: applied to each batch before it is dealt, or None.
        fresh: start with new optimizer state.
    """

    name: str
    round: Round
    share: float = 1.0
    batch: int | None = None
    view: Callable[[Batch, Clock], Batch] | None = None
    fresh: bool = False


class Dataset(Protocol):
    """What a model may ask of data in `study`."""

    @property
    def shape(self) -> Shape: ...

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch: ...


class Model(nn.Module, ABC):
    """Networks plus the rule by which their players learn.

    A subclass names its `Hyper`, builds its networks in `__init__`, and gives `players` and `round`.
    """

    Hyper: ClassVar[type[AnyHyper]]

    def __init__(self, hyper: AnyHyper, shape: Shape) -> None:
        super().__init__()
        self.hyper = hyper
        self.shape = shape

    @abstractmethod
    def players(self) -> Sequence[Player]:
        """Return the players; no two share a parameter unless the paper says so."""

    @abstractmethod
    def round(self, deal: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Play one round: take batches from `deal` and yield a move for each descent."""

    def phases(self) -> Sequence[Phase]:
        """Return the stretches of training: one of `round`, unless a paper has stages."""
        return [Phase("training", self.round)]

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Return the hyper-parameters with those settled that are left to the data."""
        return hyper

    def study(self, data: Dataset) -> None:
        """Learn from the data what must be known before the first round, into buffers or weights."""

    def after(self, clock: Clock) -> None:
        """Update state that statistics drive, once after every round."""

    @classmethod
    def size_for(cls, height: int, width: int) -> tuple[int, int]:
        """Return the picture size that stands for this one in the model: the same where it can take it."""
        return height, width

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
