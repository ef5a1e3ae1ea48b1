"""What each measure does when real digits are spoilt in a known way; a table for docs/judge.md.

python -m benchmarks.judge_sensitivity
"""

from __future__ import annotations

import re
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.evidence import DATA, ROOT, record
from genloom import load_data
from genloom.measures.pictures import BLOCK
from genloom.train.health import COMPARED, LEAST_DIVERSITY, mean_distance
from genloom.use.judging.panel import Terms
from genloom.use.judging.picture_data import JudgedData
from genloom.use.judging.picture_jury import make_jury

N = 5000
SHOWN = ("FID", "KID", "precision", "recall", "density", "coverage", "IS", "SWD", "MS-SSIM", "Parzen", "near-copies[pixels]")


def blur(x: Tensor) -> Tensor:
    """Smooth three times by a box of three pixels."""
    for _ in range(3):
        x = F.avg_pool2d(x, 3, 1, 1)
    return x


def spoilt(fresh: Tensor, labels: Tensor, train: Tensor) -> dict[str, Tensor]:
    """Return sets of test digits, each spoilt in one way, and copies of training digits: all as many as `train`."""
    n, generator = len(train), torch.Generator().manual_seed(0)
    few = fresh[torch.randint(200, (n,), generator=generator)]
    kept = fresh[labels < 5]
    return {
        "untouched": fresh[:n],
        "blurred": blur(fresh[:n]),
        "noisy": (fresh[:n] + 0.2 * torch.randn(fresh[:n].shape, generator=generator)).clamp(0, 1),
        "five of ten classes": kept[torch.randint(len(kept), (n,), generator=generator)],
        "200 digits repeated": few,
        "one digit repeated": (fresh[:1] + 0.02 * torch.randn(fresh[:n].shape, generator=generator)).clamp(0, 1),
        "copies of training digits": train,
    }


def put_table(heading: str, script: str, evidence: str, lines: list[str]) -> None:
    """Write a table as the first thing under its heading in docs/judge-sensitivity.md; the prose stays."""
    page = ROOT / "docs" / "judge-sensitivity.md"
    before, _, rest = page.read_text().partition(f"## {heading}\n")
    prose = re.sub(r"\A\nWritten by .*?\n\n(\|.*\n)+", "", rest)
    source = f"Written by `python -m benchmarks.{script}`; evidence: [{evidence}](evidence/{evidence}.json)."
    page.write_text(f"{before}## {heading}\n\n{source}\n\n" + "\n".join(lines) + f"\n{prose}")


def main() -> None:
    """Measure, record, and write the table."""
    began = time.process_time()
    data, test = (load_data(DATA / "mnist", split=split) for split in ("train", "test"))
    half, other = test.part(0, 5000), test.part(5000, None)
    jury = make_jury(JudgedData(data, half, None, True), Terms(n=N), flip=False)
    x, labels = other.pictures(torch.arange(len(other))), other.labels
    copies = data.pictures(torch.randperm(len(data), generator=torch.Generator().manual_seed(5))[:N])
    spread = mean_distance(data.pictures(torch.arange(COMPARED)))
    rows: dict[str, dict[str, float]] = {}
    for name, pictures in spoilt(x, labels, copies).items():
        view = jury.view((part, None) for part in pictures.split(BLOCK))
        found = {key: figure.value for key, figure in (jury.measure(view) | jury.copies(view)[0]).items()}
        rows[name] = {key: value for key, value in found.items() if key.startswith(SHOWN)}
        rows[name]["referee's diversity"] = mean_distance(pictures[:COMPARED]) / spread
        print(name, rows[name], flush=True)
    figures = {f"{measure}, {name}": round(value, 5) for name, row in rows.items() for measure, value in row.items()}
    record(
        "judge-sensitivity",
        figures,
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes=f"{N} test digits spoilt in one way each, against {N} training digits in {jury.features.name}; "
        f"below a diversity of {LEAST_DIVERSITY} the referee calls the generator collapsed",
    )
    measures = list(next(iter(rows.values())))
    lines = ["| set | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{row[key]:.3g}" for key in measures) + " |" for name, row in rows.items()]
    put_table("Digits", "judge_sensitivity", "judge-sensitivity", lines)


if __name__ == "__main__":
    main()
