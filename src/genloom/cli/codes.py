"""`genloom walk --axes`, `--reconstructions` and `--manifold`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from genloom.api import load
from genloom.errors import InputError
from genloom.shapes.pictures import ImageShape
from genloom.train.run import Run
from genloom.use.judging.data import find_data
from genloom.use.latent import codes

console = Console(highlight=False, markup=False)
MOST = 2000  # pictures over which axes are measured
SHOWN = 40


def codes_command(
    run: str, out: str, what: Literal["axes", "reconstructions", "manifold"], data: str | None, checkpoint: str
) -> None:
    """Write the picture and say what it shows."""
    model, path = load(run, checkpoint), Path(out)
    if not isinstance(model.shape, ImageShape):
        raise InputError(f"walk draws pictures, this run gives {model.shape.describe()}")
    if path.suffix != ".png":
        raise InputError(f"this is a picture, name it so: -o {path.stem or what}.png")
    if what == "manifold":
        codes.write_grid(codes.manifold(model), model.shape, 20, path)
        console.print(f"the manifold in {out}, codes spread over the Gaussian's quantiles")
        return
    judged = find_data(Run.open(run), data, None)
    pictures = judged.test or judged.train
    if what == "reconstructions":
        x = pictures.pictures(torch.arange(min(SHOWN, len(pictures))))
        codes.write_grid(codes.reconstructions(model, x), model.shape, 10, path)
        console.print(f"{len(x)} pictures, each with its reconstruction to the right, in {out}")
        return
    x = pictures.pictures(torch.linspace(0, len(pictures) - 1, min(MOST, len(pictures))).long())
    found = codes.axes(model, x)
    dims = int(getattr(model.hyper, "z", len(found)))
    codes.plot_axes(found, dims, path)
    active = sum(axis.active for axis in found)
    more = "" if dims == len(found) else f" of the {len(found)} that carry most, {dims} in all"
    console.print(f"{active} axes are active{more}; KL in nats: "
                  + ", ".join(f"z{axis.number} {axis.kl:.2f}" for axis in found[:8]) + f"; strips in {out}",
                  soft_wrap=True)  # fmt: skip
