"""`genloom deviation`: how far a record lies from usual operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from genloom.cli.console import Checkpoint, RunFolder, Threads, console
from genloom.data.options import TableOptions
from genloom.errors import InputError
from genloom.files import check_writable


def deviation(
    run: RunFolder,
    data: Annotated[str, Parameter(help="a record with the run's columns: a table, or a folder with one for each run")],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="the operator's card, a page: report.html")] = None,
    json_out: Annotated[str | None, Parameter(name="--json", help="scores of all rows and tags, as JSON")] = None,
    rate: Annotated[float, Parameter(help="of usual rows that may alarm")] = 0.001,
    follow: Annotated[bool, Parameter(help="read on as rows are appended, and print alarms as JSON lines")] = False,
    every: Annotated[float, Parameter(help="seconds between looks at what is followed")] = 2.0,
    table: Annotated[str | None, Parameter(help="of a database that is followed, the table")] = None,
    cells: Annotated[TableOptions | None, Parameter(name="*")] = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Say where a record leaves usual operation, by how much, and which tags are to blame."""
    from genloom.core.random import on_threads
    from genloom.train.run import Run
    from genloom.use.series.deviation import Watch

    for target, flag, ends in ((out, "-o", (".html", ".htm")), (json_out, "--json", (".json",))):
        if target and not target.lower().endswith(ends):
            raise InputError(f"deviation {flag} takes a name that ends with {ends[0]}, got {target!r}")
        if target:
            check_writable(target)
    if follow and (out or json_out):
        raise InputError("--follow prints alarms as they come: leave -o and --json away")
    if not follow and ("://" in data or table):
        raise InputError("a table of a database is followed, with --follow --table NAME; or write it to a .csv")
    with on_threads(threads):
        watch = Watch(Run.open(run), checkpoint, rate, cells.given() if cells else {})
        if follow:
            from genloom.use.series.follow import alarms_of, growing

            for alarm in alarms_of(watch, growing(data, table, watch), every):
                print(json.dumps(alarm, ensure_ascii=False), flush=True)
            return
        say(watch.score(data), data, run, out, json_out)


def say(found: object, data: str, run: str, out: str | None, json_out: str | None) -> None:
    """Print what was found, and write the card and the scores."""
    from genloom.files import write_json
    from genloom.use.series.card import about, alarm_json, to_json, verdict, write_card
    from genloom.use.series.deviation import Deviation

    assert isinstance(found, Deviation)
    console.print(f"{data}: {verdict(found)}", soft_wrap=True)
    console.print(about(found, run), soft_wrap=True)
    for (begin, end), nearest in list(zip(found.alarms(), found.nearest, strict=True))[:10]:
        alarm = alarm_json(found, begin, end, nearest)
        told = "; ".join(alarm["look_at"]) or "no tag by itself: how they go together"
        console.print(f"  {alarm['from']} to {alarm['to']}, score {alarm['score']:.3g}: {told}", soft_wrap=True)
    if out:
        write_card(found, data, run, Path(out))
        console.print(f"card in {out}", soft_wrap=True)
    if json_out:
        write_json(Path(json_out), to_json(found, data, run))
        console.print(f"scores in {json_out}", soft_wrap=True)
