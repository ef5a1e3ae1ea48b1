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
    data: Annotated[str, Parameter(help="a record: a table with the run's columns, or a folder with one for each run")],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="the operator's card, a page: report.html")] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="print the scores of all rows and tags, as JSON")] = False,
    rate: Annotated[float, Parameter(help="of usual rows that may alarm")] = 0.001,
    follow: Annotated[bool, Parameter(help="read on as rows are appended, and print alarms as JSON lines")] = False,
    every: Annotated[float, Parameter(help="seconds between looks at what is followed")] = 2.0,
    table: Annotated[
        str | None, Parameter(help="of a database, the table; or write it behind: sqlite:///plant.db#NAME")
    ] = None,
    cells: Annotated[TableOptions | None, Parameter(name="*")] = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Say where a record leaves usual operation, by how much, and which tags are to blame."""
    from genloom.core.random import on_threads
    from genloom.train.run import Run
    from genloom.use.series.deviation import Watch

    if out and not out.lower().endswith((".html", ".htm")):
        raise InputError(f"deviation -o takes the name of a page, which ends with .html, got {out!r}")
    if out:
        check_writable(out)
    if follow and (out or as_json):
        raise InputError("--follow prints alarms as they come: leave -o and --json away")
    if table:
        if "#" in data or "://" not in data:
            raise InputError("--table names the table of a database, behind an address that names none")
        data = f"{data}#{table}"
    with on_threads(threads):
        watch = Watch(Run.open(run), checkpoint, rate, cells.given() if cells else {})
        if follow:
            from genloom.use.series.follow import alarms_of, growing

            for alarm in alarms_of(watch, growing(data, watch), every):
                print(json.dumps(alarm, ensure_ascii=False), flush=True)
            return
        say(watch.score(data), data, run, out, as_json)


def say(found: object, data: str, run: str, out: str | None, as_json: bool) -> None:
    """Write the card, and print what was found: in words, or all scores as JSON."""
    from genloom.use.series.card import about, alarm_json, to_json, verdict, write_card
    from genloom.use.series.deviation import Deviation

    assert isinstance(found, Deviation)
    if out:
        write_card(found, data, run, Path(out))
    if as_json:
        print(json.dumps(to_json(found, data, run), ensure_ascii=False))
        return
    console.print(f"{data}: {verdict(found)}", soft_wrap=True)
    console.print(about(found, run), soft_wrap=True)
    for (begin, end), nearest in list(zip(found.alarms(), found.nearest, strict=True))[:10]:
        alarm = alarm_json(found, begin, end, nearest)
        told = "; ".join(alarm["look_at"]) or "no tag by itself: how they go together"
        console.print(f"  {alarm['from']} to {alarm['to']}, score {alarm['score']:.3g}: {told}", soft_wrap=True)
    if out:
        console.print(f"card in {out}", soft_wrap=True)
