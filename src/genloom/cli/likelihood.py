"""`genloom certify`, `genloom complete` and `genloom compress`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from genloom.bounds import whole
from genloom.cli.console import Checkpoint, Device, Label, Out, RunFolder, Scale, console, short_name
from genloom.cli.drawing import load_watched
from genloom.errors import InputError
from genloom.files import check_writable, replaced
from genloom.reading import content_of, in_words, limit, named

BYTES_A_VALUE = 2000  # that a model of pixels holds while it draws: logits of many levels, features of every layer

if TYPE_CHECKING:
    from torch import Tensor

    from genloom.core.model import Model


def certify(run: RunFolder, *, checkpoint: Checkpoint = "last", device: Device = "cpu") -> int:
    """Prove what a likelihood model claims: causal, normalised, sampled as scored. Exit 0 only if all of it holds."""
    from genloom.api import load
    from genloom.use.likelihood.certify import certify, write_sight

    model = load(run, checkpoint, device)
    claims = list(certify(model))
    table = Table(box=None, show_header=False, pad_edge=False)
    for claim in claims:
        table.add_row("holds" if claim.holds else "FAILS", claim.text, claim.found)
    console.print(table)
    path = Path(run) / "sight.png"
    if write_sight(model, path):
        console.print(f"what the middle pixel sees: {path}", soft_wrap=True)
    return 0 if all(claim.holds for claim in claims) else 1


def complete(
    run: RunFolder,
    picture: Annotated[str, Parameter(help="a picture of the model's size")],
    *,
    known: Annotated[
        str, Parameter(help="top-half, left-half, ..., or a picture whose white pixels are known")
    ] = "top-half",
    n: Annotated[int, Parameter(name=["-n", "--n"], help="completions")] = 8,
    out: Annotated[str, Parameter(name=["-o", "--out"])] = "complete.png",
    seed: int = 0,
    label: Label = None,
    scale: Scale = None,
    checkpoint: Checkpoint = "last",
    device: Device = "cpu",
) -> None:
    """Fill in the unknown part of a picture, several times; known pixels stay as they are."""
    from genloom.use.likelihood.complete import complete
    from genloom.use.sampling.draw import write

    model = load_watched(run, checkpoint, device)
    model.shape.refuse_target(out, whole("n", n) + 1, scale)
    if (needed := BYTES_A_VALUE * n * model.shape.width) > limit():
        raise InputError(f"{n:,} completions at once take about {in_words(needed)}: ask for fewer, with --seed for others")
    pictures, exact = complete(model, picture, known, n, seed, label)
    write(model, [pictures], len(pictures), out, scale)
    drawn = (
        "drawn exactly from the model"
        if exact
        else "drawn pixel by pixel given the earlier pixels alone: approximate, since known pixels lie after unknown ones"
    )
    console.print(f"{n} completions in {out}, {drawn}", soft_wrap=True)


def compress(
    run: RunFolder,
    source: Annotated[
        str, Parameter(help="a picture; pictures as `fit` takes them: folder, zip, npy, idx; or a .glz to take apart again")
    ],
    *,
    out: Out,
    label: Label = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Compress pictures without loss by a model of pixels, into as many bits as it finds them unlikely; and back."""
    from genloom.api import load
    from genloom.use.likelihood.compress import coder_of, pack, read_pictures

    check_writable(out)
    model = load(run, checkpoint)
    coder_of(model)  # which it may lack, whatever the pictures are
    if source.endswith(".glz"):
        if label is not None:
            raise InputError("a .glz knows its label: leave --label away")
        pictures = write_unpacked(model, source, out)
        console.print(f"{said(pictures)} in {out}, as they were", soft_wrap=True)
        return
    if not out.endswith(".glz"):
        raise InputError(f"a compressed file ends in .glz: -o {short_name(Path(out).stem) or 'pictures'}.glz")
    x = read_pictures(source, model)
    packed = pack(model, x, label)
    with replaced(Path(out)) as part:
        part.write_bytes(packed.data)
    console.print(
        f"{said(x)} in {out}: {len(packed.data):,} bytes, of which {packed.payload:,} bits code them, "
        f"{packed.payload / x.numel():.4f} a value; their likelihood says {packed.expected:,.1f}",
        soft_wrap=True,
    )


def said(x: Tensor) -> str:
    """Return how many pictures there are."""
    return f"{len(x)} picture{'' if len(x) == 1 else 's'}"


def write_unpacked(model: Model, source: str, out: str) -> Tensor:
    """Write the pictures of a .glz and return them."""
    from genloom.shapes.pictures import to_picture
    from genloom.use.likelihood.compress import unpack
    from genloom.use.sampling.draw import write

    if not out.endswith((".png", ".npy", "/")):
        raise InputError(f"pictures come back as .png, .npy or FOLDER/, which lose nothing, not as {out}")
    pictures = unpack(model, content_of(named(source), "compressed file"))
    if not out.endswith(".png"):
        write(model, [pictures], len(pictures), out)
    elif len(pictures) == 1:  # itself, not a sheet of one
        with replaced(out) as part:
            to_picture(pictures[0]).save(part)
    else:
        raise InputError(
            f"{source} holds {len(pictures)} pictures: name a folder, -o {short_name(Path(out).stem)}/, or an .npy"
        )
    return pictures
