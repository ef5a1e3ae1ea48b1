"""`genloom judge`, `genloom compare`, `genloom classify` and `genloom probe`: tables in the terminal, JSON and pages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from genloom.cli.console import Checkpoint, Record, RunFolder, Threads, console, named_so, print_table, say, threads_of
from genloom.errors import InputError
from genloom.files import check_writable, replaced

if TYPE_CHECKING:
    from genloom.measures.figure import Figure
    from genloom.use.judging.panel import Judgement
    from genloom.use.latent.probe import Row, Study

Features = Annotated[
    str | None,
    Parameter(
        help="what distances are taken between: classifier, inception, dinov2, lite0, lite1, lite2, pixels, random, or "
        "autoencoder:RUN; left out, lite2 for colour, else classifier with labels, else random"
    ),
]
Test = Annotated[str | None, Parameter(help="pictures never trained on, where the data has no test split")]
Weights = Annotated[str | None, Parameter(help="file or folder of published feature weights")]
Fetch = Annotated[bool, Parameter(help="fetch the weights of dinov2 over the network")]
Count = Annotated[int | None, Parameter(name=["-n", "--n"], help="samples; 10,000 or as many as training examples")]
Quick = Annotated[
    bool, Parameter(help="of pictures: 1,000 samples, random features, no classifier, patches or similarity; some seconds")
]


def judge(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="the data it was trained on, where it has moved")] = None,
    *,
    n: Count = None,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a .json; a page is written beside it")] = None,
    features: Features = None,
    test: Test = None,
    checkpoint: Checkpoint = "last",
    seed: int = 0,
    weights: Weights = None,
    fetch: Fetch = False,
    quick: Quick = False,
    threads: Threads = None,
    record: Record = None,
) -> None:
    """Judge a run against real data: quality, variety, copies, filled cells, with intervals and baselines."""
    from genloom.use.judging.judge import judge
    from genloom.use.judging.page import write_page

    target = Path(out) if out else Path(run) / "judge.json"
    named_so(str(target), (".json",), "the figures are written as JSON", "judge")
    page = target.with_suffix(".html") if out else Path(run) / "report.html"
    check_writable(target, page)
    refuse_name(record)
    terms: dict[str, Any] = {"checkpoint": checkpoint, "seed": seed, "weights": weights, "fetch": fetch, "quick": quick}
    with threads_of(threads):
        judgement = judge(run, data, n, features, test=test, say=say, **terms)
    show([judgement])
    with replaced(target) as figures, replaced(page) as shown:  # both or none: they belong together
        write_figures(figures, judgement.to_json())
        write_page([judgement], shown)
    console.print(f"figures in {target}, pictures and figures in {page}", soft_wrap=True)
    if record:
        console.print(f"recorded in {record_judgement(record, judgement)}")


def refuse_name(record: str | None) -> None:
    """Raise InputError for evidence that cannot be called so: better before the work than after it."""
    if record is not None:
        from genloom.use.report.evidence import check_name

        check_name(record)


def record_judgement(name: str, judgement: Judgement) -> Path:
    """Write a judgement as evidence."""
    from genloom.use.report.evidence import record

    figures = {name: [f.value, f.low, f.high] for name, f in judgement.measures.items()} | judgement.cost
    rows = {f"{name}, {row}": f.value for row, figures in judgement.baselines.items() for name, f in figures.items()}
    notes = f"{judgement.panel.intro(judgement)} {' '.join(judgement.verdicts)}"
    cost = judgement.cost["training_cpu_seconds"]
    return record(name, figures | rows, seed=judgement.about["seed"], cpu_seconds=cost, notes=notes, about=judgement.about)


def compare(
    *runs: RunFolder,
    data: Annotated[str | None, Parameter(help="what to judge all by, where they were trained on different data")] = None,
    n: Count = None,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="the page; its figures are written beside it as .json")] = (
        "compare.html"
    ),
    features: Features = None,
    test: Test = None,
    checkpoint: Checkpoint = "last",
    seed: int = 0,
    weights: Weights = None,
    fetch: Fetch = False,
    quick: Quick = False,
    threads: Threads = None,
) -> None:
    """Judge several runs, of any family, by the same data and seeds: one table and one page."""
    from genloom.use.judging.compare import compare
    from genloom.use.judging.page import write_page

    named_so(out, (".html",), "the comparison is a page", "compare")
    target = Path(out).with_suffix(".json")
    check_writable(target, Path(out))
    terms: dict[str, Any] = {"checkpoint": checkpoint, "seed": seed, "weights": weights, "fetch": fetch, "quick": quick}
    with threads_of(threads):
        judgements = compare(runs, data, n, features, test=test, say=say, **terms)
    show(judgements)
    with replaced(target) as figures, replaced(out) as shown:
        write_figures(figures, {str(judgement.run.folder): judgement.to_json() for judgement in judgements})
        write_page(judgements, shown)
    console.print(f"figures in {target}, pictures and figures in {out}", soft_wrap=True)


def show(judgements: Sequence[Judgement]) -> None:
    """Print what the figures say, and the figures as a table, a measure a row."""
    from genloom.use.judging.page import ARROWS, COSTS, columns_of, measure_names, summary

    columns, first = columns_of(judgements), judgements[0]
    for text in summary(judgements):
        console.print(text, soft_wrap=True)
    for judgement in judgements:
        for text in judgement.verdicts:
            console.print(f"{judgement.run.folder}: {text}", soft_wrap=True)
    console.print(first.panel.intro(first), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    for name in columns:
        table.add_column(first.panel.shown.get(name, name), no_wrap=True)
    for name in measure_names(judgements):
        found = next(figures[name] for figures in columns.values() if name in figures)
        cells = [cell(figures.get(name), found.n, i < len(judgements)) for i, figures in enumerate(columns.values())]
        count = f" n={found.n}" if len(judgements) == 1 and name in first.measures else ""
        table.add_row(f"{name} {ARROWS[found.better]}", cells[0] + count, *cells[1:])
    for key, label in COSTS.items():
        table.add_row(label, *(f"{judgement.cost[key]:,.0f}" for judgement in judgements))
    print_table(table)
    short = "; ".join(f"{short}: {name}" for name, short in first.panel.shown.items() if short != name)
    if short:
        console.print(short, style="dim", soft_wrap=True)


def cell(figure: Figure | None, n: int, interval: bool) -> str:
    """Return a figure as text: with its interval for a run; for a baseline with its count where that is not `n`."""
    if figure is None:
        return "-"
    return str(figure) if interval else f"{figure.value:.3g}{f' n={figure.n}' if figure.n != n else ''}"


def write_figures(path: Path, content: dict[str, Any]) -> None:
    """Write figures as JSON; InputError where that cannot be done."""
    import json

    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")


# -- classify --------------------------------------------------------------------------------------


def classify(
    run: RunFolder,
    pictures: Annotated[str, Parameter(help="a picture, a folder of them, a .zip, .npy or idx file")],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a .csv with a row for each picture")] = None,
    split: Annotated[Literal["train", "test"], Parameter(help="which part, where there are two")] = "train",
    skip_broken: Annotated[bool, Parameter(help="leave out pictures that cannot be read")] = False,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Say of which class pictures are, with the probability of each class."""
    from genloom.api import load
    from genloom.use.classify import check_classifies
    from genloom.use.classify import classify as tell

    if out:
        named_so(out, (".csv",), "this is a table", "labels")
        check_writable(out)
    model = load(run, checkpoint)
    check_classifies(model)
    with threads_of(threads):
        told = tell(model, pictures, split, skip_broken)
    if len(told.names) == 1:
        order = told.probabilities[0].argsort(descending=True)[:5].tolist()
        console.print("   ".join(f"{told.classes[k]} {told.probabilities[0, k]:.3f}" for k in order), soft_wrap=True)
    else:
        counts = {name: told.found.count(k) for k, name in enumerate(told.classes)}
        console.print(f"{len(told.names):,} pictures: " + ", ".join(f"{name}: {n:,}" for name, n in counts.items() if n))
    if told.wrong is not None:
        share = 100 * told.wrong / len(told.names)
        console.print(
            f"{told.wrong:,} of {len(told.names):,} of {told.part} are of another class than the source says ({share:.1f} %)"
        )
    if out:
        told.write(Path(out))
        console.print(f"probabilities of each in {out}")


# -- probe -----------------------------------------------------------------------------------------


def probe(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="labelled data; left out, the run's own")] = None,
    *,
    labels: Annotated[str | None, Parameter(help="how many are known; 100,600,1000,3000 as far as the data goes")] = None,
    seeds: Annotated[int, Parameter(help="draws of the labelled examples")] = 10,
    unlabelled: Annotated[int, Parameter(help="training pictures over which labels propagate")] = 20_000,
    fine_tune: Annotated[bool, Parameter(help="also train copies of the encoder on the labels")] = False,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a PNG of the curves")] = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
    record: Record = None,
) -> None:
    """Study what an encoder's codes are worth with a few labels, beside raw pixels, PCA and an untrained encoder."""
    from genloom.api import load
    from genloom.train.run import Run
    from genloom.use.judging.picture_data import find_data
    from genloom.use.latent.probe import check_encodes, plan, plot, usual_counts
    from genloom.use.latent.probe import probe as study_codes

    began = time.process_time()
    try:
        counts = [int(count) for count in labels.split(",")] if labels else []
    except ValueError:
        raise InputError(f"--labels takes numbers with commas, such as 100,1000, got {labels!r}") from None
    if out:
        named_so(out, (".png",), "the curves are a picture", "probe")
    refuse_name(record)
    check_writable(Path(run) / "probe.json", *([Path(out)] if out else []))
    model = load(run, checkpoint)
    check_encodes(model)
    found = find_data(Run.open(run), data, None)
    if found.test is None:
        raise InputError(f"{found.train.source} has no test pictures: probe measures errors on pictures never trained on")
    counts = counts or usual_counts(found.train)
    study = plan(found.train, found.test, counts, seeds, unlabelled)
    console.print(protocol(study, seeds), soft_wrap=True)
    with threads_of(threads):
        rows = study_codes(model, study, fine_tune, say)
    console.print(errors_table(rows, counts))
    figures = {f"{row.features}, {row.head}, {count}": bounds(row, count) for row in rows for count in counts}
    path = Path(run) / "probe.json"
    write_figures(path, {"splits": study.hash, "seeds": seeds, "errors": figures})
    console.print(f"figures in {path}", soft_wrap=True)
    if out:
        plot(rows, Path(out))
        console.print(f"curves in {out}")
    if record:
        from genloom.use.report.evidence import record as write_evidence

        notes = f"{protocol(study, seeds)}; [mean, less and plus one deviation]"
        write_evidence(
            record,
            figures | own_figures(rows, counts),
            seed=0,
            cpu_seconds=time.process_time() - began,
            notes=notes,
            training=Run.open(run).record["command"],
        )


def errors_table(rows: list[Row], counts: list[int]) -> Table:
    """Return errors as mean and deviation, a column for each number of labels."""
    found = Table("features", "head", *(f"{count:,} labels" for count in counts), box=None)
    for row in rows:
        found.add_row(row.features, row.head, *("{:.2f} +- {:.2f}".format(*row.cell(count)) for count in counts))
    return found


def bounds(row: Row, count: int) -> list[float]:
    """Return the mean error and the bounds one deviation away."""
    mean, deviation = row.cell(count)
    return [round(mean, 3), round(mean - deviation, 3), round(mean + deviation, 3)]


def own_figures(rows: list[Row], counts: list[int]) -> dict[str, Any]:
    """Return the encoder's own figures under short names: the transductive one and the best inductive head."""
    own = [row for row in rows if row.features.startswith("the encoder")]
    figures: dict[str, Any] = {}
    for count in counts:
        transductive = [row for row in own if "transductive" in row.head]
        inductive = [row for row in own if "transductive" not in row.head]
        figures[f"propagation_{count}"] = bounds(transductive[0], count)
        figures[f"inductive_{count}"] = min(bounds(row, count) for row in inductive)
    return figures


def protocol(study: Study, seeds: int) -> str:
    """Return in a line what was measured."""
    return (
        f"test error in per cent on {len(study.test):,} pictures; {seeds} draws of labels, as many of each class "
        f"(splits {study.hash}); labels propagate over {len(study.pool):,} training and all test pictures"
    )
