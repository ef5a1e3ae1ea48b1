"""What leaves genloom computes what stayed: every function of every model, and the folder that holds them."""

import ast
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import genloom
from genloom.catalogue import MODELS
from genloom.cli.app import run as command
from genloom.core.random import Noise, generator
from genloom.errors import InputError
from genloom.models.likelihood.cached_pixelcnn import IndexedWindow
from genloom.models.tables.gaussian import eliminated
from genloom.nn.feature_matching import MinibatchDiscrimination
from genloom.shapes.score import HELD, sounding
from genloom.train.run import Run
from genloom.use.export import alone, folder, graphs
from genloom.use.export.entries import Entry, LeftOut, Told, varying
from genloom.use.export.folder import export
from genloom.use.export.graphs import difference, program_of, sizes
from genloom.use.export.steps import functions_of
from test_models import SHAPES, build
from untrained import small

STEPWISE = {  # what no other test covers: each voice, pixel and label of one step
    "pixelcnn": ["log_prob", "next_row", "next_pixel"],
    "music": ["next_step"],
}


def ready(model):
    """Return a model none of whose weights is zero, which would hide an error."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=g) * 0.05)
    if hasattr(model, "counts") and hasattr(model, "vectors"):  # words, as studied data would have them
        model.vectors.copy_(torch.eye(*model.vectors.shape))
        model.counts.fill_(3)
    return model.eval().requires_grad_(False)


def functions(model):
    return [each for each in functions_of(model) if isinstance(each, Entry)]


# -- every model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_each_function_is_a_program_of_any_batch(name):
    model = ready(build(name))
    for entry in functions(model):
        program = program_of(entry, model).module()
        for at in (1, 3):
            assert difference(entry, model, program, sizes(entry, at)) < 1e-5, entry.name
        given = entry.examples(sizes(entry, 3), generator("export", 0))
        for port, each in zip(entry.inputs, given, strict=True):
            assert port.kind == each.dtype and len(port.dims) == each.ndim, (entry.name, port)
        with torch.no_grad():
            found = entry.module(model)(*given)
        sized = sizes(entry, 3)
        for port, each in zip(entry.outputs, found, strict=True):
            assert port.kind == each.dtype, (entry.name, port)
            for dim, length in zip(port.dims, each.shape, strict=True):
                if isinstance(dim, int):
                    assert dim == length, (entry.name, port)
                elif dim == "n":
                    assert length == sized["n"]


def test_each_capability_is_a_function_or_said_to_be_left_out():
    known = {name: [each.name for each in functions_of(ready(build(name)))] for name in MODELS}
    assert all(known.values()), known
    assert known["vae"] == ["prior", "generate", "encode", "decode", "infer", "log_prob"]
    assert known["gain"] == ["impute", "draw"] and known["cyclegan"] == ["translate_to_A", "translate_to_B"]
    assert known["pixelcnn"] == STEPWISE["pixelcnn"] and known["music"] == STEPWISE["music"]
    left = {name: [each.name for each in functions_of(ready(build(name))) if isinstance(each, LeftOut)] for name in MODELS}
    assert {name for name, each in left.items() if each} == {"vae", "pixelrnn", "rtsgan", "counts"}


ONNX = [("dcgan", None), ("vae", None), ("gain", None), ("srgan", None), ("music", None), ("music_cyclegan", None)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in ONNX])
def test_as_onnx_the_same(name, tmp_path):
    model = ready(build(name))
    for entry in functions(model):
        written = graphs.write(entry, model, tmp_path, "onnx", "fp32")
        assert written.difference < 2e-5 and written.bytes == (tmp_path / written.file).stat().st_size
        assert len(written.tried) == 3 and all(at.get("n") != 2 for at in written.tried)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "gated"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_by_steps_are_those_of_the_model(kind, channels, tmp_path):
    hyper = {"conditional": True} if kind == "gated" else {}
    model = small(kind, channels, 4, 5, levels=4, classes=("a", "b") if hyper else (), **hyper, waves=2)
    model = ready(model)
    functions = [graphs.write(each, model, tmp_path, "onnx", "fp32") for each in functions_of(model)]
    record = {
        "to": "onnx",
        "levels": 4,
        "shape": {"channels": channels, "height": 4, "width_px": 5, "classes": model.shape.classes},
    }
    told = [folder.told(entry, each) for entry, each in zip(functions_of(model), functions, strict=True)]
    (tmp_path / "export.json").write_text(json.dumps({**record, "functions": told}))
    found = alone.Folder(tmp_path).sample(6, seed=5)
    labels = torch.arange(6) % 2 if hyper else None
    np.testing.assert_array_equal(found, model.sample(6, labels, noise=Noise.of(5, 6)).numpy())


# -- parts -----------------------------------------------------------------------------------------


def test_told_numbers_are_taken_as_noise_takes_them():
    noise, told = Noise.of(3, 4), Told(Noise.of(3, 4).uniform(11))
    assert torch.equal(told.uniform(2), noise.uniform(2)) and torch.equal(told.normal(2, 2), noise.normal(2, 2))
    assert torch.equal(told.uniform(1), noise.uniform(1)) and told.used == 11
    rows = torch.tensor([2, 0])
    assert torch.equal(told.of_rows(rows).uniform(3), noise.of_rows(rows).uniform(3))


def test_numpy_alone_makes_the_same_noise():
    for seed in (0, 3, -1, 2**62):
        np.testing.assert_array_equal(alone.noise(seed, 5, 7), Noise.of(seed, 5).uniform(7).numpy())


def test_elimination_solves():
    a = torch.randn(4, 9, 9, generator=torch.Generator().manual_seed(0)).double()
    a, b = a @ a.mT + 0.1 * torch.eye(9), torch.ones(4, 9).double()
    torch.testing.assert_close(eliminated(a, b), torch.linalg.solve(a, b))


def test_minibatches_side_by_side_are_those_apart():
    layer = MinibatchDiscrimination(6, 3)
    x = torch.randn(6, 6)
    apart = torch.cat([layer(part) for part in x.chunk(3)])
    torch.testing.assert_close(layer(x, 3), apart)
    assert not torch.allclose(layer(x), apart)


def test_a_column_by_a_tensor_is_that_column():
    model = small("gated", 1, 4, 5)
    plain, indexed = model.incremental(3, None), model.incremental(3, None, IndexedWindow)
    x = torch.randn(4, 5, 3, 1)
    with torch.no_grad():
        for row in range(4):
            for network in (plain, indexed):
                network.begin_row()
            for column in range(5):
                place = torch.tensor(column)
                torch.testing.assert_close(indexed.pixel(place), plain.pixel(column))
                plain.see(column, x[row, column]), indexed.see(place, x[row, column])


class Sounding(torch.nn.Module):
    def forward(self, codes):
        return sounding(codes)


def test_a_held_note_is_found_in_graphs_too():
    codes = torch.randint(0, 4, (3, 11, 2), generator=torch.Generator().manual_seed(0))
    codes[:, 4:9, 0] = HELD
    program = torch.export.export(Sounding(), (codes,), strict=False).module()
    assert torch.equal(program(codes), sounding(codes))


def test_dimensions_that_vary():
    assert varying("n") == ("n", 1) and varying("4 height") == ("height", 4)


# -- the folder ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    options = {"preset": "tiny", "examples": 512, "threads": 1}
    return {
        "dcgan": genloom.fit("dcgan", "digits", place / "d", hyper={"conditional": True}, **options),
        "counts": None,
    }


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_a_folder_runs_without_genloom(trained, tmp_path, to, capsys):
    run, out = trained["dcgan"], tmp_path / "out"
    assert command(["export", str(run.folder), "-o", str(out), "--to", to]) == 0
    printed = capsys.readouterr().out
    assert "generate" in printed and "README.md" in printed
    found = subprocess.run(
        [sys.executable, "run.py", "-n", "11", "--seed", "4"], cwd=out, capture_output=True, text=True, env={"PATH": ""}
    )
    assert found.returncode == 0, found.stderr
    wanted = genloom.load(run).sample(11, noise=Noise.of(4, 11)).numpy()
    np.testing.assert_allclose(np.load(out / "samples.npy"), wanted, atol=1e-5)
    code = (out / "README.md").read_text().split("```python\n")[1].split("```")[0]
    found = subprocess.run(
        [sys.executable, "-c", code + "\nprint(x.shape)"], cwd=out, capture_output=True, text=True, env={"PATH": ""}
    )
    assert "(4, 1, 8, 8)" in found.stdout, found.stderr
    assert json.loads((out / "export.json").read_text())["shape"] == run.record["shape"]


def test_what_runs_alone_imports_nothing_of_ours():
    tree = ast.parse((folder.Path(alone.__file__)).read_text())
    names = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    names |= {alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names}
    assert names == {"__future__", "argparse", "json", "pathlib", "typing", "numpy", "onnxruntime", "torch"}


@pytest.mark.slow
def test_fewer_bits_are_smaller_and_say_how_far_off(trained, tmp_path):
    found = {
        weights: export(trained["dcgan"], tmp_path / weights, "onnx", ["generate"], weights)["functions"][0]
        for weights in ("fp32", "fp16", "int8")
    }
    sizes = [each["bytes"] for each in found.values()]
    apart = [each["difference"] for each in found.values()]
    assert sizes[0] > 1.2 * sizes[1] > 1.2 * sizes[2] and apart[0] < apart[1] < apart[2] < 0.05


def test_bad_input_is_one_sentence_and_nothing_is_left(trained, tmp_path, monkeypatch, capsys):
    run = str(trained["dcgan"].folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    bad = [
        (["-o", str(tmp_path / "full")], "is there already"),
        (["-o", str(tmp_path / "file")], "is there already"),
        (["-o", str(tmp_path / "x"), "--only", "generat"], "did you mean 'generate'"),
        (["-o", str(tmp_path / "x"), "--to", "torch", "--weights", "int8"], "is for `--to onnx`"),
        (["-o", str(tmp_path / "x"), "--checkpoint", "99"], "99"),
    ]
    for options, sentence in bad:
        assert command(["export", run, *options]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert command(["export", str(tmp_path / "nowhere"), "-o", str(tmp_path / "x")]) == 2
    monkeypatch.setattr(graphs, "MOST", -1.0)
    assert command(["export", run, "-o", str(tmp_path / "x"), "--only", "prior", "--to", "torch"]) == 2
    assert "differs from the model" in capsys.readouterr().err

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write", full)
    assert command(["export", run, "-o", str(tmp_path / "x"), "--to", "torch"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "full"]


def test_a_missing_package_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'genloom\[export\]'"):
        export(trained["dcgan"], tmp_path / "x")
    assert importlib.util.find_spec("onnx") is not None


def test_a_run_with_nothing_to_export_says_so(tmp_path):
    run = genloom.fit("pixelrnn", "digits", tmp_path / "r", preset="tiny", examples=64, threads=1)
    with pytest.raises(InputError, match="nothing to export: log_prob is left out"):
        export(Run.open(run.folder), tmp_path / "x", "torch")
    assert SHAPES and not (tmp_path / "x").exists()
