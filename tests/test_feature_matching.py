"""Feature matching: the nets and losses of the paper, and learning to classify from few labels."""

import csv
import itertools
import math

import pytest
import torch
import torch.nn.functional as F

import genloom
from genloom.cli.app import run
from genloom.core.clock import Clock
from genloom.core.dataset import labels_of
from genloom.core.model import Misfit
from genloom.errors import InputError
from genloom.models.adversarial.feature_matching import FeatureMatching, chosen, normaliser
from genloom.nn.feature_matching import ConvClassifier, DenseClassifier, MinibatchDiscrimination, Noise
from genloom.nn.weight_norm import start_from, weight_normed
from genloom.shapes.pictures import ImageShape, save, to_picture

CLASSES = tuple("0123456789")
MNIST, CIFAR = ImageShape(CLASSES, 1, 28, 28), ImageShape(CLASSES, 3, 32, 32)
CIFAR_NETS = {"net": "conv", "generator": 128, "noise_input": 0.2}


def built(shape, **values):
    torch.manual_seed(0)
    return FeatureMatching(FeatureMatching.Hyper().with_values(values), shape)


def tiny(**values):
    torch.manual_seed(0)
    model = FeatureMatching(FeatureMatching.Hyper.tiny().with_values(values), genloom.load_data("digits").shape)
    model.study(genloom.load_data("digits"), lambda name, learn: learn())
    return model


def weights(net):
    return sum(p.numel() for p in net.parameters())


def test_weights_of_the_papers_nets():
    mnist, cifar = built(MNIST), built(CIFAR, **CIFAR_NETS)
    dense = [784, 1000, 500, 250, 250, 250, 10]
    assert weights(mnist.classifier) == sum(a * b + b for a, b in itertools.pairwise(dense)) + 10  # gains, last
    assert weights(mnist.generator) == 100 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 2 * 784
    narrow = 3 * 9 * 96 + 2 * 96 * 9 * 96 + 3 * 96
    wide = 96 * 9 * 192 + 3 * 192 * 9 * 192 + 2 * 192 * 192 + 6 * 192
    assert weights(cifar.classifier) == narrow + wide + 192 * 10 + 2 * 10
    ups = 25 * (512 * 256 + 256 * 128 + 128 * 3) + 256 + 128 + 2 * 3
    assert weights(cifar.generator) == 100 * 8192 + 8192 + ups
    assert mnist.classifier(torch.rand(2, 784))[0].shape == (2, 250)
    assert cifar.classifier(torch.rand(2, 3, 32, 32))[0].shape == (2, 192)
    assert mnist.generator(torch.rand(2, 100)).shape == (2, 784) and cifar.generator(torch.rand(2, 100)).shape == (
        2,
        3,
        32,
        32,
    )


@pytest.mark.parametrize("kernels", [0, 8])
def test_a_start_from_data_gives_every_layer_mean_zero_and_its_deviation(kernels):
    torch.manual_seed(0)
    net, x = ConvClassifier(3, 8, 4, (0.0, 0.0), kernels), torch.rand(40, 3, 16, 16)
    start_from(net, x)
    seen = {}
    for layer in (*net.layers, net.out):
        layer.register_forward_hook(lambda layer, given, h: seen.update({layer: h}))
    beside = net.beside
    if beside is not None:
        beside.register_forward_hook(lambda layer, given, h: seen.update({layer: h}))
    net(x)
    for layer, h in seen.items():
        if layer is beside:
            continue
        axes = [d for d in range(h.dim()) if d != 1]
        assert h.mean(axes).abs().max() < 1e-4
        assert h.std(axes, correction=0).sub(0.1 if layer is net.out else 1.0).abs().max() < 1e-3
    if kernels:
        assert seen[beside][:, -kernels:].mean(0).abs().max() < 1e-4


def test_normalised_weights_have_the_length_of_their_gain():
    layer = weight_normed(torch.nn.Linear(5, 3), learns=True)
    assert layer.weight.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    up = weight_normed(torch.nn.ConvTranspose2d(5, 3, 2), dim=1)
    assert up.weight.square().sum((0, 2, 3)).sqrt().tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert [name for name, _ in up.named_parameters()] == ["bias", "parametrizations.weight.original"]


def test_one_more_class_of_logit_zero_is_what_the_short_form_means():
    torch.manual_seed(0)
    logits = torch.randn(6, 10)
    whole = torch.cat([logits, torch.zeros(6, 1)], 1).softmax(1)
    assert torch.sigmoid(normaliser(logits)).tolist() == pytest.approx((1 - whole[:, 10]).tolist(), abs=1e-6)


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_a_round_is_the_papers(net):
    model = tiny(noise_input=0.0, noise_hidden=0.0, unlabelled=0.7) if net == "dense" else small_conv(unlabelled=0.7)
    x, again = torch.rand(2, 20, *model.shape.dims)
    torch.manual_seed(3)
    moves = model.round(iter([{"x": x}, {"x": again}]), Clock())
    first = next(moves)
    torch.manual_seed(3)
    with torch.no_grad():
        fake = model.generator(model.prior(20))
        logits, made = model.classifier(model.scaled_in(x))[1], model.classifier(fake)[1]
        labelled = model.classifier(model.scaled_in(model.x_labelled))[1]
    own = labelled.log_softmax(1)[torch.arange(20), model.y_labelled].mean()
    z, z_made = logits.exp().sum(1), made.exp().sum(1)
    free = -0.5 * (z / (z + 1)).log().mean() - 0.5 * (1 / (z_made + 1)).log().mean()
    assert first.loss.item() == pytest.approx((0.7 * free - own).item(), rel=1e-4)
    first.loss.backward()
    assert all(p.grad is None for p in model.generator.parameters())
    torch.manual_seed(4)
    second = next(moves)
    torch.manual_seed(4)
    z = model.prior(20)
    seen = model.classifier(model.scaled_in(again))[0].mean(0)
    apart = model.classifier(model.generator(z))[0].mean(0) - seen
    wanted = apart.square().mean() if net == "dense" else apart.abs().mean()
    assert second.player == "generator" and second.loss.item() == pytest.approx(wanted.item(), rel=1e-4)


def small_conv(**values):
    torch.manual_seed(0)
    hyper = FeatureMatching.Hyper.tiny().with_values(
        {"net": "conv", "generator": 4, "width": 4, "noise_input": 0.0, "noise_hidden": 0.0, **values}
    )
    data = genloom.load_data("digits", size=16)
    model = FeatureMatching(hyper, data.shape)
    model.study(data, lambda name, learn: learn())
    return model


def test_minibatch_discrimination_knows_samples_that_are_all_alike():
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(6, 4), torch.randn(10, 6)
    layer.start(x)
    m = torch.einsum("bf,fkn->bkn", x, layer.weight / layer.weight.square().sum(0).sqrt() * layer.scale.exp())
    by_hand = [
        sum(math.exp(-(m[0, k] - m[j, k]).abs().sum().item()) for j in range(1, 10)) + layer.bias[k].item() for k in range(4)
    ]
    assert layer(x)[0, 6:].tolist() == pytest.approx(by_hand, abs=1e-5)
    alike = layer(x[:1].expand(10, 6))
    assert (alike[:, 6:] - 9 - layer.bias).abs().max() < 1e-5 and (alike[:, 6:] > layer(x)[:, 6:] + 1).all()


def test_noise_is_for_training():
    layer, x = Noise(0.5), torch.zeros(4000)
    assert layer(x).std().item() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(layer.eval()(x), x)
    net = DenseClassifier(4, (5, 3), 2, (0.3, 0.5), 0)
    assert [each.deviation for each in net.noise] == [0.3, 0.5, 0.5]


def test_features_are_those_before_the_last_noise():
    torch.manual_seed(0)
    net, x = DenseClassifier(4, (5, 3), 2, (0.0, 0.0), 0), torch.rand(6, 4)
    features, logits = net(x)
    net.noise[-1].deviation = 0.5
    noisy, others = net(x)
    assert torch.equal(features, noisy) and not torch.allclose(logits, others)


def test_gains_stay_in_hidden_layers_and_learn_in_the_last():
    net = DenseClassifier(4, (5, 3), 2, (0.0, 0.0), 0)
    learns = [isinstance(layer.parametrizations.weight[0].gain, torch.nn.Parameter) for layer in (*net.layers, net.out)]
    assert learns == [False, False, True]


def test_labelled_pictures_are_as_many_of_each_class_and_follow_the_draw():
    data = genloom.load_data("digits")
    places = chosen(data, 50, 10, 0)
    assert labels_of(data)[places].bincount().tolist() == [5] * 10 and len(set(places.tolist())) == 50
    assert torch.equal(places, chosen(data, 50, 10, 0)) and not torch.equal(places, chosen(data, 50, 10, 1))
    with pytest.raises(InputError, match=r"class \d has 1\d\d: say --hyper.labels 1\d\d0 or fewer"):
        chosen(data, 5000, 10, 0)


def test_what_does_not_fit_is_said_in_one_sentence():
    plain = ImageShape((), 3, 32, 32)
    for shape, values, said in (
        (plain, {}, "put each class into a sub-folder, or say --hyper.labels 0"),
        (MNIST, {"labels": 55}, "cannot be shared evenly among 10 classes"),
        (MNIST, {"net": "conv"}, "multiples of 8"),
        (MNIST, {"falls_from": 100, "horizon": 100}, "say a larger --hyper.horizon"),
        (MNIST, {"hidden": ()}, "takes the units of each layer"),
        (ImageShape(CLASSES, 3, 128, 128), {}, "say --size 32, or --size 32 --hyper.net conv"),
    ):
        found = FeatureMatching.fits(shape, FeatureMatching.Hyper().with_values(values))
        assert isinstance(found, Misfit) and found.remedy and said in found.reason
    assert FeatureMatching.fits(plain, FeatureMatching.Hyper().with_values({"labels": 0})) == plain


def test_without_labels_nobody_classifies():
    model = tiny(labels=0)
    notes = next(model.round(iter([{"x": torch.rand(8, 1, 8, 8)}] * 2), Clock())).notes
    assert "labelled" not in notes
    with pytest.raises(InputError, match="learnt without labels"):
        model.classify(torch.rand(2, 1, 8, 8))


def test_the_rate_stays_and_then_falls_to_zero():
    model = tiny(rate=0.1, falls_from=80, horizon=120)
    rates = [model.descent(Clock(examples=at))["lr"] for at in (0, 80, 100, 120, 200)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.0, 0.0])
    assert tiny(rate=0.1).descent(Clock(examples=10**9))["lr"] == 0.1


def rows_of(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fm")
    genloom.fit("feature_matching", "digits", folder / "run", preset="tiny", examples=4_000, seed=0)
    return folder / "run"


def test_the_command(trained, tmp_path, capsys):
    data, out = genloom.load_data("digits"), tmp_path / "labels.csv"
    assert run(["classify", str(trained), "digits", "--split", "test", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "pictures: " in said and "of another class than the source says" in said
    rows = rows_of(out)
    assert list(rows[0]) == ["picture", "class", "probability", *data.shape.classes]
    model, test = genloom.load(trained), genloom.load_data("digits", split="test")
    told = model.classify(test.pictures(torch.arange(len(test))))
    assert [row["class"] for row in rows] == [data.shape.classes[k] for k in told.argmax(1)]
    assert [float(row["3"]) for row in rows] == pytest.approx(told[:, 3].tolist(), abs=1e-4)
    wrong = sum(row["class"] != data.shape.classes[y] for row, y in zip(rows, test.labels, strict=True))
    assert f"{wrong} of {len(rows)} of test are" in said


def test_the_command_names_files_and_takes_one(trained, tmp_path, capsys):
    test, folder = genloom.load_data("digits", split="test"), tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        save(to_picture(test.pictures(torch.tensor([i]))[0]), folder / f"p{i}.png")
    assert run(["classify", str(trained), str(folder), "-o", str(tmp_path / "l.csv")]) == 0
    assert [row["picture"] for row in rows_of(tmp_path / "l.csv")] == ["p0.png", "p1.png", "p2.png"]
    assert "another class" not in capsys.readouterr().out
    (folder / "p1a.png").write_bytes((folder / "p1.png").read_bytes()[:60])
    assert run(["classify", str(trained), str(folder)]) == 2
    assert "p1a.png" in capsys.readouterr().err
    assert run(["classify", str(trained), str(folder), "--skip-broken", "-o", str(tmp_path / "l.csv")]) == 0
    assert [row["picture"] for row in rows_of(tmp_path / "l.csv")] == ["p0.png", "p1.png", "p2.png"]
    capsys.readouterr()
    assert run(["classify", str(trained), str(folder / "p1.png")]) == 0
    assert capsys.readouterr().out.split()[1].startswith("0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no data at nowhere"),
        (["digits", "-o", "labels.txt"], "name it so: -o labels.csv"),
    ],
)
def test_bad_input_of_the_command(trained, arguments, said, capsys):
    assert run(["classify", str(trained), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_check_estimates_it_on_data_with_classes_before_it_has_studied_any(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where it leaves its contact sheet
    assert run(["check", "digits"]) == 0
    assert "feature_matching" in capsys.readouterr().out


def test_a_model_that_tells_no_classes_says_so(tmp_path, capsys):
    genloom.fit("gan", "digits", tmp_path / "run", preset="tiny", examples=100)
    assert run(["classify", str(tmp_path / "run"), "digits"]) == 2
    assert "GAN does not tell classes; feature_matching does" in capsys.readouterr().err


def test_few_labels_and_many_pictures_classify_better_than_the_labels_alone(tmp_path):
    data = genloom.load_data("digits")
    x, y = data.batch({"x": torch.arange(len(data))})["x"], labels_of(data)
    right = {}
    for unlabelled in (1.0, 0.0):
        hyper, out = {"unlabelled": unlabelled}, tmp_path / str(unlabelled)
        run = genloom.fit("feature_matching", "digits", out, preset="tiny", examples=60_000, seed=1, hyper=hyper)
        found = genloom.load(run).classify(x)
        assert found.shape == (len(data), 10) and found.sum(1).sub(1).abs().max() < 1e-4
        right[unlabelled] = (found.argmax(1) == y).float().mean().item()
    assert right[1.0] > right[0.0] + 0.03
    assert F.nll_loss(found.clamp_min(1e-9).log(), y).item() < math.log(10)


def test_the_judge_says_the_test_error_beside_what_needs_no_network(tmp_path):
    digits = genloom.load_data("digits")
    places = torch.arange(len(digits)) % 4 == 0
    for part, kept in (("train", ~places), ("test", places)):
        for i in kept.nonzero()[:, 0].tolist():
            folder = tmp_path / "data" / part / str(int(digits.labels[i]))
            folder.mkdir(parents=True, exist_ok=True)
            save(to_picture(digits.pictures(torch.tensor([i]))[0]), folder / f"{i}.png")
    run = genloom.fit("feature_matching", str(tmp_path / "data"), tmp_path / "run", preset="tiny", examples=20_000)
    found = genloom.judge(run, quick=True)
    model, test = genloom.load(run), genloom.load_data(tmp_path / "data", split="test")
    wrong = (model.classify(test.pictures(torch.arange(len(test)))).argmax(1) != test.labels).float().mean().item()
    assert found.measures["test error"].value == pytest.approx(wrong)
    train = genloom.load_data(tmp_path / "data")
    few = chosen(train, 20, 10, 0)
    assert train.labels[few].bincount().tolist() == [2] * 10
    assert 0.05 < found.baselines["nearest labelled"]["test error"].value < 0.6
    assert found.baselines["labels spread"]["test error"].value < found.baselines["nearest labelled"]["test error"].value
