"""Encoders: autoencoder, the study of few labels, pictures of codes, and what a VAE's bounds are held to."""

import itertools
import json
import math

import pytest
import torch

import genloom
from genloom.cli.app import run as command
from genloom.core.clock import Clock
from genloom.data import PictureOptions
from genloom.errors import InputError
from genloom.measures.heads import HEADS, Graph, neighbours, scaled
from genloom.models.likelihood.autoencoder import Autoencoder
from genloom.models.likelihood.bounds import bounds
from genloom.models.likelihood.vae import VAE
from genloom.shapes.pictures import ImageShape
from genloom.train.run import Run
from genloom.use.latent import codes
from genloom.use.latent.probe import balanced, plan, usual_counts
from genloom.use.likelihood.certify import certify
from genloom.use.report.plot import curves, run_figure

SMALL = ImageShape(channels=1, height=8, width_px=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes") / "run"
    genloom.fit("autoencoder", "digits", folder, preset="tiny", examples=12_000, device="cpu")
    return folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes") / "flat"
    genloom.fit("vae", "digits", folder, preset="tiny", examples=12_000, device="cpu", hyper={"z": 2})
    return folder


# -- autoencoder -----------------------------------------------------------------------------------


def test_golden_counts_of_the_autoencoder():
    model = Autoencoder(Autoencoder.Hyper(), ImageShape(channels=1, height=28, width_px=28))
    widths = [784, 1000, 500, 250, 30]
    both = sum(2 * a * b + a + b for a, b in itertools.pairwise(widths))
    assert sum(p.numel() for p in model.parameters()) == both == 2_837_314


def test_the_loss_is_the_squared_error_of_a_picture():
    model = Autoencoder(Autoencoder.Hyper.tiny(), SMALL)
    x = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        (move,) = model.round(iter([{"x": x}]), Clock())
        expected = sum(float((model.raw(model.encode(p[None])) - p).square().sum()) for p in x) / 5
    assert float(move.loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("noise", ["none", "masking", "gaussian", "salt-pepper"])
def test_pictures_are_spoilt_as_asked(noise):
    torch.manual_seed(0)
    model = Autoencoder(
        Autoencoder.Hyper(noise=noise, level=0.3, hidden=(8,)), ImageShape(channels=3, height=40, width_px=50)
    )
    x = torch.rand(20, 3, 40, 50) * 0.8 + 0.1
    spoilt = model.spoil(x)
    changed = (spoilt != x).flatten(2).sum(2)
    if noise == "none":
        assert torch.equal(spoilt, x)
    elif noise == "gaussian":
        assert float((spoilt - x).std()) == pytest.approx(0.3, rel=0.02)
    else:
        assert (changed == 600).all()  # as many in each picture, not so many on average
        places = (spoilt != x)[:, :1].float()
        assert float(places.mean(0).std()) == pytest.approx((0.3 * 0.7 / 20) ** 0.5, rel=0.1)  # anew for each picture
        assert set(spoilt[spoilt != x].tolist()) == ({0.0} if noise == "masking" else {0.0, 1.0})


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (9, 7), (1, 2)])
def test_convolutional_coders_take_any_size(size):
    model = Autoencoder(Autoencoder.Hyper.modern(), ImageShape(channels=3, height=size[0], width_px=size[1]))
    x = torch.rand(2, 3, *size)
    assert model.encode(x).shape == (2, 64) and model.decode(model.encode(x)).shape == x.shape


def test_tiny_reconstructs_the_digits(run):
    model, test = genloom.load(run), genloom.load_data("digits", PictureOptions(split="test"))
    x = test.pictures(torch.arange(len(test)))
    with torch.no_grad():
        left = (model.decode(model.encode(x)) - x).square().mean() / (x - x.mean(0)).square().mean()
    assert float(left) < 0.35


# -- heads and the probe ---------------------------------------------------------------------------


def blobs(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return torch.randn(n, 4, generator=generator) + 8 * torch.nn.functional.one_hot(y, 4).float(), y


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_heads_tell_blobs_apart(head):
    (x, y), (test, truth) = blobs(30), blobs(300, seed=1)
    assert float((head(x, y, test) == truth).float().mean()) > 0.99


def test_the_curves_of_a_model_without_adversary_are_drawn(run):
    shown = [ax for ax in run_figure(Run.open(run), grids=0).axes if ax.axison]
    assert [ax.get_title() for ax in shown] == ["error of what is made again or filled in"] and len(shown[0].lines) == 1
    assert curves([{"examples": 5, "notes": {"kl": 2.0}, "score": ["KID", 0.5]}], ["kl", "elbo", "score"]) == {
        "kl": [(5, 2.0)],
        "KID": [(5, 0.5)],
    }


def test_labels_propagate_along_the_data():
    t = torch.linspace(0, math.pi, 120)
    half = torch.stack([t.cos(), t.sin()], 1)
    x = torch.cat([half, torch.tensor([1.0, 0.35]) - half])  # two half moons
    said = Graph(x).propagate(torch.tensor([0, 120]), torch.tensor([0, 1]), 2)
    assert torch.equal(said, torch.arange(240) // 120)
    assert not torch.equal(HEADS["nearest neighbour"](x[[0, 120]], torch.tensor([0, 1]), x), said)  # which needs the graph


def test_neighbours_are_the_nearest():
    x = torch.randn(1203, 5, generator=torch.Generator().manual_seed(0))
    square, index = neighbours(x, 3)
    every = torch.cdist(x, x).fill_diagonal_(float("inf")).topk(3, largest=False)
    assert torch.equal(index, every.indices) and torch.allclose(square, every.values.square(), atol=1e-3)


def test_dead_axes_are_dropped_and_proportions_kept():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0, 1e-3])
    found, _ = scaled(x, x)
    assert found.shape == (500, 2)
    assert float(found[:, 0].std() / found[:, 1].std()) == pytest.approx(float(x[:, 0].std() / x[:, 1].std()), rel=1e-4)


def test_splits_are_balanced_fixed_and_named():
    data, test = genloom.load_data("digits"), genloom.load_data("digits", PictureOptions(split="test"))
    a, b = (plan(data, test, [20, 100], seeds, 500) for seeds in (2, 2))
    assert a.hash == b.hash != plan(data, test, [20], 2, 500).hash
    assert [len(split.index) for split in a.splits] == [20, 20, 100, 100]
    labels = data.labels[a.pool]
    assert all(set(torch.bincount(labels[split.index]).tolist()) == {split.count // 10} for split in a.splits)
    few = plan(data, test, [100], 1, 0)
    assert set(torch.bincount(data.labels[few.pool]).tolist()) == {20} and usual_counts(data) == [100, 600, 1000]
    assert not torch.equal(balanced(labels, 20, 10, 0), balanced(labels, 20, 10, 1))


def test_the_probe_prints_its_table_and_writes_its_figures(run, tmp_path, capsys):
    arguments = ["--labels", "20,100", "--seeds", "2", "--unlabelled", "600", "--fine-tune", "-o", str(tmp_path / "p.png")]
    assert command(["probe", str(run), *arguments]) == 0
    said = capsys.readouterr().out
    assert "transductive" in said and "untrained encoder" in said and (tmp_path / "p.png").stat().st_size > 10_000
    errors = json.loads((run / "probe.json").read_text())["errors"]
    own, untrained = (
        errors[f"{f}, label propagation (transductive), 100"][0] for f in ("the encoder's codes", "an untrained encoder")
    )
    assert own < 15 and own < untrained
    assert errors["the encoder, fine-tuned, linear, 100"][0] < 25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--labels", "25"], "multiples of the 10 classes"),
        (["--labels", "many"], "numbers with commas"),
        (["--labels", "20", "--seeds", "0"], "from 1 on"),
        (["--labels", "2000"], "examples of each class"),
        (["--unlabelled", "-5"], "from 0 on"),
        (["-o", "p.xyz"], "p.png"),
    ],
)
def test_bad_probes_are_said_in_one_sentence(run, capsys, arguments, says):
    assert command(["probe", str(run), *arguments]) == 2
    assert says in capsys.readouterr().err


# -- pictures of codes -----------------------------------------------------------------------------


def test_axes_come_by_their_kl_and_the_dead_are_marked(flat):
    model = genloom.load(flat)
    x = genloom.load_data("digits").pictures(torch.arange(200))
    found = codes.axes(model, x)
    assert found[0].kl >= found[1].kl and all(axis.active for axis in found)
    mu, logvar = model.infer(x)
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)
    assert [axis.kl for axis in found] == pytest.approx(sorted(kl.tolist(), reverse=True), rel=1e-4)
    with torch.no_grad():
        last = model.encoder[-1]
        last.weight[1] = last.bias[1] = 0  # the mean of the second axis no longer moves
    dead = next(axis for axis in codes.axes(model, x) if axis.number == 1)
    assert not dead.active and found[0].strip.shape == (codes.STEPS, 1, 8, 8)


def test_walk_writes_what_is_asked_for(run, flat, tmp_path, capsys):
    for name, folder in (("--axes", flat), ("--reconstructions", run), ("--manifold", flat)):
        out = tmp_path / f"{name[2:]}.png"
        assert command(["walk", str(folder), name, "-o", str(out)]) == 0
        assert out.stat().st_size > 1000
    for arguments, says in (
        ([str(run), "--axes", "-o", "a.png"], "no posterior"),
        ([str(run), "--manifold", "-o", "a.png"], "two axes"),
        ([str(flat), "--axes", "-o", "a.gif"], "a.png"),
    ):
        assert command(["walk", *arguments]) == 2
        assert says in capsys.readouterr().err


# -- certify ---------------------------------------------------------------------------------------


def test_certify_proves_a_vae(flat):
    claims = list(certify(genloom.load(flat)))
    assert len(claims) == 4 and all(claim.holds for claim in claims), claims


@pytest.mark.parametrize("decoder", ["gaussian", "logistic"])
def test_certify_knows_every_decoder(decoder):
    torch.manual_seed(0)
    model = VAE(VAE.Hyper(decoder=decoder, levels=5, hidden=(16,), z=3, deviation=None), SMALL).eval()
    claims = list(bounds(model))
    assert len(claims) == 3 and all(claim.holds for claim in claims), claims


def test_certify_catches_planted_defects_of_a_vae(flat, monkeypatch):
    model = genloom.load(flat)
    weights = VAE.log_weights
    monkeypatch.setattr(VAE, "log_weights", lambda *a: -weights(*a))  # the wrong sign
    assert not {claim.text: claim.holds for claim in bounds(model)}["one draw gives the ELBO, more draws raise it"]
    monkeypatch.undo()
    monkeypatch.setattr(
        "genloom.models.likelihood.bounds.divergence", lambda mu, logvar: 0.5 * (mu.square() + logvar.exp() - logvar).sum(1)
    )
    assert not {claim.text: claim.holds for claim in bounds(model)}["the KL in closed form is that of draws"]
    monkeypatch.undo()
    each = VAE.each
    monkeypatch.setattr(VAE, "each", lambda *a: each(*a) + 0.01)
    assert not next(iter(bounds(model))).holds


def test_a_walk_over_rows_is_refused(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(f"{i},{i % 7}" for i in range(90)))
    run = genloom.fit("gain", tmp_path / "t.csv", tmp_path / "run", preset="tiny", examples=64, device="cpu")
    for what in ("--axes", "--reconstructions", "--manifold"):
        assert command(["walk", str(run.folder), what, "-o", str(tmp_path / "a.png")]) == 2
        assert "walk draws pictures" in capsys.readouterr().err


def test_an_autoencoder_has_nothing_to_certify(run, capsys):
    assert command(["certify", str(run)]) == 2
    assert "no likelihood" in capsys.readouterr().err
    with pytest.raises(InputError, match="draws no samples"):
        genloom.judge(run, n=100)
    for wrong in (torch.zeros(8, 8), torch.zeros(0, 1, 8, 8), torch.zeros(2, 1, 8, 8).long(), torch.full((1, 1, 8, 8), 2.0)):
        with pytest.raises(InputError, match="tensor|floats"):
            genloom.load(run).encode(wrong)
