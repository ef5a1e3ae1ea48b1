"""`genloom export`: the functions of a trained model in a folder that runs without genloom."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genloom.api import load
from genloom.core import capabilities as can
from genloom.core.model import Model
from genloom.errors import InputError, nearest
from genloom.files import check_writable
from genloom.reading import kind_of
from genloom.train.run import Run
from genloom.train.session import versions
from genloom.use.export import alone
from genloom.use.export.entries import Entry, LeftOut, Port
from genloom.use.export.functions import functions_of
from genloom.use.export.graphs import Target, Weights, Written, least, needed, write
from genloom.use.export.readme import readme

FORMAT = 1
RECORD = "export.json"
PARTNERS = {"generate": "prior", "encode": "decode", "next_pixel": "next_row", "next_row": "next_pixel"}  # useless without
DRAWS = {"sample", "generate", "next_pixel", "next_step"}


def export(
    run: Run,
    out: str | Path,
    to: Target = "onnx",
    only: Sequence[str] = (),
    weights: Weights = "fp32",
    checkpoint: str = "last",
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write what a run's model can do as graphs into a new folder, and return its record.

    Args:
        only: functions, by name; none for all.
        weights: how weights are stored; graphs compute in fp32.
        say: called with a line for each graph that is being made.

    Raises:
        InputError: the run cannot be loaded, has nothing to export, or no function of such a name; the folder is not empty;
            a package is missing; or a graph differs from the model. Nothing is kept of what was written.
    """
    needed(to)
    if weights != "fp32" and to != "onnx":
        raise InputError(f"--weights {weights} is for `--to onnx`: leave it away")
    target = Path(out).resolve()
    if kind_of(target) not in ("", "folder") or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"{out} is there already, and not empty: name a new folder")
    check_writable(f"{target}/")
    model = load(run, checkpoint).requires_grad_(False)
    found = chosen(model, only)
    part, new = None, [each for each in target.parents if not each.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
        functions = []
        for entry in found:
            if isinstance(entry, Entry):
                say(f"{entry.name}: {entry.means}")
                functions.append(told(entry, write(entry, model, part, to, weights)))
        said = {"to": to, "weights": weights, "checkpoint": run.checkpoint(checkpoint).name, "functions": functions}
        record = about(run, model, found) | said
        record["as_sample"] = record["as_sample"] and weights == "fp32"
        (part / RECORD).write_text(json.dumps(record, indent=1) + "\n")
        (part / "README.md").write_text(readme(record))
        shutil.copyfile(alone.__file__, part / "run.py")
        target.mkdir(exist_ok=True)
        for each in sorted(part.iterdir(), key=lambda each: each.name == RECORD):  # the record comes last
            each.rename(target / each.name)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for each in new:  # what was made for it, where nothing has come into it
            with suppress(OSError):
                each.rmdir()
    return record


def about(run: Run, model: Model, found: Sequence[Entry | LeftOut]) -> dict[str, Any]:
    """Return what the record says of a model."""
    return {
        "format": FORMAT,
        **versions(),
        **{name: version(name) for name in ("onnx", "onnxruntime") if find_spec(name)},
        "model": run.record["model"],
        "preset": run.record["preset"],
        "shape": run.record["shape"],
        "says": model.shape.describe(),
        **beside(model),
        "draws": any(isinstance(entry, Entry) and entry.name in DRAWS for entry in found),
        "as_sample": not isinstance(model, can.Likens),
        "left_out": {entry.name: entry.why for entry in found if isinstance(entry, LeftOut)},
    }


def chosen(model: Model, only: Sequence[str]) -> list[Entry | LeftOut]:
    """Return the functions of a model that are asked for; InputError where there is none, or none of a name."""
    found = functions_of(model)
    known = [entry.name for entry in found if isinstance(entry, Entry)]
    if not known:
        why = "; ".join(f"{entry.name} is left out, for {entry.why}" for entry in found if isinstance(entry, LeftOut))
        raise InputError(f"{type(model).__name__} has nothing to export{': ' if why else ''}{why}")
    for name in only:
        if name not in known:
            raise InputError(f"--only {name}: this model has no such function{nearest(name, known)}")
    wanted = {*only, *(PARTNERS[name] for name in only if name in PARTNERS)}
    return [entry for entry in found if not only or entry.name in wanted]


def beside(model: Any) -> dict[str, Any]:
    """Return what loops over steps need to know of a model beside its functions."""
    if isinstance(model, can.PixelByPixel):
        return {"levels": model.levels}  # type: ignore[attr-defined]
    if isinstance(model, can.Composes):
        return {"bar": model.shape.bar, "unknown": getattr(model, "unknown", [])}  # type: ignore[attr-defined]
    return {}


def told(entry: Entry, written: Written) -> dict[str, Any]:
    """Return what the record says of a function."""
    return {
        "name": entry.name,
        "means": entry.means,
        **asdict(written),
        "inputs": [port_told(port) for port in entry.inputs],
        "outputs": [port_told(port) for port in entry.outputs],
    }


def port_told(port: Port) -> dict[str, Any]:
    """Return what the record says of an input or output."""
    kind = str(port.kind).removeprefix("torch.")
    free = dict(least(dim) for dim in port.dims if isinstance(dim, str) and dim != "n")
    return {
        "name": port.name,
        "dims": list(port.dims),
        "kind": kind,
        "means": port.means,
        "least": free,
        "bounds": port.bounds and list(port.bounds),
    }
