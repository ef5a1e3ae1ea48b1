"""The panels of tables and points, and what they cannot do in one sentence each."""

import json

import numpy as np
import pytest
import torch

import genloom
from genloom import InputError
from genloom.cli.app import run as command
from genloom.data.points import PointData, gaussian_line
from genloom.shapes.points import PointShape


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    g = np.random.default_rng(0)
    a = g.normal(size=800)
    lines = [f"{x:.4f},{2 * x + 0.1 * g.normal():.4f},{'up' if x > 0 else 'down'}" for x in a]
    cut = [",".join("" if g.random() < 0.1 else cell for cell in line.split(",")) for line in lines]
    (folder / "t.csv").write_text("a,b,c\n" + "\n".join(cut))
    genloom.fit("gain", str(folder / "t.csv"), folder / "run", examples=250_000, device="cpu", report_every=1e9)
    return folder


def test_a_run_of_a_table_is_judged_on_cells_it_never_saw(filled, capsys):
    assert command(["judge", str(filled / "run")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "held out of training" in said and "told apart by a forest" in said
    found = json.loads((filled / "run" / "judge.json").read_text())
    error = "error of numbers"
    own, rows = found["measures"], found["baselines"]
    assert own[error]["value"] < 0.85 * rows["mean"][error]["value"]  # b follows from a
    assert rows["ridge, chained"][error]["value"] < 0.6 * rows["mean"][error]["value"]
    assert own[error]["low"] < own[error]["value"] < own[error]["high"]
    page = (filled / "run" / "report.html").read_text()
    assert "ridge, chained" in page and page.count("<svg") + page.count("<img") >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-n", "100"], "-n is for samples of pictures"),
        (["--features", "random"], "--features is for samples of pictures"),
        (["--test", "t.csv"], "leave --test away"),
        (["--seed", "-1"], "--seed takes a number from 0"),
        (["digits"], "digits"),
    ],
)
def test_what_a_table_cannot_be_judged_by(filled, arguments, says, capsys):
    assert command(["judge", str(filled / "run"), *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1, said


def test_tables_and_pictures_are_not_compared(filled, tmp_path, capsys):
    genloom.fit("gan", "digits", tmp_path / "gan", preset="tiny", examples=128, device="cpu")
    assert command(["compare", str(filled / "run"), str(tmp_path / "gan"), "-o", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert "only runs of one kind can be compared" in said and said.count("\n") == 1, said
    assert not (tmp_path / "page.html").exists()


def test_points_are_judged_by_their_distance(tmp_path):
    near = genloom.fit("line", gaussian_line(2000), tmp_path / "near", examples=60_000)
    far = genloom.fit("line", gaussian_line(2000, mean=3.0), tmp_path / "far", examples=256)
    energy = [
        genloom.judge(run, data).measures["energy distance"]
        for run, data in ((near, gaussian_line(2000)), (far, gaussian_line(2000, mean=3.0)))
    ]
    assert energy[0].value < 0.1 * energy[1].value and energy[1].low > 0


def test_what_points_cannot_be_judged_by(tmp_path):
    run = genloom.fit("line", gaussian_line(2000), tmp_path / "r", examples=256)
    few = PointData(torch.randn(50, 1), PointShape(columns=1), "few", "few")
    for options, says in (
        ({"data": few}, "50 points; the judge needs 200"),
        ({"data": gaussian_line(2000), "features": "random"}, "are for pictures"),
        ({"data": gaussian_line(2000), "test": "digits"}, "leave --test away"),
        ({}, "trained on a Python object"),
    ):
        with pytest.raises(InputError, match=says):
            genloom.judge(run, **options)


def test_a_model_of_pictures_refuses_a_table_before_anything_is_written(filled, tmp_path, capsys):
    for model, source, says in (
        ("gan", filled / "t.csv", "gan makes pictures, this data is rows of 3 columns"),
        ("gain", "digits", "gain fills in tables, this data is grey pictures"),
        ("line", "digits", "line plays with single numbers, this data is grey pictures"),
    ):
        assert command(["fit", model, str(source), "-o", str(tmp_path / "r"), "--examples", "640"]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1 and not (tmp_path / "r").exists()


def test_a_run_of_an_older_genloom_is_refused_in_one_sentence(filled, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps({"model": "gan", "preset": "paper"}))
    for words in (["show"], ["sample", "-o", str(tmp_path / "x.png")], ["judge"]):
        assert command([words[0], str(tmp_path / "old"), *words[1:]]) == 2
        said = capsys.readouterr().err
        assert "made by another version of genloom" in said and said.count("\n") == 1


def test_options_belong_to_their_kind(filled, capsys):
    for words, says in (
        (["fit", "gain", str(filled / "t.csv"), "-o", "x", "--flip"], "--flip"),
        (["fit", "gan", "digits", "-o", "x", "--missing", "-1"], "--kind, --missing, --known are for tables"),
        (["check", str(filled / "t.csv"), "--size", "3"], "are for pictures"),
    ):
        assert command(words) == 2 and says in capsys.readouterr().err
    with pytest.raises(InputError, match="there is no option 'sise'.*size"):
        genloom.data.source.load("digits", sise=3)
    with pytest.raises(InputError, match="size takes a whole number, or a height and a width"):
        genloom.data.source.load("digits", size=(8, 8, 3))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "fp16"}, "precision takes auto, fp32, bf16, got 'fp16'"),
        ({"stop_when": "plataeu"}, "stop_when takes None, plateau"),
        ({"split": "valid"}, "--split takes train or test"),
        ({"report_every": float("nan")}, "--report-every takes a number above 0"),
        ({"seed": 1.5}, "seed takes a whole number"),
    ],
)
def test_what_a_call_cannot_mean(tmp_path, options, says):
    with pytest.raises(InputError, match=says):
        genloom.fit("gan", "digits", tmp_path / "r", preset="tiny", examples=64, **options)
    assert not (tmp_path / "r").exists()


def test_numbers_of_numpy_are_numbers(tmp_path):
    sizes = {"examples": np.int64(100), "batch": np.int64(50), "size": np.int64(8)}
    run = genloom.fit("gan", "digits", tmp_path / "r", preset="tiny", device="cpu", **sizes)
    assert run.record["plan"]["batch"] == 50 and int(run.last_checkpoint().name) == 100
