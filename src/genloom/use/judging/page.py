"""A judgement, or several, as one self-contained page: figures, verdicts, pictures. Needs matplotlib and pillow."""

# n pictures, C channels, H height, W width

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from genloom.errors import InputError
from genloom.measures.figure import Figure
from genloom.shapes.pictures import grid, to_picture
from genloom.use.judging.judge import Judgement
from genloom.use.judging.jury import REAL
from genloom.use.report.plot import figure, run_figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #999; font-weight: 600; } tr:nth-child(even) td { background: #f6f6f3; }
td.figure { font-variant-numeric: tabular-nums; white-space: nowrap; } small, .quiet { color: #767676; }
img { max-width: 100%; image-rendering: pixelated; } .pictures { display: flex; flex-wrap: wrap; gap: 2rem; }
p.verdict { background: #fdf3d8; padding: .5rem .8rem; margin: .4rem 0; }
"""
COSTS = {
    "weights": "weights", "training_cpu_seconds": "training, CPU seconds", "samples_per_cpu_second": "samples / CPU second",
}  # fmt: skip
ARROWS = {"lower": "↓", "higher": "↑", "nearer": "→ real"}


def write_page(judgements: Sequence[Judgement], path: Path) -> None:
    """Write one page over judgements made before the same jury.

    Raises:
        InputError: the file cannot be written.
    """
    first = judgements[0]
    names = [judgement.run.folder.name for judgement in judgements]
    about = first.about
    parts = [
        f"<h1>{html.escape(', '.join(names))}</h1>",
        f"<p>{html.escape(intro(first))}</p>",
        *(f'<p class="verdict"><b>{html.escape(name)}</b>: {html.escape(text)}</p>'
          for name, judgement in zip(names, judgements, strict=True) for text in judgement.verdicts),
        "<h2>Figures</h2>", figures_table(judgements),
        f'<p class="quiet">Intervals are 95 %. Features {html.escape(about["features"]["name"])}: '
        f'{html.escape(about["features"]["about"])}.</p>',
        "<h2>Samples</h2>", samples_part(judgements),
        "<h2>Nearest training pictures</h2>",
        "<p>Each row: a sample, then its three nearest training pictures by pixels. First the eight that look most like "
        "copies, then eight at random.</p>", *(neighbours_part(judgement) for judgement in judgements),
        "<h2>Where samples lie</h2>",
        "<p>Real pictures and samples on the two directions in which real features vary most.</p>",
        *(manifold_part(judgement) for judgement in judgements),
        "<h2>Training</h2>", *(training_part(judgement) for judgement in judgements),
    ]  # fmt: skip
    title = html.escape(", ".join(names))
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page + "\n".join(parts) + "</html>\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def intro(judgement: Judgement) -> str:
    """Say in one sentence what was compared with what."""
    about = judgement.about
    held = "never trained on" if about["never_trained_on"] else "from the other half of the training pictures"
    return (f"{about['n']:,} samples against {about['compared_with']:,} of the {about['train']['pictures']:,} training "
            f"pictures of {about['train']['source']}, {'x'.join(map(str, about['dims']))}; real pictures: "
            f"{about['real_pictures']:,}, {held}.")  # fmt: skip


def figures_table(judgements: Sequence[Judgement]) -> str:
    """Return the figures of every run and baseline as a table, a measure a row."""
    columns = columns_of(judgements)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = []
    for name in measure_names(judgements):
        cells = "".join(f'<td class="figure">{cell(figures.get(name))}</td>' for figures in columns.values())
        found = next(figures[name] for figures in columns.values() if name in figures)
        rows.append(f"<tr><td>{html.escape(name)} <small>{ARROWS[found.better]}</small></td>{cells}</tr>")
    costs = "".join(
        f"<tr><td>{label}</td>" + "".join(f'<td class="figure">{j.cost[key]:,.0f}</td>' for j in judgements) + "</tr>"
        for key, label in COSTS.items()
    )
    return f"<table><tr><th>measure</th>{head}</tr>{''.join(rows)}{costs}</table>"


def columns_of(judgements: Sequence[Judgement]) -> dict[str, dict[str, Figure]]:
    """Return the columns of the table: the runs, then the baselines."""
    names = [judgement.run.folder.name for judgement in judgements]
    if len(set(names)) < len(names):
        names = [str(judgement.run.folder) for judgement in judgements]
    return {name: j.measures for name, j in zip(names, judgements, strict=True)} | judgements[0].baselines


def measure_names(judgements: Sequence[Judgement]) -> list[str]:
    """Return the names of all measures, in the order of the panel."""
    return list(dict.fromkeys(name for figures in columns_of(judgements).values() for name in figures))


def cell(value: Figure | None) -> str:
    """Return a figure as the content of a table's cell."""
    if value is None:
        return '<span class="quiet">–</span>'
    interval = f"<small>[{value.low:.3g}, {value.high:.3g}]</small>"
    return f'<span title="{html.escape(value.protocol)}">{value.value:.4g} {interval}</span>'


# -- pictures --------------------------------------------------------------------------------------


def samples_part(judgements: Sequence[Judgement]) -> str:
    """Return sample grids of the runs, from the same seed, beside real pictures."""
    sets = [(judgement.run.folder.name, judgement.view.floats(64)) for judgement in judgements]
    sets.append((REAL, judgements[0].jury.fresh.floats(64)))
    shown = "".join(f"<div><p>{html.escape(name)}</p>{image(to_picture(grid(x, 8)))}</div>" for name, x in sets)
    return f'<div class="pictures">{shown}</div>'


def neighbours_part(judgement: Judgement) -> str:
    """Return samples beside their nearest training pictures: those most like copies, and some at random."""
    nearest, jury = judgement.nearest, judgement.jury
    suspects = nearest.ratio.argsort()[:8]
    others = torch.arange(8)
    sheets = []
    for chosen in (suspects, others):
        places = nearest.index[chosen, :3]
        mirrored = (places >= len(jury.train)).flatten()
        found = jury.train.pictures(places.flatten() % len(jury.train))
        found = torch.where(mirrored[:, None, None, None], found.flip(3), found).view(len(chosen), -1, *found.shape[1:])
        rows = torch.cat([judgement.view.floats(len(nearest.ratio))[chosen][:, None], found], 1)
        sheets.append(image(to_picture(grid(rows.flatten(0, 1), rows.shape[1]))))
    name = html.escape(judgement.run.folder.name)
    return f'<p>{name}</p><div class="pictures">{"".join(f"<div>{sheet}</div>" for sheet in sheets)}</div>'


def manifold_part(judgement: Judgement) -> str:
    """Return real pictures and samples as points on the two directions of greatest variance of the real features."""
    real, fake = (view.features[:2000] for view in (judgement.jury.real, judgement.view))
    mean = real.mean(0)
    _, directions = torch.linalg.eigh((real - mean).T @ (real - mean))
    page, axes = figure(1, [4.2], 6.0)
    ax = axes[0][0]
    for x, colour, label in ((real, "tab:blue", REAL), (fake, "tab:orange", judgement.run.folder.name)):
        points = (x - mean) @ directions[:, -2:]
        ax.scatter(points[:, 1], points[:, 0], s=4, alpha=0.35, color=colour, label=label, linewidths=0)
    ax.set(xlabel="first direction", ylabel="second direction")
    ax.legend(frameon=False, markerscale=3)
    return plot(page)


def training_part(judgement: Judgement) -> str:
    """Return the curves of a run, where it has any."""
    try:
        return plot(run_figure(judgement.run, grids=0))
    except InputError:
        return ""


def plot(page: Any) -> str:
    """Return a matplotlib figure as an image of the page."""
    data = io.BytesIO()
    page.savefig(data, format="png")
    return embedded(data.getvalue(), "")


def image(picture: Any) -> str:
    """Return a pillow image as an image of the page, enlarged where it is small."""
    zoom = max(1, round(420 / picture.width))
    data = io.BytesIO()
    picture.save(data, format="png")
    return embedded(data.getvalue(), f' width="{picture.width * zoom}"')


def embedded(data: bytes, attributes: str) -> str:
    """Return a PNG as an HTML image that holds its own bytes."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data).decode()}"{attributes}>'
