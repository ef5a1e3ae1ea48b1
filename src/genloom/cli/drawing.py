"""`genloom sample`, `genloom neighbours` and `genloom walk`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genloom.bounds import whole
from genloom.cli.console import (
    GRIDS,
    Checkpoint,
    Device,
    Label,
    Out,
    RunFolder,
    Scale,
    Threads,
    console,
    named_so,
    numerals,
    progress_on,
)
from genloom.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from genloom.core.model import Model

MOST = 2000  # pictures over which axes are measured
SHOWN = 40  # pictures that are drawn beside their reconstructions


def load_watched(run: str, checkpoint: str, device: str = "cpu") -> Model:
    """Return the model of a run; one of pixels shows on a terminal how far down the pictures it has come."""
    from genloom.api import load
    from genloom.core.capabilities import PixelByPixel

    model = load(run, checkpoint, device)
    if isinstance(model, PixelByPixel):
        show = progress_on(console)
        model.watch = lambda rows: show(rows, len(rows), "rows of pixels")
    return model


def sample(
    run: RunFolder,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"], help="how many")] = 64,
    out: Annotated[
        str | None,
        Parameter(name=["-o", "--out"], help=".png, .jpg or .webp one sheet, .npy an array, a/ one each; .csv"),
    ] = None,
    each: Annotated[str | None, Parameter(help="a folder for one PNG each")] = None,
    like: Annotated[str | None, Parameter(help="a picture to draw more like, by icgan")] = None,
    instances: Annotated[
        str | None, Parameter(help="a folder of them, which take turns; never trained on, if need be")
    ] = None,
    seed: int = 0,
    label: Label = None,
    checkpoint: Checkpoint = "last",
    temperature: Annotated[float, Parameter(help="scale of the noise")] = 1.0,
    method: Annotated[Literal["cached", "naive"] | None, Parameter(help="of models of pixels; both draw the same")] = None,
    given: Annotated[tuple[str, ...], Parameter(help="of records: NAME=VALUE of a condition, such as mode=2")] = (),
    length: Annotated[str | None, Parameter(help="of records: 6h, 90min, 2d, or a number of rows")] = None,
    scale: Scale = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Draw samples from a run."""
    from genloom.core.random import on_threads
    from genloom.use.sampling.draw import choose_method, refuse_others, write

    targets = [target for target in (out, each and each.rstrip("/") + "/") if target]
    if not targets:
        raise InputError("sample needs -o FILE.png, FILE.npy or FOLDER/, or --each FOLDER")
    model = load_watched(run, checkpoint, device)
    refuse_others(model)
    choose_method(model, method)
    if given or length:
        with on_threads(threads):
            return draw_runs(model, n, targets, given, length, seed, temperature)
    for target in targets:
        model.shape.refuse_target(target, n, scale)
    with on_threads(threads):
        draw = stream_by(model, like, instances)
        for target in targets:  # drawn anew for each: a sample is a function of its number, and all might not fit in memory
            write(model, draw(model, n, seed, label, temperature), n, target, scale)
            print(f"{n} samples in {target}")


def draw_runs(
    model: Model, n: int, targets: Sequence[str], given: Sequence[str], length: str | None, seed: int, temperature: float
) -> None:
    """Write records of a length, under conditions."""
    from genloom.use.sampling.draw import write_as
    from genloom.use.sampling.runs import follower, rows_of, shape_of, stated, stream_runs

    rows, conditions = rows_of(length, follower(model)[1]), stated(given)
    shape = shape_of(model, rows)
    for target in targets:
        write_as(shape, stream_runs(model, n, rows, conditions, seed, temperature), n, target)
        print(f"{n} records of {rows:,} rows in {target}")


def stream_by(model: Model, like: str | None, instances: str | None) -> Callable[..., Iterable[Tensor]]:
    """Return what yields samples: the model's own, or those like a picture or a folder of them."""
    from genloom.use.sampling.draw import stream

    if like is None and instances is None:
        return lambda *said: (part for part, _ in stream(*said))
    from genloom.use.sampling.like import instances_of, stream_like

    found = instances_of(model, like, instances)
    return lambda model, *said: stream_like(model, found, *said)


def neighbours(
    run: RunFolder,
    out: Out,
    *,
    like: Annotated[str | None, Parameter(help="a picture to go by")] = None,
    instances: Annotated[str | None, Parameter(help="a folder of them; left out, the run's own data")] = None,
    rows: Annotated[int, Parameter(help="instances to show")] = 12,
    seed: int = 0,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Show what a run of icgan learnt: instances, the training pictures most like each, and samples."""
    from genloom.api import load
    from genloom.cli.console import threads_of
    from genloom.files import check_writable
    from genloom.train.run import Run
    from genloom.use.latent.codes import write_grid
    from genloom.use.sampling.like import COLUMNS, MADE, NEAR, instances_of, likening, sheet

    named_so(out, GRIDS, "this is a picture", "neighbours")
    check_writable(out)
    model = load(run, checkpoint)
    likening(model)
    with threads_of(threads):
        found = None if like is instances is None else instances_of(model, like, instances)
        pictures = sheet(model, Run.open(run), found, whole("rows", rows), seed)
    write_grid(pictures, COLUMNS, Path(out))
    console.print(f"{len(pictures) // COLUMNS} instances, each with its {NEAR} nearest and {MADE} samples, in {out}")


def walk(
    run: RunFolder,
    out: Out,
    *,
    scale: Scale = None,
    seeds: Annotated[str, Parameter(help="where to walk, in a circle: seeds with commas")] = "1,2,3,4",
    frames: Annotated[int, Parameter(help="pictures between two seeds")] = 24,
    label: Label = None,
    arithmetic: Annotated[str | None, Parameter(help="'3 - 8 + 12' or '(1,2,3) - (4,5,6) + (7,8,9)'")] = None,
    axes: Annotated[bool, Parameter(help="a PNG of each axis of the code, by its KL")] = False,
    reconstructions: Annotated[bool, Parameter(help="a PNG of pictures, each beside what its code gives back")] = False,
    manifold: Annotated[bool, Parameter(help="a PNG of all pictures of a code of two axes")] = False,
    data: Annotated[str | None, Parameter(help="pictures to encode; left out, the run's own")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Walk through the latent space into a GIF, add and subtract codes, or look at what an encoder's codes hold."""
    from genloom.api import load
    from genloom.files import check_writable

    check_writable(out)
    if axes + reconstructions + manifold > 1:
        raise InputError("walk takes one of --axes, --reconstructions and --manifold at a time")
    model = load(run, checkpoint)
    model.shape.need_pictures("walk")
    if axes or reconstructions or manifold:
        named_so(out, GRIDS, "this is a picture", "codes")
        if manifold:
            return draw_manifold(model, Path(out))
        return (draw_axes if axes else draw_reconstructions)(model, run, data, Path(out))
    if arithmetic:
        return draw_sum(model, arithmetic, out, scale)
    draw_walk(model, seeds, frames, label, out, scale)


def draw_walk(model: Model, seeds: str, frames: int, label: str | None, out: str, scale: int | None) -> None:
    """Write a walk as a GIF."""
    from genloom.use.latent.walk import walk, write_gif, zoom_for

    named_so(out, (".gif",), "a walk is a GIF", "walk")
    numbers = numerals(seeds, "--seeds")
    count = len(numbers) * whole("frames", frames)
    write_gif(walk(model, numbers, frames, label), count, Path(out), scale or zoom_for(*model.shape.dims[1:]))
    console.print(f"{count} frames in {out}")


def draw_sum(model: Model, text: str, out: str, scale: int | None) -> None:
    """Write the terms of a sum of codes, and the sum, as a picture."""
    from genloom.use.latent.walk import arithmetic
    from genloom.use.sampling.draw import write

    terms = arithmetic(model, text)
    write(model, [terms], len(terms), out, scale)
    console.print(f"{len(terms) - 1} terms and their sum in {out}")


def draw_manifold(model: Model, path: Path) -> None:
    """Write the pictures of a code of two axes."""
    from genloom.use.latent import codes

    codes.write_grid(codes.manifold(model), 20, path)
    console.print(f"the manifold in {path}, codes spread over the Gaussian's quantiles")


def draw_reconstructions(model: Model, run: str, data: str | None, path: Path) -> None:
    """Write pictures, each beside its reconstruction."""
    import torch

    from genloom.train.run import Run
    from genloom.use.judging.picture_data import find_data
    from genloom.use.latent import codes

    found = find_data(Run.open(run), data, None)
    pictures = found.test or found.train
    x = pictures.pictures(torch.arange(min(SHOWN, len(pictures))))
    codes.write_grid(codes.reconstructions(model, x), 10, path)
    console.print(f"{len(x)} pictures, each with its reconstruction to the right, in {path}")


def draw_axes(model: Model, run: str, data: str | None, path: Path) -> None:
    """Write a strip for each axis of the code."""
    import torch

    from genloom.core.capabilities import Latent
    from genloom.train.run import Run
    from genloom.use.judging.picture_data import find_data
    from genloom.use.latent import codes

    found = find_data(Run.open(run), data, None)
    pictures = found.test or found.train
    x = pictures.pictures(torch.linspace(0, len(pictures) - 1, min(MOST, len(pictures))).long())
    axes = codes.axes(model, x)
    dims = model.code_width if isinstance(model, Latent) else len(axes)
    codes.plot_axes(axes, dims, path)
    active = sum(axis.active for axis in axes)
    more = "" if dims == len(axes) else f" of the {len(axes)} that carry most, {dims} in all"
    strongest = ", ".join(f"z{axis.number} {axis.kl:.2f}" for axis in axes[:8])
    console.print(f"{active} axes are active{more}; KL in nats: {strongest}; strips in {path}", soft_wrap=True)
