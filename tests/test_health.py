"""The referee on runs made to fail, and on one that does not."""

import json
import math
from typing import ClassVar

import pytest
import torch

import genloom
from games import Duel, Points, record, write_pairs
from genloom.core.dataset import take
from genloom.measures.light import LightJudge
from genloom.models.adversarial.gan import GAN
from genloom.models.likelihood.autoencoder import Autoencoder
from genloom.models.translation.cyclegan import CycleGAN, CycleGANHyper
from genloom.train.health import plateaued
from genloom.train.loop import Loop, play
from genloom.train.plan import Plan
from genloom.train.ranks import Ranks
from genloom.train.run import Run
from genloom.use.judging.effort import training_verdict


def verdicts(model, data, folder, **plan):
    torch.manual_seed(0)
    plan = Plan(**{"examples": 6000, "batch": 50, "report_examples": 300, "report_every": 0, "save_every": 1e9, **plan})
    reports = list(play(model, data, Run.begin(folder, record("gan")), plan))
    return {v.name: v for report in reports for v in report.health}, reports


def small(**hyper):
    return GAN(GAN.Hyper.tiny().with_values(hyper), genloom.load_data("digits").shape)


def test_a_player_that_stands_still(tmp_path):
    found, _ = verdicts(frozen_generator(small()), genloom.load_data("digits"), tmp_path / "a")
    assert "stalled" in found and "generator" in found["stalled"].text and found["stalled"].since <= 600


def test_a_saturated_output_that_teaches_nothing(tmp_path):
    model = Autoencoder(Autoencoder.Hyper.tiny(), genloom.load_data("digits").shape)
    raw = model.raw
    model.raw = lambda z: raw(z).sub(1000).sigmoid()
    found, _ = verdicts(model, genloom.load_data("digits"), tmp_path / "a")
    assert "no-gradient" in found and found["no-gradient"].since <= 300


def test_a_generator_that_ignores_its_code(tmp_path):
    model = small()
    with torch.no_grad():
        model.generator.h0.weight.zero_()
    model.generator.h0.weight.requires_grad_(False)
    found, _ = verdicts(model, genloom.load_data("digits"), tmp_path / "a", examples=60_000, report_examples=2000)
    assert "collapse" in found and "collapsed" in found["collapse"].text


def test_not_a_number_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    model = small()
    rounds = model.round

    def poisoned(batches, clock):
        for move in rounds(batches, clock):
            yield type(move)(move.player, move.loss * (float("nan") if clock.rounds > 60 else 1), move.notes)

    model.round = poisoned
    found, reports = verdicts(model, genloom.load_data("digits"), tmp_path / "a", save_examples=1000)
    assert found["not-a-number"].fatal and reports[-1].fatal and reports[-1].examples < 6000
    kept = Run.open(tmp_path / "a").last_checkpoint()
    assert int(kept.name) <= 3000 and Run.open(tmp_path / "a").history()[-1]["health"][0]["name"] == "not-a-number"


def test_a_discriminator_that_wins(tmp_path):
    model = small(rate=0.0)
    generator, discriminator = model.players()
    build = lambda p: torch.optim.Adam(p, lr=1e-2)  # noqa: E731
    strong = type(generator)("discriminator", discriminator.modules, build)
    model.players = lambda: [generator, strong]
    for part in model.discriminator.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    found, _ = verdicts(model, genloom.load_data("digits"), tmp_path / "a")
    assert "discriminator-won" in found and "has won" in found["discriminator-won"].text


def test_a_healthy_run_is_left_in_peace(tmp_path):
    run = genloom.fit("dcgan", "digits", tmp_path / "a", preset="tiny", examples=30_000, report_examples=1500, device="cpu")
    assert [v["name"] for line in run.history() for v in line["health"]] == []


def test_games_without_samples_are_watched_too(tmp_path):
    found, reports = verdicts(Duel(rate=0.0), Points(), tmp_path / "a", examples=2400, batch=32)
    assert "stalled" in found and "diversity" not in reports[-1].notes


def test_equal_pictures_are_no_reason_to_stop(tmp_path):
    import numpy as np

    np.save(tmp_path / "same.npy", np.full((80, 8, 8), 0.5))
    run = genloom.fit(
        "dcgan", tmp_path / "same.npy", tmp_path / "a", preset="tiny", examples=640, report_examples=64, device="cpu"
    )
    assert "diversity" not in run.history()[-1]["notes"] and int(run.last_checkpoint().name) == 640


def frozen_generator(model):
    schedule = model.hyper.schedule
    generator, discriminator = model.players()
    still = type(generator)(
        "generator", generator.modules, generator.optimizer, lambda clock: {**schedule(clock), "lr": 0.0}
    )
    model.players = lambda: [still, discriminator]
    return model


def test_patience_survives_a_resume(tmp_path):
    data = genloom.load_data("digits")
    found, _ = verdicts(frozen_generator(small()), data, tmp_path / "a", examples=900)
    assert not found  # seen three times, spoken the fourth
    found, _ = verdicts(frozen_generator(small()), data, tmp_path / "a", examples=1500)
    assert found["stalled"].since <= 600


def test_a_player_that_sits_out_is_not_called_stalled(tmp_path):
    model = small()
    rounds = model.round
    model.round = lambda batches, clock: (move for move in rounds(batches, clock) if move.player == "discriminator")
    found, reports = verdicts(model, genloom.load_data("digits"), tmp_path / "a", examples=3000)
    assert "stalled" not in found and "moved_generator" not in reports[-1].notes


def test_a_plateau_is_twenty_looks_without_a_best_in_the_last_half():
    assert not plateaued([3.0, 1.0] + [2.0] * 17)
    assert plateaued([3.0, 1.0] + [2.0] * 18)
    assert not plateaued([3.0] * 15 + [1.0] + [2.0] * 4)
    assert not plateaued([1.0 / k for k in range(1, 50)])


def test_training_ends_on_a_plateau_where_asked(tmp_path):
    scores = iter([1.0] + [2.0] * 99)
    plan = Plan(examples=64_000, batch=32, save_examples=64, report_every=1e9, stop_when="plateau")
    run = Run.begin(tmp_path / "a", record())
    reports = list(play(Duel(), Points(), run, plan, score=lambda model: ("toy", next(scores))))
    assert reports[-1].examples < 64 * 24
    assert "plateau" in {verdict.name for verdict in reports[-1].health}
    assert run.history()[-1]["score"] == ["toy", 2.0]
    again = list(play(Duel(), Points(), Run.begin(tmp_path / "a", record()), plan, score=lambda model: ("toy", 2.0)))
    assert again[-1].examples < 64 * 27  # and says so again at once when resumed


def test_two_looks_no_nearer_than_the_mean_are_a_training_that_has_not_begun(tmp_path):
    class Judge:
        of_mean = 1.0

        def __init__(self, *scores: float) -> None:
            self.scores = iter(scores)

        def __call__(self, model):
            return "toy", next(self.scores)

    def spoken(name, *scores):
        run = Run.begin(tmp_path / name, record())
        plan = Plan(examples=64 * len(scores), batch=32, save_examples=64, report_examples=32)
        return [{verdict.name for verdict in report.health} for report in play(Duel(), Points(), run, plan, Judge(*scores))]

    assert "no-start" not in set.union(*spoken("better", 2.0, 0.9, 2.0, 0.9))
    assert "no-start" not in set.union(*spoken("was better", 2.0, 0.9, 1.1, 1.2, 1.0))
    assert "no-start" in spoken("worse", 2.0, 1.1, 1.2, 1.0)[-1]


def test_a_run_that_has_not_begun_is_not_told_to_go_on(tmp_path):
    run = genloom.fit("gan", "digits", tmp_path / "run", preset="tiny", examples=200)
    state = run.state(run.last_checkpoint())
    assert "go on with" in training_verdict(run, state)
    line = json.loads((run.folder / "stats.jsonl").read_text().splitlines()[-1])
    line["health"] = [{"name": "no-start", "text": "", "since": 0}]
    with (run.folder / "stats.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    said = training_verdict(run, state)
    assert "go on" not in said and "start again, in another folder" in said


class Alike:
    """Examples that are all the same."""

    lengths: ClassVar[dict[str, int]] = {"x": 60}

    def __init__(self, x):
        self.x = x

    def batch(self, indices, generator=None):
        return {"x": self.x.expand(len(indices["x"]), *self.x.shape)}


def test_samples_that_are_all_the_mean_have_the_score_that_the_light_judge_names():
    data = genloom.load_data("digits")
    judge, mean = LightJudge(data, seed=0), take(data, torch.arange(len(data)))["x"].mean(0)

    class Mean(GAN):
        def sample(self, n, **said):
            return mean.expand(n, *mean.shape)

    assert LightJudge(Alike(mean), seed=0).of_mean == math.inf  # it says nothing of equal examples
    assert judge(Mean(GAN.Hyper.tiny(), data.shape))[1] == pytest.approx(judge.of_mean, rel=0.05)


def test_a_costly_light_judge_leaves_checkpoints_unscored(tmp_path):
    run = Run.begin(tmp_path / "a", record())
    loop = Loop(Duel(), Points(), run, Plan(examples=64, batch=32), Ranks(), score=lambda model: ("toy", 1.0))
    assert loop.take_score(loop.model) == ("toy", 1.0)
    loop.ledger.score_cost = 1e6  # its last look took so many seconds
    assert loop.take_score(loop.model) is None
    loop.feed.close()


def test_a_translator_that_leaves_pictures_as_they_are(tmp_path):
    folder = write_pairs(tmp_path / "p", n=16, size=16)
    hyper = CycleGANHyper.tiny().with_values(
        {"skip": True, "width": 4, "blocks": 1, "batch": 2, "rate": 0.0, "identity": 0.0}
    )
    data = genloom.load_data(folder)
    model = CycleGAN(hyper, data.shape)
    with torch.no_grad():
        for net in (model.to_a, model.to_b):
            net.out.weight.zero_()
    found, _ = verdicts(model, data, tmp_path / "a", examples=800, batch=2, report_examples=60)
    assert "unchanged" in found and "--hyper.cycle" in found["unchanged"].text and found["unchanged"].since >= 400
    moving = CycleGAN(hyper, data.shape)  # changes pictures from the start
    assert "unchanged" not in verdicts(moving, data, tmp_path / "b", examples=800, batch=2, report_examples=60)[0]
