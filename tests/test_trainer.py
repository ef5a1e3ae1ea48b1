"""The trainer: who moves, and what a batch is."""

import json

import pytest
import torch
from torch import nn

import genloom
from games import Duel, Points, train, weights
from genloom.catalogue import MODELS, find_model
from genloom.core.clock import Clock
from genloom.core.dataset import take
from genloom.core.model import Move
from genloom.core.order import Order
from genloom.core.random import mix
from genloom.errors import InputError
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape
from genloom.shapes.tags import TagShape
from genloom.train.learner import Learner
from genloom.train.loop import compile_networks
from genloom.train.ranks import Ranks


def test_a_move_changes_its_own_player_only(tmp_path):
    model = Duel()
    learners = {p.name: Learner(p, Ranks()) for p in model.players()}
    batches = iter([take(Points(), torch.arange(16))] * 3)
    for move in model.round(batches, Clock()):
        before = {name: weights(getattr(model, name)).clone() for name in learners}
        learners[move.player].descend(move.loss, 1)
        learners[move.player].step(Clock(), watch=False)
        for name in learners:
            changed = not torch.equal(before[name], weights(getattr(model, name)))
            assert changed == (name == move.player)


def test_accumulation_equals_the_whole_batch(tmp_path):
    whole, _ = train(tmp_path / "a")
    parts, _ = train(tmp_path / "b", micro=8)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-6)
    other, _ = train(tmp_path / "c", seed=1)
    assert not torch.allclose(weights(whole), weights(other), atol=1e-3)  # the test can fail


def test_examples_count_every_batch_of_a_round(tmp_path):
    _, reports = train(tmp_path / "a", examples=640)
    assert reports[-1].examples == 640
    assert reports[-1].rounds == 10  # two batches of 32 a round


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda m, b: [Move("generator", m.critic(b["x"]).mean())], "reaches none of its weights"),
        (lambda m, b: [Move("generator", torch.tensor(1.0))], "depends on no weight"),
        (lambda m, b: [Move("judge", m.critic(b["x"]).mean())], "names 'judge'"),
    ],
)
def test_wrong_wiring_is_refused(tmp_path, wrong, says):
    model = Duel()
    model.round = lambda batches, clock: iter(wrong(model, next(batches)))
    with pytest.raises(RuntimeError, match=says):
        train(tmp_path / "a", model)


def test_a_yield_inside_no_grad_is_refused(tmp_path):
    model = Duel()

    def leaky(batches, clock):
        loss = model.critic(next(batches)["x"]).mean()
        with torch.no_grad():
            yield Move("critic", loss)

    model.round = leaky
    with pytest.raises(RuntimeError, match="inside no_grad"):
        train(tmp_path / "a", model)
    assert torch.is_grad_enabled()


def test_micro_batches_must_agree_whose_turn_it_is(tmp_path):
    model = Duel()

    def by_data(batches, clock):
        batch = next(batches)
        name = "critic" if batch["x"].sum() > 0 else "generator"
        yield Move(name, model.critic(model.generator(batch["z"])).mean())

    model.round = by_data
    with pytest.raises(RuntimeError, match="disagree whose turn"):
        train(tmp_path / "a", model, micro=4)


def test_what_is_compiled_is_what_is_called(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    for name in set(MODELS) - {"line", "gain", "timegan", "rtsgan", "music", "crnngan", "counts", "music_cyclegan"}:
        kind = find_model(name)
        shape = ImageShape(channels=1, height=8, width_px=8, classes=("a", "b"))
        shape = PairShape(height=8, width_px=8) if name in ("pix2pix", "cyclegan") else shape
        shape = TagShape(("a", "b"), columns=4) if name == "tagger" else shape
        model = kind(kind.Hyper.tiny().with_values({"levels": 2} if hasattr(kind.Hyper, "levels") else {}), shape)
        compile_networks([Learner(player, Ranks()) for player in model.players()], model)
    assert len(compiled) > 8 and not [m for m in compiled if type(m).forward is nn.Module.forward]


def test_clipping_bounds_the_step(tmp_path):
    model = Duel(rate=1.0, clip=0.01)
    before = weights(model.generator).clone()
    learner = Learner(model.players()[0], Ranks())
    batch = take(Points(), torch.arange(16))
    learner.descend(model.critic(model.generator(batch["z"])).sum() * 1e3, 1)
    learner.step(Clock(), watch=False)
    assert (weights(model.generator) - before).norm() == pytest.approx(0.01, rel=1e-3)


def test_order_is_a_permutation_each_epoch_and_a_pure_function():
    order = Order(10, mix(3))
    first, second = order.take(0, 10), order.take(10, 10)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert not torch.equal(first, second)
    assert torch.equal(Order(10, mix(3)).take(7, 6), torch.cat([first[7:], second[:3]]))


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"batch": 1024}, "larger than the data"),
        ({"batch": 32, "micro": 20, "examples": 64}, None),
        ({"batch": 30, "micro": 4}, "does not divide"),
    ],
)
def test_batches_that_do_not_fit(tmp_path, plan, says):
    if says is None:
        assert train(tmp_path / "a", **plan)[1][-1].examples == 64
        return
    with pytest.raises(InputError, match=says):
        train(tmp_path / "a", **plan)


def test_stats_are_lines_of_json(tmp_path):
    run = genloom.fit("gan", "digits", tmp_path / "a", preset="tiny", examples=600, report_examples=200, device="cpu")
    lines = (tmp_path / "a" / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["examples"] for line in lines] == [line["examples"] for line in run.history()]
    assert {"generator", "discriminator", "d_real", "diversity"} <= run.history()[-1]["notes"].keys()


def test_a_fit_leaves_the_threads_as_they_were(tmp_path):
    torch.set_num_threads(2)
    genloom.fit("gan", "digits", tmp_path / "run", examples=128, preset="tiny", device="cpu")
    assert torch.get_num_threads() == 2
