"""The house rules: imports go one way, files and functions stay short, no pickle, no global randomness."""

import ast
import doctest
import importlib
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "genloom"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, DEEPEST, DEPTH = 380, 60, 3, 3
MEDIAN_FUNCTION, SKIPS = 7, 20

# A file may import from its own layer's packages named here and from every layer above it in this list.
LAYERS = [
    {"errors", "kinds", "bounds"},
    {"files", "reading", "tensors", "placing"},
    {"scores"},
    {"shapes"},
    {"core"},
    {"nn"},
    {"models", "data"},
    {"catalogue", "measures"},
    {"train"},
    {"api"},
    {"use"},
    {"cli"},
    {"__main__"},
]
FORBIDDEN = {("models", "data"), ("data", "core"), ("data", "nn"), ("data", "models"), ("measures", "catalogue")}
FREE = {"__init__"}  # gives the public names, each imported when it is asked for
LIGHT = (
    "errors",
    "kinds",
    "bounds",
    "files",
    "reading",
    "scores",
    "shapes",
    "core",
    "nn",
    "models",
    "train",
)  # needs torch, numpy and safetensors alone
# Of training, what reads data and judges it at each checkpoint may import more, within functions.
CONCRETE = {"ImageShape", "PointShape", "TableShape", "ImageData", "PointData", "TableData"}
KNOW_KINDS = (
    "shapes/",
    "data/",
    "models/",
    "measures/",
    "use/judging/",
    "use/check.py",
    "use/latent/probe.py",
    "use/serving/bodies.py",
    "use/tables/",
)
GLOBAL = ("manual_seed", "set_num_threads", "fork_rng", "set_rng_state", "seed_all")
TRAINS = (
    "core/random.py",
    "train/",
    "measures/features/classifier.py",
    "measures/labels_back.py",
    "measures/series.py",
    "use/latent/probe.py",
    "use/lesson.py",
    "use/words.py",
)


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


def part(path):
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(path):
    """Yield each module that a file imports, as it is written in full, with the statement."""
    package = ("genloom", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module, node
            if module == "genloom" or (SOURCE.parent / module.replace(".", "/")).is_dir():  # a module, perhaps, by name
                yield from ((f"{module}.{alias.name}", node) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)


def level(name):
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


def refused(path):
    """Return the imports of a file that go the wrong way."""
    own, found = part(path), []
    for module, _ in imports(path):
        pieces = module.split(".")
        if pieces[0] != "genloom" or len(pieces) < 2 or own in FREE:
            continue
        other = pieces[1]
        if not any(other in layer for layer in LAYERS):
            continue  # a public name
        if level(other) > level(own) or (own, other) in FORBIDDEN:
            found.append(module)
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path):
    assert not refused(path)


def test_models_of_the_catalogue_import_no_other_model():
    from genloom.catalogue import MODELS

    listed = {place.partition(":")[0] for place, _ in MODELS.values()}
    for module in listed:
        path = SOURCE.parent / f"{module.replace('.', '/')}.py"
        assert not {name for name, _ in imports(path)} & (listed - {module}), module


@pytest.mark.parametrize(
    "line",
    [
        "import genloom.use.check",
        "from genloom import use",
        "from genloom.use import check",
        "from genloom.use.check import check",
        "from ..use import check",
        "from .. import use",
    ],
)
def test_no_way_to_write_an_import_slips_through(line, tmp_path, monkeypatch):
    folder = tmp_path / "genloom" / "core"
    folder.mkdir(parents=True)
    (tmp_path / "genloom" / "use").mkdir()
    (folder / "wrong.py").write_text(line + "\n")
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path / "genloom")
    assert refused(folder / "wrong.py")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_budgets(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    assert len(path.relative_to(SOURCE).parts) <= DEPTH
    for node in functions(text):
        assert node.end_lineno - node.lineno + 1 <= LONGEST_FUNCTION, f"{path.name}: {node.name}"
        assert depth(node) <= DEEPEST, f"{path.name}: {node.name} nests too deep"


def functions(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]


def test_most_functions_are_short_and_layout_by_hand_is_rare():
    bodies = [body_lines(node) for path in FILES for node in functions(path.read_text())]
    assert statistics.median(bodies) <= MEDIAN_FUNCTION
    files = [path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert sum(path.read_text().count("# fmt: skip") for path in files) <= SKIPS


def body_lines(node):
    """Count the lines of a function's code, without its heading and docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node.end_lineno - body[0].lineno + 1 if body else 0


def depth(node, inside=0):
    blocks = (ast.For, ast.While, ast.If, ast.With, ast.Try)
    deepest = inside
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        step = 1 if isinstance(child, blocks) and not is_elif else 0
        if not isinstance(child, ast.FunctionDef | ast.ClassDef):
            deepest = max(deepest, depth(child, inside + step))
    return deepest


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in LIGHT], ids=name_of)
def test_the_core_needs_torch_numpy_and_safetensors_alone(path):
    heavy = set()
    for module, node in imports(path):
        top = module.split(".")[0]
        known = top in sys.stdlib_module_names or top in ("torch", "numpy", "safetensors", "genloom")
        if node.col_offset == 0 and not known:
            heavy.add(top)
    assert not heavy


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_kinds_of_data_are_known_where_they_may_be(path):
    if name_of(path).startswith(KNOW_KINDS):
        return
    named = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not named & CONCRETE


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_but_training_touches_global_randomness_or_threads(path):
    name, tree = name_of(path), ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in GLOBAL and not name.startswith(TRAINS):
            owner = ast.unparse(node.value)
            own_thread = name == "use/likelihood/compress.py" and node.attr == "set_num_threads"  # in one that it starts
            assert owner.endswith("Generator()") or own_thread, f"{name}:{node.lineno} {owner}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "genloom.core.random" and not name.startswith(TRAINS):
            assert "training" not in {alias.name for alias in node.names}, name


def test_no_pickle():
    for path in FILES:
        text = path.read_text()
        assert "torch.save" not in text and "import pickle" not in text, path
        assert "torch.load" not in text or name_of(path) == "nn/efficientnet_lite.py", path


def test_the_one_file_that_is_published_as_a_pickle_is_read_as_tensors_alone():
    text = (SOURCE / "nn" / "efficientnet_lite.py").read_text()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert len(loads) == text.count("torch.load") == 1
    assert "weights_only=True" in {ast.unparse(keyword) for keyword in loads[0].keywords}


@pytest.mark.parametrize("path", [p for p in FILES if ">>>" in p.read_text()], ids=name_of)
def test_examples_in_docstrings_hold(path):
    name = ".".join(("genloom", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_training_needs_nothing_but_the_core():
    code = (
        "import sys\n"
        "for name in ('PIL', 'sklearn', 'datasets', 'matplotlib', 'rich', 'cyclopts', 'torchvision', 'pandas'):\n"
        "    sys.modules[name] = None\n"
        "import tempfile, torch\n"
        "sys.path.insert(0, 'tests')\n"
        "from games import Duel, Points\n"
        "from genloom.train.run import Run\n"
        "from genloom.train.loop import play\n"
        "from genloom.train.plan import Plan\n"
        "run = Run.begin(tempfile.mkdtemp() + '/a', {'model': 'duel'})\n"
        "print(list(play(Duel(), Points(), run, Plan(examples=128, batch=32)))[-1].examples)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "128"


def test_no_path_of_one_machine_is_written_down():
    for folder in ("docs", "benchmarks", "src"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".md", ".json", ".py"):
                found = [part for part in ("/work/", "/root/", "/home/", "/tmp/") if part in path.read_text()]
                assert not found, f"{path.relative_to(ROOT)} names {found}"
