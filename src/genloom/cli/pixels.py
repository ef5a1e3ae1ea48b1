"""`genloom certify` and `genloom complete`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from genloom.api import load
from genloom.tools.certify import certify, write_sight
from genloom.tools.complete import complete
from genloom.tools.draw import write

console = Console(highlight=False, markup=False)


def certify_command(run: str, checkpoint: str) -> int:
    """Examine each claim; return 0 only if all hold."""
    model = load(run, checkpoint)
    claims = list(certify(model))
    table = Table(box=None, show_header=False, pad_edge=False)
    for claim in claims:
        table.add_row("holds" if claim.holds else "FAILS", claim.text, claim.found)
    console.print(table)
    path = Path(run) / "sight.png"
    write_sight(model, path)  # type: ignore[arg-type]
    console.print(f"what the middle pixel sees: {path}", soft_wrap=True)
    return 0 if all(claim.holds for claim in claims) else 1


def complete_command(
    run: str, picture: str, known: str, n: int, out: str, seed: int, label: str | None, checkpoint: str
) -> None:
    """Write the picture with its unknown part dark, and completions beside it."""
    model = load(run, checkpoint)
    pictures, exact = complete(model, picture, known, n, seed, label)
    write(model, pictures, out)
    drawn = (
        "drawn exactly from the model"
        if exact
        else ("drawn pixel by pixel given the earlier pixels alone: approximate, since known pixels lie after unknown ones")
    )
    console.print(f"{n} completions in {out}, {drawn}", soft_wrap=True)
