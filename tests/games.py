"""Small games for tests of the trainer."""

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from genloom.core.hyper import Hyper
from genloom.core.model import Model, Move, Note, Player
from genloom.core.objectives import gradient_penalty
from genloom.shapes.points import PointShape
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.run import Run


def write_pairs(folder, n=64, size=8):
    """Write `n` pairs of small pictures into folders A and B: B is A inverted."""
    from PIL import Image  # which training does without

    random = np.random.default_rng(0)
    for side in "AB":
        (folder / side).mkdir(parents=True)
    for i in range(n):
        pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
        for side, values in (("A", pixels), ("B", 255 - pixels)):
            Image.fromarray(values).save(folder / side / f"{i:03d}.png")
    return folder


def write_music(folder, n):
    """Write `n` pieces of two voices and six bars, steps of a major scale above long notes; by two composers."""
    from genloom.scores.midi import midi_of

    for i in range(n):
        where = folder / ("ada" if i % 2 else "bo")
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{i}.mid").write_bytes(midi_of(piece(i)))
    return folder


def piece(seed, bars=6, up=0):
    """Return such a piece."""
    from genloom.scores.score import Metre, Score, as_notes

    random, rows, place = np.random.default_rng(seed), [], 3
    for i in range(4 * bars):
        place = int(np.clip(place + random.integers(-1, 2), 0, 7))
        rows.append((float(i), 1.0, 60 + up + seed % 5 + (0, 2, 4, 5, 7, 9, 11, 12)[place], 80, 0))
    rows += [(4.0 * i, 4.0, 48 + up + seed % 5, 80, 1) for i in range(bars)]
    return Score(as_notes(rows), ("upper", "lower"), 100.0, Metre(), None, f"piece {seed}")


COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


def write_tagged(folder, n=48, side=32, seed=0):
    """Write `n` pictures of one colour, their tags and word vectors; return the options that say where these are."""
    import torch
    from PIL import Image

    from genloom.data.tags.vectors import WordVectors

    random, lines = np.random.default_rng(seed), ["file,tags,split"]
    (folder / "pictures").mkdir(parents=True)
    for i in range(n):
        colour = list(COLOURS)[i % 2]
        pixels = random.normal(COLOURS[colour], 20, (side, side, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{colour};{'warm' if colour == 'red' else 'cold'},{'test' if i * 3 >= 2 * n else 'train'}")
    (folder / "tags.csv").write_text("\n".join(lines))
    words = WordVectors(("red", "warm", "blue", "cold", "green"), torch.eye(5))
    words.write(folder / "words.safetensors")
    return {"tags": str(folder / "tags.csv"), "words": str(folder / "words.safetensors")}


def record(model="duel"):
    """What `run.json` holds of a training that no command began."""
    return {
        "model": model,
        "preset": "paper",
        "hyper": {},
        "shape": {"kind": "points", "columns": 1},
        "data": {"source": "python", "fingerprint": "", "examples": 1, "options": {}, "loaded": {}},
        "plan": {"batch": 64, "seed": 0, "threads": 1, "processes": 1, "precision": "fp32"},
    }


class Points:
    """Points and noise dealt together, so that any split of a batch sees the same noise."""

    source, fingerprint, notes = "points", "points", ()

    def __init__(self, n=512, columns=3):
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(n, columns, generator=generator)
        self.z = torch.randn(n, 4, generator=generator)
        self.shape = PointShape(columns=columns)

    @property
    def lengths(self):
        return {"x": len(self.x)}

    def batch(self, indices, generator=None):
        return {"x": self.x[indices["x"]], "z": self.z[indices["x"]]}

    def to(self, device):
        return self


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))


class Duel(Model):
    """WGAN-GP with two critic moves a round: several batches a round, double backward, two players."""

    Hyper = Hyper
    notes: ClassVar = {"gap": Note("loss", "critic")}

    def __init__(self, hyper=None, shape=None, optimizer=torch.optim.SGD, rate=0.05, ema=None, clip=None):
        super().__init__(hyper or Hyper(), shape or PointShape(columns=3))
        self.generator, self.critic = net(4, self.shape.width), net(self.shape.width, 1)
        self.build = lambda p: optimizer(p, lr=rate)
        self.ema, self.clip = ema, clip

    @classmethod
    def fits(cls, shape, hyper):
        return shape

    def players(self):
        return [
            Player("generator", (self.generator,), self.build, ema=self.ema, clip=self.clip),
            Player("critic", (self.critic,), self.build, clip=self.clip),
        ]

    def round(self, batches, clock):
        for _ in range(2):
            batch = next(batches)
            x, x_fake = batch["x"], self.generator(batch["z"]).detach()
            gap = self.critic(x_fake).mean() - self.critic(x).mean()
            yield Move("critic", gap + 10 * gradient_penalty(self.critic, (x + x_fake) / 2, target=1.0), {"gap": gap})
        yield Move("generator", -self.critic(self.generator(batch["z"])).mean())


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def train(folder, model=None, data=None, **plan):
    torch.manual_seed(0)
    model = model or Duel()
    plan = Plan(**{"examples": 640, "batch": 32, "save_every": 1e9, "report_every": 1e9, **plan})
    return model, list(play(model, data or Points(), Run.begin(folder, record()), plan))
