"""Models of pixels in use: trained, certified, completing pictures, judged, and by the command line."""

import numpy as np
import pytest
import torch
from benchmarks import pixels

import genloom
from genloom.cli.app import run as command
from genloom.core.random import Noise
from genloom.data import PictureOptions
from genloom.errors import InputError
from genloom.models.likelihood.autoregressive import invert
from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.nn.causal import Causal, Own
from genloom.shapes.pictures import ImageShape, to_picture
from genloom.use.likelihood.certify import certify
from genloom.use.likelihood.complete import is_exact
from genloom.use.likelihood.compress import pack
from untrained import KINDS, small


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pixels") / "run"
    genloom.fit("pixelcnn", "digits", folder, preset="tiny", examples=640, device="cpu")
    return folder


# -- training --------------------------------------------------------------------------------------


def test_a_benchmark_chooses_among_runs_on_validation_pictures(tmp_path):
    bits = np.random.default_rng(0).random((80, 64)) < 0.1
    dark, light = np.packbits(bits, 1), np.packbits(~bits, 1)
    np.savez(tmp_path / "b.npz", train=dark, valid=light[:20], test=dark[:20])  # the test set would choose the other one
    options = {"preset": "tiny", "device": "cpu", "hyper": {"layers": 1}}
    runs = [genloom.fit("pixelcnn", tmp_path / "b.npz", tmp_path / str(n), examples=n, **options) for n in (1600, 32)]
    valid = torch.from_numpy(~bits[:20]).float().view(-1, 1, 8, 8)
    nats = [-float(genloom.load(run).log_prob(valid).detach().mean()) for run in runs]
    chosen, figures = pixels.choose(runs)
    assert chosen is runs[1] and figures["nats_validation_of_candidates"] == pytest.approx(nats, rel=1e-4)
    assert pixels.validation_pictures(tmp_path) is None


@pytest.mark.parametrize("name", ["pixelcnn", "pixelrnn", "vae"])
def test_tables_are_refused_before_the_run_begins(tmp_path, name):
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(f"{i},{i % 7}" for i in range(90)))
    with pytest.raises(InputError, match=f"{name} makes pictures, this data is rows of 1 column"):
        genloom.fit(name, tmp_path / "t.csv", tmp_path / "run", examples=64, device="cpu")
    assert not (tmp_path / "run").exists()


def test_pixels_are_rounded_to_the_levels_asked_for(tmp_path):
    run = genloom.fit("pixelcnn", "digits", tmp_path / "run", preset="tiny", hyper={"levels": 4}, examples=128, device="cpu")
    model = genloom.load(run)
    digits = genloom.load_data("digits").pictures(torch.arange(20))
    rounded = (digits * 3).round() / 3
    assert model.coding == "4 levels, rounded" and torch.equal(model.log_prob(digits), model.log_prob(rounded))
    with pytest.raises(InputError, match="would be lost"):  # coding without loss rounds nothing
        pack(model, digits)
    unrounded = genloom.fit("pixelcnn", "digits", tmp_path / "own", preset="tiny", hyper={"levels": 17}, examples=64)
    assert not unrounded.record["hyper"]["rounded"]


def test_a_picture_of_one_column_is_trained_on_and_scored(tmp_path):
    np.save(tmp_path / "thin.npy", np.random.default_rng(0).integers(0, 2, (60, 8, 1), dtype=np.uint8) * np.uint8(255))
    run = genloom.fit("pixelcnn", tmp_path / "thin.npy", tmp_path / "run", preset="tiny", examples=128, device="cpu")
    assert genloom.load(run).log_prob(torch.ones(1, 1, 8, 1)).isfinite().all()


@pytest.mark.parametrize(("name", "hyper"), [("pixelcnn", {}), ("pixelrnn", {}), ("pixelrnn", {"kind": "row"})])
def test_tiny_learns_the_digits(tmp_path, name, hyper):
    options = {"preset": "tiny", "hyper": hyper, "examples": 3_000, "device": "cpu", "precision": "fp32"}
    run = genloom.fit(name, "digits", tmp_path / "run", **options)
    model = genloom.load(run)
    test = genloom.load_data("digits", PictureOptions(split="test"))
    with torch.no_grad():
        nats = -model.log_prob(test.pictures(torch.arange(len(test)))).mean()
    assert model.coding == "17 levels" and nats < 95  # a histogram for each place, which looks at no pixel, has 106.6


# -- certify ---------------------------------------------------------------------------------------


def test_certify_catches_a_right_to_left_map_that_is_not_moved_down(monkeypatch):
    pad = torch.nn.functional.pad  # the map keeps its row: the last, doubled, stands for the first
    monkeypatch.setattr(
        "genloom.models.likelihood.pixelrnn.F.pad",
        lambda x, sizes: torch.cat([x, x[-1:]]) if len(sizes) == 8 else pad(x, sizes),
    )
    assert not next(iter(certify(small("diagonal")))).holds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 256)])
def test_certify_proves_a_right_model(kind, channels, levels):
    claims = list(certify(small(kind, channels, levels=levels)))
    assert len(claims) == 4 and all(claim.holds for claim in claims), claims


def test_certify_catches_planted_defects(monkeypatch):
    monkeypatch.setattr(
        Own,
        "forward",
        lambda self, x: torch.nn.functional.conv2d(  # one pixel too far to the right
            torch.nn.functional.pad(x, (self.taps - 1, 0)), self.masked(), self.bias
        ),
    )
    broken = {claim.text: claim.holds for claim in certify(small("gated"))}
    assert not broken["no value depends on itself or a later one"]
    assert not broken["logits while sampling equal logits while scoring"]


def test_certify_catches_a_flipped_axis_and_a_lost_row_shift(monkeypatch):
    forward = Causal.forward  # each row sees the next
    monkeypatch.setattr(Causal, "forward", lambda self, x: forward(self, torch.nn.functional.pad(x, (0, 0, 0, 1))[:, :, 1:]))
    assert not next(iter(certify(small("plain")))).holds
    monkeypatch.undo()
    model = small("gated")
    logits = PixelCNN.logits
    monkeypatch.setattr(PixelCNN, "logits", lambda self, x, given=None: logits(self, x.flip(3), given).flip(4))
    assert not next(iter(certify(model))).holds


def test_certify_needs_a_likelihood():
    from genloom.models.adversarial.gan import GAN

    with pytest.raises(InputError, match="no likelihood"):
        next(iter(certify(GAN(GAN.Hyper.tiny(), ImageShape(channels=1, height=8, width_px=8)))))


# -- complete --------------------------------------------------------------------------------------


def test_completion_keeps_what_is_known_and_goes_on_exactly():
    model = small("gated", levels=4)
    x = model.pictures(torch.randint(4, (3, 1, 6, 6), generator=torch.Generator().manual_seed(2)))
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:3] = True
    filled = model.complete(x, known, Noise.of(5, 3))
    assert torch.equal(filled[:, :, :3], x[:, :, :3]) and not torch.equal(filled[:, :, 3:], x[:, :, 3:])
    code, noise = model.code(filled), Noise.of(5, 3).uniform(1, 6, 6)
    with torch.no_grad():
        logits = model.logits(model.inputs(code))
    again = torch.stack([invert(logits[:, 0, :, r, c], noise[:, 0, r, c]) for r in range(3, 6) for c in range(6)], 1)
    assert torch.equal(again.view(3, 1, 3, 6), code[:, :, 3:])


def test_completion_is_a_function_of_its_noise_and_takes_any_kind_of_mask():
    model = small(binarise="dynamic")
    x, known = torch.rand(2, 1, 6, 6), torch.arange(36).view(6, 6) < 18
    a, b = (model.complete(x, mask, Noise.of(5, 2)) for mask in (known, known.to(torch.uint8)))
    assert torch.equal(a, b)
    for wrong in ((x[:, :, 1:], known), (x, known[1:])):
        with pytest.raises(InputError):
            model.complete(*wrong)
    labelled = small(classes=("a", "b"), conditional=True)
    with pytest.raises(InputError, match="trained with labels"):
        labelled.complete(x.round(), known)


def test_only_a_raster_suffix_is_exact():
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[:2] = True
    assert is_exact(known)
    known[2, 0] = True
    assert is_exact(known)
    known[3, 3] = True
    assert not is_exact(known)


# -- the command line and the judge ----------------------------------------------------------------


def test_the_commands(trained, tmp_path, capsys):
    assert command(["certify", str(trained)]) == 0
    assert (trained / "sight.png").exists() and "holds" in capsys.readouterr().out
    picture = tmp_path / "x.png"
    to_picture(genloom.load_data("digits").pictures(torch.arange(1))[0]).save(picture)
    assert command(["complete", str(trained), str(picture), "-n", "3", "-o", str(tmp_path / "c.npy")]) == 0
    completions = np.load(tmp_path / "c.npy")
    assert completions.shape == (4, 1, 8, 8) and (completions[1:, :, :4] == completions[:1, :, :4]).all()
    for method in ("cached", "naive"):
        out = str(tmp_path / f"{method}.npy")
        assert command(["sample", str(trained), "-n", "3", "--method", method, "-o", out]) == 0
    assert (np.load(tmp_path / "cached.npy") == np.load(tmp_path / "naive.npy")).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["complete", "{run}", "nowhere.png"], "no picture at nowhere.png"),
        (["complete", "{run}", "{picture}", "--known", "upper"], "--known takes"),
        (["complete", "{run}", "{picture}", "-n", "0"], "from 1 on"),
        (["complete", "{run}", "{picture}", "--label", "3"], "without labels"),
        (["compress", "{run}", "{large}", "-o", "x.glz"], "resize it"),
    ],
)
def test_bad_input_is_said_in_one_sentence(trained, tmp_path, capsys, arguments, says):
    picture, large = tmp_path / "x.png", tmp_path / "large.png"
    to_picture(torch.zeros(1, 8, 8)).save(picture)
    to_picture(torch.zeros(1, 9, 8)).save(large)
    assert command([a.format(run=trained, picture=picture, large=large) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


@pytest.mark.usefixtures("few_projections")
def test_the_judge_prints_the_likelihood_with_its_protocol(trained):
    judgement = genloom.judge(trained, n=100, features="random")
    nats = judgement.measures["log-likelihood[exact]"]
    assert "17 levels, exact" in nats.protocol and nats.n == 359


@pytest.mark.usefixtures("few_projections")
def test_the_judge_scores_labelled_models_and_catches_an_over_fitted_one(tmp_path):
    options = {"preset": "tiny", "device": "cpu", "hyper": {"conditional": True, "layers": 2}}
    genloom.fit("pixelcnn", "digits[:100]", tmp_path / "run", examples=3_000, **options)
    judgement = genloom.judge(tmp_path / "run", n=100, features="random")
    assert any("over-fitted" in text for text in judgement.verdicts)
    assert judgement.verdicts[0].startswith("trained for") and "go on" not in judgement.verdicts[0]
    trained = judgement.measures["log-likelihood of training pictures[exact]"]
    assert trained.low > judgement.measures["log-likelihood[exact]"].high
