"""A run that is served: its model, what it can do, and a newer checkpoint where one comes."""

# n rows

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genloom.api import load
from genloom.bounds import cut
from genloom.core import capabilities as can
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.reading import kind_of, named
from genloom.train.run import Run
from genloom.use.export.entries import Entry
from genloom.use.export.functions import functions_of
from genloom.use.sampling.draw import checked
from genloom.use.series.deviation import Watch

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAIN = ("generate", "sample", "translate_to_B", "translate_to_A", "upscale", "impute", "tag", "log_prob", "encode")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as it is used.

    Attributes:
        name: of the run that it is of.
        functions: of tensors, by name, as they would be exported.
        watch: what says how unusual rows of a record are, where the model follows records.
    """

    name: str
    model: Model
    version: str
    functions: dict[str, Entry]
    watch: Watch | None = None

    @property
    def main(self) -> Entry | None:
        """The function that stands for the model where none is named."""
        return next((self.functions[name] for name in MAIN if name in self.functions), None)


class Served:
    """A run that is served by a name.

    Args:
        said: the run's folder, or a name for it before: `faces=runs/a`.
        checkpoint: `last` follows the run's checkpoints.

    Raises:
        InputError: there is no such run, or the name is none.
    """

    def __init__(self, said: str, checkpoint: str = "last") -> None:
        name, equals, folder = said.partition("=")
        if not equals or kind_of(named(said)):
            name, folder = "", said
        self.run, self.checkpoint = Run.open(folder), checkpoint
        self.name = name or self.run.folder.resolve().name
        if not NAME.fullmatch(self.name):
            raise InputError(f"{self.name!r} is no name for a model in an address: say NAME={folder}, of letters and digits")
        self.failed, self.told = "", ""  # a checkpoint that could not be loaded, and what was said of it
        self.loaded = self.load()

    def load(self) -> Loaded:
        """Return the checkpoint that is to be used; InputError where it cannot be loaded."""
        version = self.run.checkpoint(self.checkpoint).name
        model = load(self.run, version).requires_grad_(False)
        functions = {each.name: each for each in functions_of(model) if isinstance(each, Entry)}
        watch = Watch(self.run, version) if isinstance(model, can.Follows) else None
        return Loaded(self.name, model, version, functions, watch)

    def newer(self) -> bool:
        """Return whether the run has another checkpoint than the one that is used."""
        last = self.run.checkpoint("last").name if self.checkpoint == "last" else self.loaded.version
        return last not in (self.loaded.version, self.failed)


def all_served(said: Sequence[str], checkpoint: str = "last") -> dict[str, Served]:
    """Return runs by name; InputError where two have one."""
    found: dict[str, Served] = {}
    for each in said:
        served = Served(each, checkpoint)
        if served.name in found:
            raise InputError(f"two runs are named {served.name}: name one of them, as in other={served.run.folder}")
        found[served.name] = served
    return found


# -- in batches ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """Samples that a request asks for: their noise, and a label for each where the model takes labels."""

    noise: Noise
    labels: Tensor | None


def drawing(model: Any, rows: int, temperature: float) -> Callable[[Sequence[Draw]], list[Tensor]]:
    """Return what draws the samples of several requests at once.

    A batch always has the same number of rows, the last ones nobody's: the bits of a row then hang on itself alone, whatever
    else is in the batch. A product of fewer rows may be added up in another order.
    """

    def work(asked: Sequence[Draw]) -> list[Tensor]:
        counts = [len(each.noise) for each in asked]
        noise = Noise.joined([each.noise for each in asked])
        labels = None if asked[0].labels is None else torch.cat([each.labels for each in asked])  # type: ignore[misc]
        index = torch.arange(rows).clamp_max(len(noise) - 1)
        with torch.no_grad():
            x = model.sample(rows, None if labels is None else labels[index], temperature, noise.of_rows(index))
        return list(checked(x.float().cpu())[: len(noise)].split(counts))

    return work


def by_rows(entry: Entry) -> bool:
    """Return whether a function goes row by row: all that goes in and comes out has as many rows, and one size else."""
    ports = (*entry.inputs, *entry.outputs)
    return all(port.dims[:1] == ("n",) and all(isinstance(dim, int) for dim in port.dims[1:]) for port in ports)


def calling(entry: Entry, rows: int | None) -> Callable[[Sequence[tuple[Tensor, ...]]], list[list[Tensor]]]:
    """Return what calls a function for several requests at once, with so many rows, as `drawing` does; None for as given."""

    def called(given: tuple[Tensor, ...]) -> list[Tensor]:
        try:
            with torch.no_grad():
                found = entry.call(*given)
        except (IndexError, RuntimeError) as error:
            raise InputError(f"{entry.name} cannot take these values: {cut(str(error).splitlines()[0], 200)}") from None
        return [found] if isinstance(found, Tensor) else list(found)

    def work(asked: Sequence[tuple[Tensor, ...]]) -> list[list[Tensor]]:
        if rows is None:
            return [called(each) for each in asked]
        joined = [torch.cat(parts) for parts in zip(*asked, strict=True)]
        index = torch.arange(rows).clamp_max(len(joined[0]) - 1)
        found = called(tuple(each[index] for each in joined))
        counts = [len(each[0]) for each in asked]
        parts = [x[: sum(counts)].split(counts) for x in found]
        return [list(each) for each in zip(*parts, strict=True)]

    return work
