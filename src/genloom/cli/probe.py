"""`genloom probe`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from genloom.api import load
from genloom.cli.judge import check_writable
from genloom.errors import InputError
from genloom.train.run import Run
from genloom.use.judging.data import find_data
from genloom.use.latent.probe import Row, Study, check_encodes, plan, plot, probe, usual_counts
from genloom.use.report.evidence import record as write_evidence

console = Console(highlight=False, markup=False)


def probe_command(
    run: str, data: str | None, labels: str | None, seeds: int, unlabelled: int, fine_tune: bool, out: str | None,
    checkpoint: str, evidence: str | None,
) -> None:  # fmt: skip
    """Print the table; write the figures into the run, the curves where asked."""
    began = time.process_time()
    try:
        counts = [int(count) for count in labels.split(",")] if labels else []
    except ValueError:
        raise InputError(f"--labels takes numbers with commas, such as 100,1000, got {labels!r}") from None
    if out and not out.endswith(".png"):
        raise InputError(f"the curves are a picture, name it so: -o {Path(out).stem or 'probe'}.png")
    check_writable(Path(run) / "probe.json", *([Path(out)] if out else []))
    model = load(run, checkpoint)
    check_encodes(model)
    judged = find_data(Run.open(run), data, None)
    if judged.test is None:
        raise InputError(f"{judged.train.source} has no test pictures: probe measures errors on pictures never trained on")
    counts = counts or usual_counts(judged.train)
    study = plan(judged.train, judged.test, counts, seeds, unlabelled)
    console.print(protocol(study, seeds), soft_wrap=True)
    rows = probe(model, study, fine_tune, lambda text: console.print(text, style="dim"))
    console.print(table(rows, counts))
    figures = {f"{row.features}, {row.head}, {count}": cell(row, count) for row in rows for count in counts}
    path = Path(run) / "probe.json"
    try:
        path.write_text(json.dumps({"splits": study.hash, "seeds": seeds, "errors": figures}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    console.print(f"figures in {path}", soft_wrap=True)
    if out:
        plot(rows, Path(out))
        console.print(f"curves in {out}")
    if evidence:
        write_evidence(evidence, figures | named(rows, counts), seed=0, cpu_seconds=time.process_time() - began,
                       notes=f"{protocol(study, seeds)}; [mean, less and plus one deviation]",
                       training=Run.open(run).record["command"])  # fmt: skip


def table(rows: list[Row], counts: list[int]) -> Table:
    """Return errors as mean and deviation, a column for each number of labels."""
    found = Table("features", "head", *(f"{count:,} labels" for count in counts), box=None)
    for row in rows:
        found.add_row(row.features, row.head, *("{:.2f} +- {:.2f}".format(*row.cell(count)) for count in counts))
    return found


def cell(row: Row, count: int) -> list[float]:
    """Return the mean error and the bounds one deviation away."""
    mean, deviation = row.cell(count)
    return [round(mean, 3), round(mean - deviation, 3), round(mean + deviation, 3)]


def named(rows: list[Row], counts: list[int]) -> dict[str, Any]:
    """Return the encoder's own figures under short names: the transductive one and the best inductive head."""
    own = [row for row in rows if row.features.startswith("the encoder")]
    figures: dict[str, Any] = {}
    for count in counts:
        transductive = [row for row in own if "transductive" in row.head]
        inductive = [row for row in own if "transductive" not in row.head]
        figures[f"propagation_{count}"] = cell(transductive[0], count)
        figures[f"inductive_{count}"] = min(cell(row, count) for row in inductive)
    return figures


def protocol(study: Study, seeds: int) -> str:
    """Return in a line what was measured."""
    return (f"test error in per cent on {len(study.test):,} pictures; {seeds} draws of labels, as many of each class "
            f"(splits {study.hash}); labels propagate over {len(study.pool):,} training and all test pictures")  # fmt: skip
