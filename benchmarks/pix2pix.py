"""pix2pix: the paper's ablation on street scenes, labels to photographs; and emoji, from light skin to dark.

python -m benchmarks.pix2pix camvid [--examples 3000] [--runs runs/camvid] [--paper] [--device cuda] [--rows l1,cgan]
python -m benchmarks.pix2pix emoji  [--examples 12000] [--runs runs/emoji]      # light skin to dark
python -m benchmarks.pix2pix outline [--examples 40000] [--runs runs/outline]   # outlines to colour, by `prepare pairs`
python -m benchmarks.pix2pix cyclegan [--examples 6000] [--runs runs/emoji]      # the same pairs, their partners hidden

A run that is there already is judged as it is. The label score reads labels back by a network trained on the real pairs.
`--paper` trains as the paper does, at 256x192, with 64 channels and batches of 10: for a GPU. With `--rows` a process trains
and judges some rows of the ablation alone, so that several share a machine; without it a last one collects them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import resource
import shutil
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

import genloom
from benchmarks.evidence import DATA, FOLDER, record
from genloom import Run, judge
from genloom.data.options import PictureOptions
from genloom.data.source import silent
from genloom.use.translation.make_pairs import make_pairs

CAMVID = {  # figure: what differs from L1 + cGAN by a U-Net with patches of 70 pixels
    "l1": {"adversarial": "none"},
    "cgan": {"l1": 0.0},
    "l1_cgan": {},
    "encoder_decoder": {"generator": "encoder-decoder"},
    "patch1": {"patch": 1},
    "patch16": {"patch": 16},
}
SAME = ("unet", "patch70")  # as l1_cgan
DRAWN = ("l1_cgan", "l1", "cgan", "patch1", "patch16", "encoder_decoder")
CAMVID_HYPER = {"width": 32, "batch": 4, "test_dropout": False, "ema": 1000.0}
PAPER_HYPER = {"batch": 10}  # section 6.2, of the ablation on Cityscapes
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
                    save_on_white(archive, members[row[column]], folder / row["split"] / side / f"{i:03d}.png")
    return folder


def trained(
    data: Path,
    out: Path,
    preset: str,
    hyper: dict[str, Any],
    examples: int,
    size: str,
    model: str = "pix2pix",
    device: str = "cpu",
) -> Run:
    """Train a run where it is not there yet."""
    if not (out / "run.json").exists():
        options: dict[str, Any] = {"examples": examples, "size": size, "device": device, "threads": 1, "seed": 0}
        if device != "cpu":
            options["save_every"] = 3600.0  # minutes are lent, and several runs share the disk
        genloom.fit(model, data, out, preset=preset, hyper=hyper, **options)
    return Run.open(out)


def judged(run: Run) -> tuple[dict[str, list[float]], Any]:
    """Return the figures of a run on the test pairs, each with its interval, and the judgement."""
    found = judge(run)
    return {name: [round(x, 4) for x in (f.value, f.low, f.high)] for name, f in found.measures.items()}, found


def camvid(runs: Path, examples: int, paper: bool, device: str, rows: list[str]) -> None:
    """Train and judge rows of the ablation; record once all are there."""
    data, figures, spent = runs / "pairs", {}, 0.0
    if not data.exists():
        camvid_pairs(data)
    hyper, size = (PAPER_HYPER, "192x256") if paper else (CAMVID_HYPER, "96x128")
    for name in rows or CAMVID:
        run = trained(data, runs / name, "paper", hyper | CAMVID[name], examples, size, device=device)
        own, real = row_of(run)
        spent += run.state(run.last_checkpoint())["cpu_seconds"]
        figures[f"{name}, examples"] = run.state(run.last_checkpoint())["examples"]
        figures[name] = own["pixel accuracy"]
        figures |= {f"{name}, {measure}": value for measure, value in own.items() if measure != "pixel accuracy"}
        print(name, own, flush=True)
    if rows:
        return
    figures |= {name: figures["l1_cgan"] for name in SAME}
    figures["real"] = real["pixel accuracy"]
    figures |= {f"real, {measure}": value for measure, value in real.items() if measure != "pixel accuracy"}
    draw_rows([runs / name for name in DRAWN])
    what = "as the paper" if paper else "width 32, batch 4"
    write(
        "pix2pix-camvid",
        figures,
        spent,
        f"labels to photographs, rows x columns {size}, {examples:,} examples a row, {what}",
    )


def row_of(run: Run) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the figures of a run on the test pairs, and of real pictures; judged once."""
    kept = Path(run.folder) / "figures.json"
    if not kept.exists():
        own, found = judged(run)
        real = {measure: figure.value for measure, figure in found.baselines["real pictures"].items()}
        kept.write_text(json.dumps([own, real]))
    own, real = json.loads(kept.read_text())
    return own, real


def outline_pairs(folder: Path) -> Path:
    """Unpack all emoji, on white, and let `genloom prepare pairs` draw their outlines."""
    pictures = folder.parent / "pictures"
    with zipfile.ZipFile(DATA / "noto_emoji" / "emoji_128.zip") as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        with (DATA / "noto_emoji" / "emoji.csv").open() as table:
            for row in csv.DictReader(table):
                save_on_white(archive, members[row["file"]], pictures / row["split"] / row["file"])
    make_pairs(str(pictures), str(folder), "outline", PictureOptions(), silent)
    return folder


def save_on_white(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    """Save a picture of an archive, laid on white."""
    image = Image.open(io.BytesIO(archive.read(member))).convert("RGBA")
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB").save(target)


def emoji(what: str, runs: Path, examples: int) -> None:
    """Train and judge light to dark, by the modern preset and by the paper's; or outline to colour, by the modern one."""
    outline = what == "outline"
    name, presets = ("pix2pix-outline", ("modern",)) if outline else ("pix2pix-emoji", ("modern", "paper"))
    data, figures, spent = runs / "pairs", {}, 0.0
    if not data.exists():
        (outline_pairs if outline else emoji_pairs)(data)
    for preset in presets:
        run = trained(data, runs / preset, preset, EMOJI_HYPER, examples, "64")
        own, found = judged(run)
        spent += run.state(run.last_checkpoint())["cpu_seconds"]
        figures |= {f"{preset}, {measure}": value for measure, value in own.items()}
        figures[f"{preset}, cpu_seconds"] = round(run.state(run.last_checkpoint())["cpu_seconds"], 1)
    for row, measures in found.baselines.items():
        figures |= {f"{row}, {measure}": round(figure.value, 4) for measure, figure in measures.items()}
    keep_picture(name, runs / "modern")
    says = "outline to colour" if outline else "light to dark skin"
    write(name, figures, spent, f"{says} at 64x64, {examples:,} examples, width 32, batch 4")


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


def draw_rows(runs: list[Path]) -> None:
    """Draw label maps, what each run makes of them, and the photographs, beside the model's page."""
    grids = [Image.open(sorted(run.glob("samples/*.png"))[-1]) for run in runs]
    width, height = grids[0].width * 3 // 8, grids[0].height // 3  # three pictures of eight; labels, made, photographs
    drawn = Image.new("RGB", (width, height * (len(runs) + 2)))
    lines = [(grids[0], 0), *((grid, 1) for grid in grids), (grids[0], 2)]
    for i, (grid, line) in enumerate(lines):
        drawn.paste(grid.crop((0, line * height, width, (line + 1) * height)), (0, i * height))
    drawn.save(FOLDER.parent / "models" / "pix2pix-camvid.png")


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
    parser.add_argument("what", choices=("camvid", "emoji", "outline", "cyclegan"))
    parser.add_argument("--examples", type=int)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--paper", action="store_true", help="CamVid at the paper's sizes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", default="", help=f"of CamVid, with commas: {', '.join(CAMVID)}")
    args = parser.parse_args()
    runs = args.runs or Path("runs") / args.what
    if args.what == "camvid":
        camvid(runs, args.examples or 3000, args.paper, args.device, [row for row in args.rows.split(",") if row])
    elif args.what in ("emoji", "outline"):
        emoji(args.what, runs, args.examples or (12_000 if args.what == "emoji" else 40_000))
    else:
        cyclegan(args.runs or Path("runs") / "emoji", args.examples or 6000)


if __name__ == "__main__":
    main()
