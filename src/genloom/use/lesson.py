"""Lessons: small games drawn while they are learnt."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genloom.bounds import whole
from genloom.core.random import training
from genloom.data.points import gaussian_line
from genloom.errors import InputError
from genloom.files import replaced
from genloom.models.adversarial.line import Line, LineHyper
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.run import Run
from genloom.use.report.plot import figure

REACH = torch.linspace(-5, 5, 401)[:, None]


def line_lesson(path: Path, examples: int = 1_200_000, frames: int = 60, seed: int = 0) -> dict[str, float]:
    """Play the one-dimensional game and draw it into a GIF, after figure 1 of Goodfellow et al. 2014.

    p_data is black and dotted, p_g green, D blue and D* dashed; arrows below lead from z to x = G(z).

    Returns:
        `gap`, the largest distance of D from 1/2 within two deviations of the data, and the `mean` and
        `deviation` of p_g; the data has 0 and 1.
    """
    if whole("frames", frames) > examples:
        raise InputError(f"--frames takes a number from 1 to --examples, {examples:,}; got {frames}")
    seed = whole("seed", seed)
    data = gaussian_line()
    with training(seed):
        model = Line(LineHyper(), data.shape)
    plan = Plan(examples=examples, batch=model.hyper.batch, seed=seed, report_examples=examples // frames, save_every=1e9)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.begin(Path(folder) / "line", {"model": "line"})
        pages = [draw_line(model, report.examples) for report in play(model, data, run, plan)]
    write_pages(pages, path)
    return verdict(model)


@torch.no_grad()
def curves(model: Line) -> dict[str, np.ndarray]:
    """Return D, p_g, p_data and D* over the reach of the picture."""
    x = REACH[:, 0].numpy()
    p_data = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    p_g = density(model.generate(even_codes(20_000))[:, 0].numpy(), x)
    best = p_data / np.maximum(p_data + p_g, 1e-9)  # proposition 1
    return {"x": x, "D": torch.sigmoid(model.discriminator(REACH))[:, 0].numpy(), "p_g": p_g, "p_data": p_data, "best": best}


def even_codes(n: int) -> torch.Tensor:
    """Codes `[n, 1]` evenly over [-1, 1]."""
    return (torch.arange(n)[:, None] + 0.5) * 2 / n - 1


def density(samples: np.ndarray, x: np.ndarray, width: float = 0.08) -> np.ndarray:
    """Kernel density of samples at evenly spaced points x: a fine histogram, smoothed."""
    step = x[1] - x[0]
    counts, _ = np.histogram(samples, bins=np.append(x - step / 2, x[-1] + step / 2))
    kernel = np.exp(-((np.arange(-40, 41) * step / width) ** 2) / 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="same") / (len(samples) * step)


def draw_line(model: Line, examples: int) -> bytes:
    """Draw one frame as PNG bytes."""
    found = curves(model)
    page, axes = figure(1, [4.2], 6.4)
    ax: Any = axes[0, 0]
    x = found["x"]
    ax.plot(x, found["p_data"], "k:", linewidth=2, label="p_data")
    ax.plot(x, found["p_g"], "g-", linewidth=2, label="p_g")
    ax.plot(x, found["D"], "b-", linewidth=1.6, label="D")
    ax.plot(x, found["best"], "b--", linewidth=0.8, alpha=0.5, label="D* = p_data / (p_data + p_g)")
    z = even_codes(25)
    with torch.no_grad():
        targets = model.generate(z)[:, 0].numpy()
    for start, end in zip(z[:, 0].numpy() * 4, targets, strict=True):
        ax.annotate("", (end, -0.18), (start, -0.42), arrowprops={"arrowstyle": "->", "color": "0.45", "linewidth": 0.7})
    for height, name in ((-0.18, "x"), (-0.42, "z")):
        ax.axhline(height, color="0.3", linewidth=0.8)
        ax.text(5.1, height, name, va="center")
    ax.axhline(0.5, color="b", linewidth=0.4, alpha=0.4)
    ax.set(xlim=(-5, 5), ylim=(-0.5, 1.05), yticks=[0, 0.5, 1], title=f"after {examples:,} numbers")
    ax.legend(frameon=False, loc="upper right")
    buffer = io.BytesIO()
    page.savefig(buffer, format="png")
    return buffer.getvalue()


def write_pages(pages: list[bytes], path: Path) -> None:
    """Write frames as a GIF that rests on its last one."""
    from PIL import Image

    images = [Image.open(io.BytesIO(page)).convert("P", palette=Image.Palette.ADAPTIVE, colors=64) for page in pages]
    with replaced(path) as part:
        images[0].save(part, save_all=True, append_images=images[1:] + images[-1:] * 15, duration=90, loop=0)


def verdict(model: Line) -> dict[str, float]:
    """Return how near the game is to its end."""
    found = curves(model)
    inner = np.abs(found["x"]) < 2
    with torch.no_grad():
        samples = model.generate(even_codes(20_000))
    return {
        "gap": float(np.abs(found["D"] - 0.5)[inner].max()),
        "mean": float(samples.mean()),
        "deviation": float(samples.std()),
    }
