"""Small games for tests of the trainer."""

import torch
from torch import nn

from genloom.core.hyper import Hyper
from genloom.core.model import Model, Move, Player
from genloom.core.objectives import gradient_penalty
from genloom.shapes.points import PointShape


class Points:
    """Points and noise dealt together, so that any split of a batch sees the same noise."""

    def __init__(self, n=512, columns=3):
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(n, columns, generator=generator)
        self.z = torch.randn(n, 4, generator=generator)
        self.shape = PointShape(columns=columns)

    def __len__(self):
        return len(self.x)

    def batch(self, index, generator=None):
        return {"x": self.x[index], "z": self.z[index]}


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))


class Duel(Model):
    """WGAN-GP with two critic moves a round: several batches a round, double backward, two players."""

    Hyper = Hyper

    def __init__(self, hyper=None, shape=None, optimizer=torch.optim.SGD, rate=0.05, shadow=None, clip=None):
        super().__init__(hyper or Hyper(), shape or PointShape(columns=3))
        self.generator, self.critic = net(4, self.shape.width), net(self.shape.width, 1)
        self.build = lambda p: optimizer(p, lr=rate)
        self.shadow, self.clip = shadow, clip

    def players(self):
        return [
            Player("generator", (self.generator,), self.build, shadow=self.shadow, clip=self.clip),
            Player("critic", (self.critic,), self.build, clip=self.clip),
        ]

    def round(self, deal, clock):
        for _ in range(2):
            batch = next(deal)
            x, x_fake = batch["x"], self.generator(batch["z"]).detach()
            gap = self.critic(x_fake).mean() - self.critic(x).mean()
            yield Move("critic", gap + 10 * gradient_penalty(self.critic, (x + x_fake) / 2, target=1.0), {"gap": gap})
        yield Move("generator", -self.critic(self.generator(batch["z"])).mean())


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])
