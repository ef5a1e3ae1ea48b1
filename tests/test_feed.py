"""Feeding: the same batches ahead of time as without, an order for each key, and what a model studies of its data."""

import threading
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import genloom
from games import Duel, Points, train
from genloom.core.hyper import Hyper
from genloom.core.model import Model, Move, Player
from genloom.core.random import mix, stream
from genloom.data.pictures.dataset import ImageData
from genloom.shapes.pictures import ImageShape
from genloom.shapes.points import PointShape
from genloom.train.feed import AHEAD, Feed
from genloom.train.run import Run

CPU = torch.device("cpu")


def mirrored(n=64):
    pixels = torch.randint(256, (n, 4, 4, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageData(pixels, torch.arange(n), ImageShape(tuple(map(str, range(n))), 1, 4, 4), "made", "made", flip=True)


def test_batches_made_ahead_are_those_made_on_the_spot():
    ahead, spot = (Feed(mirrored(), 3, CPU) for _ in range(2))
    for start in (0, 16, 32, 48, 64, 128):  # in order, and past what was made
        got, made = ahead.get(start, 16, 16), spot.make(start, 16)
        assert got.keys() == made.keys() == {"index", "x", "y"}
        assert all(torch.equal(got[key], made[key]) for key in got)
        assert torch.equal(got["index"], got["y"])  # a label for each picture here
        assert len(ahead.ready) == AHEAD
    ahead.close()
    assert not any(thread.is_alive() for thread in ahead.thread._threads)


def test_what_goes_wrong_while_a_batch_is_made_ends_training(tmp_path):
    class Broken(Points):
        def batch(self, indices, generator=None):
            if len(self.dealt) > 3:
                raise OSError("the disk is gone")
            self.dealt.append(1)
            return super().batch(indices, generator)

    data = Broken()
    data.dealt = []
    with pytest.raises(OSError, match="the disk is gone"):
        train(tmp_path / "a", data=data)


@dataclass
class Domains:
    """Two sets of points of unlike length, which no batch pairs."""

    source: str = "two"
    fingerprint: str = "two"
    shape: PointShape = field(default_factory=lambda: PointShape(columns=2))
    notes: tuple = ()
    lengths: dict = field(default_factory=lambda: {"x": 40, "b": 24})

    def batch(self, indices, generator=None):
        return {
            "x": torch.stack([indices["x"] / 40, torch.zeros(len(indices["x"]))], 1),
            "b": torch.stack([torch.zeros(len(indices["b"])), indices["b"] / 24], 1),
        }

    def to(self, device):
        return self


class Translate(Model):
    """Goes from one domain to the other, and remembers which examples it was dealt; it studies the data first."""

    Hyper = Hyper
    studies = 0

    def __init__(self):
        super().__init__(Hyper(), PointShape(columns=2))
        torch.manual_seed(0)
        self.net, self.dealt = nn.Linear(2, 2), []

    @classmethod
    def fits(cls, shape, hyper):
        return shape

    def players(self):
        return [Player("net", (self.net,), lambda p: torch.optim.Adam(p, lr=0.01))]

    def study(self, data, remember):
        def centre():
            Translate.studied += 1
            return {"centre": data.batch({key: torch.arange(n) for key, n in data.lengths.items()})["b"].mean(0)}

        self.centre = remember("centre", centre)["centre"]
        return Centred(centre=self.centre)

    def round(self, batches, clock):
        batch = next(batches)
        self.dealt.append((batch["index"].tolist(), (batch["b"][:, 1] + self.centre[1]).mul(24).round().long().tolist()))
        yield Move("net", (self.net(batch["x"]) - batch["b"]).square().mean())


@dataclass
class Centred(Domains):
    """The second domain about its centre."""

    centre: torch.Tensor | None = None

    def batch(self, indices, generator=None):
        batch = super().batch(indices, generator)
        return {**batch, "b": batch["b"] - self.centre}


def test_two_domains_have_orders_of_their_own_and_a_study_is_made_once(tmp_path):
    Translate.studied = 0
    whole, _ = train(tmp_path / "whole", Translate(), Domains(), examples=240, batch=8)
    train(tmp_path / "parts", Translate(), Domains(), examples=56, batch=8)
    parts, _ = train(tmp_path / "parts", Translate(), Domains(), examples=240, batch=8)
    assert Translate.studied == 2  # once a run folder
    x, b = ([i for batch in whole.dealt for i in batch[key]] for key in (0, 1))
    assert all(sorted(x[i : i + 40]) == list(range(40)) for i in range(0, 240, 40))
    assert all(sorted(b[i : i + 24]) == list(range(24)) for i in range(0, 240, 24)) and x[:24] != b[:24]
    assert parts.dealt == whole.dealt[7:]
    a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / "model.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_plain_order_is_the_seeds_own():
    """A second key may never change the order of the first, on which every figure under a seed hangs."""
    one, two = Feed(Points(40), 5, CPU), Feed(Domains(), 5, CPU)
    assert torch.equal(one.orders["x"].take(0, 40), two.orders["x"].take(0, 40))
    assert one.orders["x"].seed == stream("order", seed=5) == mix(5, 0)


def test_batches_carry_the_places_of_their_examples(tmp_path):
    model, seen = Duel(), []
    rounds = model.round

    def look(batches, clock):
        def kept():
            for batch in batches:
                seen.append(batch)
                yield batch

        return rounds(kept(), clock)

    model.round = look
    train(tmp_path / "a", model, examples=64)
    data = Points()
    assert all(torch.equal(batch["x"], data.x[batch["index"]]) for batch in seen) and len(seen) == 2


def test_a_programs_own_data_is_asked_in_its_own_thread(tmp_path):
    class Bound:
        """Data that draws from torch's generator and may be used in the thread that made it alone."""

        shape, fingerprint, asked = PointShape(columns=1), "bound", threading.get_ident()

        def __len__(self):
            return 64

        def batch(self, index, generator=None):
            assert threading.get_ident() == self.asked
            return {"x": torch.randn(len(index), 1)}

    runs = [genloom.fit("line", Bound(), tmp_path / name, examples=1024, batch=64) for name in "ab"]
    a, b = (load_file(run.last_checkpoint() / "model.safetensors") for run in runs)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_study_that_was_cut_short_is_made_again(tmp_path):
    Translate.studied = 0
    train(tmp_path / "a", Translate(), Domains(), examples=56, batch=8)
    kept = tmp_path / "a" / "study" / "centre.safetensors"
    kept.write_bytes(kept.read_bytes()[:20])
    train(tmp_path / "a", Translate(), Domains(), examples=112, batch=8)
    train(tmp_path / "a", Translate(), Domains(), examples=168, batch=8)
    assert Translate.studied == 2
