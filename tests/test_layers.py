"""The house rules: imports go one way, files and functions stay short, no pickle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "genloom"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, DEEPEST = 400, 60, 3

# A file may import from its own layer's packages named here and from every layer above it in this list.
LAYERS = [
    {"errors", "hyper", "columns", "shape"},
    {"model"},
    {"objectives", "schedules", "nn", "capabilities", "levels", "autoregressive"},
    {"models", "data"},
    {"deal", "seat", "checkpoint", "machine", "interrupt", "catalogue"},
    {"run"},
    {"health", "measures", "origin"},
    {"trainer"},
    {"api"},
    {"tools"},
    {"cli"},
    {"__main__"},
]
FORBIDDEN = {("models", "data"), ("models", "models"), ("data", "model"), ("data", "models"), ("data", "objectives")}
LIGHT = ("errors", "hyper", "columns", "shape", "model", "objectives", "schedules", "nn", "capabilities", "models", "deal",
         "seat", "checkpoint", "run", "health", "trainer", "machine")  # fmt: skip


def part(path):
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)


def level(name):
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    own = part(path)
    if own == "__init__":
        return
    for module, _ in imports(path):
        pieces = module.split(".")
        if pieces[0] != "genloom" or len(pieces) < 2:
            continue
        other = pieces[1]
        assert level(other) <= level(own), f"{own} imports {module}"
        assert (own, other) not in FORBIDDEN, f"{own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_budgets(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    assert len(path.relative_to(SOURCE).parts) <= 2
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno + 1 <= LONGEST_FUNCTION, f"{path.name}: {node.name}"
            assert depth(node) <= DEEPEST, f"{path.name}: {node.name} nests too deep"


def depth(node, inside=0):
    blocks = (ast.For, ast.While, ast.If, ast.With, ast.Try)
    deepest = inside
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        step = 1 if isinstance(child, blocks) and not is_elif else 0
        if not isinstance(child, ast.FunctionDef | ast.ClassDef):
            deepest = max(deepest, depth(child, inside + step))
    return deepest


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in LIGHT], ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_core_needs_torch_numpy_and_safetensors_alone(path):
    heavy = set()
    for module, node in imports(path):
        top = module.split(".")[0]
        if (
            node.col_offset == 0
            and top not in sys.stdlib_module_names
            and top not in ("torch", "numpy", "safetensors", "genloom")
        ):
            heavy.add(top)
    assert not heavy


def test_no_pickle():
    for path in FILES:
        text = path.read_text()
        assert "torch.load" not in text and "torch.save" not in text and "import pickle" not in text, path


def test_training_needs_nothing_but_the_core():
    code = (
        "import sys\n"
        "for name in ('PIL', 'sklearn', 'datasets', 'matplotlib', 'rich', 'cyclopts', 'torchvision'):\n"
        "    sys.modules[name] = None\n"
        "import tempfile, torch\n"
        "sys.path.insert(0, 'tests')\n"
        "from games import Duel, Points\n"
        "from genloom.train.run import Run\n"
        "from genloom.train.loop import play\n"
from genloom.train.plan import Plan
        "run = Run.begin(tempfile.mkdtemp() + '/a', {'model': 'duel'})\n"
        "print(list(play(Duel(), Points(), run, Plan(examples=128, batch=32)))[-1].examples)\n"
    )
    root = SOURCE.parents[1]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "128"
