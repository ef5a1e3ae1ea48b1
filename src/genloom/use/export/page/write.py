"""`genloom export --to page`: a model in one HTML file that runs in any browser, with no server and no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genloom.api import load
from genloom.core import capabilities as can
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.files import check_writable, replaced
from genloom.train.run import Run
from genloom.use.export.entries import Entry
from genloom.use.export.folder import about, chosen, port_told
from genloom.use.export.graphs import MOST, OTHERS, TRIED, Weights, difference, sizes
from genloom.use.export.page.axes import axes
from genloom.use.export.page.kernel import module
from genloom.use.export.page.operators import loops, operators, source
from genloom.use.export.page.programs import Program, page_program, run
from genloom.use.export.page.weights import Store, encoded

LARGEST = 100_000_000  # bytes of a page: browsers give up on larger ones, and no mail takes them
ENGINE = ("tensors.js", "products.js", "operators.js", "folder.js", "worker.js")
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}' 'wasm-unsafe-eval'; style-src 'sha256-{style}'; img-src data: blob:; "
    "worker-src blob:; base-uri 'none'; form-action 'none'"
)
OF_PICTURES = ("translate_to_A", "translate_to_B", "upscale", "encode", "classify", "log_prob")
LARGER = (
    "`--weights int8` makes it a half of fp16; beyond that a model is no page's: "
    "export it by `--to onnx`, and run it where there is room"
)


def write_page(
    run_: Run,
    out: str | Path,
    only: Sequence[str] = (),
    weights: Weights | None = None,
    checkpoint: str = "last",
    title: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write what a run's model can do as a page, and return what it says of itself.

    Args:
        out: a file that ends in `.html`.
        only: functions, by name; none for all.
        weights: how they are stored; the page computes in fp32. Left out, fp16, but fp32 for what draws step by step, where
            a rounded weight turns one draw and with it all that come after.
        title: of the page; left out, the run folder's name.
        say: called with a line for each function.

    Raises:
        InputError: the run cannot be loaded, the model has nothing that a page can show, or an operator that no page knows;
            the page would be too large; or the file cannot be written.
    """
    if not str(out).lower().endswith((".html", ".htm")):
        raise InputError(f"a page is one file: -o takes a name that ends in .html, got {out}")
    check_writable(out)
    model = load(run_, checkpoint).requires_grad_(False)
    if weights is None:
        weights = "fp32" if isinstance(model, can.PixelByPixel | can.Composes) else "fp16"
    store, functions = Store(weights), []
    found = chosen(model, only)
    for entry in found:
        if isinstance(entry, Entry):
            say(f"{entry.name}: {entry.means}")
            functions.append(told(entry, model, store))
    record = about(run_, model, found) | {
        "title": title or run_.folder.resolve().name,
        "weights": weights,
        "checkpoint": run_.checkpoint(checkpoint).name,
        "conditional": any(port["name"] == "y" for each in functions for port in each["inputs"]),
        "law": getattr(model, "law", None),
        "axes": axes(model) if any(each["name"] == "generate" for each in functions) else None,
        "functions": functions,
        "constants": store.told,
    }
    text = page(record, store)
    if len(text) > LARGEST:
        raise InputError(f"the page would have {len(text) / 1e6:,.0f} MB, and may have {LARGEST / 1e6:,.0f}: {LARGER}")
    with replaced(out) as part:
        part.write_text(text, encoding="utf-8")
    return record | {"bytes": len(text.encode())}


def told(entry: Entry, model: Model, store: Store) -> dict[str, Any]:
    """Return what a page knows of a function; InputError where it cannot run there."""
    try:
        program = page_program(entry, model)
    except TypeError as error:
        raise InputError(f"{entry.name} cannot run in a page, for {error}: {OTHERS}") from None
    if strange := sorted({step.name for step in program.steps} - operators()):
        raise InputError(
            f"{entry.name} needs the operator {strange[0]}, which no page knows: {OTHERS}, or take `--to onnx`, which "
            "onnxruntime-web runs in a browser"
        )
    apart = max(difference(entry, model, stored_run(program, store), at) for at in TRIED)
    if apart > MOST and store.weights == "fp32":
        raise InputError(
            f"{entry.name} would differ from the model by {apart:.1e} in a page, and may by {MOST:.0e}: {OTHERS}"
        )
    return {
        "name": entry.name,
        "means": entry.means,
        "difference": apart,
        "tried": [sizes(entry, at) for at in TRIED],
        "inputs": [port_told(port) for port in entry.inputs],
        "outputs": [port_told(port) for port in entry.outputs],
        "program": encoded(program, store),
    }


def stored_run(program: Program, store: Store) -> Any:
    """Return what runs a program here with constants as they are stored."""
    return lambda *given: run(program, given, store.read)


# -- the file --------------------------------------------------------------------------------------


def page(record: dict[str, Any], store: Store) -> str:
    """Return the page as a text."""
    script = slim("\n".join([source("page.js"), *map(source, parts(record)), "start()"]))
    style = source("page.css")
    names = {step[0] for each in record["functions"] for step in each["program"]["steps"]}
    engine = slim("\n".join([loops(names), *map(source, ENGINE)]))
    filled = {
        "policy": POLICY.format(script=digest(script), style=digest(style)),
        "version": record["genloom"],
        "title": html.escape(record["title"]),
        "about": html.escape(f"A {record['model']} (preset {record['preset']}) that was trained on {record['says']}."),
        "made": html.escape(
            f"Made by genloom {record['genloom']}, checkpoint {record['checkpoint']}, weights in {record['weights']}."
        ),
        "style": style,
        "record": json.dumps(record, separators=(",", ":")).replace("<", "\\u003c"),
        "kernel": base64.b64encode(module()).decode(),
        "engine": engine,
        "weights": store.text(),
        "script": script,
    }
    pieces = source("page.html").split("{")
    return pieces[0] + "".join(filled[name] + rest for name, _, rest in (each.partition("}") for each in pieces[1:]))


def parts(record: dict[str, Any]) -> list[str]:
    """Return the files of the parts that a page has; InputError where there is nothing to show."""
    names = {each["name"] for each in record["functions"]}
    shape, found = record["shape"], []
    pictures = "height" in shape and "columns" not in shape
    if pictures and names & {"generate", "sample", "next_pixel"}:
        found.append("draw.js")
    if "next_pixel" in names:
        found.append("complete.js")
    if pictures and names & set(OF_PICTURES):
        found.append("given.js")
    if "impute" in names:
        found.append("rows.js")
    if "next_step" in names or ("sample" in names and "notes" in shape):
        found.append("music.js")
    elif "columns" in shape and names & {"sample", "generate"}:
        found.append("series.js")
    if not found:
        raise InputError(
            f"a page can show nothing of a {record['model']}'s {', '.join(sorted(names))}: export it by `--to onnx`"
        )
    shared = [name for name, need in (("pictures.js", pictures), ("columns.js", "columns" in shape)) if need]
    return [*shared, *found]


def slim(script: str) -> str:
    """Return a script without what only its reader needs: lines of comment, and the room before lines."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def digest(text: str) -> str:
    """Return the hash by which a content policy lets a text run."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
