"""pix2pix: the paper's ablation on street scenes, labels to photographs; and emoji, from light skin to dark.

python -m benchmarks.pix2pix camvid [--examples 3000] [--runs runs/camvid]
python -m benchmarks.pix2pix emoji  [--examples 12000] [--runs runs/emoji]
python -m benchmarks.pix2pix cyclegan [--examples 6000] [--runs runs/emoji]      # the same pairs, their partners hidden

A run that is there already is judged as it is. The label score reads labels back by a network trained on the real pairs.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

import genloom
from benchmarks.evidence import DATA, FOLDER, record
from genloom import Run, judge

CAMVID = {  # figure: what differs from L1 + cGAN by a U-Net with patches of 70 pixels
    "l1": {"adversarial": "none"},
    "cgan": {"l1": 0.0},
    "l1_cgan": {},
    "encoder_decoder": {"generator": "encoder-decoder"},
    "patch1": {"patch": 1},
    "patch16": {"patch": 16},
}
SAME = ("unet", "patch70")  # as l1_cgan
CAMVID_HYPER = {"width": 32, "batch": 4, "test_dropout": False, "ema": 1000.0}
EMOJI_HYPER = {"width": 32, "batch": 4}
CYCLE_HYPER = {"width": 24, "batch": 2}
CYCLES = {"cyclegan": {}, "cycle 10": {"cycle": 10.0}, "no cycle": {"cycle": 0.0}, "no skip": {"skip": False}}
SHORT = 8  # the ablations get so much less training


def camvid_pairs(folder: Path) -> Path:
    """Unpack labels as A and photographs as B, train and test."""
    with zipfile.ZipFile(DATA / "camvid" / "camvid_256x192.zip") as archive:
        for name in archive.namelist():
            parts = Path(name).parts
            if len(parts) >= 3 and parts[-3] in ("train", "test") and parts[-2] in ("image", "label") and "." in parts[-1]:
                target = folder / parts[-3] / ("A" if parts[-2] == "label" else "B") / parts[-1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    return folder


def emoji_pairs(folder: Path) -> Path:
    """Unpack the 327 pairs of light (A) and dark (B) skin, on white."""
    with zipfile.ZipFile(DATA / "noto_emoji" / "emoji_128.zip") as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        with (DATA / "noto_emoji" / "pairs_light_dark.csv").open() as table:
            for i, row in enumerate(csv.DictReader(table)):
                for side, column in (("A", "light"), ("B", "dark")):
                    image = Image.open(io.BytesIO(archive.read(members[row[column]]))).convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
                    target = folder / row["split"] / side / f"{i:03d}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    image.save(target)
    return folder


def trained(
    data: Path, out: Path, preset: str, hyper: dict[str, Any], examples: int, size: str, model: str = "pix2pix"
) -> Run:
    """Train a run where it is not there yet."""
    if not (out / "run.json").exists():
        genloom.fit(model, data, out, preset=preset, hyper=hyper, examples=examples, size=size, threads=1, seed=0)
    return Run.open(out)


def judged(run: Run) -> tuple[dict[str, list[float]], Any]:
    """Return the figures of a run on the test pairs, each with its interval, and the judgement."""
    found = judge(run)
    return {name: [round(x, 4) for x in (f.value, f.low, f.high)] for name, f in found.measures.items()}, found


def camvid(runs: Path, examples: int) -> None:
    """Train and judge each row of the ablation."""
    data, figures, spent = runs / "pairs", {}, 0.0
    if not data.exists():
        camvid_pairs(data)
    for name, differs in CAMVID.items():
        run = trained(data, runs / name, "paper", CAMVID_HYPER | differs, examples, "96x128")
        own, found = judged(run)
        spent += run.state(run.last_checkpoint())["cpu_seconds"]
        figures[name] = own["pixel accuracy"]
        figures |= {f"{name}, {measure}": value for measure, value in own.items() if measure != "pixel accuracy"}
        print(name, own, flush=True)
    figures |= {name: figures["l1_cgan"] for name in SAME}
    real = found.baselines["real pictures"]
    figures["real"] = real["pixel accuracy"].value
    figures |= {f"real, {measure}": figure.value for measure, figure in real.items() if measure != "pixel accuracy"}
    keep_picture("pix2pix-camvid", runs / "l1_cgan")
    write(
        "pix2pix-camvid", figures, spent, f"labels to photographs at 128x96, {examples:,} examples a row, width 32, batch 4"
    )


def emoji(runs: Path, examples: int) -> None:
    """Train and judge light to dark, by the modern preset and by the paper's."""
    data, figures, spent = runs / "pairs", {}, 0.0
    if not data.exists():
        emoji_pairs(data)
    for preset in ("modern", "paper"):
        run = trained(data, runs / preset, preset, EMOJI_HYPER, examples, "64")
        own, found = judged(run)
        spent += run.state(run.last_checkpoint())["cpu_seconds"]
        figures |= {f"{preset}, {measure}": value for measure, value in own.items()}
        figures[f"{preset}, cpu_seconds"] = round(run.state(run.last_checkpoint())["cpu_seconds"], 1)
    for row, measures in found.baselines.items():
        figures |= {f"{row}, {measure}": round(figure.value, 4) for measure, figure in measures.items()}
    keep_picture("pix2pix-emoji", runs / "modern")
    write("pix2pix-emoji", figures, spent, f"light to dark skin at 64x64, {examples:,} examples, width 32, batch 4")


def cyclegan(runs: Path, examples: int) -> None:
    """Train light to dark and back with the partners hidden, and set it against pix2pix trained on the pairs.

    The whole training has its rate fall to zero over its second half;
    the ablations are shorter, `modern` at that length among them.
    """
    data, figures, spent = runs / "pairs", {}, 0.0
    if not data.exists():
        emoji_pairs(data)
    paired, _ = judged(trained(data, runs / "modern", "modern", EMOJI_HYPER, 12_000, "64"))
    for name, differs in {"whole": {"hold": examples // 2, "fall": examples // 2}, **CYCLES}.items():
        count = examples if name == "whole" else examples // SHORT
        run = trained(data, runs / name.replace(" ", "-"), "modern", CYCLE_HYPER | differs, count, "64", "cyclegan")
        own, found = judged(run)
        spent += run.state(run.last_checkpoint())["cpu_seconds"]
        if name == "whole":
            figures = {"error": own["L1"], "pix2pix_error": paired["L1"]}
            figures["identity_error"] = found.baselines["unchanged"]["L1"].value
        figures |= {f"{name}, {measure}": value for measure, value in own.items()}
        print(name, own, flush=True)
    for row, measures in found.baselines.items():
        figures |= {f"{row}, {measure}": round(figure.value, 4) for measure, figure in measures.items()}
    keep_picture("cyclegan-emoji", runs / "whole")
    what = f"light to dark skin at 64x64, partners hidden, width 24, batch 2; {examples:,} examples, the ablations an eighth"
    write("cyclegan-emoji", figures, spent, what)


def keep_picture(name: str, run: Path) -> None:
    """Copy a run's last grid beside the model's page."""
    shutil.copy(sorted(run.glob("samples/*.png"))[-1], FOLDER.parent / "models" / f"{name}.png")


def write(name: str, figures: dict[str, Any], spent: float, what: str) -> None:
    """Record the figures."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    notes = (
        f"{what}; figures with their 95 % intervals, on test pairs that no run saw; cost: training, and all of this process"
    )
    record(name, figures, seed=0, cpu_seconds=spent + used.ru_utime + used.ru_stime, notes=notes)


def main() -> None:
    """Train what is not there, judge, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("camvid", "emoji", "cyclegan"))
    parser.add_argument("--examples", type=int)
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    runs = args.runs or Path("runs") / args.what
    if args.what == "camvid":
        camvid(runs, args.examples or 3000)
    elif args.what == "emoji":
        emoji(runs, args.examples or 12_000)
    else:
        cyclegan(args.runs or Path("runs") / "emoji", args.examples or 6000)


if __name__ == "__main__":
    main()
