"""One Gaussian for every number: the toy by which tests add a model."""

from functools import partial

import torch
from torch import nn

from genloom.core.capabilities import Samples
from genloom.core.hyper import Hyper
from genloom.core.model import Model, Move, Note, Player
from genloom.core.random import Noise


class Bell(Model, Samples):
    """A mean and a deviation for each number of an example, of whatever kind."""

    Hyper = Hyper
    notes = {"nats": Note("nats", "bell")}  # noqa: RUF012

    def __init__(self, hyper, shape):
        super().__init__(hyper, shape)
        self.mean = nn.Parameter(torch.zeros(shape.dims))
        self.log_deviation = nn.Parameter(torch.zeros(shape.dims))

    @classmethod
    def fits(cls, shape, hyper):
        return shape

    def players(self):
        return [Player("bell", (self,), partial(torch.optim.Adam, lr=0.05))]

    def round(self, batches, clock):
        x = next(batches)["x"]
        law = torch.distributions.Normal(self.mean, self.log_deviation.exp())
        nats = -law.log_prob(x).flatten(1).sum(1).mean()
        yield Move("bell", nats, {"nats": nats})

    @torch.no_grad()
    def sample(self, n, given=None, temperature=1.0, noise=None):
        bell = (noise or Noise.fresh(n)).normal(*self.shape.dims)
        return (self.mean + temperature * self.log_deviation.exp() * bell).clamp(0, 1)
