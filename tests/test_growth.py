"""What it takes to add a model, a kind of data and a capability: few files, and nothing of the core.

The toys lie under `tests/toys` as they would lie under `src/genloom`; the tables below are the lines that others change by.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOYS = Path(__file__).parent / "toys"
SOURCE = Path(__file__).resolve().parents[1] / "src" / "genloom"

MODELS = "MODELS = {\n"
ALL = "@dataclass(frozen=True)\nclass AllOptions("
OPTIONS = '''@dataclass(frozen=True)
class WordOptions(Options):
    """What to do to words.

    Attributes:
        lower: take capital letters as small ones
    """

    lower: bool = False


'''
EXPLAINS = '''class Explains(ABC):
    """Says what it has learnt."""

    @abstractmethod
    def explain(self) -> str:
        """Return a sentence."""


'''
# by toy and file: what stands there, and what stands in its place afterwards
CHANGES = {
    "model": {"catalogue.py": [(MODELS, MODELS + '    "bell": ("genloom.models.likelihood.bell:Bell", "a toy"),\n')]},
    "kind": {
        "kinds.py": [
            (
                '    "table": Kind(',
                '    "words": Kind("genloom.shapes.words:WordShape", "genloom.data.words:WordSource", '
                '"genloom.use.judging.words:WordPanel"),\n    "table": Kind(',
            )
        ],
        "data/options.py": [(ALL, OPTIONS + ALL + "WordOptions, ")],
    },
    "capability": {
        "core/capabilities.py": [("class Imputes(ABC):", EXPLAINS + "class Imputes(ABC):")],
        "cli/app.py": [('    "models": (', '    "explain": ("genloom.cli.explaining:explain", "a toy"),\n    "models": (')],
    },
}


def grow(root, *toys):
    """Copy genloom and add toys; return the files that each one adds and changes."""
    package = root / "genloom"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    touched = {}
    for toy in toys:
        added = [path.relative_to(TOYS / toy) for path in (TOYS / toy).rglob("*.py")]
        for path in added:
            assert not (package / path).exists()
            shutil.copy(TOYS / toy / path, package / path)
        for name, changes in CHANGES[toy].items():
            text = (package / name).read_text()
            for old, new in changes:
                assert text.count(old) == 1, (name, old)
                text = text.replace(old, new)
            (package / name).write_text(text)
        touched[toy] = {str(path) for path in added} | CHANGES[toy].keys()
    return touched


EACH = """
import contextlib, io, json, sys
from genloom.cli.app import run
said = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        status = run(command)
    said.append([status, out.getvalue()])
print(json.dumps(said))
"""


def genloom(root, *commands):
    """Run commands of the grown genloom in one process; return the exit status and the words of each."""
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps([[str(word) for word in command] for command in commands])],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_a_file_and_a_line_a_kind_six_files_a_capability_four(tmp_path):
    touched = grow(tmp_path, "model", "kind", "capability")
    assert [len(touched[toy]) for toy in ("model", "kind", "capability")] == [2, 5, 4]
    bell = tmp_path / "genloom" / "models" / "likelihood" / "bell.py"
    bell.write_text(
        bell.read_text()
        .replace("import Samples", "import Explains, Samples")
        .replace("(Model, Samples)", "(Model, Samples, Explains)")
        + '\n    def explain(self):\n        return f"mean {self.mean.mean().item():.2f}"\n'
    )
    words, run = tmp_path / "some.words", tmp_path / "run"
    words.write_text("\n".join(["Tree", "leaf", "root", "bark"] * 100))
    small = ("--preset", "tiny", "--examples", "6400", "--batch", "64", "--device", "cpu")
    help_, wrong, *worked, explained = genloom(
        tmp_path,
        ("fit", "--help"),
        ("fit", "bell", "digits", "--lower", "-o", tmp_path / "x"),
        ("fit", "bell", words, "-o", run, "--lower", *small),
        ("sample", run, "-n", "5", "-o", tmp_path / "new.words"),
        ("judge", run),
        ("fit", "bell", "digits", "-o", tmp_path / "digits", *small),
        ("sample", tmp_path / "digits", "-o", tmp_path / "digits.png"),
        ("explain", run),
    )
    assert "--lower" in help_[1] and wrong[0] == 2 and "--lower are for words" in wrong[1]
    assert [status for status, _ in worked] == [0] * 5, worked
    assert "words of 4 letters" in worked[0][1] and "letters" in worked[2][1]
    assert [len(word) for word in (tmp_path / "new.words").read_text().split()] == [4] * 5
    assert 0.2 < float(explained[1].removeprefix("mean ")) < 0.8 and (tmp_path / "digits.png").exists()
