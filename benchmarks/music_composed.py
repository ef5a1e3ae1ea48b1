"""Chorales that `music` composes, against the 77 test chorales: overlap, faults, copies, silences, ranges; and the pace.

    python -m benchmarks.music_composed --runs runs      # trains on the 16th grid first, where that run is not there yet

The judge's figures (`genloom judge`), then what one would hear of each piece as it is written to MIDI: no note longer than
four bars, no silence beyond two, each voice within what it has in training. Counts are checked against muspy's of the same
files, where that is installed. Speed: CPU seconds of three pieces of 16 bars in one call, median of five, one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.evidence import record
from benchmarks.music_jsb import source_of, trained
from genloom import Run, load_data
from genloom.measures.figure import around
from genloom.measures.music import distributions
from genloom.scores.midi import midi_of, read_midi
from genloom.scores.voices import on_grid
from genloom.use.judging.judge import judge
from genloom.use.music.compose import Wish, compose

PIECES, BARS, CALLS = 200, 16, 5
STUCK, SILENT = 4, 2  # bars that a note may last, and that nothing may sound


def heard(model: Any) -> dict[str, Any]:
    """Return what is wrong with composed pieces, counted, and how far counts are from muspy's."""
    shape, data = model.shape, load_data(source_of("16th"), steps=128)
    low, high = np.zeros(len(shape.voices), int), np.zeros(len(shape.voices), int)
    for v in range(len(shape.voices)):
        sounds = data.sounding[: int(data.begins[data.trained]), v]
        low[v], high[v] = (int(each) - 2 + shape.low for each in (sounds[sounds > 1].min(), sounds.max()))
    scores = compose(model, 50, Wish(bars=BARS), seed=1)
    stuck = silent = beyond = 0
    apart = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for i, score in enumerate(scores):
            path = Path(folder) / f"{i}.mid"
            path.write_bytes(midi_of(score))
            found = on_grid(read_midi(path)[0], shape.grid, len(shape.voices))
            stuck += int((score.notes["length"] > STUCK * shape.metre.quarters).sum())
            gaps = np.diff(np.flatnonzero(found.sounds.any(1)), prepend=-1)
            silent += int((gaps > SILENT * shape.bar).sum())
            for v in range(len(shape.voices)):
                pitch = found.pitch[found.sounds[:, v], v]
                beyond += int(((pitch < low[v]) | (pitch > high[v])).sum())
            apart = max(apart, from_muspy(path, found, shape))
    steps = sum(int(score.lasts * shape.grid) for score in scores)
    return {
        "stuck_notes": stuck,
        "long_silences": silent,
        "cells_beyond_a_voices_range": beyond,
        "of_cells": steps * len(shape.voices),
        "from_muspy": apart if importlib.util.find_spec("muspy") else "muspy is not installed",
    }


def from_muspy(path: Path, found: Any, shape: Any) -> float:
    """Return the largest difference of pitch classes used, range and notes at once from muspy's."""
    if not importlib.util.find_spec("muspy"):
        return 0.0
    import muspy

    piece = muspy.read_midi(str(path))
    counts = distributions(found, shape.grid, shape.bar)
    at_once = [len(set(row[row >= 0].tolist())) for row in found.pitch]  # a unison counts once there
    mean = np.mean([each for each in at_once if each])
    pitch = found.pitch[found.sounds]
    pairs = (
        (int((counts["pitch classes"] > 0).sum()), muspy.n_pitch_classes_used(piece)),
        (int(np.ptp(pitch)), muspy.pitch_range(piece)),
        (float(mean), muspy.polyphony(piece)),
    )
    return max(abs(a - b) for a, b in pairs)


def speed(model: Any) -> dict[str, float]:
    """Return CPU seconds of composing three pieces in one call, and one."""
    found = {}
    for n in (1, 3):
        seconds = []
        for seed in range(CALLS):
            began = time.process_time()
            compose(model, n, Wish(bars=BARS), seed=seed)
            seconds.append(time.process_time() - began)
        found[f"cpu_seconds_of_{n}"] = round(statistics.median(seconds), 2)
    return found


def main() -> None:
    """Compose, judge, listen by counting, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", help="folder in which the training is kept, and looked for", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    model, training = trained("16th", options.runs)
    found = judge(Run.open(Path(options.runs) / "16th"), n=PIECES)
    ours, real, counts = found.measures, found.baselines["held-out pieces"], found.baselines["counts"]

    def said(figure: Any) -> list[float]:
        return [round(each, 4) for each in (figure.value, figure.low, figure.high)]

    def faults(figures: Any) -> list[float]:
        parts = [figures["parallels a bar"], figures["crossings a bar"]]
        error = sum(((each.high - each.low) / 2 / 1.96) ** 2 for each in parts) ** 0.5
        return said(around(sum(each.value for each in parts), error, parts[0].n, ""))

    figures = {
        "overlap": said(ours["overlap"]),
        "faults_per_bar": faults(ours),
        "faults_real": faults(real),
        "longest_copy": said(ours["longest melody shared"]),
        "longest_copy_real": said(real["longest melody shared"]),
        "passage": said(ours["longest passage shared"]),
        "passage_real": said(real["longest passage shared"]),
        "each": {name: said(figure) for name, figure in ours.items()},
        "rows": {row: {n: round(f.value, 4) for n, f in figs.items()} for row, figs in found.baselines.items()},
        "counts": {"overlap": said(counts["overlap"]), "faults_per_bar": faults(counts)},
        "heard": heard(model),
        "bars": found.about["bars"],
    }
    notes = f"{PIECES} pieces; copies in notes from one to the next, of one voice, in any key"
    record("music-composed", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)
    record(
        "music-speed",
        {**speed(model), "bars": BARS, "training_cpu_minutes": round(training / 60, 1)},
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes="music on the 16th grid of chorales; one thread, median of five calls",
    )


if __name__ == "__main__":
    main()
