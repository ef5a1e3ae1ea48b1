"""`genloom export --to page`: a model in one HTML file that runs in any browser, with no server and no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from genloom.api import load
from genloom.bounds import short
from genloom.core import capabilities as can
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.files import check_writable, replaced
from genloom.reading import read_json
from genloom.shapes.pairs import PairShape
from genloom.train.run import Run
from genloom.use.export.entries import Entry, LeftOut
from genloom.use.export.folder import about, chosen, port_told
from genloom.use.export.graphs import MOST, OTHERS, TRIED, Weights, difference, sizes
from genloom.use.page.axes import axes
from genloom.use.page.kernel import module
from genloom.use.page.operators import loops, source
from genloom.use.page.programs import Program, page_program, run
from genloom.use.page.weights import Store, encoded, packed

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
    if not all(bool(x.isfinite().all()) for x in model.state_dict().values() if x.is_floating_point()):
        raise InputError(
            "weights of this checkpoint are no numbers: its training went bad; name an older one by --checkpoint"
        )
    if weights is None:
        weights = "fp32" if isinstance(model, can.PixelByPixel | can.Composes) else "fp16"
    store, functions = Store(weights), []
    found = [shown(entry, model) for entry in chosen(model, only)]
    parts({entry.name for entry in found if isinstance(entry, Entry)}, run_.record)
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
        "judged": judged(run_, run_.checkpoint(checkpoint).name),
        "functions": functions,
        "constants": store.told,
    }
    text = page(record, store)
    if len(text) > LARGEST:
        raise InputError(f"the page would have {len(text) / 1e6:,.0f} MB, and may have {LARGEST / 1e6:,.0f}: {LARGER}")
    with replaced(out) as part:
        part.write_text(text, encoding="utf-8")
    return record | {"bytes": len(text.encode())}


def shown(entry: Entry | LeftOut, model: Model) -> Entry | LeftOut:
    """Return a function, or that it is left out where a browser cannot show its pictures."""
    shape = model.shape
    if isinstance(shape, PairShape) and isinstance(entry, Entry) and (shape.deep("A") or shape.deep("B")):
        return LeftOut(entry.name, "its pictures have more bits or channels than a browser shows")
    return entry


def told(entry: Entry, model: Model, store: Store) -> dict[str, Any]:
    """Return what a page knows of a function; InputError where it cannot run there."""
    try:
        program = page_program(entry, model)
        if why := next((step.why for step in program.steps if step.why), ""):
            raise InputError(f"{entry.name} needs {why}, which no page has: {OTHERS}, or take `--to onnx`")
        exact, apart = (furthest(entry, model, stored_run(program, each)) for each in (Store("fp32"), store))
        kept = encoded(program, store)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # whatever torch's exporter may raise
        said = " ".join([type(error).__name__, *str(error).split()])
        raise InputError(f"{entry.name} cannot run in a page ({short(said)}): {OTHERS}") from error
    if not (exact <= MOST and apart < math.inf):
        raise InputError(
            f"{entry.name} would differ from the model by {max(exact, apart):.1e} in a page, and may by {MOST:.0e}: {OTHERS}"
        )
    return {
        "name": entry.name,
        "means": entry.means,
        "difference": apart,
        "tried": [sizes(entry, at) for at in TRIED],
        "inputs": [port_told(port) for port in entry.inputs],
        "outputs": [port_told(port) for port in entry.outputs],
        "program": kept,
    }


def judged(run_: Run, version: str) -> list[str]:
    """Return what the judge said of a checkpoint, where it was asked, without what only its owner can do."""
    try:
        found = read_json(run_.folder / "judge.json")
        verdicts = found["verdicts"] if found["about"]["checkpoint"] == version else []
    except (InputError, KeyError, TypeError):
        return []
    said = (str(each).partition("; to try")[0] for each in verdicts)
    return [each for each in said if "genloom " not in each and str(run_.folder) not in each]


def judged_part(verdicts: Sequence[str]) -> str:
    """Return the part of a page that says how good the model was judged to be."""
    lines = "".join(f"<li>{html.escape(each)}</li>" for each in verdicts)
    return f"<details><summary>How good is it?</summary><ul>{lines}</ul></details>" if lines else ""


def furthest(entry: Entry, model: Model, run: Any) -> float:
    """Return the largest difference of what runs a function from the model, over sizes it was not made by."""
    return max(difference(entry, model, run, at) for at in TRIED)


def stored_run(program: Program, store: Store) -> Any:
    """Return what runs a program here with constants as they are stored."""
    return lambda *given: run(program, given, store.read)


# -- the file --------------------------------------------------------------------------------------


def page(record: dict[str, Any], store: Store) -> str:
    """Return the page as a text."""
    script = slim(
        "\n".join(
            [source("page.js"), *map(source, parts({each["name"] for each in record["functions"]}, record)), "start()"]
        )
    )
    style = source("page.css")
    names = {step[0] for each in record["functions"] for step in each["program"]["steps"]}
    engine = slim("\n".join([loops(names), *map(source, ENGINE)]))
    filled = {
        "policy": POLICY.format(script=digest(script), style=digest(style)),
        "version": record["genloom"],
        "title": html.escape(record["title"]),
        "about": html.escape(f"{record['model']} (preset {record['preset']}), trained on {record['says']}."),
        "judged": judged_part(record["judged"]),
        "made": html.escape(
            f"Made by genloom {record['genloom']}, checkpoint {record['checkpoint']}, weights in {record['weights']}."
        ),
        "style": style,
        "record": json.dumps(record, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "kernel": base64.b64encode(module()).decode(),
        "engine": packed(engine.encode()),
        "weights": store.text(),
        "script": script,
    }
    pieces = source("page.html").split("{")
    return pieces[0] + "".join(filled[name] + rest for name, _, rest in (each.partition("}") for each in pieces[1:]))


def parts(names: AbstractSet[str], record: dict[str, Any]) -> list[str]:
    """Return the files of the parts that a page has for these functions; InputError where there is nothing to show."""
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
