"""The README of an exported folder: what each function takes and gives, and some lines that run it without genloom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from genloom.use.export.steps import NEXT

SOME = 4  # examples that its lines take
FREE = 8  # the least size of what may be of any


PIXELS = (
    "known = (x * (model.record['levels'] - 1)).round().astype(int)  # levels of pixels: -1 where they are to be drawn",
    "known[:, :, known.shape[2] // 2 :] = -1",
    f"x = model.pixels({SOME}, seed=1, known=known)  # the upper half goes on",
)
MUSIC = (
    "x[:, :, 1:] = -1  # keep the highest voice",
    f"x = model.compose({SOME}, seed=1, steps=x.shape[1], voices=x)",
)
COLUMNS = (
    "Numbers are coded as (value - mean) / scale of their column (`shape` in `export.json`), dates in seconds since 1970, "
    "categories by their place from 0: `Folder('.').code(rows)` gives codes and mask of rows such as {\"name\": value}, and "
    "`Folder('.').values(x)` rows of codes `[n, D]`."
)


def readme(record: Mapping[str, Any]) -> str:
    """Return the README of an exported folder by its record."""
    lines = [
        f"# {record['model']}, exported by genloom {record['genloom']}",
        "",
        f"Trained on {record['says']} (preset {record['preset']}, checkpoint {record['checkpoint']}). `export.json` holds",
        "what stands here, and the shape of its data.",
        "",
        "| function | what it does | takes | gives | difference |",
        "|---|---|---|---|---|",
    ]
    held = {port["name"] for each in record["functions"] for port in each["outputs"] if port["name"].endswith(NEXT)}
    held |= {name.removesuffix(NEXT) for name in held}
    for each in record["functions"]:
        ports = [ports_told(each[side], held) for side in ("inputs", "outputs")]
        row = (f"`{each['file']}`", each["means"], *ports, f"{each['difference']:.0e}")
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", said_of_differences(record), ""]
    if record["left_out"]:
        lines += [f"Left out: {'; '.join(f'`{name}`, for {why}' for name, why in record['left_out'].items())}.", ""]
    needs = "numpy onnxruntime" if record["to"] == "onnx" else "numpy torch"
    lines += [f"Run it in this folder, with `pip install {needs}`:", "", "```python", *script(record), "```", ""]
    if record["draws"]:
        same = "what `genloom sample -n 16 --seed 0` draws" if record["as_sample"] else "examples"
        same += "" if record["weights"] == "fp32" else ", some of them others than the model's own: its weights are rounded"
        lines += [f"`python run.py -n 16 --seed 0` draws {same}; `--help` says more.", ""]
    if "columns" in record["shape"]:
        lines += [COLUMNS, ""]
    return "\n".join(lines)


def said_of_differences(record: Mapping[str, Any]) -> str:
    """Return how differences were taken."""
    stored = "" if record["weights"] == "fp32" else f" Weights are stored as {record['weights']}, and computed with in fp32."
    return (
        "Difference: how far a value is from the model's own at most, over the largest value where that is above 1, for "
        f"random inputs of sizes that the graph was not made by (`tried` in `export.json`).{stored}"
    )


def ports_told(ports: Sequence[Mapping[str, Any]], held: Collection[str]) -> str:
    """Return what is said of inputs or outputs; what a step remembers is named alone."""
    lines = [port_line(port) for port in ports if port["name"] not in held]
    names = [port["name"] for port in ports if port["name"] in held]
    return "<br>".join([*lines, *([f"what is remembered: {', '.join(f'`{name}`' for name in names)}"] if names else [])])


def port_line(port: Mapping[str, Any]) -> str:
    """Return what is said of an input or output."""
    dims = ", ".join(str(dim).rpartition(" ")[2] for dim in port["dims"])
    free = []
    for dim in port["dims"]:
        multiple, _, name = str(dim).rpartition(" ")
        if name in port["least"]:
            free.append(f"{name} a multiple of {multiple}" if multiple else f"{name} from {port['least'][name]} on")
    return f"`{port['name']}` {port['kind']} [{dims}]: {', '.join([port['means'], *free])}"


def script(record: Mapping[str, Any]) -> list[str]:
    """Return lines of Python that run the functions of a folder one by one; of what goes step by step, by `run.py`."""
    names = [each["name"] for each in record["functions"]]
    if {"next_pixel", "next_step"} & set(names):
        lines = ["from run import Folder", "", "model = Folder('.')", f"x = model.sample({SOME}, seed=0, temperature=0.9)"]
        return [*lines, *(PIXELS if "next_pixel" in names else MUSIC), "print(x.shape)"]
    if record["to"] == "torch":
        head = ["import numpy as np", "from run import Folder", "", "call = Folder('.')"]
        return [*head, *calls(record, "[{outputs}] = call({name!r}, {given}).values()")]
    head = ["import numpy as np", "import onnxruntime as ort", ""]
    return [*head, *calls(record, '[{outputs}] = ort.InferenceSession("{file}").run(None, dict({given}))')]


def calls(record: Mapping[str, Any], form: str) -> list[str]:
    """Return a line for each input and each call, in order; what one function gives is taken by the next."""
    lines: list[str] = []
    made: dict[str, list[Any]] = {}
    for each in record["functions"]:
        for port in each["inputs"]:
            if made.get(port["name"]) != port["dims"]:
                lines.append(f"{port['name']} = {example(port, record)}")
        made |= {port["name"]: port["dims"] for side in ("inputs", "outputs") for port in each[side]}
        given = ", ".join(f"{port['name']}={port['name']}" for port in each["inputs"])
        outputs = ", ".join(port["name"] for port in each["outputs"])
        lines.append(form.format(outputs=outputs, name=each["name"], file=each["file"], given=given))
    return lines


def example(port: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Return an expression that makes an input."""
    dims = []
    for dim in port["dims"]:
        multiple = str(dim).rpartition(" ")[0]
        dims.append(SOME if dim == "n" else dim if isinstance(dim, int) else int(multiple) if multiple else FREE)
    if port["name"] == "y":
        return f"np.arange({dims[0]}) % {len(record['shape']['classes'])}  # class numbers"
    if port["kind"] == "bool":
        return f"np.random.random({dims}) < 0.7  # {port['means']}"
    if port["kind"] == "int64":
        return f"np.zeros({dims}, np.int64)  # {port['means']}"
    return f"np.random.random({dims}).astype(np.float32)  # {port['means']}"
