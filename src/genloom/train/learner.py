"""A seat at the table: a player with its optimizer, its gradient and its shadow weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genloom.core.clock import Clock
from genloom.core.model import Model, Player

RAMP = 0.1  # the half-life is at most this share of the examples dealt, or a short run would keep its first weights


class Seat:
    """One player while it trains. Only the trainer uses this."""

    def __init__(self, player: Player, model: Model, world: int) -> None:
        self.player = player
        self.world = world
        self.parameters = player.parameters()
        self.optimizer = player.optimizer(self.parameters)
        self.norm = float("nan")
        self.turns = 0  # steps taken by this process
        self._shadow: dict[Tensor, Tensor] = {}
        if player.shadow is not None:
            self._shadow = {value: value.detach().clone() for value in averaged(player.modules)}
        self.last_examples = 0  # dealt when the shadow last followed

    def descend(self, loss: Tensor, share: float) -> None:
        """Add the gradient of `loss * share` to this player's parameters, and to no other's."""
        name = self.player.name
        if not loss.requires_grad:
            raise RuntimeError(f"the loss of {name!r} depends on no weight; was it computed under no_grad or detached?")
        (loss * share if share != 1 else loss).backward(inputs=self.parameters)
        if all(p.grad is None for p in self.parameters):
            raise RuntimeError(f"the loss of {name!r} reaches none of its weights; does the move name the right player?")

    def step(self, clock: Clock, watch: bool) -> None:
        """Average the gradient over the ranks, clip it, step, and let the shadow follow."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.world > 1:
            flat = torch.cat([g.flatten() for g in gradients])
            dist.all_reduce(flat)
            flat /= self.world
            for g, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                g.copy_(mean.view_as(g))
        if watch or self.player.clip is not None:
            norm = nn.utils.get_total_norm(gradients)
            self.norm = float(norm)
            if self.player.clip is not None:
                nn.utils.clip_grads_with_norm_(self.parameters, self.player.clip, norm)
        for group in self.optimizer.param_groups:
            group.update(self.player.schedule(clock))
        self.optimizer.step()
        self.turns += 1
        self.optimizer.zero_grad(set_to_none=True)
        self.follow(clock)

    def follow(self, clock: Clock) -> None:
        """Move the shadow towards the weights by the examples dealt since the last time."""
        if self._shadow and self.player.shadow is not None and clock.examples > self.last_examples:
            half_life = min(self.player.shadow, RAMP * clock.examples)
            weight = 1 - 0.5 ** ((clock.examples - self.last_examples) / half_life)
            with torch.no_grad():
                torch._foreach_lerp_(list(self._shadow.values()), list(self._shadow), weight)
        self.last_examples = clock.examples

    def forget(self) -> None:
        """Start with new optimizer state, keeping the weights and the shadow."""
        self.optimizer = self.player.optimizer(self.parameters)

    @property
    def shadow(self) -> dict[Tensor, Tensor]:
        """The averaged tensor of each weight and floating buffer, empty without a shadow."""
        return self._shadow


def averaged(modules: Sequence[nn.Module]) -> list[Tensor]:
    """The tensors that a shadow follows: those a checkpoint holds, parameters and the running statistics beside them."""
    return [t for m in modules for t in m.state_dict(keep_vars=True).values() if t.is_floating_point()]


class Shadowed:
    """`with Shadowed(model, seats):` the model has its shadow weights, where it has any, and is in evaluation mode.

    The trained values are put back afterwards bit for bit.
    """

    def __init__(self, model: Model, seats: Sequence[Seat]) -> None:
        self.model = model
        self.pairs = [pair for seat in seats for pair in seat.shadow.items()]

    def __enter__(self) -> Model:
        self.was_training = self.model.training
        self.model.eval()
        self.swap()
        return self.model

    def __exit__(self, *_: object) -> None:
        self.swap()
        self.model.train(self.was_training)

    @torch.no_grad()
    def swap(self) -> None:
        for value, shadow in self.pairs:
            kept = value.clone()
            value.copy_(shadow)
            shadow.copy_(kept)
