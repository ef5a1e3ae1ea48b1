"""Which model, by which preset, makes the best pictures in the time that people give it: two to sixty minutes of one thread.

    python -m benchmarks.ten_minutes run dcgan progan --data emoji --seconds 120,300,600 --seeds 0
    python -m benchmarks.ten_minutes collect

Each candidate is trained with each seed, and looked at after so many seconds of processor time: FID of 3,000 samples
against as many in the fixed random features, and, at the times of `--lite`, in those of `lite2`, which is kin to
what teaches `projected` and so flatters it, and of a classifier trained on the labels of cifar; recall in either; the sliced
Wasserstein distance. What is there already is kept, so that several processes share the work.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch

import genloom
from benchmarks.evidence import DATA, record
from genloom import Run
from genloom.core.capabilities import Samples
from genloom.core.random import Noise, undisturbed
from genloom.measures.features.registry import Features, make_features
from genloom.measures.frechet import fid
from genloom.measures.manifold import manifold_figures
from genloom.measures.pyramid import wasserstein_figures
from genloom.shapes.pictures import grid, save, to_bytes, to_picture

N, BLOCK = 3000, 250
DCGAN = {"width": 64, "kernel": 4, "batch": 64, "ema": 10_000.0}
LIGHT = {"generator": "light", "z": 128, "width": 16, "noisy": False, "beta1": 0.0, "beta2": 0.99, "ema": 5_000.0}
CANDIDATES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dcgan": ("dcgan", "modern", {}),
    "dcgan-plain": ("dcgan", "modern", {"adaptive_augment": 0.0}),
    "dcgan-constant": ("dcgan", "modern", {"decay": 0.0}),
    "dcgan-strided": ("dcgan", "modern", {"up": "strided", "adaptive_augment": 0.0}),
    "dcgan-strided-32": ("dcgan", "modern", {"up": "strided", "batch": 32, "adaptive_augment": 0.0}),
    "dcgan-spectral": ("dcgan", "paper", DCGAN | {"norm": "spectral"}),  # `modern` until November 2026, but for augmentation
    "dcgan-batch": ("dcgan", "paper", DCGAN),
    "dcgan-batch-fast": ("dcgan", "paper", DCGAN | {"rate": 5e-4}),
    "dcgan-batch-32": ("dcgan", "paper", DCGAN | {"batch": 32}),
    "projected": ("projected", "modern", {}),
    "projected-alone": ("projected", "modern", LIGHT | {"pixels": 0, "adaptive_augment": 0.0}),
    "projected-plain": ("projected", "modern", {"augment": False}),
    "icgan": ("icgan", "modern", {}),
    "icgan-none": ("icgan", "modern", {"condition": "none"}),
    "icgan-classes": ("icgan", "modern", {"condition": "classes"}),
    "icgan-both": ("icgan", "modern", {"condition": "both"}),
    "r3gan": ("r3gan", "modern", {}),
    "progan": ("progan", "modern", {}),
    "progan-whole": ("progan", "modern", {"grow": False}),
}
RECOMMENDED = "dcgan"
SOURCES = {
    "emoji": ("noto_emoji/emoji_128.zip", 64),
    "cifar": ("cifar10/cifar10_train_15000.zip", 32),
    "emoji-1000": ("noto_emoji/emoji_128.zip", 64),
    "digits": ("mnist", 32),
}


def look(run: Run, data: Any, kinds: dict[str, tuple[Features, torch.Tensor]], picture: Path) -> dict[str, float]:
    """Return the figures of a run as it is, and draw a grid of what it makes."""
    model = genloom.load(run)
    assert isinstance(model, Samples)
    with undisturbed():
        parts = [model.sample(BLOCK, noise=Noise.of(0, BLOCK, start)) for start in range(0, N, BLOCK)]
    made = torch.cat(parts)
    save(to_picture(grid(made[:64], columns=16)), picture)
    found: dict[str, float] = {}
    for kind, (features, real) in kinds.items():
        own = features(made)[0]
        found[kind] = fid(own, real, "").value
        found[f"{kind} recall"] = manifold_figures(own, real)["recall"].value
    swd = wasserstein_figures(to_bytes(made), to_bytes(data.pictures(spread_over(data))), 1024)
    return found | {name: figure.value for name, figure in swd.items()}


def spread_over(data: Any) -> torch.Tensor:
    """Return the places of the real pictures that samples are set against, from all over the data, shuffled."""
    places = torch.linspace(0, len(data) - 1, min(N, len(data))).long()
    return places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]


def features_of(kind: str, data: Any, folder: Path) -> tuple[Features, torch.Tensor]:
    """Return features and those of the real pictures, which are kept."""
    features, kept = make_features(kind, data), folder / f"{kind}.npy"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(kept, features(data.pictures(spread_over(data)))[0].numpy())
    return features, torch.from_numpy(np.load(kept))


def few(source: Path, target: Path, count: int = 1000) -> Path:
    """Write so many of a zip's pictures, from all over it, into another: what is made from them is set against all."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with ZipFile(source) as packed, ZipFile(target, "w") as fewer:
            names = sorted(name for name in packed.namelist() if name.endswith(".png"))
            for i in range(count):
                name = names[i * len(names) // count]
                fewer.writestr(name, packed.read(name))
    return target


def run_one(name: str, seed: int, source: str, marks: list[int], lite: list[int], runs: Path) -> None:
    """Train a candidate from mark to mark, and look at it at each."""
    model, preset, hyper = CANDIDATES[name]
    path, size = SOURCES[source]
    out, notes = runs / source / f"{name}-{seed}", runs / source / f"{name}-{seed}.json"
    found = json.loads(notes.read_text()) if notes.exists() else {}
    data = genloom.load_data(DATA / path, size=size)
    taught = few(DATA / path, runs / f"{source}.zip") if source == "emoji-1000" else DATA / path
    for mark in marks:
        if str(mark) in found:
            continue
        options: dict[str, Any] = {"cpu_minutes": mark / 60, "threads": 1, "seed": seed, "save_every": 3600.0}
        run = genloom.fit(model, taught, out, preset=preset, hyper=hyper, size=str(size), **options)
        wanted = ["random", *((["lite2"] + ["classifier"] * (source == "cifar")) if mark in lite else [])]
        kinds = {kind: features_of(kind, data, runs / source) for kind in wanted}
        figures = look(run, data, kinds, runs / source / f"{name}-{seed}-{mark}.png")
        found[str(mark)] = figures | {"examples": run.state(run.last_checkpoint())["examples"]}
        notes.write_text(json.dumps(found))
        print(source, name, seed, mark, {key: round(value, 3) for key, value in found[str(mark)].items()}, flush=True)


def collect(runs: Path, evidence: str) -> None:
    """Write the medians over seeds, with least and most, as evidence."""
    figures: dict[str, Any] = {}
    for source in SOURCES:
        for kept in sorted((runs / source).glob("*.npy")):
            real = torch.from_numpy(np.load(kept))
            half = len(real) // 2
            figures[f"{source}, halves of real pictures, {kept.stem}"] = round(fid(real[:half], real[half:], "").value, 3)
        for name in CANDIDATES:
            named = sorted(path for path in (runs / source).glob("*.json") if path.stem.rpartition("-")[0] == name)
            seeds = [json.loads(path.read_text()) for path in named]
            for mark in sorted({int(mark) for found in seeds for mark in found}):
                there = [found[str(mark)] for found in seeds if str(mark) in found]
                for measure in there[0]:
                    values = [each[measure] for each in there if measure in each]
                    spread = [statistics.median(values), min(values), max(values)]
                    figures[f"{source}, {name}, {mark} s, {measure}"] = [round(value, 3) for value in spread]
                figures[f"{source}, {name}, {mark} s, seeds"] = len(there)
    for mark, measure in ((600, "lite2"), (600, "random"), (1800, "lite2"), (1800, "random"), (1800, "lite2 recall")):
        if found := figures.get(f"emoji, {RECOMMENDED}, {mark} s, {measure}"):
            figures[f"{measure.split()[-1]}_{mark}"] = found[0]  # of what `check` and the README recommend
    notes = (
        "median, least and most over seeds; seconds of the processor, one thread, those of training; dcgan-spectral was "
        "trained with all pictures augmented, as `modern` was until November 2026 and no option does today"
    )
    record(evidence, figures, seed=None, cpu_seconds=0.0, notes=notes)


def collect_icgan(runs: Path) -> None:
    """Write icgan beside the same nets without a condition, and beside labels where there are any, as evidence."""
    for source, mark in (("emoji", "600"), ("cifar", "600")):
        found = {
            name: json.loads(path.read_text())[mark]
            for name in ("icgan", "icgan-none", "icgan-classes", "icgan-both")
            if (path := runs / source / f"{name}-0.json").exists() and mark in json.loads(path.read_text())
        }
        if not {"icgan", "icgan-none"} <= found.keys():
            continue
        figures: dict[str, Any] = {"fid": found["icgan"]["random"], "fid_unconditional": found["icgan-none"]["random"]}
        figures["ratio"] = figures["fid"] / figures["fid_unconditional"]
        figures |= {f"{name}, {key}": value for name, each in found.items() for key, value in each.items()}
        figures = {key: round(value, 3) for key, value in figures.items()}
        record(
            f"icgan-{source}",
            figures,
            seed=0,
            cpu_seconds=float(mark),
            notes="FID in the fixed random features, 3,000 samples",
        )


def collect_progan(runs: Path) -> None:
    """Write when growing reaches the best sliced Wasserstein distance of the whole net, by the times both were looked at."""
    paths = [runs / "emoji" / f"{name}-0.json" for name in ("progan", "progan-whole")]
    if not all(path.exists() for path in paths):
        return
    grown, whole = (json.loads(path.read_text()) for path in paths)
    both = sorted(int(mark) for mark in grown if mark in whole)
    best = min(both, key=lambda mark: whole[str(mark)]["SWD mean"])
    reached = [mark for mark in both if grown[str(mark)]["SWD mean"] <= whole[str(best)]["SWD mean"]]
    figures: dict[str, Any] = {"ratio": round(reached[0] / best, 3) if reached else None, "best_of_whole_s": best}
    for name, found in (("grown", grown), ("whole", whole)):
        for mark in both:
            swd = {key: round(value, 1) for key, value in found[str(mark)].items() if key.startswith("SWD")}
            figures |= {f"{name}, {mark} s, {key}": value for key, value in swd.items()}
    notes = "CPU seconds to the whole net's best SWD mean over its own, by the times of looking; null: not reached"
    record("progan-speed", figures, seed=0, cpu_seconds=float(sum(both)), notes=notes)


def main() -> None:
    """Run candidates, or collect what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "collect"))
    parser.add_argument("names", nargs="*", help=", ".join(CANDIDATES))
    parser.add_argument("--data", choices=SOURCES, default="emoji")
    parser.add_argument("--seconds", default="120,300,600")
    parser.add_argument("--lite", default="600,1800", help="times at which the ImageNet network looks too")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--runs", type=Path, default=Path("runs/ten"))
    parser.add_argument("--name", default="ten-minutes", help="of the evidence that is collected")
    said = parser.parse_args()
    if said.what == "collect":
        collect(said.runs, said.name)
        collect_icgan(said.runs)
        return collect_progan(said.runs)
    marks, lite, seeds = ([int(each) for each in text.split(",") if each] for text in (said.seconds, said.lite, said.seeds))
    torch.set_num_threads(1)
    for seed in seeds:
        for name in said.names:
            run_one(name, seed, said.data, marks, lite, said.runs)


if __name__ == "__main__":
    main()
