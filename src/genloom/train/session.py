"""A training, from what a person says to something that can be played: model, data and every option resolved."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genloom.catalogue import find_model
from genloom.core.dataset import Dataset, size
from genloom.core.hyper import Hyper
from genloom.core.model import Misfit, Model
from genloom.core.precision import pick_precision
from genloom.core.random import building, training
from genloom.data.given import Given
from genloom.data.source import Progress, Source, find_source, silent
from genloom.errors import InputError
from genloom.kinds import KINDS, imported
from genloom.measures.light import light_judge
from genloom.reading import in_words, kind_of, named
from genloom.shapes.base import Shape
from genloom.train.feed import check_batch
from genloom.train.interrupt import Interrupt
from genloom.train.loop import play
from genloom.train.machine import memory_of, pick_device, processor
from genloom.train.origin import Origin
from genloom.train.plan import Plan, Report, Score
from genloom.train.processes import first_alone, main_process, meet, start_processes, world_size
from genloom.train.ranks import Ranks
from genloom.train.request import Request
from genloom.train.run import Run

DEFAULT_MINUTES = 10.0
BYTES_A_WEIGHT = 16  # itself, its gradient, two moments
SMALL = 300_000  # weights below which one thread is the default: steps are shorter than threads take to meet


@dataclass
class Session:
    """A request with everything resolved, ready to play."""

    request: Request
    model_class: type[Model]
    hyper: Hyper
    data: Dataset
    plan: Plan
    threads: int
    record: dict[str, Any]
    origin: Origin | None = None

    def play(self, score: Score | None = None) -> Iterator[Report]:
        """Train, or go on where the run folder already has a checkpoint; yield reports.

        Args:
            score: what picks the best checkpoint, as `loop.play` takes it; the light judge where None.
        """
        with training(self.plan.seed, self.threads):
            model = self.model_class(self.hyper, self.data.shape)
            run = Run.begin(self.request.out, self.record) if main_process() else Run(Path(self.request.out))
            meet()
            score = score or light_judge(model, self.data, self.plan.seed)
            start = self.origin.give if self.origin else None
            with Interrupt() as interrupt:
                yield from interrupt.during(play(model, self.data, run, self.plan, score, interrupt.asked, start))

    def check_run(self, processes: int) -> None:
        """Raise InputError where so many processes cannot train, or go on with, the run."""
        if self.plan.device.type == "cuda" and processes > torch.cuda.device_count():
            raise InputError(
                f"--processes {processes} needs as many GPUs, this machine has {torch.cuda.device_count()}; or say "
                "--device cpu"
            )
        run = Run(Path(self.request.out))
        run.refuse_differences(self.record)
        if (run.folder / "run.json").exists():
            run.lock()
            run.release()


def prepare(request: Request, progress: Progress = silent) -> Session:
    """Resolve a request: find the model and the data, settle every option, check that they fit together.

    Raises:
        InputError: anything in the request cannot be used.
    """
    start_processes(request.device)
    model_class = find_model(request.model)
    origin = None if request.start is None else Origin.open(request.start, request.model, request.preset)
    request = replace(request, preset=chosen_preset(request, model_class.Hyper))
    hyper = origin.hyper if origin else model_class.Hyper.preset(str(request.preset))
    hyper = hyper.with_values(request.hyper)
    if request.batch is not None and hasattr(hyper, "batch"):
        hyper = hyper.with_values({"batch": request.batch})  # schedules that count updates must know
    device = pick_device(request.device)
    if request.compile and not model_class.compilable and device.type != "cuda":
        raise InputError(
            f"--compile is of no use to {request.model} without a GPU: it would take minutes and gain nothing; leave it out"
        )
    if request.compile and not model_class.compilable and request.micro is not None:
        raise InputError(f"--compile records whole batches of {request.model}: leave --micro away")
    data = open_data(request, model_class, hyper, progress, origin)
    hyper = model_class.settle(hyper, data)
    settle_shape(request.model, model_class, data.shape, hyper)
    plan = make_plan(request, hyper, device)
    model = build(model_class, hyper, data.shape, "meta")  # whether model and data fit shows before anything is written
    refuse_huge(model, device)
    if origin:
        model = build(model_class, hyper, data.shape, "cpu")
        origin.refuse_other_columns(data.shape)
        origin.give(model)
    if size(data) < 2:
        raise InputError(f"{data.source} holds a single example: a generative model needs many")
    check_batch(plan.batch, plan.micro, model.phases(), data, world_size())
    threads = request.threads or (1 if count_weights(model) < SMALL else torch.get_num_threads())
    record = make_record(request, hyper, data, plan, threads)
    if origin:
        record |= {"preset": origin.preset, "start": origin.to_json()}
    return Session(request, model_class, hyper, data, plan, threads, record, origin)


def chosen_preset(request: Request, kind: type[Hyper]) -> str:
    """Return the preset asked for, or that of the run which the request goes on with, or the usual one."""
    if request.preset is not None:
        return request.preset
    known = b""
    if main_process() and (Path(request.out) / "run.json").is_file():  # the others need not see the folder
        record = Run(request.out).stored()
        known = str(record.get("preset")).encode() if record.get("model") == request.model else b""
    name = Ranks().share_bytes(known).decode()
    return name if name in kind.presets() else kind.usual()


def make_plan(request: Request, hyper: Hyper, device: torch.device) -> Plan:
    """Return how long and how to train."""
    return Plan(
        examples=request.examples,
        minutes=DEFAULT_MINUTES if request.examples is request.minutes is request.cpu_minutes is None else request.minutes,
        cpu_minutes=request.cpu_minutes,
        batch=request.batch or int(getattr(hyper, "batch", 64)),
        micro=request.micro,
        seed=request.seed,
        device=device,
        precision=pick_precision(request.precision, device),
        compile=request.compile,
        save_every=request.save_every,
        report_every=request.report_every,
        save_examples=request.save_examples,
        report_examples=request.report_examples,
        stop_when=request.stop_when,
    )


def build(model_class: type[Model], hyper: Hyper, shape: Shape, device: str) -> Model:
    """Return a model, on the device `meta` without memory for its weights; InputError where torch can make no such one."""
    try:
        with building(device):
            return model_class(hyper, shape)
    except (RuntimeError, OverflowError) as error:
        text = " ".join(str(error).split())[:120]
        raise InputError(f"no such model can be built ({text}): smaller --hyper values, or a smaller --size") from None


def refuse_huge(model: Model, device: torch.device) -> None:
    """Raise InputError for a model that this machine cannot train, whatever the batch."""
    needed, there = BYTES_A_WEIGHT * count_weights(model), memory_of(device)
    if needed > there:
        raise InputError(
            f"this model would have {count_weights(model):,} weights, and take {in_words(needed)} to train where there are "
            f"{in_words(there)}: take smaller --hyper values, or a smaller --size"
        )


def count_weights(model: Model) -> int:
    """Return the number of trained weights."""
    return sum(p.numel() for p in model.parameters())


def open_data(
    request: Request, model_class: type[Model], hyper: Hyper, progress: Progress, origin: Origin | None
) -> Dataset:
    """Load the request's data in a shape that the model takes; the first process decodes, the others wait.

    Where a run to start from is given, its size and channels hold unless the request says others.
    """
    if not isinstance(request.data, str | os.PathLike):
        if request.source:
            raise InputError(f"{', '.join(request.source)} are for sources: load the data so that it has them")
        return request.data if hasattr(request.data, "lengths") else Given(request.data)
    said = {**(origin.source_options() if origin else {}), **request.source}
    source = find_source(os.fspath(request.data), said, progress, model_class.reads)
    refuse_other_kind(request.model, model_class, source)
    with first_alone():
        natural = source.shape()
        shape = settle_shape(request.model, model_class, natural, hyper, source)
        if shape == natural:
            data: Dataset = source.load()
            return data
        data = source.load(shape)
        data.notes.append(  # type: ignore[attr-defined]
            f"{shape.brought} from {by(natural)} to {by(shape)}, which {request.model} takes"
        )
        return data


def refuse_other_kind(name: str, model_class: type[Model], source: Source) -> None:
    """Raise InputError for data of another kind than a model reads, before anything else that may be wrong with it."""
    wanted: type[Source] = imported(KINDS[model_class.reads].source) if model_class.reads else Source
    if not isinstance(source, wanted):
        from genloom.data.pictures.builtin import BUILTIN

        if not (kind_of(named(source.name)) or ":" in source.name or source.name in BUILTIN):
            raise InputError(f"there is no {source.name}: no such file or folder")
        raise InputError(f"{name} learns from {wanted.wanted}, and {source.name} holds {source.Options.named()}")


def settle_shape(name: str, model_class: type[Model], shape: Shape, hyper: Hyper, source: Source | None = None) -> Shape:
    """Return the shape in which a model takes data.

    Raises:
        InputError: it cannot take it, or only in another size, and this data, or what was asked for, has a size of its own.
    """
    found = model_class.fits(shape, hyper)
    if isinstance(found, Misfit):
        raise InputError(found.reason)
    if found != shape and (source is None or "size" in source.options.given()):
        raise InputError(f"{name} takes {found.named} of {by(found)}, not {by(shape)}; say --size {by(found)}")
    return found


def by(shape: Shape) -> str:
    """Return the size of examples as text."""
    return "x".join(map(str, shape.dims[1:] or shape.dims))


def make_record(request: Request, hyper: Hyper, data: Dataset, plan: Plan, threads: int) -> dict[str, Any]:
    """Return the content of `run.json`."""
    kept = ("examples", "minutes", "cpu_minutes", "batch", "micro", "seed", "precision")
    named, reads = isinstance(request.data, str | os.PathLike), find_model(request.model).reads
    source = find_source(os.fspath(request.data), request.source, kind=reads) if named else None
    live = source.options.live() if source else ()
    return {
        "model": request.model,
        "preset": request.preset,
        "hyper": hyper.to_json(),
        "shape": data.shape.to_json(),
        "data": {
            "source": data.source,
            "fingerprint": data.fingerprint,
            "examples": size(data),
            "options": {name: value for name, value in asdict(source.options).items() if name in live} if source else {},
            "loaded": source.options.to_json() if source else {},
        },
        "plan": {
            **{name: getattr(plan, name) for name in kept},
            "threads": threads,
            "processes": world_size(),
        },
        "versions": versions(),
        "processor": processor(),
        "command": command(),
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def command() -> str:
    """Return the command that is running, as a person would type it."""
    program = Path(sys.argv[0])
    if program.parent.name == "benchmarks":
        return shlex.join(["python", "-m", f"benchmarks.{program.stem}", *sys.argv[1:]])
    return shlex.join(["genloom" if program.stem in ("genloom", "__main__") else sys.argv[0], *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    try:
        own = importlib.metadata.version("genloom")
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        own = "source"
    return {"genloom": own, "torch": torch.__version__, "python": platform.python_version()}
