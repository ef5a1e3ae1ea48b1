"""Denoising feature matching beside the same nets without the denoiser, seed by seed, by features that taught neither.

    python -m benchmarks.dfm run cifar --seconds 300 --seeds 0,1,2
    python -m benchmarks.dfm collect cifar

FID of 3,000 samples in the fixed random features and in those of `lite2`; the Inception score by a classifier trained on the
labels, or, where there are none, by lite2's own classes. What is there already is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch

import genloom
from benchmarks.evidence import DATA, record
from benchmarks.ten_minutes import SOURCES, N, features_of
from genloom.core.random import Noise, undisturbed
from genloom.measures.classes import inception_score
from genloom.measures.frechet import fid
from genloom.shapes.pictures import grid, save, to_picture

VARIANTS: dict[str, dict[str, Any]] = {"with": {}, "without": {"denoise": 0.0}}
VARIANTS |= {f"with-{weight:g}": {"denoise": weight} for weight in (0.03, 0.3, 3.0, 10.0)}  # tried before `modern` was fixed
SCORED = {"cifar": "classifier", "emoji": "lite2"}  # whose classes the Inception score is of
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t of a 95 % interval, by the number of seeds


def run_one(source: str, variant: str, seed: int, seconds: int, runs: Path) -> None:
    """Train, draw, and look."""
    notes = runs / source / f"{variant}-{seed}-{seconds}.json"
    if notes.exists():
        return
    path, size = SOURCES[source]
    data, options = genloom.load_data(DATA / path, size=size), {"threads": 1, "save_every": 3600.0}
    out = runs / source / f"{variant}-{seed}"
    hyper, minutes = VARIANTS[variant], seconds / 60
    run = genloom.fit("dfm", DATA / path, out, preset="modern", hyper=hyper, size=str(size), seed=seed,
                      cpu_minutes=minutes, **options)  # fmt: skip
    model: Any = genloom.load(run)
    with undisturbed():
        made = torch.cat([model.sample(250, noise=Noise.of(0, 250, start)) for start in range(0, N, 250)])
    save(to_picture(grid(made[:64], columns=16)), notes.with_suffix(".png"))
    found: dict[str, float] = {"examples": run.state(run.last_checkpoint())["examples"]}
    for kind in ("random", *dict.fromkeys(("lite2", SCORED[source]))):
        features, real = features_of(kind, data, runs / source)
        own, probabilities = features(made)
        found[f"fid {kind}"] = fid(own, real, "").value
        if kind == SCORED[source] and probabilities is not None:
            found["is"] = inception_score(probabilities, "").value
    notes.write_text(json.dumps(found))
    print(source, variant, seed, seconds, {key: round(value, 3) for key, value in found.items()}, flush=True)


def collect(source: str, seconds: int, runs: Path) -> None:
    """Write means over seeds with 95 % intervals as evidence."""
    figures: dict[str, Any] = {}
    for variant, tail in (("with", ""), ("without", "_without")):
        paths = sorted((runs / source).glob(f"{variant}-?-{seconds}.json"))
        seeds = [json.loads(path.read_text()) for path in paths]
        for measure in seeds[0]:
            values = [each[measure] for each in seeds]
            half = T95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
            mean = statistics.mean(values)
            figures[f"{variant}, {measure}"] = [round(mean, 3), round(mean - half, 3), round(mean + half, 3)]
        figures |= {f"fid{tail}": figures[f"{variant}, fid lite2"][0], f"is{tail}": figures[f"{variant}, is"][0]}
        figures[f"{variant}, seeds"] = len(seeds)
    for path in sorted((runs / source).glob(f"with-*-0-{seconds}.json")):
        figures |= {f"{path.stem}, {key}": round(value, 3) for key, value in json.loads(path.read_text()).items()}
    words = (
        f"mean over seeds and its 95 % interval (t); {seconds} CPU seconds of one thread each; fid is of lite2's features, "
    )
    notes = words + f"is by the classes of {SCORED[source]}; with-W: another weight of the denoiser, one seed"
    record(f"dfm-{source}", figures, seed=None, cpu_seconds=float(seconds), notes=notes)


def main() -> None:
    """Run, or collect what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "collect"))
    parser.add_argument("source", choices=SCORED)
    parser.add_argument("--variants", default="with,without")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs", type=Path, default=Path("runs/dfm"))
    said = parser.parse_args()
    if said.what == "collect":
        return collect(said.source, said.seconds, said.runs)
    torch.set_num_threads(1)
    for seed in said.seeds.split(","):
        for variant in said.variants.split(","):
            run_one(said.source, variant, int(seed), said.seconds, said.runs)


if __name__ == "__main__":
    main()
