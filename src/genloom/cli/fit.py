"""`genloom fit`: the resolved options, the live line, and how to go on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from genloom.cli.console import DATA_HELP, Device, Out, Printer, Threads, clock, count, progress_on
from genloom.data.options import AllOptions
from genloom.errors import InputError

if TYPE_CHECKING:
    from genloom.train.plan import Plan, Report
    from genloom.train.request import Request
    from genloom.train.run import Run
    from genloom.train.session import Session


def fit(
    model: Annotated[str | None, Parameter(help="a name from `genloom models`")] = None,
    data: Annotated[str | None, Parameter(help=DATA_HELP)] = None,
    out: Out | None = None,
    *,
    preset: Annotated[
        str | None, Parameter(help="modern, paper or tiny; left out, modern where there is one, and the run's own to go on")
    ] = None,
    hyper: Annotated[dict[str, str] | None, Parameter(help="--hyper.NAME V; `genloom models MODEL` lists them")] = None,
    conditional: Annotated[bool, Parameter(help="the same as --hyper.conditional true")] = False,
    examples: Annotated[str | None, Parameter(help="stop after so many examples: 50000, 500k, 2M")] = None,
    minutes: Annotated[float | None, Parameter(help="stop after so many minutes (10 where nothing is said)")] = None,
    cpu_minutes: Annotated[float | None, Parameter(help="the same in processor time, for a machine that others use")] = None,
    source: Annotated[AllOptions | None, Parameter(name="*")] = None,
    batch: int | None = None,
    micro: Annotated[int | None, Parameter(help="most examples held at once; the rest is accumulated")] = None,
    seed: Annotated[int | None, Parameter(help="of all randomness; 0 where nothing is said")] = None,
    threads: Threads = None,
    device: Device = "auto",
    precision: Annotated[Literal["auto", "fp32", "bf16"] | None, Parameter(help="of products; auto for a new run")] = None,
    compile: Annotated[bool, Parameter(help="torch.compile the networks")] = False,
    processes: Annotated[int, Parameter(help="processes on this machine, which share every batch")] = 1,
    save_every: Annotated[float, Parameter(help="seconds between checkpoints")] = 60.0,
    stop_when: Annotated[Literal["plateau"] | None, Parameter(help="plateau: once the light judge sees no progress")] = None,
    start: Annotated[str | None, Parameter(name="--from", help="a run whose weights and options to start from")] = None,
    dry_run: Annotated[bool, Parameter(help="print the resolved options and stop")] = False,
    quiet: Annotated[bool, Parameter(help="print nothing but errors")] = False,
) -> int:
    """Train a model on data into a run folder; the same command goes on with it, and so does `genloom fit -o RUN` alone."""
    from genloom.train.session import prepare

    said: dict[str, Any] = {
        "preset": preset,
        "hyper": {**(hyper or {}), **({"conditional": True} if conditional else {})} or None,
        "source": source.given() or None if source else None,
        "examples": count(examples),
        "minutes": minutes,
        "cpu_minutes": cpu_minutes,
        "batch": batch,
        "micro": micro,
        "seed": seed,
        "threads": threads,
        "device": device,
        "precision": precision,
        "compile": compile,
        "save_every": save_every,
        "stop_when": stop_when,
        "start": start,
    }
    request = request_of(model, data, out, {name: value for name, value in said.items() if value is not None})
    if processes > 1 and "WORLD_SIZE" not in os.environ:  # a config file says it to the started processes too
        prepare(request).check_run(processes)  # what is wrong shows here, once
        return run_processes(processes)
    return train_and_say(request, dry_run=dry_run, quiet=quiet)


def request_of(model: str | None, data: str | None, out: str | None, said: dict[str, Any]) -> Request:
    """Return what is asked for: a new run, or to go on with one that a person names alone."""
    from genloom.train.request import Request

    if data is None and out is None and model is not None and os.path.isfile(os.path.join(model, "run.json")):
        return Request.going_on(model, **said)
    if out is None:
        raise InputError("fit needs -o RUN, the folder to train into")
    if model is None:
        return Request.going_on(out, **said)
    if data is None:
        raise InputError(f"fit needs data: genloom fit {model} DATA -o {out}; to go on with a run, genloom fit -o RUN")
    return Request(model, data, out, **said)


def train_and_say(request: Request, dry_run: bool = False, quiet: bool = False) -> int:
    """Resolve, print, train; return the exit status."""
    from genloom.train.processes import main_process
    from genloom.train.run import Run
    from genloom.train.session import prepare

    console = Printer(quiet=quiet or not main_process(), markup=False)
    session = prepare(request, progress_on(console))
    console.print(options_table(session))
    if dry_run:
        return 0
    first = session.model_class.studies(session.hyper)
    if first and not os.path.isdir(os.path.join(session.request.out, "study")):
        console.print(f"first, {first}: the line of the training comes after that", soft_wrap=True)
    try:
        report = train(session, console)
    except KeyboardInterrupt:
        last = Run(Run.open(request.out).folder).last_checkpoint()
        where = f"at {int(last.name):,} examples" if last else "before its first checkpoint"
        console.print(f"stopped {where}; `genloom fit -o {request.out}` goes on from there", soft_wrap=True)
        return 130
    if report is None:
        console.print(
            f"{request.out} has used its budget, which counts from its start: {spent(request.out)}; "
            f"`genloom fit -o {request.out} --minutes M` goes on, with more",
            soft_wrap=True,
        )
        return 0
    if report.fatal:
        print(f"genloom: {report.health[0].text}", file=sys.stderr)
        return 1
    if report.trouble:
        raise InputError(report.trouble)
    if quiet or not main_process():  # other processes need not see the run folder
        return 0
    console.print(
        f"done: {report.examples:,} examples in {clock(report.seconds)}, {clock(report.cpu_seconds)} of processor time"
    )
    console.print(effort(session), soft_wrap=True)
    for command in next_commands(session):
        console.print(f"  {command}", highlight=False, soft_wrap=True)
    return 0


def opened(out: Any) -> Run:
    """Return a run."""
    from genloom.train.run import Run

    return Run.open(out)


def spent(out: Any) -> str:
    """Say what a run has used so far."""
    last = opened(out).history()[-1]
    return f"{last['examples']:,} examples, {last['seconds'] / 60:.1f} minutes, {last['cpu_seconds'] / 60:.1f} CPU minutes"


def effort(session: Session) -> str:
    """Say how much training that was and, where it was short, whether more would help and how to go on."""
    from genloom.use.judging.effort import training_verdict

    run = opened(session.request.out)
    return training_verdict(run, run.state(run.checkpoint("last")))


def next_commands(session: Session) -> Iterator[str]:
    """Yield what to type next, by what the model can do."""
    from genloom.core.capabilities import (
        Classifies,
        Composes,
        Encodes,
        Follows,
        Imputes,
        Samples,
        Tags,
        Translates,
        Upscales,
    )

    kind, out = session.model_class, session.request.out
    if kind.reads == "series":
        yield f"genloom sample {out} -n 20 -o runs.csv"
        if issubclass(kind, Follows) and getattr(session.hyper, "kind", "") != "paper":
            yield f"genloom deviation {out} TODAY.csv -o report.html"
        yield f"genloom judge {out}"
        yield f"genloom show {out} -o show.png"
        return
    if issubclass(kind, Composes):
        yield f"genloom compose {out} --bars 16 -n 4 -o tune.mid --wav --png"
        yield f"genloom continue {out} START.mid -o out.mid"
        yield f"genloom show {out} -o show.png"
        return
    if issubclass(kind, Classifies) and session.hyper.labels:  # type: ignore[attr-defined]
        yield f"genloom classify {out} YOUR_PICTURES -o labels.csv"
    if issubclass(kind, Tags):
        yield f"genloom tag {out} YOUR_PICTURES -o tags.csv"
        yield f"genloom judge {out}"
    if issubclass(kind, Samples):
        yield f"genloom sample {out} -n 64 -o grid.png"
    elif issubclass(kind, Encodes):
        yield f"genloom walk {out} --reconstructions -o again.png"
    elif issubclass(kind, Imputes):
        yield f"genloom judge {out}"
    elif issubclass(kind, Translates):
        yield f"genloom translate {out} YOUR_PICTURES -o translated/ --strip"
        yield f"genloom judge {out}"
    elif issubclass(kind, Upscales):
        yield f"genloom upscale {out} YOUR_PICTURES -o larger/ --strip"
        yield f"genloom judge {out} --test OTHER_PICTURES"
    yield f"genloom show {out} -o show.png"


def train(session: Session, console: Console) -> Report | None:
    """Play to the end under a live line; return the last report."""
    report, grid = None, ""
    with live(console) as draw:
        for report in session.play():
            grid = str(report.grid or grid)
            draw(session, report, grid)
    return report


# -- the live line ---------------------------------------------------------------------------------


@contextlib.contextmanager
def live(console: Console) -> Iterator[Any]:
    """Give a function that draws a report: in place on a terminal, a line each in a file."""
    if console.quiet:
        yield lambda *_: None
    elif not console.is_terminal:
        yield lambda session, report, grid: console.print(line(session, report), soft_wrap=True)
    else:
        with Live(console=console, auto_refresh=False) as screen:
            yield lambda session, report, grid: screen.update(panel(session, report, grid), refresh=True)


def line(session: Session, report: Report) -> Text:
    """Return a report as one line of text."""
    from genloom.train.notes import declared_notes

    parts = [f"{report.examples:>11,} examples", f"{report.examples_per_second:7,.0f}/s", f"{left(session, report)} left"]
    for name, note in declared_notes(session.model_class, list(report.notes)).items():
        if note.shown:
            parts.append(f"{name} {report.notes[name]:.{2 if note.kind == 'distance' else 3}f}")
    if report.score:
        parts.append(f"{report.score[0]} {report.score[1]:.4g}")
    text = Text("  ".join(parts))
    for verdict in report.health:
        text.append(f"\n  since {verdict.since:,}: {verdict.text}", style="yellow")
    if report.trouble:
        text.append(f"\n  {report.trouble}", style="red")
    return text


def panel(session: Session, report: Report, grid: str) -> Text:
    """Return the live picture of a training."""
    text = line(session, report)
    text.append("\n  healthy" if not report.health else "", style="green")
    text.append(f"  newest grid {grid}" if grid else "", style="dim")
    return text


def left(session: Session, report: Report) -> str:
    """Say how much time remains of the budget."""
    plan, ways = session.plan, []
    if plan.examples and report.examples_per_second > 0:
        ways.append((plan.examples - report.examples) / report.examples_per_second)
    if plan.minutes is not None:
        ways.append(60 * plan.minutes - report.seconds)
    if plan.cpu_minutes is not None and report.cpu_seconds > 0:  # at the pace so far
        ways.append((60 * plan.cpu_minutes - report.cpu_seconds) * report.seconds / report.cpu_seconds)
    return clock(max(min(ways), 0)) if ways else "?"


def options_table(session: Session) -> Table:
    """Return everything that was resolved."""
    record, data = session.record, session.data
    plan = record["plan"]
    table = Table(show_header=False, box=None, pad_edge=False)
    rows = {
        "model": f"{record['model']}, preset {record['preset']}",
        "data": f"{record['data']['examples']:,} {data.shape.describe()} from {record['data']['source']}",
        "": first_of(data.notes),
        "hyper": "  ".join(f"{name} {value}" for name, value in record["hyper"].items()),
        "batch": f"{plan['batch']}" + (f", at most {plan['micro']} at once" if plan["micro"] else ""),
        "budget": budget(session.plan),
        "machine": f"{session.plan.device}, {plan['precision']}, {plan['threads']} threads, {plan['processes']} processes",
        "seed": str(plan["seed"]),
        "run": str(session.request.out),
    }
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, style="bold"), Text(value))
    return table


def first_of(notes: Sequence[str], most: int = 5) -> str:
    """Return the first notes in one line, and how many there are more."""
    return "; ".join([*notes[:most], *([f"and {len(notes) - most} more"] if len(notes) > most else [])])


def budget(plan: Plan) -> str:
    """Say when training ends."""
    examples = [] if plan.examples is None else [f"{plan.examples:,} examples"]
    minutes = [] if plan.minutes is None else [f"{plan.minutes:g} minutes"]
    processor = [] if plan.cpu_minutes is None else [f"{plan.cpu_minutes:g} minutes of processor time"]
    return " or ".join(examples + minutes + processor)


def run_processes(processes: int) -> int:
    """Start this very command in several processes of this machine, which share every batch."""
    arguments = []
    words = iter(sys.argv[1:])
    for word in words:
        if word == "--processes":
            next(words, None)
        elif not word.startswith("--processes="):
            arguments.append(word)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        "-m",
        "genloom",
        *arguments,
    ]
    threads = str(max(1, (os.cpu_count() or 1) // processes))  # else torchrun says in five lines that it takes one each
    # In a session of its own: what the terminal sends to all comes once, by way of this process, and the run is saved.
    started = subprocess.Popen(command, env={"OMP_NUM_THREADS": threads, **os.environ}, start_new_session=True)
    stopped: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if not stopped:
            started.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
        stopped.append(number)

    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)  # not every system has it
    for number in (signal.SIGINT, signal.SIGTERM, hangup):
        if number != hangup or signal.getsignal(number) != signal.SIG_IGN:  # nohup has said to ignore it
            signal.signal(number, pass_on)
    status = started.wait()
    return 130 if stopped else status if status in (0, 2) else 1
