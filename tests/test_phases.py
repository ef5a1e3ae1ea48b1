"""Phases last their examples, players start fresh or grow, and averages follow."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from games import Duel, Points, record, weights
from genloom.core.clock import Clock
from genloom.core.model import Move, Phase
from genloom.train.ema import EMA
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.run import Run


def seeded(kind=Duel, **options):
    torch.manual_seed(0)
    return kind(**options)


def in_phases(model, first=192, renewed=("generator",)):
    rounds = model.round
    model.phases = lambda: [Phase("first", rounds, examples=first), Phase("second", rounds, batch=16, fresh=renewed)]
    return model


def seen_by(folder, model, **plan):
    plan = Plan(**{"batch": 32, "report_examples": 1, "save_every": 1e9, "report_every": 0, **plan})
    reports = play(model, Points(), Run.begin(folder, record()), plan)
    return [(report.phase, report.examples) for report in reports]


def test_phases_last_their_examples_whatever_the_budget(tmp_path):
    seen = seen_by(tmp_path / "a", in_phases(Duel()), examples=640)
    assert [e for p, e in seen if p == "first"][-1] == 192 and seen[-1] == ("second", 640)
    longer = seen_by(tmp_path / "a", in_phases(Duel()), examples=2560)  # a longer budget goes on in the second phase
    assert {p for p, _ in longer} == {"second"} and longer[-1][1] == 2560
    cut = seen_by(tmp_path / "b", in_phases(Duel()), examples=128)
    assert {p for p, _ in cut} == {"first"}


def test_the_clock_tells_the_phase_and_the_place_within_it(tmp_path):
    model, clocks = Duel(), []
    model.after = lambda clock: clocks.append((clock.phase, clock.within, clock.length, clock.examples))
    seen_by(tmp_path / "a", in_phases(model), examples=288)
    assert clocks[:3] == [(0, 64, 192, 64), (0, 128, 192, 128), (0, 192, 192, 192)]
    assert clocks[3] == (1, 32, None, 224) and clocks[-1] == (1, 96, None, 288)


@pytest.mark.parametrize("stop", [128, 192, 256])  # before, at and after the boundary of the phases
def test_resume_around_a_boundary_of_phases_is_exact(tmp_path, stop):
    def adam():
        return in_phases(seeded(optimizer=torch.optim.Adam, ema=500.0), renewed=("generator", "critic"))

    seen_by(tmp_path / "whole", adam(), examples=640)
    seen_by(tmp_path / "parts", adam(), examples=stop)
    seen_by(tmp_path / "parts", adam(), examples=640)
    for file in ("model", "ema", "optimizer"):
        a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / f"{file}.safetensors") for n in ("whole", "parts"))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


def test_a_phase_renews_the_players_it_names_alone(tmp_path):
    steps = {}
    for name, renewed in (("both", ("generator", "critic")), ("none", ())):
        seen_by(tmp_path / name, in_phases(Duel(optimizer=torch.optim.Adam), renewed=renewed), examples=224)
        saved = load_file(Run.open(tmp_path / name).last_checkpoint() / "optimizer.safetensors")
        steps[name] = {player: float(saved[f"{player}/0/step"]) for player in ("generator", "critic")}
    assert steps == {"both": {"generator": 1, "critic": 2}, "none": {"generator": 4, "critic": 8}}


def test_only_the_last_phase_may_be_open_and_a_last_one_may_end(tmp_path):
    model = Duel()
    rounds = model.round
    model.phases = lambda: [Phase("endless", rounds), Phase("never", rounds)]
    with pytest.raises(RuntimeError, match="'endless' has no end"):
        seen_by(tmp_path / "a", model, examples=64)
    model.phases = lambda: [Phase("only", rounds, examples=192)]
    assert seen_by(tmp_path / "b", model, examples=100_000)[-1] == ("only", 192)


class Growing(Duel):
    """A game whose second layer comes into play in its second phase."""

    def __init__(self, **options):
        super().__init__(optimizer=torch.optim.Adam, **options)
        self.later = nn.Linear(self.shape.width, self.shape.width)

    def players(self):
        generator, critic = super().players()
        return [dataclasses.replace(generator, modules=(self.generator, self.later)), critic]

    def phases(self):
        grown = lambda batches, clock: self.round(batches, clock, grown=True)  # noqa: E731
        return [Phase("small", self.round, examples=192), Phase("grown", grown)]

    def round(self, batches, clock, grown=False):
        for _ in range(2):
            batch = next(batches)
            yield Move("critic", self.critic(batch["x"]).mean() - self.critic(self.generator(batch["z"]).detach()).mean())
        x_fake = self.generator(batch["z"])
        yield Move("generator", -self.critic(self.later(x_fake) if grown else x_fake).mean())


def test_parameters_come_into_play_phase_by_phase(tmp_path):
    begun, small, grown = (seeded(Growing, ema=100.0) for _ in range(3))
    for model, examples in ((small, 192), (grown, 384)):
        seen_by(tmp_path / str(examples), model, examples=examples)
    assert torch.equal(small.later.weight, begun.later.weight) and not torch.equal(grown.later.weight, begun.later.weight)
    seen_by(tmp_path / "192", Growing(ema=100.0), examples=384)  # and a resume finds them where they were
    for file in ("model", "ema", "optimizer"):
        a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / f"{file}.safetensors") for n in ("192", "384"))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


@pytest.mark.parametrize(
    ("half_life", "begun", "ended", "kept"),
    [(100.0, 10_000, 10_100, 0.5), (100.0, 10_000, 10_200, 0.25), (1e9, 500, 1000, 0.5 ** (math.log(2) / 0.1))],
)
def test_the_ema_has_its_half_life_and_a_short_run_forgets_its_first_weights(half_life, begun, ended, kept):
    model = Duel(ema=half_life)
    player = model.players()[0]
    ema = EMA(model, model.players())
    (value, average) = next(iter(ema.averages.items()))
    before = average.clone()
    with torch.no_grad():
        value.add_(1.0)
    ema.followed[player.name] = begun
    for examples in range(begun + 1, ended + 1):  # early on a tenth of the examples: the integral of 1 / (0.1 t)
        ema.follow(player, Clock(examples=examples))
    assert torch.allclose(average, before + 1 - kept, atol=1e-4)


def test_weights_that_players_share_have_one_average_and_come_back():
    model = Duel(ema=100.0)
    both = [dataclasses.replace(p, modules=(model.generator, model.critic), ema=100.0) for p in model.players()]
    ema = EMA(model, both)
    trained = weights(model).clone()
    with torch.no_grad():
        for average in ema.averages.values():
            average.fill_(7.0)
    with ema.applied() as averaged_model:
        assert (weights(averaged_model) == 7).all() and not averaged_model.training
    assert torch.equal(weights(model), trained) and all((average == 7).all() for average in ema.averages.values())
