"""What a judgement is, and what a panel does for its kind of data."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from genloom.api import load
from genloom.core.capabilities import Samples
from genloom.core.model import Model
from genloom.data.cache import cache_folder
from genloom.errors import InputError
from genloom.files import write_json
from genloom.kinds import KINDS, imported
from genloom.measures.figure import Figure
from genloom.shapes.base import Shape
from genloom.train.run import Run
from genloom.train.session import count_weights

RECIPE = "8"  # part of the key of cached baselines: raise it with any change of a measure
LEAST = 100  # examples below which no measure says anything
Rows = dict[str, dict[str, Figure]]  # baselines by name, each with its figures


@dataclass(frozen=True)
class Terms:
    """What the figures depend on besides run and data.

    Attributes:
        n: samples; None takes 10,000, or as many as there are training examples.
        features: of pictures, the kind; None takes the usual one of `genloom.measures.features.registry`.
        checkpoint: `last`, `best`, or the name of a folder in `checkpoints/`.
        weights: a file or folder of published feature weights.
        fetch: whether these may be fetched over the network.
        quick: of pictures, 1,000 samples and no classifier, and without the measures that take longest.
        say: called with a line of text as the work goes on.
    """

    n: int | None = None
    features: str | None = None
    checkpoint: str = "last"
    seed: int = 0
    weights: str | Path | None = None
    fetch: bool = False
    quick: bool = False
    say: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed takes a number from 0 to {2**32 - 1}, got {self.seed}")

    def pictures_only(self) -> None:
        """Raise InputError where something was said that only pictures have."""
        said = (("-n", self.n), ("--features", self.features), ("--weights", self.weights), ("--quick", self.quick or None))
        for name, value in said:
            if value is not None:
                raise InputError(f"{name} is for samples of pictures: leave it away")

    def count(self, available: int, source: str, usual: int) -> int:
        """Return the number of samples to draw.

        Raises:
            InputError: too few for any measure, or more than there are examples to compare with.
        """
        if self.n is not None and self.n < LEAST:
            raise InputError(f"-n {self.n} is too few for any measure; use {LEAST} or more")
        if self.n is not None and self.n > available:
            raise InputError(f"-n {self.n} is more than the {available:,} examples of {source} to compare with; use fewer")
        return min(self.n or usual, available)


@dataclass
class Judgement:
    """What was measured.

    Attributes:
        measures: of the run, by name.
        baselines: the same measures of the rows that give them meaning.
        cost: weights, training CPU seconds, examples made per CPU second.
        verdicts: what the figures say, in words.
        about: what they were measured with.
        panel: the panel that measured.
        seen: what the panel keeps of it for the page; not written.
    """

    run: Run
    measures: dict[str, Figure]
    baselines: Rows
    cost: dict[str, float]
    verdicts: list[str]
    about: dict[str, Any]
    panel: Panel = field(repr=False)
    seen: Any = field(repr=False, default=None)

    @property
    def name(self) -> str:
        """The run's name, for headings."""
        return self.run.folder.name

    def to_json(self) -> dict[str, Any]:
        """Return everything but what is kept for the page."""
        return {
            "run": str(self.run.folder),
            "measures": {name: figure.to_json() for name, figure in self.measures.items()},
            "baselines": rows_to_json(self.baselines),
            "cost": self.cost,
            "verdicts": self.verdicts,
            "about": self.about,
        }


class Panel(ABC):
    """Measures runs of one kind of data, each by the same real examples, measures and baselines.

    Args:
        runs: all that will be measured before this panel.
        data: a source of what they were trained on; None takes what the runs name.
        test: a source of examples never trained on, where the data has none of its own.
    """

    shown: ClassVar[dict[str, str]]  # headings of the baselines, short ones for a terminal
    needs: ClassVar[tuple[type, str]] = (Samples, "draws no samples")  # of a model, and what is said of one without

    @classmethod
    def load(cls, run: Run, checkpoint: str) -> Model:
        """Return a run's model; InputError where there is none, or nothing of it to measure."""
        model = load(run, checkpoint)
        if not isinstance(model, cls.needs[0]):
            raise InputError(f"{type(model).__name__} {cls.needs[1]}: there is nothing to judge")
        return model

    @abstractmethod
    def __init__(self, runs: Sequence[Run], data: Any, test: str | Path | None, terms: Terms) -> None: ...

    @abstractmethod
    def judge(self, run: Run) -> Judgement:
        """Measure one run."""

    @abstractmethod
    def intro(self, judgement: Judgement) -> str:
        """Say in one sentence what was compared with what."""

    @abstractmethod
    def pages(self, judgements: Sequence[Judgement]) -> list[str]:
        """Return the parts of the page that show this kind of data, as HTML."""


def source_of(run: Run, data: Any, what: str) -> str:
    """Return the name of the source that a run is judged by: what a person named, or what it was trained on."""
    if data is not None and not isinstance(data, str | os.PathLike):
        raise InputError(f"{what} are a source to name, not of {type(data).__name__}")
    name = os.fspath(data) if data is not None else str(run.record["data"]["source"])
    if name == "python":
        raise InputError(f"{run.folder} was trained on a Python object: name its {what} after the run")
    return name


def cost_of(run: Run, folder: Path, model: Model, made: int, seconds: float) -> dict[str, float]:
    """Return what a checkpoint of a run cost, and how quick its `made` examples were."""
    return {
        "weights": count_weights(model),
        "training_cpu_seconds": round(run.state(folder)["cpu_seconds"], 1),
        "samples_per_cpu_second": round(made / max(seconds, 1e-9), 1),
    }


def panel_of(shape: Shape) -> type[Panel]:
    """Return the panel of a kind of data; InputError where there is none."""
    place = KINDS[shape.kind].panel
    if not place:
        raise InputError(f"there is no judge for {shape.describe()}")
    panel: type[Panel] = imported(place)
    return panel


def shape_of(run: Run) -> Shape:
    """Return the shape of a run's data."""
    return Shape.from_json(run.record["shape"])


def cached_rows(key: Sequence[Any], names: Sequence[str], make: Callable[[], Rows]) -> Rows:
    """Return baselines from the cache, or make and keep them."""
    name = hashlib.blake2b(json.dumps([RECIPE, *key]).encode(), digest_size=12).hexdigest()
    path = cache_folder() / "baselines" / f"{name}.json"
    if (kept := read_rows(path)) is not None and kept.keys() == set(names):
        return kept
    rows = make()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows_to_json(rows))
    return rows


def read_rows(path: Path) -> Rows | None:
    """Return cached baselines, or None where there are none or the file is cut short."""
    try:
        rows = json.loads(path.read_text())
        return {row: {name: Figure(**figure) for name, figure in figures.items()} for row, figures in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, cut short or of an older form
        return None


def rows_to_json(rows: Rows) -> dict[str, dict[str, object]]:
    """Return baselines as plain JSON."""
    return {row: {name: figure.to_json() for name, figure in figures.items()} for row, figures in rows.items()}
