"""The Python API: fit a model on data, load a run, sample."""

from __future__ import annotations

import hashlib
import importlib.metadata
import numbers
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from genloom.catalogue import find_model
from genloom.core.hyper import Hyper
from genloom.core.model import Dataset, Model
from genloom.data import Options, load_pictures
from genloom.data import load as load_data
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.decode import silent
from genloom.data.source import Progress
from genloom.errors import InputError, refuse_wide_seed
from genloom.measures.holes import HeldOut
from genloom.measures.light import LightJudge
from genloom.train.feed import check_batch
from genloom.train.interrupt import Interrupt
from genloom.train.loop import Plan, Report, Score, play
from genloom.train.machine import Precision, pick_device, pick_precision, processor
from genloom.train.origin import Origin
from genloom.train.processes import main_process, meet, start_processes
from genloom.train.run import Run

DEFAULT_MINUTES = 10.0
SMALL = 300_000  # weights below which one thread is the default: steps are shorter than threads take to meet


@dataclass(frozen=True)
class Request:
    """Everything a person may say about a training; `None` leaves it to genloom."""

    model: str
    data: Any
    out: str | os.PathLike[str]
    preset: str = "paper"
    hyper: Mapping[str, Any] = field(default_factory=dict)
    examples: int | None = None
    minutes: float | None = None
    size: int | None = None
    channels: Literal[1, 3, 4] | None = None
    flip: bool = False
    crop: bool = True
    skip_broken: bool = False
    batch: int | None = None
    micro: int | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False
    save_every: float = 60.0
    report_every: float = 2.0
    save_examples: int | None = None
    report_examples: int | None = None
    stop_when: Literal["plateau"] | None = None
    start: str | os.PathLike[str] | None = None  # a run whose weights and hyper-parameters to start from


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
            score: what picks the best checkpoint, as `trainer.play` takes it; the light judge where None.
        """
        torch.manual_seed(self.plan.seed)
        data = self.data
        if isinstance(data, ImageData) and fits_beside_training(data, self.plan.device):
            data = data.to(self.plan.device)
        model = self.model_class(self.hyper, data.shape)
        run = Run.begin(self.request.out, self.record) if main_process() else Run(Path(self.request.out))
        meet()
        score = score or HeldOut.for_data(data) or LightJudge.for_model(model, data, self.plan.seed)
        start = self.origin.give if self.origin else None
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with Interrupt() as interrupt:
                yield from play(model, data, run, self.plan, score, interrupt.asked, start)
        finally:
            torch.set_num_threads(before)

    def check_run(self, processes: int) -> None:
        """Raise InputError where so many processes cannot train, or go on with, the run."""
        if self.plan.device.type == "cuda" and processes > torch.cuda.device_count():
            raise InputError(f"--processes {processes} needs as many GPUs, this machine has {torch.cuda.device_count()}; "
                             "or say --device cpu")  # fmt: skip
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
    check_numbers(request)
    start_processes(request.device)
    model_class = find_model(request.model)
    origin = None if request.start is None else Origin.open(request.start, request.model, request.preset)
    hyper = origin.hyper(model_class.Hyper) if origin else model_class.Hyper.preset(request.preset)
    hyper = hyper.with_values(request.hyper)
    if request.batch is not None and hasattr(hyper, "batch"):
        hyper = hyper.with_values({"batch": request.batch})  # schedules that count updates must know
    device = pick_device(request.device)
    data = open_data(request, model_class, progress, origin)
    budget = request.minutes if request.minutes is not None or request.examples is not None else DEFAULT_MINUTES
    hyper = model_class.settle(hyper, data)
    plan = Plan(
        examples=request.examples,
        minutes=budget,
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
    with torch.device("cpu" if origin else "meta"):
        model = model_class(hyper, data.shape)  # whether model and data fit shows here, before anything is written
    if origin:
        origin.refuse_other_columns(data.shape)
        origin.give(model)
    if len(data) < 2:
        named = request.data if isinstance(request.data, str | os.PathLike) else "the data"
        raise InputError(f"{named} holds a single example: a generative model needs many")
    check_batch(plan.batch, plan.micro, model.phases(), len(data), dist.get_world_size() if dist.is_initialized() else 1)
    threads = request.threads or (1 if count_weights(model) < SMALL else torch.get_num_threads())
    record = make_record(request, hyper, data, plan, threads)
    if origin:
        record |= {"preset": origin.preset, "start": origin.to_json()}
    return Session(request, model_class, hyper, data, plan, threads, record, origin)


def check_numbers(request: Request) -> None:
    """Raise InputError where a number of the request makes no sense."""
    for name in ("examples", "size", "batch", "micro", "threads", "save_examples", "report_examples"):
        value = getattr(request, name)
        if value is not None and not isinstance(value, numbers.Integral):
            raise InputError(f"{name} takes a whole number, got {value!r}")
        if value is not None and value < 1:
            raise InputError(f"--{name} takes a number from 1 on, got {value}")
    refuse_wide_seed(request.seed)
    for name in ("minutes", "save_every"):
        value = getattr(request, name)
        if value is not None and not 0 < value < float("inf"):  # not-a-number is refused too
            raise InputError(f"--{name.replace('_', '-')} takes a number above 0, got {value}")


def fits_beside_training(data: ImageData, device: torch.device) -> bool:
    """Whether a GPU can hold the pictures in a quarter of its free memory, so that batches are cut there."""
    return device.type == "cuda" and data.pixels.nbytes < torch.cuda.mem_get_info(device)[0] / 4


def count_weights(model: Model) -> int:
    """Return the number of trained weights."""
    return sum(p.numel() for p in model.parameters())


def open_data(request: Request, model_class: type[Model], progress: Progress, origin: Origin | None) -> Dataset:
    """Load the request's data in a size that the model takes; the first process decodes, the others wait.

    Where a run to start from is given, its size and channels hold unless the request says others.
    """
    size = (request.size, request.size) if request.size else origin.size if origin else None
    options = Options(
        size=size,
        channels=request.channels or (origin.channels if origin else None),
        crop=request.crop,
        flip=request.flip,
        skip_broken=request.skip_broken,
    )
    if hasattr(request.data, "batch"):
        asked = (request.size, request.channels, request.crop, request.flip, request.skip_broken)
        if asked != (None, None, True, False, False):
            raise InputError("size, channels, crop, flip and skip_broken are for sources: load the data so that it has them")
        return request.data
    if not isinstance(request.data, str | os.PathLike):
        raise InputError(f"data is a source to name, or an object with `shape`, `__len__` and `batch`, not of "
                         f"{type(request.data).__name__}: save arrays as .npy")  # fmt: skip
    if not main_process():
        meet()
    source = os.fspath(request.data)
    data = load_data(source, options, progress)
    if not isinstance(data, ImageData):
        if options != Options():
            raise InputError(
                f"{request.data} is a table: --size, --channels, --squeeze, --flip and --skip-broken are for pictures"
            )
        if main_process():
            meet()
        return data
    height, width = data.shape.dims[1:]
    wanted = model_class.size_for(height, width)
    if size is None and wanted != (height, width):
        options = Options(**{**options.__dict__, "size": wanted})
        data = load_pictures(source, options, progress)
        data.notes.append(f"resized from {height}x{width} to {wanted[0]}x{wanted[1]}, which {request.model} takes")
    if main_process():
        meet()
    return data


def make_record(request: Request, hyper: Hyper, data: Dataset, plan: Plan, threads: int) -> dict[str, Any]:
    """Return the content of `run.json`."""
    return {
        "model": request.model,
        "preset": request.preset,
        "hyper": hyper.to_json(),
        "shape": data.shape.to_json(),
        "data": {
            "source": getattr(data, "source", "python"),
            "fingerprint": getattr(data, "fingerprint", None) or sampled_fingerprint(data),
            "examples": len(data),
            "options": {"flip": request.flip},
            "loaded": {"size": request.size, "crop": request.crop, "skip_broken": request.skip_broken},
        },
        "plan": {
            "examples": plan.examples,
            "minutes": plan.minutes,
            "batch": plan.batch,
            "micro": plan.micro,
            "seed": plan.seed,
            "precision": plan.precision,
            "threads": threads,
            "processes": dist.get_world_size() if dist.is_initialized() else 1,
        },
        "versions": versions(),
        "processor": processor(),
        "command": shlex.join(
            ["genloom" if Path(sys.argv[0]).stem in ("genloom", "__main__") else sys.argv[0], *sys.argv[1:]]
        ),
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def sampled_fingerprint(data: Dataset) -> str:
    """Hash the count and 64 evenly spread examples of data that was handed over as a Python object."""
    batch = data.batch(torch.linspace(0, len(data) - 1, min(64, len(data))).long(), torch.Generator().manual_seed(0))
    digest = hashlib.blake2b(str(len(data)).encode(), digest_size=16)
    for name, value in sorted(batch.items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that a figure depends on."""
    return {
        "genloom": importlib.metadata.version("genloom"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


# -- several processes -----------------------------------------------------------------------------
