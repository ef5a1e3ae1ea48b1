"""What every command prints with: the console, a progress bar, durations; and the parameters that commands share."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.measure import Measurement
from rich.progress import track
from rich.table import Table

from genloom.bounds import numeral, short, whole
from genloom.errors import InputError

GRIDS = (".png", ".jpg", ".jpeg", ".webp")  # as shapes/pictures.py has them, which takes torch to import
MOST_NUMBERS = 1000  # in a list of the command line


class Printer(Console):
    """Prints; where the reader has gone away, the work goes on without a word, so that nothing is lost."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if self.stderr else sys.stdout).fileno())


console = Printer(highlight=False, markup=False)
aside = Printer(stderr=True, highlight=False, markup=False)  # for progress: what is printed may go into a file

Checkpoint = Annotated[str, Parameter(help="last, best, or a folder of checkpoints/")]
DATA_HELP = (
    "folder, zip, idx, npy, npz, hf:owner/name, digits, or a table: csv, parquet; for records a table, a folder with one "
    "for each run, or plant; `[:500]` takes a part of pictures"
)
Data = Annotated[str, Parameter(help=DATA_HELP)]
RunFolder = Annotated[str, Parameter(help="the run folder")]
Out = Annotated[str, Parameter(name=["-o", "--out"])]
Label = Annotated[str | None, Parameter(help="a class, by name or number")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda, mps")]
Scale = Annotated[int | None, Parameter(help="draw pictures so many times larger; left out, large enough to be seen")]
Threads = Annotated[int | None, Parameter(help="threads to compute with; left out, all that there are")]
Record = Annotated[str | None, Parameter(help="write docs/evidence/NAME.json too")]


def print_table(table: Table) -> None:
    """Print a table as wide as its figures need: a narrow terminal wraps the rows; cutting figures short would be worse."""
    wide = Measurement.get(console, console.options.update(width=1000), table).maximum
    Printer(width=max(wide, console.width), highlight=False, markup=False).print(table)


def progress_on(shown: Console) -> Any:
    """Return a progress bar for work on many things, shown on a terminal alone."""

    def show(rows: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        hidden = shown.quiet or not shown.is_terminal
        return track(rows, description=what, total=total, console=shown, transient=True, disable=hidden)

    return show


def say(text: str) -> None:
    """Show what is being done: a line for each stage, where there is no terminal too."""
    aside.print(f"  {text}", style="dim", soft_wrap=True)


@contextlib.contextmanager
def threads_of(threads: int | None) -> Iterator[None]:
    """Work on as many threads as a person asked for with `--threads`, here only; InputError where that is no number."""
    from genloom.core.random import on_threads

    if threads is not None and threads < 1:
        raise InputError(f"--threads takes a number from 1 on, got {threads}")
    with on_threads(threads):
        yield


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(text: str | None) -> int | None:
    """Read `50000`, `500k` or `2M`."""
    if text is None:
        return None
    scale = {"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6}.get(text[-1:], 1)
    try:
        value = int(float(text.removesuffix(text[-1:] if scale > 1 else "").replace("_", "").replace(",", "")) * scale)
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise InputError(f"--examples takes a number such as 50000, 500k or 2M, got {short(text)}")
    return whole("examples", value)


def numerals(text: str, option: str) -> list[int]:
    """Read `1,2,3`; InputError where that is no list of numbers, or too long a one."""
    found = [numeral(part.strip()) for part in text.split(",")[:MOST_NUMBERS]]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(found) or len(found) == MOST_NUMBERS:
        raise InputError(f"{option} takes numbers with commas, such as 1,2,3,4, got {short(text)}")
    return numbers


def named_so(path: str, suffixes: Sequence[str], what: str, usual: str) -> None:
    """Raise InputError where the name of an output does not end as what it is."""
    from pathlib import Path

    if not path.lower().endswith(tuple(suffixes)):
        raise InputError(f"{what}, name it so: -o {short_name(Path(path).stem) or usual}{suffixes[0]}")


def short_name(name: str) -> str:
    """Return a name, cut where it is too long for a sentence."""
    return name if len(name) < 60 else f"{name[:60]}..."
