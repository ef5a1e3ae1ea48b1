"""The judge: each measure against brute force or a closed form, and the panel on sets whose verdict is known."""

import json

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

import genloom
from genloom.cli.app import run as command
from genloom.core.capabilities import Scores
from genloom.data import PictureOptions
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError
from genloom.measures.classes import class_accuracy, inception_score, score_of
from genloom.measures.copies import copy_figures, nearest_training
from genloom.measures.features.inception import FIDInception, read_inception
from genloom.measures.features.registry import make_features
from genloom.measures.figure import Figure, half_error, mean_figure, one_protocol, share_figure
from genloom.measures.frechet import fid, frechet_distance
from genloom.measures.kernel import kernel_distance, kid
from genloom.measures.likelihood import likelihood_rows
from genloom.measures.manifold import manifold_figures, neighbour_distances
from genloom.measures.mixture import mixture_samples, principal_directions
from genloom.measures.pictures import View, view_of
from genloom.measures.pyramid import down, laplacian, levels, up, wasserstein_figures
from genloom.measures.similarity import count_scales, similarity_figure
from genloom.shapes.pictures import ImageShape, to_picture
from genloom.use.judging.compare import compare
from genloom.use.judging.picture_jury import COPIES, REAL, SIMPLE


def features_of(n, width=6, shift=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(9))
    return torch.randn(n, width, generator=generator) @ mixing + shift


class Flat(torch.nn.Module):
    """A feature module for torchmetrics that passes vectors through."""

    num_features = 6

    def forward(self, x):
        return x.flatten(1)[:, :6]


# -- figures ---------------------------------------------------------------------------------------


def test_the_error_from_halves_is_that_of_a_mean():
    x = torch.randn(4000, generator=torch.Generator().manual_seed(1))
    error = half_error(lambda i, j: float(x[i].mean()), (4000, 10), repeats=200)
    assert error == pytest.approx(float(x.std()) / 4000**0.5, rel=0.15)


def test_intervals_hold_the_truth_as_often_as_they_say():
    hits, means = 0, 0
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        share = share_figure(torch.rand(200, generator=generator) < 0.1, "")
        mean = mean_figure(torch.randn(200, generator=generator), "")
        hits += share.low <= 0.1 <= share.high
        means += mean.low <= 0 <= mean.high
    assert 0.91 < hits / 300 < 0.99 and 0.91 < means / 300 < 0.99
    none = share_figure(torch.zeros(50, dtype=torch.bool), "")
    assert none.value == 0 and none.low == 0 and 0.01 < none.high < 0.1


def test_unlike_protocols_are_refused_in_one_column():
    a, b = (Figure(1, 0, 2, 10, protocol) for protocol in ("exact", "iw-50"))
    assert one_protocol("nats", [a, a]) == "exact"
    with pytest.raises(InputError, match="cannot stand in one column"):
        one_protocol("nats", [a, b])


# -- distances -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features")
def test_fid_and_kid_equal_torchmetrics():
    fake, real = features_of(400, seed=1), features_of(400, shift=0.3, seed=2)
    theirs = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(6, 1, 1))
    theirs.set_dtype(torch.float64)
    for x, is_real in ((real, True), (fake, False)):
        theirs.update(x.double().view(-1, 6, 1, 1), real=is_real)
    assert frechet_distance(fake, real) == pytest.approx(float(theirs.compute()), rel=1e-4)
    kernel = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=400, normalize=True)
    for x, is_real in ((real, True), (fake, False)):
        kernel.update(x.view(-1, 6, 1, 1), real=is_real)
    assert kernel_distance(fake, real) == pytest.approx(float(kernel.compute()[0]), rel=1e-4)


def test_fid_and_kid_of_gaussians_lie_within_their_intervals_of_the_truth():
    a, b = (torch.randn(4000, 4, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    found = fid(a + 1, b, "")
    assert found.low - 0.05 < 4 < found.high + 0.05 and found.high - found.low < 1
    same = kid(a, b, "")
    assert same.low < 0 < same.high and kid(a + 1, b, "").low > 0


def test_manifold_measures_equal_brute_force():
    fake, real = features_of(60, seed=1).double().numpy(), features_of(60, shift=0.5, seed=2).double().numpy()
    gap = np.linalg.norm(fake[:, None] - real[None], axis=2)

    def radius(x, k):
        return np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, k]  # 0 is the point itself

    expected = {
        "precision": (gap <= radius(real, 3)).any(1).mean(),
        "recall": (gap <= radius(fake, 3)[:, None]).any(0).mean(),
        "density": (gap <= radius(real, 5)).sum() / (5 * 60),
        "coverage": (gap.min(0) <= radius(real, 5)).mean(),
    }
    found = manifold_figures(torch.from_numpy(fake), torch.from_numpy(real))
    assert {name: pytest.approx(figure.value) for name, figure in found.items()} == expected
    assert torch.allclose(neighbour_distances(torch.from_numpy(real), 5)[:, 2], torch.from_numpy(radius(real, 3)))


@pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features", "ignore:std")
def test_inception_score_equals_torchmetrics_and_its_extremes():
    logits = 3 * torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    theirs = InceptionScore(feature=Flat(), splits=1)
    theirs.update(logits.view(-1, 6, 1, 1))
    assert score_of(logits.double().softmax(1)) == pytest.approx(float(theirs.compute()[0]), rel=1e-4)
    assert inception_score(torch.full((100, 4), 0.25), "").value == pytest.approx(1)
    assert inception_score(torch.eye(4).repeat(25, 1), "").value == pytest.approx(4, rel=0.05)
    assert class_accuracy(torch.eye(4), torch.tensor([0, 1, 2, 0]), "").value == 0.75


def test_wasserstein_is_zero_for_equal_sets_and_grows_with_noise():
    x = genloom.load_data("digits", PictureOptions(size=(32, 32))).pictures(torch.arange(200))
    x = (x * 255).round().to(torch.uint8)
    assert all(figure.value == 0 for figure in wasserstein_figures(x, x, 200).values())
    generator = torch.Generator().manual_seed(0)
    noise = 255 * torch.rand(x.shape, generator=generator)
    values = [
        wasserstein_figures((x + s * noise).clamp(0, 255).to(torch.uint8), x, 200)["SWD mean"].value for s in (0.1, 0.4)
    ]
    assert 0 < values[0] < values[1]
    assert levels(28) == [28] and levels(64) == [64, 32, 16] and levels(256)[-1] == 16


def test_the_pyramid_can_be_put_together_again():
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    fine, middle, coarse = (laplacian(x, depth) for depth in range(3))
    assert torch.allclose(coarse, down(down(x)))
    again = middle + up(coarse, middle.shape[2:])
    assert torch.allclose(fine + up(again, fine.shape[2:]), x, atol=1e-5)


def test_similarity_sees_a_lack_of_variety():
    x = genloom.load_data("digits", PictureOptions(size=(32, 32))).pictures(torch.arange(300))
    varied, few = similarity_figure(x), similarity_figure(x[:3].repeat(100, 1, 1, 1))
    assert varied.high < few.low
    assert similarity_figure(x[:, :, :8, :8]) is None
    assert [count_scales(size) for size in (10, 11, 28, 64, 128, 176)] == [0, 1, 2, 3, 4, 5]


# -- memorisation ----------------------------------------------------------------------------------


def test_nearest_training_equals_brute_force_and_leaves_itself_out():
    train, probes = features_of(90, seed=1), features_of(20, seed=2)
    found = nearest_training(probes, train.split(32))
    gap = torch.cdist(probes, train).sort(1)
    assert torch.allclose(found.distance, gap.values[:, :5], atol=1e-4) and torch.equal(found.index, gap.indices[:, :5])
    own = nearest_training(train[10:20], train.split(32), [torch.arange(10, 20)])
    assert (own.index != torch.arange(10, 20)[:, None]).all() and (own.distance > 0).all()


def test_copies_are_caught_and_blur_is_not():
    data, test = genloom.load_data("digits"), genloom.load_data("digits", PictureOptions(split="test"))
    train, held = (d.pictures(torch.arange(len(d))).flatten(1) for d in (data, test))
    generator = torch.Generator().manual_seed(0)
    copies = train[:300] + 0.02 * torch.randn(300, 64, generator=generator)
    blurred = held @ torch.eye(64) * 0.5 + 0.5 * held.mean(0)
    own = nearest_training(held, [train])
    shares = [copy_figures(nearest_training(x, [train]), own, "")["near-copies"] for x in (copies, blurred, held)]
    assert shares[0].low > 0.9 and shares[1].high < 0.1 and shares[2].value == pytest.approx(0.01, abs=0.005)


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


def test_principal_directions_span_the_variance():
    x = features_of(500)
    _, directions = principal_directions(x, 3)
    _, _, vectors = torch.linalg.svd(x - x.mean(0))
    assert torch.allclose((directions.T @ vectors[:3].T).abs(), torch.eye(3), atol=1e-3)
    wide = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    _, directions = principal_directions(wide, 5)
    assert torch.allclose(directions.T @ directions, torch.eye(5), atol=1e-4)


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


# -- likelihood ------------------------------------------------------------------------------------


class Coins(Scores):
    """Independent pixels, each white with probability 1/4."""

    bound, coding = "exact", "binary"

    def log_prob(self, x, given=None):
        return torch.where(x.flatten(1) > 0.5, 0.25, 0.75).log().sum(1)


def test_likelihood_rows_say_their_protocol():
    pixels = torch.zeros(10, 2, 2, 1, dtype=torch.uint8)
    data = ImageData(pixels, None, ImageShape(channels=1, height=2, width_px=2), "coins", "f")
    rows = likelihood_rows(Coins(), data)
    assert rows["log-likelihood[exact]"].value == pytest.approx(4 * np.log(0.75))
    assert rows["bits per dimension[exact]"].value == pytest.approx(-np.log2(0.75))
    assert "coins, binary, exact" in rows["log-likelihood[exact]"].protocol
    assert likelihood_rows(Coins(), None) == {} and likelihood_rows(torch.nn.Identity(), data) == {}


# -- the panel, by Python and by the command line --------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("a", "dcgan"), ("b", "gan")):
        genloom.fit(model, "digits", folder / name, preset="tiny", examples=20_000, device="cpu", threads=1)
    genloom.fit("dcgan", "digits", folder / "c", preset="tiny", examples=640, hyper={"conditional": True}, device="cpu")
    return folder


def test_judge_gives_every_measure_with_interval_and_baselines(trained):
    judgement = genloom.judge(trained / "c", n=300)
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
    again = genloom.judge(trained / "c", n=300)
    assert again.to_json() | {"cost": 0} == judgement.to_json() | {"cost": 0}


def test_the_contract_of_the_command(trained, tmp_path, capsys):
    out = tmp_path / "judge.json"
    assert command(["judge", str(trained / "a"), "digits", "-n", "200", "-o", str(out), "--features", "random"]) == 0
    measures = json.loads(out.read_text())["measures"]
    name = next(name for name in measures if name.startswith("FID[random:"))
    assert {"value", "low", "high", "n"} <= measures[name].keys() and measures[name]["n"] == 200
    page = out.with_suffix(".html").read_text()
    assert page.count("data:image/png;base64") >= 5 and "http" not in page.split("</style>")[1].split("base64")[0]
    assert name in capsys.readouterr().out


def test_compare_puts_runs_side_by_side(trained, tmp_path):
    out = tmp_path / "both.html"
    assert command(["compare", str(trained / "a"), str(trained / "b"), "-n", "200", "-o", str(out)]) == 0
    figures = json.loads(out.with_suffix(".json").read_text())
    assert len(figures) == 2 and out.exists()
    names = [set(judgement["measures"]) for judgement in figures.values()]
    assert names[0] == names[1]


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
        (["{a}", "--checkpoint", "7"], "no 7 checkpoint"),
        (["{a}", "--features", "inception", "--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["nowhere"], "no run at nowhere"),
        (["{a}", "-n", "200", "--features", "random", "-o", "/proc/none/judge.json"], "cannot write"),
    ],
)
def test_what_cannot_be_judged_is_said_in_one_sentence(trained, capsys, arguments, says):
    assert command(["judge", *(a.format(a=trained / "a") for a in arguments)]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


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


def test_duplicates_and_mirror_images_do_not_blind_the_search_for_copies():
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(400, 6, generator=generator)
    train[:10] = train[10:20]  # duplicates
    own = nearest_training(train, [train], [torch.arange(400)])
    assert (own.ratio == 0).sum() >= 20
    share = copy_figures(nearest_training(train[50:150], [train]), own, "")["near-copies"]
    assert share.value == 1
    pictures = torch.rand(120, 1, 4, 4, generator=generator)
    pictures = (pictures + pictures.flip(3)) / 2  # each its own mirror image
    flat = torch.cat([pictures, pictures.flip(3)]).flatten(1)
    own = nearest_training(pictures.flatten(1), [flat], [torch.arange(120), torch.arange(120) + 120])
    assert (own.distance[:, 0] > 0).all()


def test_the_training_data_is_refused_as_test_data(trained):
    with pytest.raises(InputError, match="training data itself"):
        genloom.judge(trained / "a", test="digits")


@pytest.mark.parametrize("seed", [-3, 10**23])
def test_seeds_out_of_range(trained, seed, capsys):
    assert command(["judge", str(trained / "a"), "--seed", str(seed)]) == 2
    assert f"--seed takes a number from 0 to 4294967295, got {seed}" in capsys.readouterr().err


def test_compare_says_where_data_is_not_a_runs_own(trained, tmp_path):
    np.save(tmp_path / "x.npy", (np.random.default_rng(0).random((300, 8, 8)) * 255).astype(np.uint8))
    both = compare([trained / "a", trained / "b"], str(tmp_path / "x.npy"), n=150, features="random")
    assert all(any("not the pictures" in text for text in judgement.verdicts) for judgement in both)
    np.save(tmp_path / "colour.npy", np.zeros((300, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="like its own"):
        compare([trained / "a", trained / "b"], str(tmp_path / "colour.npy"))


def test_labels_are_asked_for_as_often_as_the_data_has_them(tmp_path):
    x = (np.random.default_rng(0).random((300, 8, 8)) * 255).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0] * 270 + [1] * 30))
    hyper = {"conditional": True}
    genloom.fit("dcgan", tmp_path / "x.npz", tmp_path / "run", preset="tiny", examples=640, hyper=hyper, device="cpu")
    assert 0.8 < float((genloom.judge(tmp_path / "run", n=300).seen.view.given == 0).float().mean()) < 0.98
