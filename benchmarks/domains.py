"""CycleGAN where no partner is known: streets by day to dusk, and horses to deer, looked at and judged as far as one can.

python -m benchmarks.domains dusk|deer [--examples 2000] [--runs runs/domains]
"""

from __future__ import annotations

import argparse
import csv
import zipfile
from pathlib import Path
from typing import Any

import genloom
from benchmarks.evidence import DATA, record, spent
from benchmarks.pix2pix import judged, keep_picture
from genloom import Run

DOMAINS: dict[str, tuple[str, str, dict[str, Any]]] = {  # manifest, size, hyper-parameters
    "dusk": ("camvid_day2dusk.csv", "96x128", {"width": 24, "batch": 1}),
    "deer": ("cifar_horse2deer.csv", "32", {"width": 32, "batch": 8}),
}


def unpacked(manifest: str, folder: Path) -> Path:
    """Unpack the pictures of a manifest into `trainA`, `trainB`, `testA` and `testB`."""
    archives: dict[str, zipfile.ZipFile] = {}
    with (DATA / "unpaired" / manifest).open() as table:
        for row in csv.DictReader(table):
            if row["archive"] not in archives:
                archives[row["archive"]] = zipfile.ZipFile(DATA / row["archive"])
            target = folder / f"{row['split']}{row['domain'][0]}" / row["member"].replace("/", "_")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archives[row["archive"]].read(row["member"]))
    return folder


def main() -> None:
    """Train, judge, keep a picture, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=DOMAINS)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--runs", type=Path, default=Path("runs/domains"))
    said = parser.parse_args()
    manifest, size, hyper = DOMAINS[said.what]
    data, out = said.runs / f"{said.what}-pictures", said.runs / said.what
    if not data.exists():
        unpacked(manifest, data)
    if not (out / "run.json").exists():
        genloom.fit("cyclegan", data, out, hyper=hyper, examples=said.examples, size=size, threads=1, seed=0)
    run = Run.open(out)
    own, found = judged(run)
    figures: dict[str, Any] = dict(own)
    for row, measures in found.baselines.items():
        figures |= {f"{row}, {measure}": round(figure.value, 4) for measure, figure in measures.items()}
    keep_picture(f"cyclegan-{said.what}", out)
    figures |= spent(run)
    record(
        f"cyclegan-{said.what}",
        figures,
        seed=0,
        cpu_seconds=figures["training_cpu_seconds"],
        notes=f"modern, {size}, {said.examples:,} examples, no partners known: {'; '.join(found.verdicts)}",
    )


if __name__ == "__main__":
    main()
