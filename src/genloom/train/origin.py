"""Starting a training from another run: its weights, its hyper-parameters, the size of its pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genloom.core.hyper import Hyper
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.train.checkpoint import read_group, read_weights
from genloom.train.run import Run


@dataclass(frozen=True)
class Origin:
    """The last checkpoint of a run, from which another run starts."""

    run: Run
    checkpoint: Path
    shape: Shape

    @classmethod
    def open(cls, folder: str | os.PathLike[str], model: str, preset: str | None) -> Origin:
        """Open a run to start `model` from; InputError where it is another model's, or `preset` is not its own."""
        run = Run.open(folder)
        if run.record["model"] != model:
            raise InputError(f"{folder} is a run of {run.record['model']}, which {model} cannot start from")
        if preset not in (None, run.record["preset"]):
            raise InputError(f"--from {folder} brings its own hyper-parameters: leave out --preset {preset}")
        return cls(run, run.checkpoint("last"), run.shape)

    @property
    def preset(self) -> str:
        """The preset with which the run began."""
        return self.run.record["preset"]

    def source_options(self) -> dict[str, Any]:
        """Return the options by which other data comes into the shape of this run's, where its kind has a size."""
        dims = self.shape.dims
        return {"size": dims[1:], "channels": dims[0]} if len(dims) == 3 else {}

    @property
    def hyper(self) -> Hyper:
        """The hyper-parameters of the run."""
        return self.run.hyper

    def refuse_other_columns(self, shape: Shape) -> None:
        """Raise InputError for another table: cells are coded by their columns' means and categories."""
        if self.shape.kind == "table" and self.shape != shape:
            raise InputError(f"{self.run.folder} was trained on another table: its weights mean nothing for these columns")

    def give(self, model: Model) -> None:
        """Copy the run's averaged weights into a model, which may have more that begin as nothing; else InputError."""
        path = self.run.weights(self.checkpoint.name)
        read_weights(model, read_group(path), path, growing=True)

    def to_json(self) -> dict[str, Any]:
        """Return what `run.json` says of it: examples and seconds are all that were spent up to here."""
        state, before = self.run.state(self.checkpoint), self.run.record.get("start", {})
        return {
            "run": str(self.run.folder),
            "checkpoint": self.checkpoint.name,
            "examples": state["examples"] + before.get("examples", 0),
            "cpu_seconds": state["cpu_seconds"] + before.get("cpu_seconds", 0.0),
        }
