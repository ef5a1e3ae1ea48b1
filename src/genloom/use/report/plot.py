"""Pictures of a run: its curves and its grids on one page. Needs matplotlib."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genloom.catalogue import find_model
from genloom.data.pictures.sources import open_picture
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import opened, parsing
from genloom.train.notes import declared_notes
from genloom.train.run import Run

PANELS = (  # title, the kinds of notes drawn in it, limits
    ("losses, and likelihoods in nats", ("loss", "nats"), None),
    ("error of what is made again or filled in", ("error",), None),
    ("share called rightly by the discriminator", ("accuracy",), (0, 1)),
    ("diversity of samples against real examples", ("distance",), (0, 1.3)),
    ("share of pictures augmented for the discriminator", ("share",), (-0.02, 1)),
    ("mean change of pictures by the translator", ("change",), None),
    ("light judge, on the averaged weights (EMA) where there are any", ("score",), None),
)


def figure(columns: int, heights: Sequence[float], width: float = 5.2) -> tuple[Any, Any]:
    """Return an empty figure and its axes, rows of these heights in inches, without touching the person's display."""
    os.environ["MPLBACKEND"] = "agg"  # nothing is shown, and a wrong name there would stop the import
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of its own folders, which are no concern of ours
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(
        {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    )
    page = Figure(figsize=(columns * width, sum(heights)), layout="constrained", dpi=110)
    return page, page.subplots(len(heights), columns, squeeze=False, height_ratios=heights)


def plot_run(run: Run, path: Path) -> None:
    """Write curves and up to four grids of a run as one PNG."""
    page = run_figure(run, grids=4)
    with replaced(path) as part:
        page.savefig(part)


def run_figure(run: Run, grids: int) -> Any:
    """Return curves and up to so many grids of a run as a matplotlib figure; InputError before its first report."""
    history = [line for line in run.history() if line["rounds"] > 0]
    if not history:
        raise InputError(f"{run.folder} has nothing to show yet: its first report comes a few seconds after the start")
    drawn = sorted((run.folder / "samples").glob("*.png"))
    chosen = [drawn[round(i)] for i in np.linspace(0, len(drawn) - 1, min(grids, len(drawn)))] if drawn else []
    kinds = kinds_of(run, history)
    panels = [
        (title, found, limits)
        for title, wanted, limits in PANELS
        if (found := curves(history, [name for name, kind in kinds.items() if kind in wanted]))
    ]
    rows = (len(panels) + 1) // 2
    page, axes = figure(2, [2.6] * rows + [4.8] * ((len(chosen) + 1) // 2))
    for ax, (title, found, limits) in zip(axes.flat, panels, strict=False):
        for name, points in found.items():
            ax.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="o" if len(points) == 1 else None)
        ax.set(title=title, xlabel="examples seen", ylim=limits)
        ax.legend(frameon=False, loc="best")
        if any(kinds.get(name) in ("distance", "change") for name in found):
            mark_verdicts(ax, history)
    for ax in axes.flat[len(panels) : 2 * rows]:
        ax.set_axis_off()
    draw_grids(axes.flat[2 * rows :], chosen)
    record = run.record
    page.suptitle(f"{run.folder.name}: {record['model']} ({record['preset']}) on {record['data']['source']}")
    return page


def kinds_of(run: Run, history: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return of what kind each note of a run is; the score is of its own."""
    names = list(dict.fromkeys(name for line in history for name in line["notes"]))
    declared = declared_notes(find_model(run.record["model"]), names)
    return {name: note.kind for name, note in declared.items()} | {"score": "score"}


def curves(history: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Return the points (examples, value) of each of these notes that was ever taken; the score under its own name."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in history:
        notes = {**line["notes"], "score": line.get("score", ("", np.nan))[1]}
        for name in names:
            if np.isfinite(notes.get(name, np.nan)):
                found.setdefault(line["score"][0] if name == "score" else name, []).append((line["examples"], notes[name]))
    return found


def mark_verdicts(ax: Any, history: Sequence[dict[str, Any]]) -> None:
    """Shade the stretches in which the referee had something to say."""
    for line in history:
        for verdict in line["health"]:
            ax.axvspan(verdict["since"], line["examples"], color="tab:red", alpha=0.04, linewidth=0)


def draw_grids(axes: Any, paths: Sequence[Path]) -> None:
    """Draw sample grids, each under the examples at which it was made."""
    for ax in axes:
        ax.set_axis_off()
    for ax, path in zip(axes, paths, strict=False):
        with opened(path, "picture") as file, parsing(path, "a picture", "; remove it"):
            pixels = np.asarray(open_picture(file))
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(f"after {int(path.stem):,} examples")


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 48) -> str:
    """Return a curve as one line of text."""
    numbers = np.array([v for v in values if np.isfinite(v)])
    if not len(numbers):
        return ""
    numbers = np.array([part.mean() for part in np.array_split(numbers, min(width, len(numbers)))])
    span = numbers.max() - numbers.min()
    levels = (numbers - numbers.min()) / (span or 1) * (len(BARS) - 1)
    return "".join(BARS[int(level)] for level in levels)
