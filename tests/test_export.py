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
from genloom.catalogue import MODELS, find_model
from genloom.cli.app import run as command
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.likelihood.cached_pixelcnn import IndexedWindow
from genloom.models.tables.gaussian import eliminated
from genloom.nn.feature_matching import MinibatchDiscrimination
from genloom.shapes.columns import Column
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape
from genloom.shapes.score import HELD, ScoreShape, sounding
from genloom.shapes.table import TableShape
from genloom.train.run import Run
from genloom.use.export import alone, folder, graphs
from genloom.use.export.entries import Entry, LeftOut, Told, varying
from genloom.use.export.folder import export
from genloom.use.export.functions import functions_of
from genloom.use.export.graphs import difference, examples, program_of, sizes
from genloom.use.export.readme import readme
from test_models import build
from untrained import small

STEPWISE = {  # functions of what goes step by step
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
        for at in ((1, 1, 1), (3, 1, 2)):
            assert difference(entry, model, program, at) < 1e-5, entry.name
        given = examples(entry, (3, 1, 2))
        for port, each in zip(entry.inputs, given, strict=True):
            assert port.kind == each.dtype and len(port.dims) == each.ndim, (entry.name, port)
        with torch.no_grad():
            found = entry.module(model)(*given)
        sized = sizes(entry, (3, 1, 2))
        for port, each in zip(entry.outputs, found, strict=True):
            assert port.kind == each.dtype, (entry.name, port)
            for dim, length in zip(port.dims, each.shape, strict=True):
                name, multiple = varying(str(dim))
                if isinstance(dim, int):
                    assert dim == length, (entry.name, port)
                elif entry.sizes()[name] > 1:  # a multiple already
                    assert length == sized[name]
                else:
                    assert length == multiple * sized[name]


def test_each_capability_is_a_function_or_said_to_be_left_out():
    known = {name: [each.name for each in functions_of(ready(build(name)))] for name in MODELS}
    assert all(known.values()), known
    assert known["vae"] == ["prior", "generate", "encode", "decode", "infer", "log_prob"]
    assert known["gain"] == ["impute", "draw"] and known["cyclegan"] == ["translate_to_A", "translate_to_B"]
    assert known["pixelcnn"] == STEPWISE["pixelcnn"] and known["music"] == STEPWISE["music"]
    left = {name: [each.name for each in functions_of(ready(build(name))) if isinstance(each, LeftOut)] for name in MODELS}
    assert {name for name, each in left.items() if each} == {"vae", "pixelrnn", "rtsgan", "counts"}


def of(name, shape, preset="tiny", **hyper):
    cls = find_model(name)
    torch.manual_seed(0)
    return cls(cls.Hyper.preset(preset).with_values(hyper), shape)


NUMBERS = TableShape(columns=tuple(Column(name, low=-1.0, high=1.0) for name in "abcde"))
LABELLED = ImageShape(classes=("a", "b"), channels=3, height=16, width_px=16)
COMPOSERS = ScoreShape(classes=("bach", "palestrina"), voices=("upper", "lower"), low=50, high=70, window=8)
OTHERS = {  # what tiny presets on small shapes do not show
    "gain without categories": lambda: of("gain", NUMBERS),
    "gain, paper": lambda: of("gain", NUMBERS, "paper"),
    "pix2pix with dropout": lambda: of(
        "pix2pix", PairShape(height=64, width_px=64), depth=6, dropout=0.5, test_dropout=True
    ),
    "pixelcnn that draws levels": lambda: small("gated", levels=2, binarise="dynamic"),
    "dcgan with labels": lambda: of("dcgan", LABELLED, conditional=True),
    "icgan by instances": lambda: of("icgan", LABELLED, condition="instances"),
    "icgan by both": lambda: of("icgan", LABELLED, condition="both"),
    "composers": lambda: of("music", COMPOSERS),
}


@pytest.mark.parametrize("key", OTHERS)
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_other_presets_and_shapes(key, to, tmp_path):
    model = ready(OTHERS[key]())
    for entry in functions(model):
        assert graphs.write(entry, model, tmp_path, to, "fp32").difference < 2e-5, entry.name
    if key == "pixelcnn that draws levels":
        assert [each.name for each in functions_of(model) if isinstance(each, LeftOut)] == ["log_prob"]
    if key == "pix2pix with dropout":
        assert [port.name for port in functions(model)[0].inputs] == ["x", "u"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "gain", "srgan", "cyclegan", "music", "music_cyclegan"])
def test_as_onnx_the_same(name, tmp_path):
    import onnx

    model = ready(build(name))
    for entry in functions(model):
        written = graphs.write(entry, model, tmp_path, "onnx", "fp32")
        assert written.difference < 2e-5 and written.bytes == (tmp_path / written.file).stat().st_size
        assert len(written.tried) == 3 and all(at.get("n") != 2 for at in written.tried)
        content = (tmp_path / written.file).read_bytes()
        assert b"genloom/" not in content and b"site-packages" not in content  # no paths of this machine
        dims = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape.dim
        assert [each.dim_param or each.dim_value for each in dims] == [
            dim.replace(" ", "*") if isinstance(dim, str) else dim for dim in entry.inputs[0].dims
        ]


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
        "draws": True,
        "shape": {"channels": channels, "height": 4, "width_px": 5, "classes": model.shape.classes},
    }
    told = [folder.told(entry, each) for entry, each in zip(functions_of(model), functions, strict=True)]
    (tmp_path / "export.json").write_text(json.dumps({**record, "functions": told}))
    found = alone.Folder(tmp_path).sample(6, seed=5)
    labels = torch.arange(6) % 2 if hyper else None
    np.testing.assert_array_equal(found, model.sample(6, labels, noise=Noise.of(5, 6)).numpy())


@pytest.mark.slow
def test_the_readme_runs_where_sides_have_other_channels(tmp_path, monkeypatch):
    model = ready(of("cyclegan", PairShape(channels=1, channels_b=3, height=16, width_px=16)))
    told = [folder.told(each, graphs.write(each, model, tmp_path, "onnx", "fp32")) for each in functions(model)]
    about = {"model": "cyclegan", "genloom": "0", "says": "pairs", "preset": "tiny", "checkpoint": "1", "shape": {}}
    text = readme({**about, "functions": told, "left_out": {}, "to": "onnx", "weights": "fp32", "draws": False})
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(text.split("```python\n")[1].split("```")[0], found)
    assert found["made"].shape == (4, 3, 8, 8) and "height a multiple of 8" in text


def test_sigterm_stops_as_ctrl_c_does(tmp_path):
    code = "import os, signal, sys; from genloom.cli import app; app.run = lambda _: os.kill(os.getpid(), signal.SIGTERM)"
    found = subprocess.run(
        [sys.executable, "-c", code + "\ntry: app.main([])\nexcept KeyboardInterrupt: sys.exit(7)"], timeout=60, check=False
    )
    assert found.returncode == 7


@pytest.mark.slow
def test_composers_are_those_of_the_model(tmp_path):
    model = ready(OTHERS["composers"]())
    entry = functions(model)[0]
    told = folder.told(entry, graphs.write(entry, model, tmp_path, "onnx", "fp32"))
    record = {"to": "onnx", "draws": True, "shape": {"classes": ["bach", "palestrina"], "window": 8}, **folder.beside(model)}
    (tmp_path / "export.json").write_text(json.dumps({**record, "functions": [told]}))
    found = alone.Folder(tmp_path).sample(5, seed=2)
    np.testing.assert_array_equal(found, model.sample(5, torch.arange(5) % 2, noise=Noise.of(2, 5)).numpy())


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


def test_what_is_no_number_is_infinitely_far():
    model = ready(build("gan"))
    entry = functions(model)[1]
    with torch.no_grad():
        x = entry.module(model)(*examples(entry, (3, 1, 1)))[0]
    assert difference(entry, model, lambda *_: [x], (3, 1, 1)) == 0
    for wrong in (float("nan"), float("inf")):
        broken = x.clone()
        broken[1, 0, 2, 2] = wrong
        assert difference(entry, model, lambda *_: [broken], (3, 1, 1)) == float("inf")  # noqa: B023
    with pytest.raises(ValueError, match="where the model gives"):
        difference(entry, model, lambda *_: [x[:2]], (3, 1, 1))


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
    assert names == {"__future__", "argparse", "datetime", "json", "pathlib", "typing", "numpy", "onnxruntime", "torch"}


@pytest.mark.slow
def test_fewer_bits_are_smaller_and_say_how_far_off(trained, tmp_path):
    found = {
        weights: export(trained["dcgan"], tmp_path / weights, "onnx", ["generate"], weights)["functions"][-1]
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
    (tmp_path / "empty").mkdir()
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
    assert command(["export", run, "-o", str(tmp_path / "new" / "deep" / "x"), "--to", "torch"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "file", "full"]


def test_what_cannot_be_a_graph_is_a_sentence_and_costs_nothing_else(trained, tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("a guard\non data")

    monkeypatch.setattr(graphs, "program_of", broken)
    assert command(["export", str(trained["dcgan"].folder), "-o", str(tmp_path / "x"), "--to", "torch"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no torch graph can be made of prior ('RuntimeError a guard on data')" in said and not list(tmp_path.iterdir())


def test_into_an_empty_folder_with_partners(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = export(trained["dcgan"], ".", "torch", ["generate"])
    assert [each["name"] for each in record["functions"]] == ["prior", "generate"] and record["draws"]
    assert {each.name for each in tmp_path.iterdir()} == {"prior.pt2", "generate.pt2", "export.json", "README.md", "run.py"}
    monkeypatch.syspath_prepend(tmp_path)
    assert alone.Folder(tmp_path).sample(3, seed=1).shape == (3, 1, 8, 8)
    export(trained["dcgan"], tmp_path / "p", "torch", ["prior"])
    for options in (["-n", "2"], ["-n", "0"]):
        place = "p" if options == ["-n", "2"] else "."
        found = subprocess.run([sys.executable, f"{place}/run.py", *options], capture_output=True, text=True, cwd=tmp_path)
        assert found.returncode == 2 and found.stderr.count("error:") == 1


@pytest.mark.slow
def test_rows_are_coded_and_read_back_without_genloom(tmp_path):
    lines = ["name ,size,day,kind"] + [f"n{i},{i * 7 % 23},2026-01-{i % 28 + 1:02d},{'ab'[i % 2]}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    run = genloom.fit("gain", tmp_path / "t.csv", tmp_path / "r", preset="tiny", examples=256, threads=1)
    export(run, tmp_path / "x", "onnx", ["impute"])
    there, data = alone.Folder(tmp_path / "x"), genloom.load_data(tmp_path / "t.csv")
    rows = [{"size": 5, "day": "2026-01-05", "kind": "a"}, {"size": "21", "day": None, "kind": ""}]
    x, mask = there.code(rows)
    batch = data.batch({"x": torch.tensor([4, 3])})
    np.testing.assert_allclose(x[0], batch["x"][0].numpy(), rtol=1e-5, atol=1e-6)
    assert mask.tolist() == [[True] * 3, [True, False, False]] and abs(x[1, 0] - float(batch["x"][1, 0])) < 1e-5
    filled = there.values(there("impute", x=x, mask=mask)["filled"])
    assert filled[0]["size"] == 5 and filled[0]["kind"] == "a" and filled[0]["day"] == 1767571200.0
    assert filled[1]["size"] == 21 and filled[1]["kind"] in "ab"
    with pytest.raises(ValueError, match="kind has no category 'c', but a, b"):
        there.code([{"kind": "c"}])
    assert "code(rows)" in (tmp_path / "x" / "README.md").read_text()


@pytest.mark.slow
def test_what_no_graph_takes_is_said(trained, tmp_path):
    export(trained["dcgan"], tmp_path / "x", "onnx")
    there, z = alone.Folder(tmp_path / "x"), np.zeros((2, 16))
    for given, sentence in (
        ({"z": z}, "y is missing"),
        ({"z": z[:, :3], "y": [0, 1]}, r"z has sizes \[2, 3\]"),
        ({"z": z, "y": [0, 10]}, "y holds values outside of 0 to 9"),
    ):
        with pytest.raises(ValueError, match=sentence):
            there("generate", **given)
    with pytest.raises(ValueError, match="no function 'made' here, but prior, generate"):
        there("made")
    with pytest.raises(ValueError, match="u holds values outside"):
        there("prior", u=np.full((2, 16), np.nan))
    for options in (["-o", "a.png"], ["-o", "/nowhere/a.npy"], ["--label", "12"]):
        found = subprocess.run(
            [sys.executable, str(tmp_path / "x" / "run.py"), *options], capture_output=True, text=True, cwd=tmp_path
        )
        assert found.returncode == 2 and found.stderr.count("error: ") == 1, found.stderr


def test_averaged_weights_that_were_lost_are_missed(trained, tmp_path):
    run = genloom.fit("vae", "digits", tmp_path / "r", preset="tiny", examples=200, threads=1)
    (run.last_checkpoint() / "ema.safetensors").unlink()
    with pytest.raises(InputError, match="ema.safetensors"):
        genloom.load(run)


def test_a_missing_package_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs onnxruntime: run pip install 'genloom\[export\]'"):
        export(trained["dcgan"], tmp_path / "x")
    assert importlib.util.find_spec("onnx") is not None


def test_a_run_with_nothing_to_export_says_so(tmp_path):
    run = genloom.fit("pixelrnn", "digits", tmp_path / "r", preset="tiny", examples=64, threads=1)
    with pytest.raises(InputError, match="nothing to export: log_prob is left out"):
        export(Run.open(run.folder), tmp_path / "x", "torch")
    assert not (tmp_path / "x").exists()
