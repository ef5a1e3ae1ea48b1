"""Runs what `genloom export` wrote, without genloom: with numpy and onnxruntime, or torch for `--to torch`.

python run.py -n 16 --seed 0 -o samples.npy      # what `genloom sample --seed 0` draws, where this model draws
from run import Folder; Folder(".")("encode", x=pictures)
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

WHOLE = 2**64 - 1
ADD, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of splitmix64
NEXT = "_next"  # what a step remembers comes out by this name, and goes in without it; zeros at the start


def mixed(x: Any) -> Any:
    """Return 64-bit numbers with their bits mixed."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(FIRST)
    x = (x ^ x >> np.uint64(27)) * np.uint64(SECOND)
    return x ^ x >> np.uint64(31)


def noise(seed: int, n: int, k: int) -> Any:
    """Return `[n, k]` numbers, uniform in [0, 1): those of a row hang on the seed and the row's place alone."""
    state = (ADD ^ seed & WHOLE) * FIRST & WHOLE
    state = (state ^ state >> 30) * SECOND & WHOLE
    start = (state ^ state >> 31) >> 1
    keys = mixed(np.arange(n, dtype=np.uint64) + np.uint64(start))
    bits = mixed(keys[:, None] + np.arange(1, k + 1, dtype=np.uint64) * np.uint64(ADD))
    return ((bits >> np.uint64(40)) / 2**24).astype(np.float32)


class Folder:
    """An exported folder.

    Attributes:
        record: what `export.json` holds.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder)
        self.loaded: dict[str, Any] = {}
        self.record = json.loads((self.folder / "export.json").read_text())
        self.functions = {each["name"]: each for each in self.record["functions"]}

    def __call__(self, name: str, **given: Any) -> dict[str, Any]:
        """Call a function with arrays by name, and return its outputs by name; ValueError for what it does not take."""
        if name not in self.functions:
            raise ValueError(f"there is no function {name!r} here, but {', '.join(self.functions)}")
        each = self.functions[name]
        arrays = [self.taken(port, given) for port in each["inputs"]]
        if name not in self.loaded:
            self.loaded[name] = self.load(each)
        outputs = (port["name"] for port in each["outputs"])
        return dict(zip(outputs, self.loaded[name](each, arrays), strict=True))

    def taken(self, port: dict[str, Any], given: dict[str, Any]) -> Any:
        """Return an input as its graph takes it; ValueError where it is missing, of other sizes, or out of bounds."""
        name, dims = port["name"], port["dims"]
        if name not in given:
            raise ValueError(f"{name} is missing: {port['means']}")
        x = np.array(given[name], port["kind"], order="C")
        if x.ndim != len(dims) or any(isinstance(dim, int) and dim != size for dim, size in zip(dims, x.shape, strict=True)):
            raise ValueError(f"{name} has sizes {list(x.shape)}, and is to have {dims}")
        low, high = port["bounds"] or (None, None)
        if low is not None and x.size and not (x.min() >= low and x.max() <= high):  # not-a-number is neither
            raise ValueError(f"{name} holds values outside of {low} to {high}: {port['means']}")
        return x

    def load(self, each: dict[str, Any]) -> Any:
        """Return what calls a function's graph."""
        path = str(self.folder / each["file"])
        if self.record["to"] == "torch":
            import torch

            module = torch.export.load(path).module()
            return lambda each, arrays: [out.numpy() for out in module(*map(torch.from_numpy, arrays))]
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]
        return lambda each, arrays: session.run(None, dict(zip(names, arrays, strict=True)))

    def takes(self, name: str, port: str) -> Any:
        """Return the sizes of an input of a function, or () where it has none of that name."""
        return next((each["dims"] for each in self.functions[name]["inputs"] if each["name"] == port), ())

    def labels(self, n: int) -> Any:
        """Return labels that go round the classes."""
        return np.arange(n) % max(len(self.record["shape"].get("classes") or [0]), 1)

    def sample(self, n: int, seed: int = 0, y: Any = None, steps: int | None = None, temperature: float = 1.0) -> Any:
        """Draw examples `[n, ...]` as `genloom sample --seed` does; of music, steps.

        Args:
            y: class numbers `[n]`, for a model that takes labels; they go round the classes where left out.
            temperature: of what is drawn pixel by pixel or step by step; 1 is the model's own.
        """
        if not self.record["draws"]:
            raise ValueError(f"nothing is drawn here; there is {', '.join(self.functions)}")
        y = self.labels(n) if y is None else y
        if "next_pixel" in self.functions:
            return self.pixels(n, seed, y, temperature=temperature)
        if "next_step" in self.functions:
            return self.compose(n, seed, steps, temperature=temperature)
        if "sample" in self.functions:
            return self("sample", u=noise(seed, n, self.takes("sample", "u")[1]))["x"]
        z = self("prior", u=noise(seed, n, self.takes("prior", "u")[1]))["z"]
        return self("generate", z=z, y=y)["x"]

    def held(self, n: int, *names: str) -> dict[str, Any]:
        """Return what functions remember, at the start."""
        ports = [port for name in names for port in self.functions[name]["inputs"]]
        return {port["name"]: np.zeros([n if dim == "n" else dim for dim in port["dims"]], port["kind"]) for port in ports}

    def step(self, name: str, held: dict[str, Any], **given: Any) -> dict[str, Any]:
        """Call a function with what is remembered, which it changes, and return its outputs."""
        found = self(name, **(held | given))
        held.update({key.removesuffix(NEXT): value for key, value in found.items() if key.endswith(NEXT)})
        return found

    def pixels(self, n: int, seed: int = 0, y: Any = None, known: Any = None, temperature: float = 1.0) -> Any:
        """Draw pictures `[n, C, H, W]` in [0, 1], pixel by pixel; levels `known` that are not -1 stay."""
        shape = self.record["shape"]
        c, h, w = shape["channels"], shape["height"], shape["width_px"]
        u, levels = noise(seed, n, c * h * w).reshape(n, c, h, w), np.zeros((n, c, h, w), np.int64)
        known = np.full_like(levels, -1) if known is None else known
        y = self.labels(n) if y is None else y
        held = self.held(n, "next_row", "next_pixel") | {"y": y, "temperature": temperature}
        for i in range(h):
            self.step("next_row", held, place=i)
            for j in range(w):
                found = self.step("next_pixel", held, place=j, u=u[:, :, i, j], fixed=known[:, :, i, j])
                levels[:, :, i, j] = found["levels"]
        return (levels / (self.record["levels"] - 1)).astype(np.float32)

    def compose(
        self, n: int, seed: int = 0, steps: int | None = None, told: Any = None, voices: Any = None, temperature: float = 1.0
    ) -> Any:
        """Write music `[n, steps, V]` as codes.

        Args:
            told: what is asked of it `[n, k]`; nothing where left out.
            voices: codes `[n, steps, V]` that stay where they are not -1.
        """
        v, bar = self.takes("next_step", "u")[1], self.record["bar"]
        steps = steps or self.record["shape"]["window"]
        u, codes = noise(seed, n, steps * v).reshape(n, steps, v), []
        if told is None:
            told = np.tile(self.record["unknown"], (n, 1))
            if self.record["shape"].get("classes"):
                told[:, -1] = self.labels(n)  # composers, which come last
        held = self.held(n, "next_step") | {"told": told, "temperature": temperature}
        for t in range(steps):
            beat, fixed = np.full(n, t % bar), np.full((n, v), -1) if voices is None else voices[:, t]
            codes.append(self.step("next_step", held, u=u[:, t], beat=beat, fixed=fixed)["codes"])
        return np.stack(codes, 1)

    # -- tables ------------------------------------------------------------------------------------

    def code(self, rows: list[dict[str, Any]]) -> tuple[Any, Any]:
        """Return rows by column names as codes `[n, D]`, and which cells are known; None, "" and not-a-number are not.

        Dates are texts such as 2026-11-28 or 2026-11-28T09:30, or seconds since 1970.
        """
        columns = self.record["shape"]["columns"]
        x, mask = np.zeros((len(rows), len(columns)), np.float32), np.zeros((len(rows), len(columns)), bool)
        for i, row in enumerate(rows):
            row = {name.strip(): value for name, value in row.items()}
            for d, column in enumerate(columns):
                value = row.get(column["name"].strip())
                if value is None or value == "" or value != value:
                    continue
                mask[i, d] = True
                x[i, d] = coded(column, value)
        return x, mask

    def values(self, x: Any) -> list[dict[str, Any]]:
        """Return codes `[n, D]` as rows by column names; dates as seconds since 1970."""
        columns = self.record["shape"]["columns"]
        return [{column["name"]: plain(column, code) for column, code in zip(columns, row, strict=True)} for row in x]


def coded(column: dict[str, Any], value: Any) -> float:
    """Return the code of a cell: the place of a category from 0 on, else how many deviations from the mean."""
    if column.get("categories"):
        names = [str(each) for each in column["categories"]]
        if str(value) not in names:
            raise ValueError(f"{column['name']} has no category {value!r}, but {', '.join(names)}")
        return names.index(str(value))
    if column.get("kind") == "date" and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return (float(value) - column.get("mean", 0.0)) / column.get("scale", 1.0)


def plain(column: dict[str, Any], code: float) -> Any:
    """Return the cell of a code, within what was seen and on the column's own steps."""
    if column.get("categories"):
        return column["categories"][int(np.clip(np.round(code), 0, len(column["categories"]) - 1))]
    low, high, step = (column.get(name, 0.0) for name in ("low", "high", "step"))
    value = float(np.clip(float(code) * column.get("scale", 1.0) + column.get("mean", 0.0), low, high))
    step = step or float(column.get("kind") == "integer")
    return round(value / step) * step if step else value


def main() -> None:
    """Draw examples into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", default="samples.npy", help="a file that ends in .npy")
    parser.add_argument("--label", type=int, help="a class by its number; they go round where left out")
    parser.add_argument("--steps", type=int, help="of music")
    parser.add_argument("--temperature", type=float, default=1.0, help="of pixels and music")
    options = parser.parse_args()
    if options.n < 1 or (options.steps is not None and options.steps < 1):
        parser.error("-n and --steps take numbers from 1 on")
    if not options.out.endswith(".npy"):
        parser.error(f"-o takes a name that ends in .npy, got {options.out!r}")
    try:
        folder = Folder(Path(__file__).resolve().parent)
        y = None if options.label is None else np.full(options.n, options.label)
        x = folder.sample(options.n, options.seed, y, options.steps, options.temperature)
        np.save(options.out, x)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        parser.error(" ".join(str(error).split()))
    print(f"{options.out}: {x.shape}, {x.dtype}")


if __name__ == "__main__":
    main()
