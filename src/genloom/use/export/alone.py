"""Runs what `genloom export` wrote, without genloom: with numpy and onnxruntime, or torch for `--to torch`.

python run.py -n 16 --seed 0 -o samples.npy      # what `genloom sample --seed 0` draws, where this model draws
from run import Folder; Folder(".")("encode", x=pictures)
"""

from __future__ import annotations

import argparse
import json
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
        """Call a function with arrays by name, and return its outputs by name."""
        each = self.functions[name]
        arrays = [np.array(given[port["name"]], port["kind"], order="C") for port in each["inputs"]]
        if name not in self.loaded:
            self.loaded[name] = self.load(each)
        outputs = (port["name"] for port in each["outputs"])
        return dict(zip(outputs, self.loaded[name](each, arrays), strict=True))

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

    def sample(self, n: int, seed: int = 0, y: Any = None, steps: int | None = None) -> Any:
        """Draw examples `[n, ...]` as `genloom sample --seed` does; of music, steps.

        Args:
            y: class numbers `[n]`, for a model that takes labels; they go round the classes where left out.
        """
        y = self.labels(n) if y is None else y
        if "next_pixel" in self.functions:
            return self.pixels(n, seed, y)
        if "next_step" in self.functions:
            return self.compose(n, seed, steps)
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

    def pixels(self, n: int, seed: int, y: Any, known: Any = None) -> Any:
        """Draw pictures `[n, C, H, W]` in [0, 1], pixel by pixel; levels `known` that are not -1 stay."""
        shape = self.record["shape"]
        c, h, w = shape["channels"], shape["height"], shape["width_px"]
        u, levels = noise(seed, n, c * h * w).reshape(n, c, h, w), np.zeros((n, c, h, w), np.int64)
        known = np.full_like(levels, -1) if known is None else known
        held = self.held(n, "next_row", "next_pixel") | {"y": y, "temperature": np.float32(1)}
        for i in range(h):
            self.step("next_row", held, place=i)
            for j in range(w):
                found = self.step("next_pixel", held, place=j, u=u[:, :, i, j], fixed=known[:, :, i, j])
                levels[:, :, i, j] = found["levels"]
        return (levels / (self.record["levels"] - 1)).astype(np.float32)

    def compose(self, n: int, seed: int, steps: int | None = None, told: Any = None) -> Any:
        """Write music `[n, steps, V]` as codes; `told [n, k]` is what is asked of it, nothing where left out."""
        v, bar = self.takes("next_step", "u")[1], self.record["bar"]
        steps = steps or self.record["shape"]["window"]
        u, codes = noise(seed, n, steps * v).reshape(n, steps, v), []
        if told is None:
            told = np.tile(self.record["unknown"], (n, 1))
            if self.record["shape"].get("classes"):
                told[:, -1] = self.labels(n)  # composers, which come last
        held = self.held(n, "next_step") | {"told": told, "temperature": np.float32(1)}
        for t in range(steps):
            beat, free = np.full(n, t % bar), np.full((n, v), -1)
            codes.append(self.step("next_step", held, u=u[:, t], beat=beat, fixed=free)["codes"])
        return np.stack(codes, 1)


def main() -> None:
    """Draw examples into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", default="samples.npy")
    options = parser.parse_args()
    folder = Folder(Path(__file__).resolve().parent)
    if not folder.record["draws"]:
        parser.error(f"nothing is drawn here; there is {', '.join(folder.functions)}: see README.md")
    if options.n < 1:
        parser.error(f"-n takes a number from 1 on, got {options.n}")
    x, out = folder.sample(options.n, options.seed), Path(options.out).with_suffix(".npy")
    np.save(out, x)
    print(f"{out}: {x.shape}, {x.dtype}")


if __name__ == "__main__":
    main()
