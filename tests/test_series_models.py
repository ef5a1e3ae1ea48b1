"""Generators of windows: what their papers fix, and what a model of usual operation keeps exactly."""

import math

import pandas as pd
import pytest
import torch

import genloom
from genloom.catalogue import find_model
from genloom.core.clock import Clock
from genloom.core.random import Noise
from genloom.data.series.plant import Plan, plant
from genloom.errors import InputError
from genloom.models.series.timegan import Waiting, moments
from genloom.nn.cells import UnitCells
from genloom.shapes.columns import Column
from genloom.shapes.series import SeriesShape
from genloom.train.learner import Learner
from genloom.train.ranks import Ranks

STOCK = SeriesShape(columns=tuple(Column(name, low=-2.0, high=2.0) for name in "abcdef"), window=24)


def paper(name, **hyper):
    torch.manual_seed(0)
    cls = find_model(name)
    return cls(cls.Hyper.paper().with_values(hyper), STOCK)


def gru(inputs, hidden, layers):
    """Return the weights of layers of GRUs as torch counts them."""
    return sum(3 * hidden * ((inputs if i == 0 else hidden) + hidden) + 6 * hidden for i in range(layers))


def weights(module):
    return sum(p.numel() for p in module.parameters())


def test_the_papers_networks_have_the_weights_that_their_widths_give():
    model = paper("timegan")
    h = 24
    assert weights(model.embedder) == gru(6, h, 3) + h * h + h
    assert weights(model.recovery) == gru(h, h, 3) + h * 6 + 6
    assert weights(model.generator) == gru(6, h, 3) + h * h + h
    assert weights(model.supervisor) == gru(h, h, 2) + h * h + h
    assert weights(model.discriminator) == gru(h, h, 3) + h + 1
    nets = paper("rtsgan").nets
    assert weights(nets.encoder) == gru(6, h, 3) + 72 * h + h and weights(nets.decoder) == gru(h + 6, h, 3) + h * 6 + 6
    dense = lambda a, b: a * b + b  # noqa: E731
    block = lambda a, b: dense(a, b) + 2 * b  # noqa: E731
    parts = 2 * block(96, 96) + block(96, h) + block(h, h) + block(96, 72) + dense(72, 72)
    assert weights(nets.generator) == parts and weights(nets.critic) == dense(96, 64) + dense(64, 32) + dense(32, 1)
    assert weights(model) == 49_783 and weights(nets) == 65_375


def batches(model, n=32):
    generator = torch.Generator().manual_seed(0)
    while True:
        x = torch.rand(n, *model.shape.dims, generator=generator) * 2 - 1
        yield {"x": x, "mask": torch.ones_like(x, dtype=torch.bool)}


def test_timegan_plays_its_phases_and_the_generator_sits_out_the_second():
    model = paper("timegan", embedding=128, supervised=128)
    embedding, supervision, joint = model.phases()
    assert [phase.name for phase in model.phases()] == ["embedding", "supervision", "joint"]
    assert joint.fresh == ("autoencoder", "generator")
    (move,) = supervision.round(batches(model), Clock())
    move.loss.backward()
    assert move.player == "generator" and all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.supervisor.parameters())
    movers = [move.player for move in joint.round(batches(model), Clock())]
    assert movers == ["generator", "autoencoder"] * 2 + ["discriminator"]
    (move,) = embedding.round(batches(model), Clock())
    assert move.loss.item() == pytest.approx(10 * move.notes["recovery"].item())


def test_timegans_discriminator_waits_while_it_does_well():
    model = paper("timegan", least=1e6)
    player = next(player for player in model.players() if player.name == "discriminator")
    learner = Learner(player, Ranks())
    before = [p.detach().clone() for p in learner.parameters]
    *_, move = model.round(batches(model), Clock())
    learner.descend(move.loss, 1)
    learner.step(Clock(), watch=False)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True)) and not learner.optimizer.state
    weight = torch.nn.Parameter(torch.ones(2))
    adam = Waiting([weight], lr=0.1)
    weight.grad = torch.tensor([0.0, 1.0])
    adam.step()
    assert weight[1] < 1


def test_the_moments_loss_is_of_means_and_deviations_at_each_place():
    x = torch.randn(50, 4, 3)
    assert moments(x, x) == 0
    assert moments(x + 2, x).item() == pytest.approx(2, rel=1e-4)
    wide = moments(3 * (x - x.mean(0)), x - x.mean(0))
    assert wide.item() == pytest.approx(float(2 * x.var(0, correction=0).sqrt().mean()), rel=1e-3)


def test_first_weights_are_tensorflows():
    cells = paper("timegan").embedder.cells
    bound = math.sqrt(6 / (6 + 24 + 48))
    gates = torch.cat([cells.weight_ih_l0[:48].flatten(), cells.weight_hh_l0[:48].flatten()])
    assert gates.abs().max() <= bound and gates.abs().max() > 0.97 * bound
    assert cells.bias_ih_l0[:48].eq(1).all() and cells.bias_ih_l0[48:].eq(0).all() and cells.bias_hh_l0.eq(0).all()


def test_rtsgan_trains_its_autoencoder_then_five_critics_a_generator():
    model = paper("rtsgan", pretrain=256)
    first, second = model.phases()
    (move,) = first.round(batches(model), Clock())
    assert move.player == "autoencoder" and (first.batch, first.examples, second.examples) == (128, 256, None)
    assert [move.player for move in second.round(batches(model), Clock())] == ["critic"] * 5 + ["generator"]
    code = model.nets.coded(*model.nets.entered(next(batches(model))))
    assert code.shape == (32, 96)


def test_rtsgans_missing_cells_count_for_nothing_and_its_paper_makes_windows_alone():
    model = paper("rtsgan", holes=True)
    nets = model.nets
    x, rows, m = torch.rand(2, 3, 6), torch.randn(2, 3, 6), (torch.rand(2, 3, 6) < 0.7).float()
    error = nets.error(rows, x, m)
    assert nets.error(rows + 5 * (1 - m), x, m) == error and nets.error(rows + m, x, m) != error
    assert nets.encoder.cells.input_size == 12
    with pytest.raises(InputError, match="preset paper makes whole windows"):
        model.run(1, 30)


def test_cells_in_a_unit_come_back():
    columns = (Column("a", mean=3.0, scale=2.0, low=1.0, high=9.0), Column("m", "categorical", categories=("x", "y", "z")))
    cells = UnitCells(columns)
    x = torch.tensor([[[-1.0, 0.0], [3.0, 2.0], [0.0, 1.0]]])
    w = cells.enter(x)
    assert w.shape == (1, 3, 4) and torch.allclose(w[0, :, 0], torch.tensor([0.0, 1.0, 0.25]), atol=1e-5)
    assert torch.allclose(cells.leave(w), x, atol=1e-5)


# -- usual operation -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A small run of `rtsgan` on the plant, given mode and ambient."""
    folder = tmp_path_factory.mktemp("usual")
    plant(Plan(runs=12, rows=120), 1).to_csv(folder / "usual.csv", index=False)
    said = {"window": 20, "condition": ("mode", "ambient"), "threads": 1}
    run = genloom.fit("rtsgan", folder / "usual.csv", folder / "run", preset="tiny", examples=640, **said)
    return run, genloom.load(run)


def test_a_record_begins_as_a_window_does_and_is_its_own_whatever_is_drawn_beside_it(usual):
    _, model = usual
    whole = model.run(3, 70, noise=Noise.of(7, 3))
    assert whole.shape == (3, 70, 8)
    assert torch.allclose(model.sample(3, noise=Noise.of(7, 3)), whole[:, :20], atol=1e-5)
    assert torch.allclose(model.run(1, 70, noise=Noise.of(7, 1, start=2)), whole[2:], atol=1e-4)


def test_conditions_hold_in_every_row_and_others_are_refused(usual):
    _, model = usual
    values = model.shape.decode(model.run(4, 50, {"mode": "low", "ambient": 20.0}, noise=Noise.of(1, 4)))
    assert {name for row in values["mode"] for name in row} == {"low"}
    assert all(abs(value - 20) < 0.05 for row in values["ambient"] for value in row)
    low, high = (
        torch.tensor(model.shape.decode(model.run(40, 20, {"mode": mode}, noise=Noise.of(1, 40)))["level_2"])
        for mode in ("low", "high")
    )
    assert low.mean() == pytest.approx(0.8, abs=0.1) and high.mean() == pytest.approx(1.6, abs=0.15)
    for given, sentence in (
        ({"mode": "off"}, "there is high, low, normal"),
        ({"ambient": 99}, "outside of what was seen"),
        ({"ambient": "warm"}, "takes a number"),
        ({"valve": 3}, "its conditions are mode, ambient"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.run(1, 20, given)


def test_seams_of_a_long_record_are_no_steeper_than_the_rest(usual):
    _, model = usual
    x = model.run(200, 60, {"mode": "normal"}, noise=Noise.of(2, 200))[..., 2:]
    steps = x.diff(dim=1).abs().mean((0, 2))
    seams = torch.tensor([19, 29, 39, 49])
    assert steps[seams].mean() < 1.25 * steps[3:].median()


def test_gaps_are_filled_and_what_is_known_stays_bit_for_bit(usual):
    run, model = usual
    data = genloom.load_data(run.record["data"]["source"], **run.record["data"]["loaded"])
    x = data.windows(data.held[::7][:20])["x"]
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, 5:15, 3] = False
    mask[3, :, 2:] = False
    best, drawn = model.fill(torch.where(mask, x, 9.0), mask, 3, Noise.of(0, 20))
    assert torch.equal(best[mask], x[mask]) and all(torch.equal(one[mask], x[mask]) for one in drawn)
    holes = ~mask
    holes[3] = False
    line = x[:, 4:5, 3] + (x[:, 15:16, 3] - x[:, 4:5, 3]) * torch.arange(1, 11) / 11
    assert (best - x)[holes].square().mean() < (line - x[:, 5:15, 3]).square().mean()
    assert not torch.equal(drawn[0], drawn[1])
    again = model.fill(torch.where(mask, x, 0.0)[2:4], mask[2:4], 3, Noise(Noise.of(0, 20).keys[2:4]))
    assert torch.allclose(again[0], best[2:4], atol=1e-5)  # nor does what stands in unknown cells, or other windows, matter


@pytest.mark.parametrize("gap", [False, True])
def test_surprise_is_the_density_given_conditions_and_a_tag_is_left_out_of_what_is_said_of_it(usual, gap):
    run, model = usual
    data = genloom.load_data(run.record["data"]["source"], **run.record["data"]["loaded"])
    nets, x = model.nets, data.windows(data.held[::7][:20])["x"]
    mask = torch.ones_like(x, dtype=torch.bool)
    if gap:
        mask[:, 2:10, nets.made[1]] = False
    said, closely = model.unusual(x, mask), model.unusual(x, mask, closely=True)
    (w, g, _), known = nets.entered(x, mask), nets.numbers(mask[:1])[0]
    told = nets.posterior(w, torch.zeros_like(known), g).density
    surprise = (told - nets.posterior(w, known, g).density) / known.sum()
    assert torch.allclose(said.surprise.double(), surprise, atol=1e-4) and torch.equal(said.surprise, closely.surprise)
    for place in range(len(nets.cells.numbers)):
        tag, others = nets.made[place], known.clone()
        others[:, place] = False
        posterior = nets.posterior(w, others, g)
        mean = nets.moved(posterior.mean(), g)[:, -1, place]
        assert torch.allclose(closely.expected[:, tag], mean, atol=1e-3)
        rest = (told - posterior.density) / others.sum()
        assert torch.allclose(closely.rest[:, tag].double(), rest, atol=1e-4) and bool(said.rest.isnan().all())
        near = posterior.weights.amax(1) > 0.999  # there the likeliest Gaussian says what all say
        assert torch.allclose(said.expected[near, tag], mean[near], atol=0.1)


def test_windows_too_wide_for_the_mixture_are_refused(tmp_path):
    pd.DataFrame({"time": range(2000), **{f"tag{i}": torch.randn(2000).numpy() for i in range(30)}}).to_csv(
        tmp_path / "wide.csv", index=False
    )
    with pytest.raises(InputError, match="too large for rtsgan: 8,192 numbers are the most"):
        genloom.fit("rtsgan", tmp_path / "wide.csv", tmp_path / "run", window=290, examples=1, time="time")


def test_timegan_refuses_holes_and_both_refuse_tables_without_time(tmp_path):
    frame = plant(Plan(runs=6, rows=60), 0)
    frame.loc[5, "valve"] = None
    frame.to_csv(tmp_path / "holes.csv", index=False)
    with pytest.raises(InputError, match="timegan learns from whole windows"):
        genloom.fit("timegan", tmp_path / "holes.csv", tmp_path / "run", window=12, examples=1)
    frame.drop(columns="time").to_csv(tmp_path / "no.csv", index=False)
    with pytest.raises(InputError, match="no column that says when a row is"):
        genloom.fit("rtsgan", tmp_path / "no.csv", tmp_path / "run", examples=1)
    with pytest.raises(InputError, match="no tag of"):
        genloom.fit("rtsgan", "plant", tmp_path / "run", condition=("mood",), examples=1)
