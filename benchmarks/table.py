"""Write docs/evidence/README.md from the evidence files, with the published figure beside ours.

python -m benchmarks.table
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.evidence import FOLDER

PUBLISHED = {
    ("gan-mnist", "parzen"): "225 +- 2 (Goodfellow et al. 2014, Table 1)",
    ("gan-mnist-paper", "parzen"): "225 +- 2 (Goodfellow et al. 2014, Table 1)",
    ("gated-mnist", "nats"): "80.10 (a gated PixelCNN of Gulrajani et al. 2016, Table 1)",
    ("vae-mnist", "mlp_iw5000"): "86.76 (Burda et al. 2015, Table 1)",
    ("pixelcnn-mnist", "nats"): "81.30 (van den Oord et al. 2016, Table 4)",
    ("pixelrnn-diagonal-mnist", "nats"): "79.20 (van den Oord et al. 2016, Table 4)",
    ("pixelrnn-row-mnist", "nats"): "80.54 (van den Oord et al. 2016, Table 4)",
    ("few-labels", "propagation_100"): "11.82 (M1+TSVM, Kingma et al. 2014, Table 1)",
    ("few-labels", "propagation_1000"): "4.24 (M1+TSVM, Kingma et al. 2014, Table 1)",
    ("gain-letter", "paper_rounded"): "0.1198 +- 0.0005 (Yoon et al. 2018, Table 2)",
    ("gain-spam", "paper_rounded"): "0.0513 +- 0.0016 (Yoon et al. 2018, Table 2)",
    ("gain-breast", "paper_rounded"): "0.0546 +- 0.0006 (Yoon et al. 2018, Table 2)",
    ("gain-credit", "paper_rounded"): "0.1858 +- 0.0010 (Yoon et al. 2018, Table 2)",
    ("srresnet-set5", "psnr_y"): "32.05 (Ledig et al. 2017, Table 2, from 350,000 pictures); 31.35 (VDSR, 291 pictures)",
    ("srresnet-set5", "bicubic"): "28.43 (Ledig et al. 2017, Table 2)",
    ("srgan-set5", "psnr_y"): "29.40 (Ledig et al. 2017, Table 2)",
    ("cgan-mnist", "parzen"): "132 +- 1.8 (Mirza & Osindero 2014, Table 1)",
}


HEAD = """# Evidence

Written by `python -m benchmarks.table` from the files beside it; each names its command, commit, seed, versions, processor
and date. Processors were shared: CPU seconds and ratios count.

| file | figure | ours | published |
|---|---|---|---|
"""


def shown(value: object) -> str:
    """Return a figure as text; three numbers are the value with its range."""
    if isinstance(value, list) and len(value) == 3 and all(isinstance(each, int | float) for each in value):
        return f"{value[0]:.4g} [{value[1]:.4g}, {value[2]:.4g}]"
    if isinstance(value, list):
        return " ".join(map(shown, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def flat(figures: dict[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Yield the figures by name, those within others by both names."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}, ")
        else:
            yield before + name, value


def main() -> None:
    """Write the table."""
    rows, notes = [], []
    for path in sorted(FOLDER.glob("*.json")):
        evidence = json.loads(path.read_text())
        for i, (figure, value) in enumerate(flat(evidence["figures"])):
            name = f"[{path.stem}]({path.name})" if i == 0 else ""
            rows.append(f"| {name} | {figure} | {shown(value)} | {PUBLISHED.get((path.stem, figure), '')} |")
        cost = f"{evidence['cpu_seconds'] / 60:,.1f} CPU minutes on {evidence['processor']}, {evidence['date']}"
        notes.append(f"- **{path.stem}**: `{evidence['command']}`, {cost}. {evidence['notes']}")
    (FOLDER / "README.md").write_text(HEAD + "\n".join([*rows, "", "## Notes", "", *notes]) + "\n")


if __name__ == "__main__":
    main()
