"""`genloom repair`: what was found, how each method did on known cells, and what was written; `check` of a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from genloom.cli.console import aside, console, print_table
from genloom.data.options import RecordOptions
from genloom.errors import InputError
from genloom.files import check_writable

if TYPE_CHECKING:
    from genloom.data.options import TableOptions
    from genloom.data.tables.layout import Field
    from genloom.use.tables.files import Outcome
    from genloom.use.tables.settings import Settings

Names = Annotated[list[str] | None, Parameter(help="a column that names rows; more of them together, by repeating it")]


def repair(
    source: Annotated[
        str,
        Parameter(help="a .csv, .csv.gz, .tsv or .parquet file, or a database: sqlite:///FILE, postgresql://USER@HOST/NAME"),
    ],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="the repaired table, a file of the same kind")] = None,
    table: Annotated[str | None, Parameter(help="of a database, the table to repair")] = None,
    report: Annotated[str | None, Parameter(help="an .html page on what was done and how far to trust it")] = None,
    draws: Annotated[int, Parameter(help="also write so many versions with drawn values, as different as is open")] = 0,
    method: Annotated[
        Literal["auto", "gain", "mean", "knn", "ridge", "trees", "boosted"],
        Parameter(help="auto: the mix of methods that did best, column by column"),
    ] = "auto",
    minutes: Annotated[float | None, Parameter(help="most minutes for all of it; by the table's size, if left out")] = None,
    kind: Annotated[
        dict[str, str] | None,
        Parameter(
            help="--kind.COLUMN K, where the guess is wrong: numeric, categorical, boolean, date, date:%d/%m/%Y, or "
            "passed, to leave it alone"
        ),
    ] = None,
    missing: Annotated[list[str] | None, Parameter(help="a word or number that stands for a missing cell: -999")] = None,
    known: Annotated[
        list[str] | None,
        Parameter(help="a word that is a value here, though it usually stands for a missing cell: NA, None, ?"),
    ] = None,
    key: Names = None,
    replace: Annotated[bool, Parameter(help="of a database, replace tables that an earlier repair wrote")] = False,
    seed: int = 0,
    threads: int | None = None,
    record: Annotated[RecordOptions | None, Parameter(name="*")] = None,
) -> None:
    """Fill the holes of a table with values like its usual ones, and say how far each column is to be trusted."""
    began = time.monotonic()
    from genloom.use.tables.settings import Settings

    if record is not None and record.given():
        columns = {"kind": dict(kind or {}), "missing": tuple(missing or ()), "known": tuple(known or ())}
        if "://" in source or table or replace or key or minutes or method != "auto":
            raise InputError("--time and --group are for a record in a file: leave --table, --key, --method, --minutes away")
        return repair_series(source, out, {**record.given(), **columns}, draws, report, seed, threads)
    settings = Settings(
        method=method,
        minutes=minutes,
        kinds=dict(kind or {}),
        missing=missing or (),
        known=known or (),
        keys=key or (),
        seed=seed,
        threads=threads,
        began=began,
    )
    repair_and_say(source, out, table, settings, draws, report, replace)


def check_report(report: str | None) -> None:
    """Raise InputError where no page can be written so: better now than after training."""
    if report is not None:
        if not report.lower().endswith((".html", ".htm")):
            raise InputError(f"--report takes the name of a page, which ends with .html, got {report!r}")
        check_writable(report)


def repair_series(
    source: str, out: str | None, said: Mapping[str, Any], draws: int, report: str | None, seed: int, threads: int | None
) -> None:
    """Repair a record in a file, and say what was done."""
    from genloom.core.random import on_threads
    from genloom.data.options import SeriesOptions
    from genloom.use.series.repair import METHODS, repair_record
    from genloom.use.series.repair_page import write_report

    if not out:
        raise InputError("repair needs -o FILE for the repaired record; the record itself stays as it is")
    check_report(report)
    check_writable(out)
    with on_threads(threads):
        outcome = repair_record(source, out, SeriesOptions.of(said), draws, seed, teller())
    shown = Table(box=None, pad_edge=False)
    for heading in ("column", "filled", "tested on", *METHODS, "by"):
        shown.add_column(heading, justify="left" if heading in ("column", "by") else "right")
    for d, column in enumerate(outcome.columns):
        if outcome.filled.get(column.name):
            errors = [f"{outcome.errors[name][d]:.3f}" for name in METHODS]
            counts = [f"{outcome.filled[column.name]:,}", f"{outcome.hidden[column.name]:,}"]
            shown.add_row(column.name, *counts, *errors, outcome.chosen[d])
    cells = sum(outcome.filled.values())
    for name, why in outcome.left.items():
        console.print(f"{name} is left as it is: {why}", soft_wrap=True)
    if not cells:
        return console.print(
            f"{outcome.rows:,} rows, nothing to fill; written: {', '.join(outcome.written)}", soft_wrap=True
        )
    console.print(f"{outcome.rows:,} rows, {cells:,} cells filled; errors on gaps like the real ones, over the spread:")
    print_table(shown)
    console.print(f"written: {', '.join(outcome.written)}", soft_wrap=True)
    if report:
        write_report(outcome, report)
        console.print(f"report: {report}", soft_wrap=True)


def repair_and_say(
    source: str, out: str | None, table: str | None, settings: Settings, draws: int, report: str | None, replace: bool
) -> None:
    """Repair a file or a table of a database, and say what was done."""
    if not 0 <= draws <= 100:
        raise InputError(f"--draws takes a number from 0 to 100, got {draws}")
    check_report(report)
    if "://" in source and not source.startswith(("http://", "https://", "hf://")):
        from genloom.use.tables.databases import repair_database

        if out:
            raise InputError("a database is repaired within itself, into TABLE_repaired and TABLE_repairs: leave -o away")
        if not table:
            raise InputError("name the table of the database to repair: --table NAME")
        outcome = repair_database(source, table, settings, draws, replace, teller())
    else:
        if table or replace:
            raise InputError(f"--table and --replace are for databases, and {source} is a file")
        if not out:
            raise InputError("repair needs -o FILE for the repaired table; the table itself stays as it is")
        check_writable(out)
        from genloom.use.tables.files import repair_file

        outcome = repair_file(source, out, settings, draws, teller())
    say(outcome)
    if report:
        from genloom.use.tables.page import write_report

        write_report(outcome, report)
        console.print(f"report: {report}", soft_wrap=True)


def teller() -> Callable[[str], None]:
    """Return what prints each stage of a repair once, with the seconds so far; not the first, in which bad input shows."""
    began, last = time.monotonic(), [""]

    def tell(stage: str) -> None:
        if stage != last[0] and last[0] and not console.quiet:
            aside.print(f"{time.monotonic() - began:5.0f} s  {stage}", soft_wrap=True, highlight=False)
        last[0] = stage

    return tell


def say(outcome: Outcome) -> None:
    """Print the outcome."""
    holes = sum(outcome.missing.values())
    if not holes:
        console.print(
            f"{outcome.source} has no missing cell in {outcome.rows:,} rows: {outcome.written[0]} is the same table",
            soft_wrap=True,
        )
        return
    filled, doubtful = sum(outcome.filled.values()), sum(outcome.doubtful.values())
    if outcome.words:
        words = ", ".join(f"{word!r} {count:,}" for word, count in outcome.words.items())
        console.print(f"taken as missing: {words} times; --known WORD where that is a value", soft_wrap=True)
    console.print(f"{outcome.source}: {outcome.rows:,} rows, {holes:,} missing cells, {filled:,} filled in", soft_wrap=True)
    if outcome.repairer.tests:
        console.print()
        print_table(errors_table(outcome))
        console.print(
            "errors on known cells that were hidden: of numbers relative to the column's spread, of categories the wrong "
            "share; * has a part in filling the column. Expect: the mix's error on cells that did not weigh it, and "
            "between which ends that of the filled cells lies, nine times in ten",
            soft_wrap=True,
        )
        if covering := outcome.repairer.covering():
            console.print(covering, soft_wrap=True)
        console.print()
    for sentence in cut_lists(outcome.repairer.layout.fields):
        console.print(sentence, soft_wrap=True)
    for name, count in outcome.left().items():
        why = next(field.why for field in outcome.repairer.layout.fields if field.name == name)
        console.print(f"left empty: {count:,} cells of {name!r} ({why})", soft_wrap=True)
    if doubtful:
        console.print(
            f"{doubtful:,} of {filled:,} filled cells are not to be trusted; the log has a certainty for each, and why",
            soft_wrap=True,
        )
    for path in outcome.written:
        console.print(f"wrote {path}", soft_wrap=True)


def cut_lists(fields: Sequence[Field]) -> list[str]:
    """Say which columns have more categories than are told apart."""
    return [
        f"{field.name!r} has {field.different:,} values, of which the {field.column.levels} commonest are told apart"
        for field in fields
        if field.column and field.different > field.column.levels > 0
    ]


def check_table(source: str, options: TableOptions) -> None:
    """Print what each column of a table is, as a repair would take it."""
    from genloom.data.tables.files import find_table
    from genloom.data.tables.layout import Layout
    from genloom.use.tables.files import Outcome, look_through
    from genloom.use.tables.repair import Repairer
    from genloom.use.tables.settings import Settings

    settings = Settings(kinds=options.kind, missing=options.missing, known=options.known)
    outcome = Outcome(source, Repairer(settings))
    sample = look_through(find_table(source), settings, outcome)
    layout = Layout.study(sample, settings.kinds, settings.words())
    shown = Table(box=None, pad_edge=False)
    for heading in ("column", "is", "missing", "values"):
        shown.add_column(heading, overflow="fold")
    for field in layout.fields:
        kind = field.column.kind if field.column else f"{field.role}: {field.why}"
        shown.add_row(field.name, kind, f"{outcome.missing[field.name]:,}", values_of(field))
    holes = sum(outcome.missing.values())
    open_ = sum(outcome.missing[field.name] for field in layout.fields if field.role in ("learnt", "constant"))
    console.print(f"{source}: {outcome.rows:,} rows, {len(layout.fields)} columns, {holes:,} missing cells", soft_wrap=True)
    console.print(shown)
    dates = [field.name for field in layout.fields if field.column and field.column.kind == "date"]
    if dates:
        console.print(f"rows in time? `genloom check {source} --time {dates[0]}` looks at them as a record", soft_wrap=True)
    for sentence in cut_lists(layout.fields):
        console.print(sentence, soft_wrap=True)
    console.print(
        "no cell is missing"
        if not holes
        else f"`genloom repair {source} -o FIXED` fills in {open_:,} of them"
        if open_
        else "none of them can be filled in",
        soft_wrap=True,
    )


def values_of(field: Field) -> str:
    """Say in a few words which values a column holds."""
    column = field.column
    if column is None:
        return "" if field.value is None else str(field.value)
    if column.levels:
        names = ", ".join(map(str, column.categories[:6]))
        return names + (f", ... ({column.levels})" if column.levels > 6 else "")
    import numpy as np

    low, high = field.say(np.array([column.low, column.high]))
    return f"{low} to {high}"


def errors_table(outcome: Outcome) -> Table:
    """Return the self-test's figures, a column of the table a line."""
    from genloom.use.tables.settings import METHODS

    repairer = outcome.repairer
    methods = [method for method in METHODS if method in repairer.tests]
    shown = Table(box=None, pad_edge=False)
    shown.add_column("column", overflow="fold", min_width=8)
    for heading in ("missing", *methods, "expect"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for column in (each for each in repairer.columns if outcome.missing[each.name]):
        used, cells = repairer.methods(column.name), []
        for method in methods:
            error = repairer.tests[method][column.name].error
            cells.append(("–" if error != error else f"{error:.3f}") + ("*" if method in used else " "))
        found = repairer.promised[column.name]
        cells.append("–" if found.error != found.error else f"{found.error:.3f} ({found.low:.2f}-{found.high:.2f})")
        shown.add_row(column.name, f"{outcome.missing[column.name]:,}", *cells)
    return shown
