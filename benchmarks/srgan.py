"""SRResNet and SRGAN x4 from the 80 training pictures, judged on Set5 and CBSD68 beside what needs no network.

    python -m benchmarks.srgan [--examples 240000] [--adversarial 24000] [--runs runs] [--side 96] [--batch 16] [--device X]
    python -m benchmarks.srgan --train     # SRResNet alone, and no judging: for a machine that is lent for minutes

SRResNet is trained by the modern preset alone; SRGAN starts from it and goes on against the discriminator. A run that is
there already is judged as it is. `psnr_y+` is of the mean over the eight ways to turn and mirror a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import genloom
from benchmarks.evidence import DATA, FOLDER, record, spent
from genloom import Run
from genloom.data.options import PictureOptions
from genloom.data.pieces.load import PieceSource
from genloom.measures.resolution import resolution_figures
from genloom.nn.imresize import grown, shrunk
from genloom.shapes.pictures import grid, rounded, save, to_picture
from genloom.shapes.pieces import PieceShape
from genloom.use.judging.resolution import middle, whole_squares

SETS = DATA / "super_resolution"
SCALE = 4
SIDE = 128  # of the parts that stand side by side in the picture
TRAIN = SETS / "SunHays80_half"
NAMES = {"PSNR-Y": "psnr_y", "SSIM-Y": "ssim_y", "PSNR-RGB": "psnr_rgb", "SSIM-RGB": "ssim_rgb", "detail": "detail"}


def trained(out: Path, **said: Any) -> Run:
    """Train a run where it is not there yet."""
    if not (out / "run.json").exists():
        genloom.fit("srgan", TRAIN, out, threads=1, seed=0, **said)
    return Run.open(out)


def turned_eight(x: Tensor) -> list[Tensor]:
    """Return a picture in its eight ways."""
    flips = [x, x.flip(2), x.flip(3), x.flip(2, 3)]
    return [*flips, *(each.transpose(2, 3) for each in flips)]


def back(made: Sequence[Tensor]) -> Tensor:
    """Return the mean of what eight ways of a picture became, turned back."""
    upright = [*made[:4], *(each.transpose(2, 3) for each in made[4:])]
    return torch.stack(
        [upright[i].flip(*axes) if axes else upright[i] for i, axes in enumerate([(), (2,), (3,), (2, 3)] * 2)]
    ).mean(0)


def ensemble(run: Run, folder: Path) -> float:
    """Return PSNR-Y of the mean over the eight ways, on a folder of pictures."""
    model = genloom.load(run)
    pictures = PieceSource(str(folder), PictureOptions()).load(PieceShape((), 3, 1, 1))
    real = [whole_squares(pictures.picture(i), SCALE) for i in range(len(pictures.sizes))]
    small = [rounded(shrunk(x, SCALE)) for x in real]
    made = [rounded(back([model.upscale(each) for each in turned_eight(x)])) for x in small]
    return round(resolution_figures(zip(made, real, strict=True), SCALE)["PSNR-Y"].value, 3)


def figures_of(run: Run) -> dict[str, Any]:
    """Return the figures of a run on Set5 and CBSD68, and of what needs no network."""
    found: dict[str, Any] = {}
    for part, name in (("Set5", ""), ("CBSD68", "CBSD68, ")):
        judged = genloom.judge(run, test=SETS / part)
        found |= {name + short: rounded_figure(judged.measures[measure]) for measure, short in NAMES.items()}
        for row, measures in judged.baselines.items():
            found |= {f"{name}{row}, {short}": round(measures[measure].value, 4) for measure, short in NAMES.items()}
    return found | {"bicubic": found["bicubic, psnr_y"]}


def rounded_figure(figure: Any) -> list[float]:
    """Return a figure with its interval."""
    return [round(x, 4) for x in (figure.value, figure.low, figure.high)]


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw the middles of Set5: bicubic, each run, the picture."""
    models = [genloom.load(run) for run in runs]
    pictures = PieceSource(str(SETS / "Set5"), PictureOptions()).load(PieceShape((), 3, 1, 1))
    rows = []
    for i in range(len(pictures.sizes)):
        real = whole_squares(pictures.picture(i), SCALE)
        small = rounded(shrunk(real, SCALE))
        rows += [
            middle(x, SIDE) for x in (grown(small, SCALE).clamp(0, 1), *(model.upscale(small) for model in models), real)
        ]
    columns = len(models) + 2
    save(to_picture(grid(torch.cat(rows).repeat_interleave(2, 2).repeat_interleave(2, 3), columns=columns)), path)


def main() -> None:
    """Train, judge, draw, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=240_000)
    parser.add_argument("--adversarial", type=int, default=24_000)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--side", default="96", help="of the pieces that SRResNet learns from, in pixels")
    parser.add_argument("--batch", type=int, default=16, help="of SRResNet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--train", action="store_true", help="SRResNet, and end")
    said = parser.parse_args()
    torch.set_num_threads(1)
    alone = {"adversary": 0.0, "pretrain": said.examples, "ema": 250.0 * said.batch}
    sizes = {"batch": said.batch, "size": said.side, "device": said.device}
    resnet = trained(said.runs / "srresnet", hyper=alone, examples=said.examples, **sizes)
    if said.train:
        return
    found = figures_of(resnet) | {"psnr_y+": ensemble(resnet, SETS / "Set5")} | spent(resnet)
    what = "modern, x4, 80 pictures of at most 512 pixels; intervals of 95 % over 5 pictures, which differ much"
    record("srresnet-set5", found, seed=0, cpu_seconds=spent(resnet)["training_cpu_seconds"], notes=what)
    more = {"adversary": 0.02, "pretrain": 0}
    gan = trained(said.runs / "srgan", start=str(said.runs / "srresnet"), hyper=more, examples=said.adversarial)
    found = figures_of(gan) | spent(gan)
    what = "from SRResNet of `srresnet-set5` against the discriminator; content: its own maps; cost: of both"
    record("srgan-set5", found, seed=0, cpu_seconds=spent(gan)["training_cpu_seconds"], notes=what)
    draw([resnet, gan], FOLDER.parent / "models" / "srgan-set5.png")


if __name__ == "__main__":
    main()
