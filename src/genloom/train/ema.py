"""EMA: exponential moving averages of the weights, from which samples are drawn."""

# Karras et al. 2020 (arXiv 1912.04958) and their code: the half-life is given in examples and grows from zero

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genloom.core.clock import Clock
from genloom.core.model import Model, Player

RAMP = 0.1  # the half-life is at most this share of the examples seen, or a short run would keep its first weights


class EMA:
    """The averaged weights of a model: those of each player that asks for it.

    A weight that players share is averaged once, with the first of them that asks.
    """

    def __init__(self, model: Model, players: Sequence[Player]) -> None:
        self.model = model
        self.followed: dict[str, int] = {}  # examples seen when the averages of a player last followed
        self.averages: dict[Tensor, Tensor] = {}
        self.parts: dict[str, list[Tensor]] = {}
        for player in players:
            self.followed[player.name] = 0
            own = averaged(player.modules) if player.ema is not None else []
            self.parts[player.name] = new = [value for value in own if value not in self.averages]
            self.averages |= {value: value.detach().clone() for value in new}

    def __bool__(self) -> bool:
        return bool(self.averages)

    @torch.no_grad()
    def follow(self, player: Player, clock: Clock) -> None:
        """Move a player's averages towards its weights by the examples seen since the last time."""
        since = clock.examples - self.followed[player.name]
        weights = self.parts[player.name]
        if weights and player.ema is not None and since > 0:
            share = 1 - 0.5 ** (since / min(player.ema, RAMP * clock.examples))
            torch._foreach_lerp_([self.averages[weight] for weight in weights], weights, share)
        self.followed[player.name] = clock.examples

    @contextmanager
    def applied(self) -> Iterator[Model]:
        """Give the model its averaged weights, where it has any, in evaluation mode; put all back bit for bit."""
        was_training = self.model.training
        self.model.eval()
        self.swap()
        try:
            yield self.model
        finally:
            self.swap()
            self.model.train(was_training)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages."""
        for weight, average in self.averages.items():
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Take the averages from tensors by the names of the weights."""
        names = {value: name for name, value in self.model.state_dict(keep_vars=True).items()}
        torch._foreach_copy_(list(self.averages.values()), [saved[names[weight]] for weight in self.averages])


def averaged(modules: Sequence[nn.Module]) -> list[Tensor]:
    """The tensors that an EMA follows: those a checkpoint holds, parameters and the running statistics beside them."""
    return [t for m in modules for t in m.state_dict(keep_vars=True).values() if t.is_floating_point()]
