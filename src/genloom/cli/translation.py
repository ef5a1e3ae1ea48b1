"""`genloom translate`, `genloom upscale` and `genloom prepare`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from genloom.bounds import whole
from genloom.cli.console import Checkpoint, Data, Device, Out, RunFolder, Threads, console, progress_on, threads_of
from genloom.errors import InputError

Pictures = Annotated[str, Parameter(help="a picture, or a folder of them")]
Convert = Annotated[bool, Parameter(help="convert pictures of other colours, or transparent ones")]
Strip = Annotated[bool, Parameter(help="write before and after side by side")]
Tile = Annotated[int | None, Parameter(help="side in pixels of the parts in which large pictures are made")]
Overlap = Annotated[int | None, Parameter(help="pixels that a part looks at beyond its edge")]


def translate(
    run: RunFolder,
    pictures: Annotated[str, Parameter(help="a picture, or a folder of them; or a piece of music as MIDI")],
    *,
    out: Out,
    to: Annotated[str | None, Parameter(help="what to make: the side A or B; of music, the style")] = None,
    convert: Convert = False,
    strip: Strip = False,
    tile: Tile = None,
    overlap: Overlap = None,
    seed: int = 0,
    checkpoint: Checkpoint = "last",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn pictures into those of the other side, each of its own size; or a piece of music into another style."""
    from genloom.api import load
    from genloom.core.capabilities import Restyles
    from genloom.use.translation.files import files_of
    from genloom.use.translation.translate import Wishes, forms_of, refuse_others, translate_files

    model = load(run, checkpoint, device)
    if isinstance(model, Restyles):
        if convert or strip or tile is not None or overlap is not None or seed:
            raise InputError("--convert, --strip, --tile, --overlap and --seed are for pictures: leave them away for music")
        return translate_music(model, pictures, out, to, threads)
    to = to or "B"
    refuse_others(model, to)
    with threads_of(threads):
        wishes, count = Wishes(convert, strip, tile, overlap), len(list(files_of(pictures, out, forms_of(model, to, strip))))
        write_all(translate_files(model, pictures, out, to, whole("seed", seed), wishes), count, "translating")
    return None


def translate_music(model: Any, piece: str, out: str, to: str | None, threads: int | None) -> None:
    """Turn a piece of music into another style, and say where it lies."""
    from genloom.use.music.compose import write
    from genloom.use.music.restyle import restyle

    with threads_of(threads):
        for line in write([restyle(model, Path(piece), to)], Path(out), model.shape):
            console.print(line, soft_wrap=True)


def upscale(
    run: RunFolder,
    pictures: Pictures,
    *,
    out: Out,
    convert: Convert = False,
    strip: Annotated[bool, Parameter(help="write what a bicubic filter makes and the result side by side")] = False,
    tile: Tile = None,
    overlap: Overlap = None,
    checkpoint: Checkpoint = "last",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Make pictures larger, with detail, as srgan learnt it."""
    from genloom.api import load
    from genloom.use.translation.files import files_of
    from genloom.use.translation.translate import Wishes
    from genloom.use.translation.upscale import refuse_others, upscale_files

    model = load(run, checkpoint, device)
    refuse_others(model)
    with threads_of(threads):
        wishes, count = Wishes(convert, strip, tile, overlap), len(list(files_of(pictures, out)))
        write_all(upscale_files(model, pictures, out, wishes), count, "enlarging")


def write_all(files: Iterator[Path], count: int, what: str) -> None:
    """Let so many files be written, show how far that is, and say where they lie."""
    written = list(progress_on(console)(files, count, what))
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
    skip_broken: Annotated[bool, Parameter(help="leave out pictures that cannot be read")] = False,
) -> None:
    """Make pairs to learn from out of any pictures: colouring, inpainting, sharpening, drawing to picture."""
    from genloom.data.options import PictureOptions
    from genloom.use.translation.make_pairs import make_pairs

    options = PictureOptions(size=size, squeeze=squeeze, skip_broken=skip_broken)
    files = make_pairs(pictures, out, make, options, progress_on(console))
    broken = f", {files.count('')} pictures left out, which cannot be read" if "" in files else ""
    console.print(
        f"{len(files) - files.count(''):,} pairs in {out}{broken}; look at them with: genloom check {out}", soft_wrap=True
    )
