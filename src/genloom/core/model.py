"""The contract of a model: players, the round by which they learn, and the moves of that round.

A model's training rule is one method, `round`, a generator that reads like the algorithm box of
its paper and yields a `Move` for each descent. The trainer does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper as AnyHyper
from genloom.shapes.base import Shape

Remember = Callable[[str, Callable[[], Mapping[str, Tensor]]], Mapping[str, Tensor]]
NoteKind = Literal["loss", "nats", "error", "accuracy", "distance", "change", "share"]


@dataclass(frozen=True)
class Player:
    """Networks that learn together by one optimizer.

    Attributes:
        name: the field's word for it: generator, discriminator, critic, encoder, denoiser.
        modules: the networks whose parameters this player moves.
        optimizer: builds the optimizer from the parameters.
        schedule: the optimizer's settings, such as `lr`, as a pure function of the clock.
        clip: largest norm of the gradient, or None.
        ema: half-life, in examples, of the averaged weights (EMA) used for sampling, or None; early on it is shorter.
    """

    name: str
    modules: tuple[nn.Module, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    schedule: Callable[[Clock], Mapping[str, Any]] = lambda clock: {}
    clip: float | None = None
    ema: float | None = None

    def parameters(self) -> list[nn.Parameter]:
        """Return the player's trainable parameters, each once."""
        found = {id(p): p for module in self.modules for p in module.parameters() if p.requires_grad}
        return list(found.values())


@dataclass(frozen=True)
class Note:
    """What a figure that a round notes is, so that the live line, the plots and the referee need not know it by name.

    Attributes:
        kind: loss; nats, of a likelihood; error, of what is made again or filled in; accuracy, the share that a critic
            calls rightly; distance, of samples to examples; change, of what a translator makes to what it was given; share,
            of pictures.
        player: whose it is, or None.
        shown: whether the live line shows it.
    """

    kind: NoteKind
    player: str | None = None
    shown: bool = True


@dataclass(frozen=True)
class Move:
    """This player now descends this loss (a scalar). Notes are figures to report, declared in the model's `notes`."""

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
        examples: how long it lasts; None, which the last phase alone may have, for as long as the budget does.
        batch: examples a batch, or None for the run's.
        view: applied to each batch before the round gets it, or None.
        fresh: players that start it with new optimizer state.
    """

    name: str
    round: Round
    examples: int | None = None
    batch: int | None = None
    view: Callable[[Batch, Clock], Batch] | None = None
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True)
class Misfit:
    """Why a model cannot take data as it is.

    Attributes:
        reason: in one sentence, with what to do.
        remedy: whether an option of the same command mends it; where not, the data is another model's.
    """

    reason: str
    remedy: bool = False


class Model(nn.Module, ABC):
    """Networks plus the rule by which their players learn.

    A subclass names its `Hyper`, says in `fits` what data it takes, builds its networks in `__init__`, and gives `players`
    and `round`.
    """

    Hyper: ClassVar[type[AnyHyper]]
    notes: ClassVar[Mapping[str, Note]] = {}  # the figures that rounds note, by name
    reads: ClassVar[str] = ""  # the kind of data that it needs, where that is not pictures of one size or a table
    at_once: ClassVar[bool] = False  # whether all is learnt in `study`, and no round is played
    late: ClassVar[tuple[str, ...]] = ()  # networks that a run may lack from which another starts
    compilable: ClassVar[bool] = True  # whether torch.compile is of use; where not, a GPU may have `recorded`

    def __init__(self, hyper: AnyHyper, shape: Shape) -> None:
        super().__init__()
        self.hyper = hyper
        self.shape = shape

    @classmethod
    @abstractmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        """Return the shape that this model would take data of `shape` in, often the same, or why it cannot."""

    @abstractmethod
    def players(self) -> Sequence[Player]:
        """Return the players; no two share a parameter unless the paper says so."""

    @abstractmethod
    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Play one round: take batches from `batches` and yield a move for each descent."""

    def phases(self) -> Sequence[Phase]:
        """Return the stretches of training: one of `round`, unless a paper has stages."""
        return [Phase("training", self.round)]

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Return the hyper-parameters with those settled that are left to the data."""
        return hyper

    @classmethod
    def studies(cls, hyper: AnyHyper) -> str:
        """Say what `study` does, where that takes a while; "" where it does not."""
        return ""

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Learn from the data what must be known before the first round; return what to train on, often the same data.

        It is called anew whenever a run goes on, before the weights are read. What is costly goes through
        `remember(name, make)`: it returns the tensors that `make()` did the first time, kept in the run folder.
        """
        return data

    def recorded(self, n: int) -> Sequence[tuple[nn.Module, tuple[Any, ...]]]:
        """Return modules that a GPU may record as graphs and play back, with arguments as for a batch of `n` examples.

        For networks of many small steps, which a GPU does faster than Python can ask for them. A module may stand there more
        than once, with other shapes. What a call returns is overwritten by the next of the same shapes, and so is what its
        gradient needs: take the gradient, or what is wanted of the values, before.
        """
        return []

    def after(self, clock: Clock) -> None:
        """Update state that statistics drive, once after every round."""

    def before_export(self) -> None:
        """Note as Python's numbers what of its tensors decides the way through the networks: a graph cannot look."""

    @property
    def conditional(self) -> bool:
        """Whether the model takes labels."""
        return False

    @property
    def taught_by(self) -> str:
        """The features by whose judgement the model learnt, such as "lite0", or "": they flatter what it makes."""
        return ""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
