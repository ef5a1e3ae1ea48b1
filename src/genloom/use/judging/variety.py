"""What the scale of the noise does: precision against recall, at several temperatures."""

# n samples, C channels, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from genloom.core.capabilities import Latent
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.measures.manifold import manifold_figures, neighbour_squares
from genloom.measures.pictures import Jury
from genloom.use.judging.picture_jury import CHEAP
from genloom.use.report.plot import figure
from genloom.use.sampling.draw import stream

TEMPERATURES = (0.4, 0.6, 0.8, 1.0)
MANY, FEW = 1000, 500  # samples at each; few where a large network looks at them


def variety(model: Model, jury: Jury, seed: int) -> list[dict[str, float]]:
    """Return precision and recall at each temperature, of as many samples as real pictures; none for a model without.

    Fewer samples than the judge's other figures have: these compare with each other alone.
    """
    if jury.quick or not isinstance(model, Latent) or not scales(model):
        return []
    n = min(MANY if jury.features.name.partition(":")[0] in CHEAP else FEW, len(jury.real))
    real = jury.real.features[:n]
    radii, points = neighbour_squares(real, 5), []
    labels = jury.real.given[:n] if model.conditional and jury.real.given is not None else None
    for temperature in TEMPERATURES:
        parts = [jury.features(x)[0] for x, _ in stream(model, n, seed, None, temperature, labels)]
        found = manifold_figures(torch.cat(parts), real, radii)
        points.append({"temperature": temperature, "precision": found["precision"].value, "recall": found["recall"].value})
    return points


def scales(model: Latent) -> bool:
    """Whether a model has noise to scale: of some codes the direction alone counts."""
    try:
        model.scaled(torch.zeros(1, model.code_width), 0.5)
    except InputError:
        return False
    return True


def variety_figure(curves: Sequence[tuple[str, Sequence[dict[str, float]]]]) -> Any:
    """Return a plot of precision against recall, a line a run, each point with its temperature."""
    page, axes = figure(1, [3.4], 5.0)
    ax = axes[0][0]
    for name, points in curves:
        ax.plot([p["recall"] for p in points], [p["precision"] for p in points], marker="o", markersize=4, label=name)
        for p in points:
            ax.annotate(f"{p['temperature']:g}", (p["recall"], p["precision"]), (4, 4), textcoords="offset points")
    ax.set(xlabel="recall: real pictures within reach of a sample", ylabel="precision: samples within reach of a real one")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.legend(frameon=False)
    return page
