"""What `genloom export` writes: of every model and function the largest difference, the size, and the pace.

    python -m benchmarks.export [--only dcgan-64,vae]

Each model is trained for a moment on real data, its preset `modern` where that fits into minutes, so that no weight is zero;
quality is another matter. Milliseconds an example in onnxruntime and in torch, one thread, batches of 16 (pictures of free
size: 4 of 64x64), median of five calls; of what goes step by step, those of a step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import genloom
from benchmarks.evidence import DATA, record
from benchmarks.gpu import data_for
from benchmarks.music_style import folders
from genloom.core.model import Model
from genloom.train.run import Run
from genloom.use.export.entries import Entry, LeftOut
from genloom.use.export.functions import functions_of
from genloom.use.export.graphs import LEAST_SIDE, examples, runner, write

BATCH, LARGE, CALLS = 16, 4, 5
SIDE = 64  # of pictures whose size is free
WEIGHTS = ("fp32", "fp16", "int8")


def trainings(place: Path) -> dict[str, tuple[str, Any, dict[str, Any]]]:
    """Return model, data and options of each training, by name."""
    emoji, jsb = f"{DATA}/noto_emoji/emoji_128.zip", f"{DATA}/jsb_chorales/Jsb16thSeparated.json.gz"
    mnist = f"{DATA}/mnist/train-images-idx3-ubyte.gz"
    small = {"examples": 512}
    found: dict[str, tuple[str, Any, dict[str, Any]]] = {
        name: (name, mnist, small) for name in ("gan", "cgan", "autoencoder", "vae", "feature_matching", "dfm")
    }
    return found | {
        "dcgan-28": ("dcgan", mnist, small | {"hyper": {"conditional": True}}),
        "dcgan-64": ("dcgan", emoji, small | {"size": 64, "channels": 3}),
        "progan": ("progan", emoji, small | {"size": 32, "preset": "tiny"}),
        "r3gan": ("r3gan", emoji, {"examples": 128, "size": 32, "preset": "tiny"}),
        "projected": ("projected", emoji, {"examples": 128, "size": 64}),
        "icgan": ("icgan", data_for("icgan", place), {"examples": 128, "preset": "tiny"}),
        "tagger": ("tagger", data_for("tagger", place), {"examples": 256, "preset": "tiny"}),
        "pixelcnn": ("pixelcnn", mnist, {"examples": 256, "hyper": {"levels": 4}}),
        "pixelcnn-plain": ("pixelcnn", mnist, {"examples": 256, "preset": "tiny", "hyper": {"kind": "plain", "levels": 4}}),
        "pixelrnn": ("pixelrnn", "digits", {"examples": 64, "preset": "tiny"}),
        "pix2pix": ("pix2pix", data_for("pix2pix", place / "for-pix2pix", SIDE), {"examples": 32}),
        "cyclegan": ("cyclegan", data_for("cyclegan", place / "for-cyclegan", SIDE), {"examples": 8}),
        "srgan": ("srgan", f"{DATA}/super_resolution/SunHays80_half", {"examples": 64}),
        "gain": ("gain", f"{DATA}/tabular/gain_letter.csv.gz", {"examples": 2560}),
        "gain-paper": ("gain", f"{DATA}/tabular/gain_spam.csv.gz", {"examples": 2560, "preset": "paper"}),
        "timegan": ("timegan", f"{DATA}/timegan_stock/stock_data.csv", small | {"time": "row"}),
        "rtsgan": ("rtsgan", f"{DATA}/timegan_stock/stock_data.csv", small | {"time": "row"}),
        "music": ("music", jsb, small),
        "music_cyclegan": ("music_cyclegan", folders(place / "styles"), {"examples": 64, "voices": 4}),
        "crnngan": ("crnngan", str(place / "styles" / "nottingham"), {"examples": 64}),
        "counts": ("counts", jsb, {}),
        "line": ("line", data_for("line", place), small),
    }


def timed(call: Callable[[], Any], count: int) -> float:
    """Return CPU milliseconds an example of a call."""
    call()
    seconds = []
    for _ in range(CALLS):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return round(1000 * statistics.median(seconds) / count, 3)


def measured(entry: Entry, model: Model, folder: Path) -> dict[str, Any]:
    """Return the figures of a function."""
    found: dict[str, Any] = {}
    for weights in WEIGHTS:
        written = write(entry, model, folder, "onnx", weights)  # type: ignore[arg-type]
        found[weights] = {"difference": float(f"{written.difference:.1e}"), "kilobytes": round(written.bytes / 1000)}
        if weights == "fp32":
            run = runner(folder / written.file)
    free, count = entry.sizes(), BATCH
    if len(free) > 1:  # pictures of any size
        count, side = LARGE, max(SIDE // max(free.values()), 1) if max(free.values()) > 1 else SIDE - LEAST_SIDE + 1
        given = examples(entry, (LARGE, side, side))
    else:
        given = examples(entry, (BATCH, 1, 1))
    count = count if "n" in free else 1
    with torch.no_grad():
        module = entry.module(model)
        found["ms_torch"] = timed(lambda: module(*given), count)
        found["ms_onnxruntime"] = timed(lambda: run(*given), count)
    return found


def only(doc: str | None) -> list[str]:
    """Return the trainings that the command line names; none for all."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="trainings by name, with commas")
    return [name for name in (parser.parse_args().only or "").split(",") if name]


def main() -> None:
    """Train, export, measure, record."""
    chosen = only(__doc__)
    torch.set_num_threads(1)
    began, figures = time.process_time(), {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for key, (model_name, source, said) in trainings(place).items():
            if chosen and key not in chosen:
                continue
            run = genloom.fit(model_name, source, place / key, threads=1, **said)
            model = genloom.load(Run.open(run.folder)).requires_grad_(False)
            (out := place / f"{key}-out").mkdir()
            rows: dict[str, Any] = {"preset": run.record["preset"], "shape": model.shape.describe()}
            for entry in functions_of(model):
                rows[entry.name] = entry.why if isinstance(entry, LeftOut) else measured(entry, model, out)
            print(key, rows, flush=True)
            figures[key] = rows
    worst = max(each["fp32"]["difference"] for rows in figures.values() for each in rows.values() if isinstance(each, dict))
    notes = "differences relative to an output's largest value where above 1; fp16 and int8: how weights are stored"
    record("export", {"largest_difference": worst, **figures}, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
