"""What is public, in one file: whoever changes it sees that others may hang on it."""

import enum
import inspect
import subprocess
from pathlib import Path

import genloom
from genloom.cli.app import COMMANDS
from genloom.cli.app import run as command

LISTED = Path(__file__).resolve().parents[1] / "docs" / "surface.txt"


def lines():
    """Yield a line for each public name, method and command, with what it takes."""
    for name in sorted(genloom.__all__):
        found = getattr(genloom, name)
        yield f"genloom.{name}{signature(found)}"
        if not inspect.isclass(found) or issubclass(found, enum.Enum):
            continue
        for method, each in sorted(vars(found).items()):
            if not method.startswith("_"):
                each = getattr(each, "__func__", each)
                yield f"genloom.{name}.{method}{signature(each) if callable(each) else ''}"
    yield from (f"$ genloom {name}" for name in sorted(COMMANDS))


def signature(found):
    """Return the names of what is taken, with defaults left out."""
    if not callable(found) or (inspect.isclass(found) and issubclass(found, Exception)):
        return ""
    parts = []
    for each in inspect.signature(found).parameters.values():
        star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        parts.append(f"{star}{each.name}{'' if each.default is each.empty else '='}")
    return f"({', '.join(part for part in parts if part not in ('self', 'cls'))})"


def test_the_public_surface_is_what_is_listed():
    now = "\n".join(lines()) + "\n"
    assert LISTED.read_text() == now, "the public surface changed: say so in CHANGELOG.md, and write docs/surface.txt anew"


def test_commands_are_completed_in_a_shell(capsys):
    assert command(["completion", "bash"]) == 0
    script = capsys.readouterr().out

    def completed(*words):
        typed = " ".join(f"'{word}'" for word in words)
        code = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; f=$(complete -p genloom | sed 's/.*-F //; s/ .*//')"
        code += "; $f genloom; echo ${COMPREPLY[@]}"
        found = subprocess.run(["bash", "-c", f"{script}\n{code}"], capture_output=True, text=True)
        return found.stdout.split()

    assert completed("genloom", "exp") == ["export"]
    assert "--token-file" in completed("genloom", "serve", "--to")
    assert command(["completion", "sh"]) == 2 and "bash" in capsys.readouterr().err
