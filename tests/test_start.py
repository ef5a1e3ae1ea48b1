"""Starting from another run's weights: `genloom fit --from RUN`."""

import dataclasses
import json

import pytest
import torch

import genloom
from genloom.cli.app import run as command
from genloom.data import PictureOptions
from genloom.data.pictures.load import load_pictures
from genloom.errors import InputError
from genloom.train.run import Run


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "origin"
    return genloom.fit("vae", "digits", folder, preset="tiny", examples=640, hyper={"z": 5})


def weights(run):
    return genloom.load(run).state_dict()


def test_a_training_starts_at_the_averaged_weights_of_another(origin, tmp_path):
    still = genloom.fit("vae", "digits", tmp_path / "still", start=origin.folder, examples=64, hyper={"rate": 0})
    assert all(torch.equal(value, weights(origin)[name]) for name, value in weights(still).items())
    moved = genloom.fit("vae", "digits", tmp_path / "moved", start=origin.folder, examples=64)
    assert not torch.equal(weights(moved)["encoder.0.weight"], weights(origin)["encoder.0.weight"])
    own = genloom.fit("vae", "digits", tmp_path / "own", preset="tiny", examples=64, hyper={"rate": 0, "z": 5})
    assert not torch.equal(weights(own)["encoder.0.weight"], weights(origin)["encoder.0.weight"])


def test_what_the_weights_belong_with_comes_along(origin, tmp_path):
    digits = load_pictures("digits", PictureOptions())
    bright = dataclasses.replace(digits, pixels=255 - digits.pixels, fingerprint="another")
    run = genloom.fit("vae", bright, tmp_path / "bright", start=origin.folder, examples=64)
    assert torch.equal(weights(run)["offset"], weights(origin)["offset"])  # not the new data's mean


def test_the_record_tells_the_whole_way_and_a_run_goes_on(origin, tmp_path):
    first = genloom.fit("vae", "digits", tmp_path / "a", start=origin.folder, examples=128)
    assert first.record["hyper"] == origin.record["hyper"] and first.record["preset"] == "tiny"
    start = first.record["start"]
    assert (start["run"], start["examples"]) == (str(origin.folder), 640)
    second = genloom.fit("vae", "digits", tmp_path / "b", start=first.folder, examples=64)
    assert second.record["start"]["examples"] == 640 + 128
    again = genloom.fit("vae", "digits", tmp_path / "a", start=origin.folder, examples=256)
    straight = genloom.fit("vae", "digits", tmp_path / "c", start=origin.folder, examples=256)
    assert all(torch.equal(value, weights(straight)[name]) for name, value in weights(again).items())


def test_what_does_not_fit_is_refused_before_anything_is_written(origin, tmp_path, capsys):
    out = tmp_path / "out"
    for model, options, says in [
        ("autoencoder", {}, "is a run of vae"),
        ("vae", {"preset": "modern"}, "leave out --preset"),
        ("vae", {"hyper": {"z": 6}}, "does not fit"),
        ("vae", {"size": 16, "hyper": {"levels": 256}}, "does not fit"),
    ]:
        with pytest.raises(InputError, match=says):
            genloom.fit(model, "digits", out, start=origin.folder, examples=64, **options)
    assert command(["fit", "vae", "digits", "-o", str(out), "--from", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert command(["fit", "vae", "digits", "-o", str(out), "--from", ""]) == 2  # a variable of the shell that is not set
    assert "--from was given an empty word" in capsys.readouterr().err
    assert not out.exists()


def test_a_table_starts_from_itself_alone(tmp_path):
    for name, factor in (("a", 1), ("b", 3)):
        rows = "\n".join(f"{i * 37 % 61 * factor},{i % 7}" for i in range(60))
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{rows}\n")
    run = genloom.fit("gain", tmp_path / "a.csv", tmp_path / "run", preset="tiny", examples=64, batch=32)
    again = genloom.fit("gain", tmp_path / "a.csv", tmp_path / "more", start=run.folder, examples=64, batch=32)
    assert again.record["start"]["examples"] == 64
    with pytest.raises(InputError, match="another table"):
        genloom.fit("gain", tmp_path / "b.csv", tmp_path / "no", start=run.folder, examples=64, batch=32)


def test_pictures_are_brought_to_the_size_of_the_run(origin, tmp_path):
    from PIL import Image

    for i in range(8):
        Image.new("RGB", (20 + i, 16), ("black", "white")[i % 2]).save(tmp_path / f"{i}.png")
    run = genloom.fit("vae", tmp_path, tmp_path / "run", start=origin.folder, examples=16, batch=4)
    assert run.record["shape"] == {**origin.record["shape"], "classes": run.record["shape"]["classes"]}
    assert json.loads((Run.open(run.folder).folder / "run.json").read_text())["start"]["checkpoint"] == "000000000640"


def test_where_a_run_starts_is_bound(origin, tmp_path):
    started, plain = tmp_path / "started", tmp_path / "plain"
    options = {"preset": origin.record["preset"]}
    genloom.fit("vae", "digits", started, start=origin.folder, examples=64)
    genloom.fit("vae", "digits", plain, examples=64, **options)
    for out, more in ((started, options), (plain, {"start": origin.folder})):
        with pytest.raises(InputError, match="was begun with"):
            genloom.fit("vae", "digits", out, examples=128, **more)
