"""What a person may say about a training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from genloom.bounds import above_zero, whole
from genloom.catalogue import MODELS, find_model
from genloom.core.precision import Precision
from genloom.data.options import NAMES
from genloom.data.source import find_source
from genloom.errors import InputError, nearest
from genloom.reading import named
from genloom.train.run import Run

COUNTS = ("examples", "batch", "micro", "threads", "save_examples", "report_examples")


@dataclass(frozen=True)
class Request:
    """Everything a person may say about a training; `None` leaves it to genloom.

    Attributes:
        preset: None takes the one that the run in `out` was begun with, for a new run `modern` where there is one.
        source: options of the data, by name, as `PictureOptions` and `TableOptions` have them: size, flip, ...
        start: a run whose weights and hyper-parameters to start from.

    Raises:
        InputError: a number makes no sense.
    """

    model: str
    data: Any
    out: str | os.PathLike[str]
    preset: str | None = None
    hyper: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    examples: int | None = None
    minutes: float | None = None
    cpu_minutes: float | None = None
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
    start: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", os.fspath(named(self.out)))
        for name in COUNTS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name)))  # numpy's, too, become what JSON takes
        whole("seed", self.seed)
        for name, known in (("precision", get_args(Precision)), ("stop_when", (None, "plateau"))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} takes {', '.join(map(str, known))}, got {getattr(self, name)!r}")
        for name in ("minutes", "cpu_minutes", "save_every", "report_every"):
            value = getattr(self, name)
            if value is not None:
                above_zero(name, value)

    @classmethod
    def of(cls, model: str, data: Any, out: str | os.PathLike[str], **said: Any) -> Self:
        """Return the request of options by name: its own fields, and the options of the data.

        Raises:
            InputError: there is no such option, or a number makes no sense.
        """
        own = {f.name for f in fields(cls)}
        for name in said.keys() - own - NAMES:
            raise InputError(f"fit takes no {name!r}{nearest(name, own | NAMES)}")
        source = {name: value for name, value in said.items() if name in NAMES and name not in own}
        rest = {name: value for name, value in said.items() if name in own}
        return cls(model, data, out, **{**rest, "source": {**rest.get("source", {}), **source}})

    @classmethod
    def going_on(cls, out: str | os.PathLike[str], **said: Any) -> Self:
        """Return the request that goes on with a run as it was begun; what is said now, such as a budget, stands over it.

        Raises:
            InputError: there is no such run, or its data is none that can be named.
        """
        run = Run.open(out)
        data, plan = run.record["data"], run.record["plan"]
        if data["source"] == "python":
            raise InputError(f"{out} was begun on a Python object: give the same call of genloom.fit again")
        reads = find_model(run.record["model"]).reads if run.record["model"] in MODELS else ""
        with run.told():
            source = find_source(data["source"], data["loaded"] | data["options"], kind=reads).options.given()
        kept = {name: plan.get(name) for name in ("examples", "minutes", "cpu_minutes", "batch", "micro", "seed", "threads")}
        if said.keys() & {"examples", "minutes", "cpu_minutes"}:  # another budget is all of the budget
            kept |= {"examples": None, "minutes": None, "cpu_minutes": None}
        hyper, source = run.record["hyper"] | said.pop("hyper", {}), source | said.pop("source", {})
        start = run.record.get("start", {}).get("run")
        begun = {"preset": run.record["preset"], "hyper": hyper, "precision": plan["precision"], "start": start}
        return cls(run.record["model"], data["source"], out, **{**kept, **begun, "source": source, **said})
