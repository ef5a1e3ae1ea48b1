"""The README of an exported folder: what each function takes and gives, and some lines that run it without genloom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from genloom.use.export.steps import NEXT

SOME = 4  # examples that its lines take
FREE = 8  # the least size of what may be of any


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
        same = "what `genloom sample -n 16 --seed 0` draws" if record["as_sample"] else "examples, of any instance"
        lines += [f"`python run.py -n 16 --seed 0` draws {same}.", ""]
    return "\n".join(lines)


def said_of_differences(record: Mapping[str, Any]) -> str:
    """Return how differences were taken."""
    stored = "" if record["weights"] == "fp32" else f" Weights are stored as {record['weights']}, and computed with in fp32."
    return (
        "Difference: the largest from the model itself, relative to the largest value where that is above 1, on random "
        f"inputs, of sizes that the graph was not made by (`tried` in `export.json`).{stored}"
    )


def ports_told(ports: Sequence[Mapping[str, Any]], held: Collection[str]) -> str:
    """Return what is said of inputs or outputs; what a step remembers is named alone."""
    lines = [port_line(port) for port in ports if port["name"] not in held]
    names = [port["name"] for port in ports if port["name"] in held]
    return "<br>".join([*lines, *([f"what is remembered: {', '.join(f'`{name}`' for name in names)}"] if names else [])])


def port_line(port: Mapping[str, Any]) -> str:
    """Return what is said of an input or output."""
    dims = ", ".join(str(dim).replace(" ", " x ") for dim in port["dims"])
    free = [f"{name} from {least} on" for name, least in port["least"].items()]
    return f"`{port['name']}` {port['kind']} [{dims}]: {', '.join([port['means'], *free])}"


def script(record: Mapping[str, Any]) -> list[str]:
    """Return lines of Python that run the functions of a folder one by one; of what goes step by step, by `run.py`."""
    names = [each["name"] for each in record["functions"]]
    if {"next_pixel", "next_step"} & set(names):
        return ["from run import Folder", "", f"x = Folder('.').sample({SOME}, seed=0)", "print(x.shape)"]
    if record["to"] == "torch":
        head = ["import numpy as np", "from run import Folder", "", "call = Folder('.')"]
        return [*head, *calls(record, "[{outputs}] = call({name!r}, {given}).values()")]
    head = ["import numpy as np", "import onnxruntime as ort", ""]
    return [*head, *calls(record, '[{outputs}] = ort.InferenceSession("{file}").run(None, dict({given}))')]


def calls(record: Mapping[str, Any], form: str) -> list[str]:
    """Return a line for each input and each call, in order; what one function gives is taken by the next."""
    lines: list[str] = []
    made: set[str] = set()
    for each in record["functions"]:
        for port in each["inputs"]:
            if port["name"] not in made:
                lines.append(f"{port['name']} = {example(port, record)}")
        made |= {port["name"] for side in ("inputs", "outputs") for port in each[side]}
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
