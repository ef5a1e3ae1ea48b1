"""Music from one style into another: Nottingham tunes and Bach's chorales, by `music_cyclegan`, beside a table of counts.

    python -m benchmarks.music_style [--preset paper] [--cpu-minutes 20] [--device cuda]

Chorales (229 and 76) and the tunes of the Nottingham set that are in 4/4 are written as MIDI files into two folders; every
fifth piece of the whole is held out. How far pieces come is told by a classifier of four bars at a time, learnt from the
training pieces alone; its accuracy on held-out ones is stated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

import genloom
from benchmarks.evidence import record
from genloom.data.music.files import read_pieces
from genloom.scores.midi import midi_of, read_midi
from genloom.scores.score import Metre
from genloom.use.judging.judge import judge
from genloom.use.judging.page import write_page

TUNES = 300  # of the Nottingham set, at most
SECONDS = 60


def folders(folder: Path) -> Path:
    """Write chorales and tunes as MIDI files, and return the folder of both."""
    data = Path(os.environ.get("GENLOOM_DATA", "../shared/data"))
    for name in ("bach", "nottingham"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    chorales = read_pieces(str(data / "jsb_chorales" / "Jsb16thSeparated.json.gz"), "train").scores
    for i, score in enumerate(chorales):
        (folder / "bach" / f"{i:04d}.mid").write_bytes(midi_of(score))
    written = 0
    with zipfile.ZipFile(data / "nottingham" / "nottingham_midi.zip") as file:
        for name in sorted(each for each in file.namelist() if each.endswith(".mid") and "/." not in each):
            path = folder / "nottingham" / Path(name).name
            path.write_bytes(file.read(name))
            score = read_midi(path)[0]
            if written >= TUNES or (score.metre or Metre()) != Metre():
                path.unlink()
                continue
            written += 1
    return folder


def main() -> None:
    """Learn, judge and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="modern")
    parser.add_argument("--cpu-minutes", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, help="on the clock on the wall, in place of those")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="music-style")
    parser.add_argument("--page", help="an .html to write, with rolls and sound")
    parser.add_argument("--hyper", nargs="*", default=[], help="name=value")
    options = parser.parse_args()
    torch.set_num_threads(1)
    hyper: dict[str, Any] = dict(each.split("=", 1) for each in options.hyper)
    budget = {"minutes": options.minutes} if options.minutes else {"cpu_minutes": options.cpu_minutes}
    with tempfile.TemporaryDirectory() as place:
        source = folders(Path(place) / "both")
        said = {"preset": options.preset, "hyper": hyper, "voices": 4, "device": options.device, **budget}
        run = genloom.fit("music_cyclegan", source, Path(place) / "run", threads=1, **said)
        found = judge(run)
        state = run.state(run.checkpoint("last"))
        if options.page:
            write_page([found], Path(options.page))
    values = {name: [round(each, 3) for each in (f.value, f.low, f.high)] for name, f in found.measures.items()}
    rows = {row: {name: round(f.value, 3) for name, f in figures.items()} for row, figures in found.baselines.items()}
    kept = min((values[name] for name in ("onsets kept", "pitch classes kept")), key=lambda each: each[0])
    figures = {
        "raised": values["raised"],
        "kept": kept,
        "told_by_the_meter": rows["left as they are"]["told by the meter"],
        "by_direction": values,
        "baselines": rows,
        "held_out": found.about["held out"],
        "examples": state["examples"],
        "training_cpu_minutes": round(state["cpu_seconds"] / SECONDS, 1),
    }
    print(figures)
    record(options.name, figures, seed=0, cpu_seconds=state["cpu_seconds"], notes=f"preset {options.preset}, 4/4, 4 voices")


if __name__ == "__main__":
    main()
