"""What `genloom export --to page` writes, in a browser: size, time to the first example, pace, and how far off it is.

    python -m benchmarks.page [--only dcgan-64,vae]

Trained for a moment on real data, as `benchmarks.export` does. Chromium, offline, from a file; `first_picture_seconds` from
the start of the navigation to the first example that is shown, `pictures_per_second` of 64 drawn (of pixels, 16; none of
what draws no pictures), median of three. `grey_levels` is the largest difference, of 255, of the first 16 pictures from what
`genloom sample` draws; `functions`, of each function from the model, relative as `export` has it, with weights in fp16.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genloom
from benchmarks.browser import browsing, outside, until
from benchmarks.evidence import record
from benchmarks.export import only, trainings
from genloom.core.random import Noise
from genloom.train.run import Run
from genloom.use.page.write import write_page

TRAININGS = [
    "dcgan-8",
    "vae",
    "pixelcnn-8",
    "dcgan-28",
    "dcgan-64",
    "projected",
    "cyclegan",
    "srgan",
    "gain",
    "timegan",
    "music",
    "crnngan",
    "line",
]
MANY, PIXELS, SEEN, TIMES = 64, 16, 16, 3
SHOWN = "performance.getEntriesByName('first picture').length > 0 || document.querySelectorAll('section').length > 0"
TILES = """tiles => tiles.map(tile => { const { width, height } = tile
  return [...tile.getContext('2d').getImageData(0, 0, width, height).data] })"""


def all_trainings(place: Path) -> dict[str, Any]:
    """Return what is trained, by name."""
    small = {"preset": "tiny", "examples": 2000}
    return trainings(place) | {"dcgan-8": ("dcgan", "digits", small), "pixelcnn-8": ("pixelcnn", "digits", small)}


def drawn(page: Any, many: int) -> float:
    """Return the pictures a second of drawing so many, by the page's own clock, which says so when they are there."""
    paces = []
    shown(page, many)
    for seed in range(TIMES):
        before = page.evaluate("performance.getEntriesByName('drawn').length")
        field = page.get_by_label("Seed").first
        field.fill(str(seed + 1))
        field.press("Tab")
        until(page, f"performance.getEntriesByName('drawn').length > {before}", 300)
        paces.append(1000 * many / page.evaluate("performance.getEntriesByName('drawn').at(-1).duration"))
    return round(statistics.median(paces), 1)


def shown(page: Any, many: int) -> None:
    """Have so many pictures drawn."""
    page.get_by_label("How many").select_option(str(many))
    until(page, f"document.querySelectorAll('.tile').length === {many} && document.querySelector('.bar').hidden", 300)


def grey_levels(page: Any, run: Run) -> int:
    """Return the largest difference of the first pictures from what the model draws, of 255."""
    shown(page, SEEN)
    model = genloom.load(run)
    x = model.sample(SEEN, noise=Noise.of(0, SEEN))  # type: ignore[attr-defined]
    wanted = (x.clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    found = np.array(page.locator(".tile canvas").evaluate_all(TILES)).reshape(*wanted.shape[:3], 4)[..., : wanted.shape[3]]
    return int(np.abs(found - wanted).max())


def measured(path: Path, run: Run, told: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a page."""
    names = {each["name"] for each in told["functions"]}
    with browsing() as context:
        page = context.new_page()
        page.goto(path.as_uri())
        until(page, SHOWN, 300)
        mark = "(performance.getEntriesByName('first picture')[0] ?? performance.getEntriesByName('loaded')[0]).startTime"
        found = {
            "megabytes": round(path.stat().st_size / 1e6, 3),
            "first_picture_seconds": round(page.evaluate(mark) / 1000, 2),
            "functions": {each["name"]: float(f"{each['difference']:.1e}") for each in told["functions"]},
        }
        if "height" in told["shape"] and names & {"generate", "next_pixel"}:
            stepwise = "next_pixel" in names
            until(page, "document.querySelector('.bar').hidden", 300)
            found["grey_levels"] = grey_levels(page, run)
            found["pictures_per_second"] = drawn(page, PIXELS if stepwise else MANY)
        found["outside_requests"] = len(outside(context))
        found["complaints"] = context.errors
    return found


def main() -> None:
    """Train, write, open, record."""
    chosen = only(__doc__) or TRAININGS
    torch.set_num_threads(1)
    began, figures = time.process_time(), {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        known = all_trainings(place)
        for key in chosen:
            model_name, source, said = known[key]
            run = genloom.fit(model_name, source, place / key, threads=1, **said)
            path = place / f"{key}.html"
            told = write_page(Run.open(run.folder), path)
            figures[key] = {"preset": told["preset"], "shape": told["says"], **measured(path, run, told)}
            print(key, figures[key], flush=True)
    worst = {
        "largest_difference": max((each.get("grey_levels", 0) for each in figures.values()), default=0),
        "outside_requests": sum(each["outside_requests"] for each in figures.values()),
    }
    notes = "weights in fp16; largest_difference in grey levels of 255"
    record("page", {**worst, **figures}, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
