"""A player while it trains: its optimizer and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genloom.core.clock import Clock
from genloom.core.model import Player
from genloom.train.ranks import Ranks


class Learner:
    """One player while it trains. Only the loop uses this."""

    def __init__(self, player: Player, ranks: Ranks) -> None:
        self.player, self.ranks = player, ranks
        self.parameters = player.parameters()
        self.optimizer = player.optimizer(self.parameters)
        self.norm: Tensor | None = None  # of the last gradient that was looked at
        self.steps = 0  # taken by this process

    def descend(self, loss: Tensor, share: float) -> None:
        """Add the gradient of `loss * share` to this player's parameters, and to no other's."""
        name = self.player.name
        if not loss.requires_grad:
            raise RuntimeError(f"the loss of {name!r} depends on no weight; was it computed under no_grad or detached?")
        (loss * share if share != 1 else loss).backward(inputs=self.parameters)
        if all(p.grad is None for p in self.parameters):
            raise RuntimeError(f"the loss of {name!r} reaches none of its weights; does the move name the right player?")

    def step(self, clock: Clock, watch: bool) -> None:
        """Average the gradient over the processes, clip it, and step; with `watch` keep its norm."""
        self.ranks.average_gradients(self.parameters)
        if watch or self.player.clip is not None:
            self.norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
            if self.player.clip is not None:
                nn.utils.clip_grads_with_norm_(self.parameters, self.player.clip, self.norm)
        for group in self.optimizer.param_groups:
            group.update(self.player.schedule(clock))
        self.optimizer.step()
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Start with new optimizer state, keeping the weights."""
        self.optimizer = self.player.optimizer(self.parameters)

    def movement(self, before: list[Tensor] | None) -> tuple[float | None, list[Tensor]]:
        """Return how far the weights moved from what they were, relative to their size, and what they are."""
        now = [p.detach().clone() for p in self.parameters]
        if before is None:
            return None, now
        gap = torch.stack(torch._foreach_norm(torch._foreach_sub(now, before))).norm()
        return float(gap / torch.stack(torch._foreach_norm(now)).norm().clamp_min(1e-12)), now
