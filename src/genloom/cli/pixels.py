"""`genloom certify`, `genloom complete` and `genloom compress`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import Tensor

from genloom.api import load
from genloom.cli.fit import progress_on
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.models.likelihood.autoregressive import Autoregressive
from genloom.shapes.pictures import to_picture
from genloom.use.likelihood.certify import certify, write_sight
from genloom.use.likelihood.complete import complete
from genloom.use.likelihood.compress import pack, read_pictures, unpack
from genloom.use.sampling.draw import write

console = Console(highlight=False, markup=False)


def load_watched(run: str, checkpoint: str) -> Model:
    """Return the model of a run; one of pixels shows on a terminal how far down the pictures it has come."""
    model = load(run, checkpoint)
    if isinstance(model, Autoregressive):
        show = progress_on(console)
        model.watch = lambda rows: show(rows, len(rows), "rows of pixels")
    return model


def certify_command(run: str, checkpoint: str) -> int:
    """Examine each claim; return 0 only if all hold."""
    model = load(run, checkpoint)
    claims = list(certify(model))
    table = Table(box=None, show_header=False, pad_edge=False)
    for claim in claims:
        table.add_row("holds" if claim.holds else "FAILS", claim.text, claim.found)
    console.print(table)
    if isinstance(model, Autoregressive):
        path = Path(run) / "sight.png"
        write_sight(model, path)
        console.print(f"what the middle pixel sees: {path}", soft_wrap=True)
    return 0 if all(claim.holds for claim in claims) else 1


def complete_command(
    run: str, picture: str, known: str, n: int, out: str, seed: int, label: str | None, checkpoint: str
) -> None:
    """Write the picture with its unknown part dark, and completions beside it."""
    model = load_watched(run, checkpoint)
    pictures, exact = complete(model, picture, known, n, seed, label)
    write(model, pictures, out)
    drawn = (
        "drawn exactly from the model"
        if exact
        else ("drawn pixel by pixel given the earlier pixels alone: approximate, since known pixels lie after unknown ones")
    )
    console.print(f"{n} completions in {out}, {drawn}", soft_wrap=True)


def said(x: Tensor) -> str:
    """Return how many pictures there are."""
    return f"{len(x)} picture{'' if len(x) == 1 else 's'}"


def write_unpacked(model: Model, source: str, out: str) -> Tensor:
    """Write the pictures of a .glz and return them."""
    if not out.endswith((".png", ".npy", "/")):
        raise InputError(f"pictures come back as .png, .npy or FOLDER/, which lose nothing, not as {out}")
    pictures = unpack(model, Path(source).read_bytes())
    if not out.endswith(".png"):
        write(model, pictures, out)
    elif len(pictures) == 1:  # itself, not a sheet of one
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        to_picture(pictures[0]).save(out)
    else:
        raise InputError(f"{source} holds {len(pictures)} pictures: name a folder, -o {Path(out).stem}/, or an .npy")
    return pictures


def compress_command(run: str, source: str, out: str, label: str | None, checkpoint: str) -> None:
    """Write a .glz of pictures, or the pictures of a .glz."""
    model = load(run, checkpoint)
    try:
        if source.endswith(".glz"):
            if label is not None:
                raise InputError("a .glz knows its label: leave --label away")
            pictures = write_unpacked(model, source, out)
            console.print(f"{said(pictures)} in {out}, as they were", soft_wrap=True)
            return
        if not out.endswith(".glz"):
            raise InputError(f"a compressed file ends in .glz: -o {Path(out).stem or 'pictures'}.glz")
        x = read_pictures(source, model)
        packed = pack(model, x, label)
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_bytes(packed.data)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # Pillow's, for a name that is no picture's
        where = getattr(error, "filename", None) or (out if source.endswith(".glz") else source)
        raise InputError(f"cannot use {where}: {getattr(error, 'strerror', None) or error}") from None
    console.print(f"{said(x)} in {out}: {len(packed.data):,} bytes, of which {packed.payload:,} bits code them, "
                  f"{packed.payload / x.numel():.4f} a value; their likelihood says {packed.expected:,.1f}",
                  soft_wrap=True)  # fmt: skip
