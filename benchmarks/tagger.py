"""Words and tags: what skip-gram costs, what tagging costs, and how well emoji are tagged beside simple baselines.

    genloom words $GENLOOM_DATA/flickr8k_text/Flickr8k.token.txt.gz $GENLOOM_DATA/noto_emoji/emoji.csv \\
        -o runs/words.safetensors --least 3
    genloom fit tagger $GENLOOM_DATA/noto_emoji/emoji_128.zip --tags $GENLOOM_DATA/noto_emoji/emoji.csv \\
        --words runs/words.safetensors -o runs/tagger-modern --cpu-minutes 2 --threads 1 --skip-unknown
    python -m benchmarks.tagger words
    python -m benchmarks.tagger tags runs/tagger-modern runs/tagger-paper
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.evidence import DATA, record
from genloom import Run
from genloom.measures.tags import COUNT, NEIGHBOURS, RIDGES, Truth, by_neighbours, by_ridge, chosen, given_by
from genloom.use.judging.panel import Terms
from genloom.use.judging.tags import FREQUENCY, NEAREST, RIDGE, TagPanel, truth_of
from genloom.use.report.html import write_html
from genloom.use.tagging import votes_of
from genloom.use.words import learn_words, neighbourhoods, read_text

CORPUS = DATA / "flickr8k_text" / "Flickr8k.token.txt.gz"
LOOKED_AT = ("dog", "red", "running", "beach", "girl", "guitar", "snow", "bicycle", "two")
REPEATS = 2000  # of the bootstrap


def words() -> None:
    """Record what the vectors of the captions' words cost, and the neighbours of some."""
    torch.set_num_threads(1)
    began = time.process_time()
    text = read_text([CORPUS], 5)
    found = learn_words(text)
    seconds = round(time.process_time() - began, 1)
    figures: dict[str, Any] = {"cpu_seconds": seconds, "words": len(text.words), "tokens": len(text.tokens)}
    figures |= {f"nearest to {word}": " ".join(near) for word, near in neighbourhoods(found, LOOKED_AT, 6)}
    record(
        "words", figures, seed=0, cpu_seconds=seconds, notes="100 numbers, window 5, 10 epochs, one thread; reading included"
    )


def f1_of(first: Tensor, truth: Truth) -> Tensor:
    """Return each picture's F1 of its first words, places `[n, k]`: `[n]`."""
    return 2 * truth.holds(first).sum(1) / (COUNT + truth.counts)


def apart(a: Tensor, b: Tensor, groups: list[str]) -> list[float]:
    """Return the mean of a - b with the 95 % interval of a bootstrap over groups of pictures that are alike."""
    known = sorted(set(groups))
    place = torch.tensor([known.index(group) for group in groups])
    sums = torch.zeros(len(known)).index_add_(0, place, a - b)
    counts = torch.bincount(place, minlength=len(known)).float()
    drawn = torch.randint(len(known), (REPEATS, len(known)), generator=torch.Generator().manual_seed(0))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975])).tolist()
    return [round(float(value), 4) for value in ((a - b).mean(), low, high)]


def tags(paths: list[Path]) -> None:
    """Judge runs, the modern one first, and record its figures beside the baselines' and those of the other runs."""
    torch.set_num_threads(1)
    runs = [Run.open(path) for path in paths]
    panel = TagPanel(runs, None, None, Terms(say=print))
    judged = [panel.judge(run) for run in runs]
    own, rows = judged[0].measures, panel.rows
    figures: dict[str, Any] = {
        "f1": own[f"F1@{COUNT}"].value,
        "f1_knn": rows[NEAREST][f"F1@{COUNT}"].value,
        "f1_ridge": rows[RIDGE][f"F1@{COUNT}"].value,
        "f1_frequency": rows[FREQUENCY][f"F1@{COUNT}"].value,
        "p5": own[f"P@{COUNT}"].value, "r5": own[f"R@{COUNT}"].value, "n_plus": own["N+"].value,
    }  # fmt: skip
    figures |= {f"pictures, {name}": [f.value, f.low, f.high] for name, f in own.items()}
    for run, judgement in zip(runs[1:], judged[1:], strict=True):
        name = run.record["preset"] + ("" if run.record["preset"] == "paper" else f", seed {run.record['plan']['seed']}")
        figures |= {f"{name}, {measure}": [f.value, f.low, f.high] for measure, f in judgement.measures.items()}
    for row, measures in rows.items():
        figures |= {f"{row}, {name}": [f.value, f.low, f.high] for name, f in measures.items()}
    model: Any = panel.load(runs[0], "last")
    h, truth, vectors = panel.features(model, panel.train), truth_of(panel.train), panel.train.vectors
    with (DATA / "noto_emoji" / "emoji.csv").open() as file:
        base = {row["file"]: row["base"] for row in csv.DictReader(file)}
    groups, mine = [base[name] for name in panel.held.names], f1_of(judged[0].seen, panel.truth)
    simple = {
        "neighbours": chosen(h, truth, NEIGHBOURS, lambda h, y, k: by_neighbours(h, y, int(k))),
        "ridge": chosen(h, truth, RIDGES, lambda h, y, ridge: by_ridge(h, y, vectors, ridge)),
    }
    for name, score in simple.items():
        figures[f"f1 over {name}, by bases"] = apart(mine, f1_of(given_by(score, panel.h), panel.truth), groups)
    figures["bases"] = len(set(groups))
    thousand = h[torch.arange(1000) % len(h)]
    began = time.process_time()
    list(votes_of(model, thousand, 0))
    figures["tagging 1,000 pictures, CPU seconds"] = round(time.process_time() - began, 2)
    page = Path("runs") / "tagger-emoji.html"  # a picture of it lies beside the model's page
    write_html("tagger", panel.pages(judged[:1]), page)
    figures = {key: [round(v, 4) for v in value] if isinstance(value, list) else value for key, value in figures.items()}
    figures = {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
    record(
        "tagger-emoji", figures, seed=runs[0].record["plan"]["seed"], cpu_seconds=judged[0].cost["training_cpu_seconds"],
        notes=panel.intro(judged[0]), about=judged[0].about, training=runs[0].record["command"],
    )  # fmt: skip


def main() -> None:
    """Record words, or tags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("words", "tags"))
    parser.add_argument("runs", nargs="*", type=Path)
    said = parser.parse_args()
    words() if said.what == "words" else tags(said.runs)


if __name__ == "__main__":
    main()
