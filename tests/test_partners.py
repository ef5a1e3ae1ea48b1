"""Judging pairs: the figures by hand, what needs no network, labels read back, and pairs made out of pictures."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import genloom
from games import write_pairs
from genloom.cli.app import run
from genloom.measures import labels_back
from genloom.measures.domains import cycle_figures, lab_of, lab_shift
from genloom.measures.labels_back import class_accuracy, confusion, fit_reader, label_figures, overlap, read_labels
from genloom.measures.partners import fit_baselines, fit_patches, partner_figures, seen_by
from genloom.use.translation.make_pairs import MAKERS


def test_figures_are_those_of_their_definitions():
    truth = torch.rand(5, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    figures = partner_figures(truth + 0.1, truth)
    assert figures["L1"].value == pytest.approx(0.1, rel=1e-4) and figures["PSNR"].value == pytest.approx(20, rel=1e-4)
    same = partner_figures(truth, truth)
    assert same["L1"].value == 0 and same["SSIM"].value == pytest.approx(1) and same["PSNR"].value == pytest.approx(100)
    assert "SSIM" not in partner_figures(truth[:, :, :8], truth[:, :, :8])


def test_ssim_equals_that_of_another_library():
    skimage = pytest.importorskip("skimage.metrics")
    a, b = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(1))
    theirs = skimage.structural_similarity(
        a.double().numpy(), b.double().numpy(), data_range=1.0, gaussian_weights=True, use_sample_covariance=False, sigma=1.5
    )
    ours = partner_figures(a[None, None].expand(2, 3, -1, -1), b[None, None].expand(2, 3, -1, -1))["SSIM"].value
    assert ours == pytest.approx(theirs, abs=0.02)  # it takes windows beyond the edge too


def test_patches_find_a_linear_map():
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(20, 2, 24, 24, generator=generator)
    kernel = torch.randn(3, 2, 3, 3, generator=generator) * 0.05
    b = F.conv2d(F.pad(a, (1,) * 4, "replicate"), kernel, torch.tensor([0.3, 0.5, 0.6]))
    found, offset = fit_patches(a, b)
    assert torch.allclose(found[:, :, 2:5, 2:5], kernel, atol=3e-3)
    assert (seen_by(a, found, offset) - b).abs().max() < 0.02


def test_what_needs_no_network():
    a = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    found = fit_baselines(a, 1 - a)
    assert torch.equal(found["unchanged"](a), a)
    assert torch.equal(found["nearest pair's partner"](a[2:4]), 1 - a[2:4])
    assert torch.allclose(found["mean partner"](a[:2])[0], (1 - a).mean(0))
    assert "unchanged" not in fit_baselines(a, a.expand(-1, 3, -1, -1))


def test_scores_of_labels_by_hand():
    truth = torch.tensor([[0, 0, 1, 1]])
    read = torch.tensor([[0, 1, 1, 1]])
    counts = confusion(read, truth, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert class_accuracy(counts) == pytest.approx(0.75)  # the third class is nowhere
    assert overlap(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)
    figures = label_figures(read[None].expand(4, 1, 4), truth[None].expand(4, 1, 4), 3)
    assert figures["pixel accuracy"].value == pytest.approx(0.75)


@pytest.fixture
def mapped(tmp_path):
    """Label maps of two classes as A, their colours with some noise as B; twelve to learn from, six to test."""
    random = np.random.default_rng(0)
    for i in range(18):
        classes = np.repeat(np.repeat(random.integers(0, 2, (4, 4), dtype=np.uint8), 8, 0), 8, 1)
        image = Image.fromarray(classes)
        image.putpalette([255, 0, 0, 0, 0, 255])
        colours = np.array([[200, 40, 40], [30, 60, 190]])[classes] + random.integers(-20, 20, (32, 32, 3))
        for side, picture in (("A", image), ("B", Image.fromarray(colours.astype(np.uint8)))):
            folder = tmp_path / "data" / ("train" if i < 12 else "test") / side
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{i}.png")
    return tmp_path / "data"


def test_a_reader_reads_what_it_learnt_and_is_kept(mapped, monkeypatch):
    monkeypatch.setattr(labels_back, "SEEN", 320)
    pairs, held = genloom.load_data(mapped), genloom.load_data(mapped, split="test")
    assert len(pairs) == 12 and len(held) == 6
    reader = fit_reader(pairs)
    read = read_labels(reader, held.pictures("B", torch.arange(6)))
    truth = held.pictures("A", torch.arange(6)).argmax(1)
    assert (read == truth).double().mean() > 0.95
    monkeypatch.setattr(labels_back, "train", lambda *_: pytest.fail("it is in the cache"))
    assert torch.equal(read_labels(fit_reader(pairs), held.pictures("B", torch.arange(6))), read)


def test_a_run_is_judged_beside_what_needs_no_network(mapped, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(labels_back, "SEEN", 160)
    genloom.fit("pix2pix", mapped, tmp_path / "run", preset="tiny", examples=480, threads=1)
    assert run(["judge", str(tmp_path / "run"), "-o", str(tmp_path / "j.json")]) == 0
    judged = json.loads((tmp_path / "j.json").read_text())
    assert judged["about"]["never_trained_on"] and judged["about"]["pairs"] == 6
    assert set(judged["baselines"]) == {"mean partner", "nearest pair's partner", "ridge on patches", "real pictures"}
    labels = {"pixel accuracy", "class accuracy", "IoU"}
    assert {"L1", "PSNR", "SSIM", "Lab shift"} | labels == set(judged["measures"])
    assert judged["measures"]["L1"]["value"] < judged["baselines"]["mean partner"]["L1"]["value"]
    assert "data:image/png" in (tmp_path / "j.html").read_text()
    capsys.readouterr()
    assert run(["judge", str(tmp_path / "run"), "--quick"]) == 2
    assert "--quick is for samples of pictures" in capsys.readouterr().err


def test_a_run_is_not_judged_by_other_pairs(mapped, tmp_path, capsys):
    genloom.fit("pix2pix", mapped, tmp_path / "run", preset="tiny", examples=16, threads=1)
    other = write_pairs(tmp_path / "other", n=6, size=32)
    assert run(["judge", str(tmp_path / "run"), str(other)]) == 2
    assert "has label maps of 0 classes, and the run knows 2" in capsys.readouterr().err


@pytest.mark.parametrize("make", [*MAKERS, "small:2"])
def test_pairs_are_made_of_any_pictures(tmp_path, make, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for i, mode in enumerate(("RGB", "L", "RGBA")):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 32, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").convert(mode).save(tmp_path / "in" / ("deep" if i else ".") / f"{i}.png")
    assert run(["prepare", "pairs", str(tmp_path / "in"), "--make", make, "-o", str(tmp_path / "out")]) == 0
    data = genloom.load_data(tmp_path / "out")
    assert data.shape.paired and data.shape.size == (40, 32) and len(data) == 3
    batch = data.batch({"x": torch.arange(3)})
    assert not torch.equal(batch["x"].mean(1), batch["b"].mean(1)) or make == "grey"
    capsys.readouterr()
    assert run(["prepare", "pairs", str(tmp_path / "in"), "--make", make, "-o", str(tmp_path / "out")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert run(["check", str(tmp_path / "out"), "-o", str(tmp_path / "c.png")]) == 0
    said = capsys.readouterr().out
    assert "3 pairs, by their names" in said and "fits pix2pix" in said and "genloom fit pix2pix" in said


def test_the_same_pictures_make_the_same_pairs_with_a_test_split(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "in" / split).mkdir(parents=True)
        Image.fromarray(np.full((30, 30, 3), 90, np.uint8)).save(tmp_path / "in" / split / "x.png")
    for out in ("one", "two"):
        assert (
            run(["prepare", "pairs", str(tmp_path / "in"), "--make", "holes", "-o", str(tmp_path / out), "--size", "20"])
            == 0
        )
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert len(files) == 4
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    grey = np.asarray(Image.open(tmp_path / "one" / "train" / "A" / "x.png")) == 128
    assert 0.01 < grey.mean() < 0.4 and math.isclose(genloom.load_data(tmp_path / "one").shape.height, 20)


@pytest.mark.parametrize(
    ("make", "says"), [("sketch", "--make takes"), ("small:1", "from 2 to 16"), ("grey:3", "--make takes")]
)
def test_an_unknown_way_is_one_sentence(tmp_path, capsys, make, says):
    assert run(["prepare", "pairs", "digits", "--make", make, "-o", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()


# -- domains ---------------------------------------------------------------------------------------


def test_lab_has_the_published_values_of_a_few_colours():
    colours = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    lab = lab_of(colours[:, :, None, None])[:, :, 0, 0]
    published = [[100, 0, 0], [53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86], [53.39, 0, 0]]
    assert torch.allclose(lab, torch.tensor(published), atol=0.06)


def test_a_shift_of_colour_is_measured():
    x = torch.full((6, 3, 8, 8), 0.5) + torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.01
    assert lab_shift(x, x).value == pytest.approx(0, abs=1e-5)
    assert lab_shift(x + torch.tensor([0.1, 0, 0])[:, None, None], x).value > 5


def test_hidden_detail_shows_once_noise_is_added():
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    hidden = 0.5 + x / 1000  # the picture, where nobody sees it
    found = cycle_figures(x, hidden, lambda y: (y - 0.5) * 1000)
    assert found["cycle L1"].value < 1e-3 < 0.2 < found["cycle L1, 8 bits and noise"].value
    honest = cycle_figures(x, x, lambda y: y)
    assert honest["cycle L1, 8 bits and noise"].value < 0.01


def test_two_domains_are_judged_without_partners(tmp_path, capsys):
    root = write_pairs(tmp_path / "two", n=24, size=16)
    for file in (root / "B").iterdir():
        file.rename(file.with_name(f"other{file.name}"))
    genloom.fit("cyclegan", root, tmp_path / "run", preset="tiny", examples=32, threads=1)
    assert run(["judge", str(tmp_path / "run"), "-o", str(tmp_path / "j.json")]) == 0
    judged = json.loads((tmp_path / "j.json").read_text())
    assert set(judged["measures"]) == {"Lab shift", "cycle L1", "cycle L1, 8 bits and noise"}
    assert set(judged["baselines"]) == {"unchanged", "real pictures"} and not judged["about"]["paired"]
    for side in "AB":
        words = ["translate", str(tmp_path / "run"), str(root / ("A" if side == "B" else "B")), "-o"]
        assert run([*words, str(tmp_path / side), "--to", side]) == 0
        assert len(list((tmp_path / side).iterdir())) == 24
    assert run(["fit", "pix2pix", str(root), "-o", str(tmp_path / "other")]) == 2
    assert "two domains" in capsys.readouterr().err


def test_without_unseen_pairs_the_nearest_one_is_left_out(tmp_path):
    root = write_pairs(tmp_path / "pairs", n=12, size=16)
    genloom.fit("pix2pix", root, tmp_path / "run", preset="tiny", examples=16, threads=1)
    judged = genloom.judge(tmp_path / "run")
    assert set(judged.baselines) == {"unchanged", "mean partner", "ridge on patches", "real pictures"}
    assert not judged.about["never_trained_on"]
