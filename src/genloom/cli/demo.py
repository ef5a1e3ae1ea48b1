"""`genloom demo`: real digits, no download, samples within a minute."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from genloom.api import Request, prepare
from genloom.cli.fit import clock, train
from genloom.run import Run
from genloom.tools.plot import plot_run


def demo_command(out: str, seconds: float, seed: int) -> int:
    """Train DCGAN on scikit-learn's digits, write the curves and grids, and say what to try next."""
    console = Console(highlight=False, markup=False)
    console.print("Training dcgan on 1,438 handwritten digits of 8x8 pixels that come with scikit-learn.\n"
                  "One net draws digits from noise, another learns to tell them from the real ones.")  # fmt: skip
    request = Request("dcgan", "digits", out, preset="tiny", minutes=seconds / 60, seed=seed, hyper={"conditional": True})
    report = train(prepare(request), console)
    run = Run.open(out)
    page = Path(out) / "demo.png"
    plot_run(run, page)
    grids = sorted((run.folder / "samples").glob("*.png"))
    if report is not None:
        console.print(f"\n{report.examples:,} examples in {clock(report.seconds)}; "
                      + ("; ".join(v.text for v in report.health) or "a healthy game") + ".")  # fmt: skip
    console.print(f"first grid  {grids[0]}\nlast grid   {grids[-1]}\ncurves      {page}\n\nTry next:")
    for command in (
        f"genloom sample {out} -n 100 --label 7 -o sevens.png",
        f"genloom walk {out} -o walk.gif",
        "genloom check YOUR_FOLDER_OF_PICTURES",
        "genloom fit dcgan YOUR_FOLDER_OF_PICTURES -o runs/mine --size 64 --preset modern --minutes 30",
    ):
        console.print(f"  {command}", soft_wrap=True)
    return 0
