"""`genloom translate` and `genloom prepare`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from genloom.bounds import whole
from genloom.cli.console import Checkpoint, Data, Device, Out, RunFolder, Threads, console, progress_on, threads_of


def translate(
    run: RunFolder,
    pictures: Annotated[str, Parameter(help="a picture, or a folder of them")],
    *,
    out: Out,
    to: Annotated[Literal["A", "B"], Parameter(help="the side to make")] = "B",
    convert: Annotated[bool, Parameter(help="convert pictures of other colours, or transparent ones")] = False,
    strip: Annotated[bool, Parameter(help="write before and after side by side")] = False,
    seed: int = 0,
    checkpoint: Checkpoint = "last",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn pictures into those of the other side, each of its own size."""
    from genloom.api import load
    from genloom.use.translation.translate import files_of, refuse_others, translate_files

    model = load(run, checkpoint, device)
    refuse_others(model, to)
    count = len(list(files_of(pictures, out)))
    with threads_of(threads):
        files = translate_files(model, pictures, out, to, whole("seed", seed), convert, strip)
        written = list(progress_on(console)(files, count, "translating"))
    where = written[0] if count == 1 else written[0].parent
    console.print(f"{count:,} picture{'' if count == 1 else 's'} in {where}", soft_wrap=True)


def prepare(
    what: Annotated[Literal["pairs"], Parameter(help="pairs: A and B out of any pictures")],
    pictures: Data,
    *,
    make: Annotated[str, Parameter(help="what A is: edges, grey, small:4, holes, blur or outline; B is the picture itself")],
    out: Out,
    size: Annotated[str | None, Parameter(help="crop and resize to, as for fit")] = None,
    squeeze: Annotated[bool, Parameter(help="resize without cutting the middle out")] = False,
) -> None:
    """Make pairs to learn from out of any pictures: colouring, inpainting, sharpening, drawing to picture."""
    from genloom.data.options import PictureOptions
    from genloom.use.translation.make_pairs import make_pairs

    options = PictureOptions(size=size, squeeze=squeeze)
    count = make_pairs(pictures, out, make, options, progress_on(console))
    console.print(f"{count:,} pairs in {out}; look at them with: genloom check {out}", soft_wrap=True)
