"""`genloom demo`: a GAN, a VAE and a PixelCNN on the same real digits, no download, judged side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Column, Table

from genloom.cli.console import console, say
from genloom.cli.fit import train
from genloom.errors import InputError

if TYPE_CHECKING:
    from genloom.use.judging.panel import Judgement

CONTENDERS = (  # model, share of the time, how it goes about it
    ("dcgan", 0.5, "one net draws digits from noise, another learns to tell them from the real ones"),
    ("vae", 0.15, "one net turns digits into short codes, another codes into digits"),
    ("pixelcnn", 0.35, "a net says how likely each pixel is, given those before it"),
)
ROWS = (  # name of the measure, what it says
    ("FID", "how far from real digits"),
    ("precision", "share that could be real"),
    ("recall", "share of the real ones' variety"),
    ("near-copies", "share copied from the training set"),
    ("log-likelihood[", "nats given to digits never seen"),
)


def demo(
    out: Annotated[str, Parameter(name=["-o", "--out"])] = "runs/demo",
    *,
    seconds: Annotated[float, Parameter(help="how long to train, all three")] = 70.0,
    seed: int = 0,
) -> int:
    """Train a GAN, a VAE and a PixelCNN on real handwritten digits, with no download, and compare them; two minutes."""
    from genloom.train.request import Request
    from genloom.train.run import Run
    from genloom.train.session import prepare
    from genloom.use.judging.compare import compare
    from genloom.use.judging.page import write_page
    from genloom.use.report.plot import plot_run

    if not seconds > 0:
        raise InputError(f"--seconds takes a number above 0, got {seconds}")
    console.print("Three models learn from 1,438 handwritten digits of 8x8 pixels that come with scikit-learn.\n")
    runs = []
    for name, share, how in CONTENDERS:
        console.print(f"{name}: {how}")
        folder = Path(out) / name
        request = Request(name, "digits", folder, preset="tiny", minutes=seconds * share / 60, seed=seed)
        train(prepare(request), console)
        runs.append(Run.open(folder))
        plot_run(runs[-1], folder / "curves.png")
    console.print("\nJudging them by the same digits, none of them seen in training ...")
    judgements = compare(runs, n=500, seed=seed, say=say)
    console.print(table(judgements))
    page = Path(out) / "demo.html"
    write_page(judgements, page)
    console.print(f"\nsamples side by side, and every measure: {page}\n\nTry next:")
    for command in (
        f"genloom sample {out}/dcgan -n 100 -o digits.png",
        f"genloom walk {out}/vae --axes -o axes.png",
        f"genloom certify {out}/pixelcnn",
        "genloom check YOUR_FOLDER_OF_PICTURES",
        "genloom fit dcgan YOUR_FOLDER_OF_PICTURES -o runs/mine --size 64 --minutes 30",
    ):
        console.print(f"  {command}", soft_wrap=True)
    return 0


def table(judgements: list[Judgement]) -> Any:
    """Return a few of the figures, a model a column; the page has them all, with their intervals."""
    models = [judgement.run.record["model"] for judgement in judgements]
    found = Table(Column(no_wrap=True), *(Column(name, no_wrap=True) for name in models), "", box=None)
    for start, meaning in ROWS:
        names = {name for judgement in judgements for name in judgement.measures if name.startswith(start)}
        for name in sorted(names):
            cells = [f"{j.measures[name].value:.3g}" if name in j.measures else "-" for j in judgements]
            found.add_row(name, *cells, meaning)
    speeds = [f"{judgement.cost['samples_per_cpu_second']:,.0f}" for judgement in judgements]
    found.add_row("samples / CPU second", *speeds, "on this machine")
    return found
