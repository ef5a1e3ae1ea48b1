"""The judge: each measure against brute force or a closed form, and the panel on sets whose verdict is known."""

import json

import numpy as np
import pytest
import torch

import genloom
from genloom.cli.app import run as command
from genloom.errors import InputError
from genloom.measures.features.inception import FIDInception, read_inception
from genloom.measures.features.registry import make_features
from genloom.measures.frechet import frechet_distance
from genloom.measures.mixture import mixture_samples
from genloom.measures.pictures import View, view_of
from genloom.shapes.pictures import to_picture
from genloom.use.judging.compare import compare
from genloom.use.judging.picture_jury import COPIES, REAL, SIMPLE

# -- features --------------------------------------------------------------------------------------


def digits(n=None):
    return genloom.load_data("digits" if n is None else f"digits[:{n}]")


@pytest.mark.parametrize("kind", ["classifier", "pixels", "random"])
def test_features_are_named_by_what_they_depend_on(kind):
    features, again, other = make_features(kind, digits()), make_features(kind, digits()), make_features(kind, digits(900))
    x = digits().pictures(torch.arange(300))
    assert features.name == again.name != other.name and features.name.startswith(kind + ":")
    assert torch.equal(features(x)[0], again(x)[0]) and features(x)[0].shape[0] == 300
    assert (features(x)[1] is None) == (kind != "classifier")


def test_the_mixture_draws_what_it_was_fitted_to():
    x = digits().pictures(torch.arange(1000))
    drawn = mixture_samples(x, 800)
    assert drawn.shape == (800, 1, 8, 8) and torch.equal(drawn, mixture_samples(x, 800))
    assert torch.allclose(drawn.mean(0), x.mean(0), atol=0.06)
    assert frechet_distance(drawn.flatten(1), x.flatten(1)) < 0.2 * frechet_distance(torch.rand(800, 64), x.flatten(1))


def test_the_inception_network_has_the_published_size_and_reads_its_file(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = FIDInception().eval()
    # torchvision's count for the network with its side head, less that head and 1,000 classes, with 1,008 classes
    assert sum(p.numel() for p in net.parameters()) == 27_161_264 - 3_326_696 - 2_049_000 + 2_065_392
    names = net.state_dict()
    for name, shape in {
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7dbl_4.conv.weight": (160, 160, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert tuple(names[name].shape) == shape
    save_file({name: value.clone() for name, value in names.items()}, tmp_path / "w.safetensors")
    features = make_features("inception", digits(), tmp_path / "w.safetensors")
    h, probabilities = features(digits().pictures(torch.arange(2)))
    assert h.shape == (2, 2048) and probabilities.shape == (2, 1008) and features.name.startswith("inception:")
    save_file({"fc.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no FID Inception weights"):
        read_inception(net, tmp_path / "other.safetensors")


def test_missing_weights_are_asked_for_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLOOM_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"docs/judge.md"):
        make_features("inception", digits())
    with pytest.raises(InputError, match="transformers|--fetch"):
        make_features("dinov2", digits())
    with pytest.raises(InputError, match="did you mean|there are"):
        make_features("incepton", digits())


# -- the panel, by Python and by the command line --------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("a", "dcgan"), ("b", "gan")):
        genloom.fit(model, "digits", folder / name, preset="tiny", examples=1280, device="cpu")
    genloom.fit("dcgan", "digits", folder / "c", preset="tiny", examples=640, hyper={"conditional": True}, device="cpu")
    return folder


def test_judge_gives_every_measure_with_interval_and_baselines(trained):
    judgement = genloom.judge(trained / "c", n=200)
    kinds = {name.split("[")[0] for name in judgement.measures}
    assert kinds == {
        "FID",
        "KID",
        "precision",
        "recall",
        "density",
        "coverage",
        "IS",
        "class accuracy",
        "SWD 8",
        "Parzen",
        "near-copies",
        "nearest distance",
    }
    assert all(f.low <= f.value <= f.high for f in judgement.measures.values())
    fid_name = next(name for name in judgement.measures if name.startswith("FID"))
    rows = judgement.baselines
    assert rows[REAL][fid_name].value < rows[SIMPLE][fid_name].value < judgement.measures[fid_name].value
    assert rows[COPIES]["near-copies[pixels]"].value == 1 and rows[REAL]["near-copies[pixels]"].value < 0.05
    assert any("mixture of Gaussians" in text for text in judgement.verdicts)
    again = genloom.judge(trained / "c", n=200)
    assert again.to_json() | {"cost": 0} == judgement.to_json() | {"cost": 0}


@pytest.mark.usefixtures("few_projections")
def test_the_contract_of_the_command(trained, tmp_path, capsys):
    out = tmp_path / "judge.json"
    assert command(["judge", str(trained / "a"), "digits", "-n", "100", "-o", str(out), "--features", "random"]) == 0
    measures = json.loads(out.read_text())["measures"]
    name = next(name for name in measures if name.startswith("FID[random:"))
    assert {"value", "low", "high", "n"} <= measures[name].keys() and measures[name]["n"] == 100
    page = out.with_suffix(".html").read_text()
    assert page.count("data:image/png;base64") >= 5 and "http" not in page.split("</style>")[1].split("base64")[0]
    assert name in capsys.readouterr().out


@pytest.mark.usefixtures("few_projections")
def test_compare_puts_runs_side_by_side(trained, tmp_path):
    out = tmp_path / "both.html"
    assert command(["compare", str(trained / "a"), str(trained / "b"), "-n", "200", "-o", str(out)]) == 0
    figures = json.loads(out.with_suffix(".json").read_text())
    assert len(figures) == 2 and out.exists()
    names = [set(judgement["measures"]) for judgement in figures.values()]
    assert names[0] == names[1]


@pytest.mark.usefixtures("few_projections")
def test_a_folder_without_test_pictures_is_halved(tmp_path):
    pixels = (torch.rand(240, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    np.save(tmp_path / "x.npy", pixels.numpy())
    genloom.fit("gan", tmp_path / "x.npy", tmp_path / "run", preset="tiny", examples=640, device="cpu")
    judgement = genloom.judge(tmp_path / "run")
    assert not judgement.about["never_trained_on"] and judgement.about["compared_with"] == 120
    assert judgement.baselines[REAL]["nearest distance[pixels]"].value == pytest.approx(1)
    assert not any(name.startswith(("Parzen", "class accuracy", "IS")) for name in judgement.measures)


def test_a_view_keeps_what_a_file_would_hold():
    features = make_features("random", digits())
    x = digits().pictures(torch.arange(50))
    view = view_of([(x + 0.001, None)], features, None)
    assert (
        isinstance(view, View) and torch.equal(view.floats(), x) and torch.allclose(view.features, features(x)[0], atol=1e-4)
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{a}", "-n", "20"], "too few"),
        (["{a}", "-n", "5000"], "more than the 1,438"),
        (["{a}", "digits[:50]"], "needs 100"),
        (["{a}", "-o", "judge.txt"], "-o judge.json"),
        (["{a}", "--checkpoint", "7"], "no checkpoint '7'"),
        (["{a}", "--features", "inception", "--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["nowhere"], "no run at nowhere"),
        (["{a}", "--features", "lite9"], "no features 'lite9'"),
        (["{a}", "--features", "autoencoder:nowhere"], "no run at nowhere"),
        (["{a}", "--features", "autoencoder:{a}"], "has no codes"),
        (["{a}", "-n", "100", "--features", "random", "-o", "/proc/none/judge.json"], "cannot write"),
    ],
)
def test_what_cannot_be_judged_is_said_in_one_sentence(trained, capsys, arguments, says):
    assert command(["judge", *(a.format(a=trained / "a") for a in arguments)]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_the_codes_of_an_own_autoencoder_are_features(trained, tmp_path):
    encoder = genloom.fit("autoencoder", "digits", tmp_path / "ae", preset="tiny", examples=20_000, device="cpu")
    found = genloom.judge(trained / "a", n=100, features=f"autoencoder:{encoder.folder}", quick=True)
    name = next(name for name in found.measures if name.startswith("FID[autoencoder:"))
    assert found.baselines["real pictures"][name].value < found.measures[name].value
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).integers(0, 256, (200, 8, 12, 1), dtype=np.uint8))
    other = genloom.fit("gan", tmp_path / "wide.npy", tmp_path / "wide", preset="tiny", examples=640, device="cpu")
    with pytest.raises(InputError, match="was trained on"):
        genloom.judge(other, n=100, features=f"autoencoder:{encoder.folder}")


def test_pictures_of_another_shape_and_missing_labels(trained, tmp_path):
    colour = tmp_path / "colour.npy"
    np.save(colour, np.zeros((200, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="judge it against pictures like its own"):
        genloom.judge(trained / "a", str(colour))
    grey = tmp_path / "grey.npy"
    np.save(grey, (np.random.default_rng(0).random((200, 8, 8)) * 255).astype(np.uint8))
    with pytest.raises(InputError, match="no labels"):
        genloom.judge(trained / "a", str(grey), features="classifier")


def test_compare_refuses_different_data_and_single_runs(trained, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((200, 8, 8), np.uint8))
    genloom.fit("gan", tmp_path / "x.npy", tmp_path / "run", preset="tiny", examples=640, device="cpu")
    a, b = str(trained / "a"), str(trained / "b")
    for arguments, says in (
        ([a, str(tmp_path / "run")], "say with --data what to judge both by"),
        ([a], "takes two runs or more"),
        ([a, a], "is named twice"),
        ([a, b, "-o", "both.pdf"], "-o both.html"),
    ):
        assert command(["compare", *arguments]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1


@pytest.mark.usefixtures("few_projections")
def test_few_held_out_pictures_are_refused_where_named_and_passed_over_where_found(trained, tmp_path):
    generator = np.random.default_rng(0)
    np.save(tmp_path / "few.npy", (generator.random((5, 8, 8)) * 255).astype(np.uint8))
    with pytest.raises(InputError, match="5 pictures"):
        genloom.judge(trained / "a", test=tmp_path / "few.npy")
    for split, count in (("train", 120), ("test", 4)):
        (tmp_path / "folder" / split).mkdir(parents=True)
        for i in range(count):
            to_picture(torch.rand(1, 8, 8)).save(tmp_path / "folder" / split / f"{i}.png")
    genloom.fit("gan", tmp_path / "folder", tmp_path / "run", preset="tiny", examples=640, device="cpu")
    assert not genloom.judge(tmp_path / "run").about["never_trained_on"]


def test_the_training_data_is_refused_as_test_data(trained):
    with pytest.raises(InputError, match="training data itself"):
        genloom.judge(trained / "a", test="digits")


@pytest.mark.parametrize(("seed", "says"), [(-3, "a number from 0 to 4294967295, got -3"), (10**23, "a smaller number")])
def test_seeds_out_of_range(trained, seed, says, capsys):
    assert command(["judge", str(trained / "a"), "--seed", str(seed)]) == 2
    assert f"--seed takes {says}" in capsys.readouterr().err


@pytest.mark.usefixtures("few_projections")
def test_many_pictures_without_a_test_split_are_judged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2600, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    genloom.fit("gan", tmp_path / "x.npy", tmp_path / "run", preset="tiny", examples=640, device="cpu")
    judged = genloom.judge(tmp_path / "run", quick=True)  # by the sketch of nearest pictures, each but itself
    copies = [figure.value for name, figure in judged.measures.items() if name.startswith("near-copies")]
    assert copies and max(copies) < 0.1


@pytest.mark.usefixtures("few_projections")
def test_compare_says_where_data_is_not_a_runs_own(trained, tmp_path):
    np.save(tmp_path / "x.npy", (np.random.default_rng(0).random((300, 8, 8)) * 255).astype(np.uint8))
    both = compare([trained / "a", trained / "b"], str(tmp_path / "x.npy"), n=100, features="random")
    assert all(any("not the pictures" in text for text in judgement.verdicts) for judgement in both)
    np.save(tmp_path / "colour.npy", np.zeros((300, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="like its own"):
        compare([trained / "a", trained / "b"], str(tmp_path / "colour.npy"))


@pytest.mark.usefixtures("few_projections")
def test_labels_are_asked_for_as_often_as_the_data_has_them(tmp_path):
    x = (np.random.default_rng(0).random((300, 8, 8)) * 255).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0] * 270 + [1] * 30))
    hyper = {"conditional": True}
    genloom.fit("dcgan", tmp_path / "x.npz", tmp_path / "run", preset="tiny", examples=640, hyper=hyper, device="cpu")
    assert 0.8 < float((genloom.judge(tmp_path / "run", n=200).seen.view.given == 0).float().mean()) < 0.98
