"""The run folder: plain files that say what was trained, on what, how it went, and the weights.

`run.json`, `stats.jsonl`, `samples/<examples>.png`, `checkpoints/<examples>/`, `best.json`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from genloom.bounds import short
from genloom.catalogue import find_model
from genloom.core.capabilities import Samples, Translates, Upscales
from genloom.core.hyper import Hyper
from genloom.core.model import Model
from genloom.core.random import Noise, building
from genloom.errors import InputError
from genloom.files import write_json, write_synced
from genloom.reading import (
    content_of,
    kind_of,
    misfit,
    named,
    parse_json,
    read_json,
    refuse_pickle,
)
from genloom.shapes.base import Shape
from genloom.tensors import parse_tensors
from genloom.train.checkpoint import Checkpoint, checkpoints, facts_of, plain, read_state
from genloom.train.forms import BEST, LINE, RECORD
from genloom.train.lock import Lock

FORMAT = 3  # of a run folder: raise it when an older one can no longer be read
KEPT = 3  # newest checkpoints that stay, beside the best
GRID = 64
SEED_OF_GRID = 20140610

# What a resumed run must repeat; budget and place of the data may change.
BINDING = (
    "model",
    "data.fingerprint",
    "shape",
    "hyper",
    "data.options",
    "plan.batch",
    "plan.seed",
    "plan.precision",
    "start.run",
)


class Run:
    """A run folder, opened to read or to go on."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = named(folder)
        self._lock = Lock(self.folder)

    # -- opening -----------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Open an existing run; InputError where there is none, or one that this genloom does not read."""
        run = cls(folder)
        refuse_pickle(run.folder, "opens run folders only")
        if kind_of(run.folder) != "folder":
            raise InputError(f"no run at {folder}: no such folder; `genloom fit MODEL DATA -o {folder}` makes one")
        if not kind_of(run.folder / "run.json"):
            raise InputError(f"{run.folder} is no run: it has no run.json")
        _ = run.record
        return run

    @classmethod
    def begin(cls, folder: str | os.PathLike[str], record: Mapping[str, Any]) -> Run:
        """Make the folder with its `run.json`, or open it to go on where the same options made it.

        Raises:
            InputError: the folder holds other things, or a run with other options (the first difference is named).
        """
        run, record = cls(folder), {"format": FORMAT, **record}
        run.refuse_differences(record)
        if not (run.folder / "run.json").exists():
            try:
                run.folder.mkdir(parents=True, exist_ok=True)
                write_json(run.folder / "run.json", record)
            except OSError as error:
                raise InputError(run.explain(error)) from None
        return run

    def take(self) -> None:
        """Hold the run for this process, so that two do not write into one folder, and clear what a kill left behind."""
        self.lock()
        for part in self.folder.glob("checkpoints/.*.part"):
            shutil.rmtree(part, ignore_errors=True)
        self.forget_future()

    def lock(self) -> None:
        """Lock the folder until `release`; the kernel unlocks it when the process dies."""
        try:
            self._lock.take()
        except OSError as error:
            raise InputError(self.explain(error)) from None

    def release(self) -> None:
        """Let other processes train this run."""
        self._lock.release()

    def refuse_differences(self, record: Mapping[str, Any]) -> None:
        """Raise InputError naming the first option in which this run differs from `record`, or where it is no run."""
        if not (self.folder / "run.json").exists():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise InputError(f"{self.folder} is not empty and not a run; name a new folder after -o")
            return
        before, now = flatten(self.stored()), flatten(json.loads(json.dumps(record)))
        other = [
            key
            for start in BINDING
            for key in sorted(before.keys() | now.keys())
            if key.startswith(start) and before.get(key) != now.get(key)
        ]
        if not other:
            return
        key, remedy = other[0], "repeat the first command to go on, or name a new folder after -o"
        if key.startswith("hyper") and before.get("preset") != now.get("preset"):
            key = "preset"
        if key == "data.fingerprint" and before.get("data.source") == now.get("data.source"):
            loaded = [name for name in sorted(before.keys() | now.keys()) if name.startswith("data.loaded.")]
            key = next((name for name in loaded if before.get(name) != now.get(name)), key)
        if key == "data.fingerprint" and before.get("data.source") == now.get("data.source"):
            parts = [now.get(f"data.{name}") for name in ("source", "loaded.to", "loaded.tags", "loaded.words")]
            which = " or ".join(str(part) for part in parts if part)
            raise InputError(f"{self.folder} was begun on other data: {which} has changed; name a new folder after -o")
        if key == "data.fingerprint":
            raise InputError(
                f"{self.folder} was begun on other data: {before.get('data.source')} as it was then, "
                f"{now.get('data.source')} now; {remedy}"
            )
        said = "--from" if key == "start.run" else key.replace("data.loaded.", "--")
        raise InputError(f"{self.folder} was begun with {said} = {before.get(key)!r}, now it is {now.get(key)!r}; {remedy}")

    # -- reading -----------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """The content of `run.json`.

        Raises:
            InputError: it is cut short, or of another form than this genloom writes.
        """
        record = self.stored()
        if wrong := misfit(record, RECORD):
            raise InputError(f"{self.folder / 'run.json'} is damaged: {wrong}; train it anew into another folder")
        return record

    def stored(self) -> dict[str, Any]:
        """Return the content of `run.json`, of which nothing but the version of its form is known."""
        record = read_json(self.folder / "run.json", remedy="; train it anew into another folder")
        if record.get("format") != FORMAT:
            raise InputError(
                f"{self.folder} was made by another version of genloom, whose runs this one does not read: "
                "train it anew into another folder"
            )
        return record

    @property
    def shape(self) -> Shape:
        """What one example of its data is."""
        with self.told():
            return Shape.from_json(self.record["shape"])

    @property
    def model_class(self) -> type[Model]:
        """Its model."""
        with self.told():
            return find_model(self.record["model"])

    @property
    def hyper(self) -> Hyper:
        """Its hyper-parameters."""
        with self.told():
            return self.model_class.Hyper.from_json(self.record["hyper"])

    def build(self, device: str = "cpu") -> Model:
        """Return its model without its weights; on the device `meta` it takes no memory.

        Raises:
            InputError: `run.json` describes no model that can be built.
        """
        model_class, hyper, shape = self.model_class, self.hyper, self.shape
        with self.told(), building(device):
            try:
                return model_class(hyper, shape)
            except (RuntimeError, OverflowError) as error:
                raise InputError(f"no such model can be built ({' '.join(str(error).split())[:120]})") from None

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Let the sentence about something of `run.json` name the file."""
        try:
            yield
        except InputError as error:
            path = self.folder / "run.json"
            raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None

    def checkpoints(self) -> list[Path]:
        """Return the finished checkpoints, oldest first."""
        return checkpoints(self.folder / "checkpoints")

    def checkpoint(self, name: str) -> Path:
        """Return a checkpoint: `last`, `best`, or the name of a folder in `checkpoints/`; InputError where there is none."""
        named = {"last": self.last_checkpoint, "best": self.best_checkpoint}
        folders = {folder.name: folder for folder in self.checkpoints()}
        folder = named[name]() if name in named else folders.get(name)
        if folder is None:
            there = (
                f"there are {', '.join(folders)}, last and best" if folders else "there is none yet: `genloom fit` makes one"
            )
            raise InputError(f"{self.folder} has no checkpoint {short(name)}; {there}")
        return folder

    def weights(self, checkpoint: str = "last") -> Path:
        """Return the file of a checkpoint's averaged weights, or of its weights where it has no others."""
        folder = self.checkpoint(checkpoint)
        ema = folder / "ema.safetensors"
        listed = ema.exists() or "ema" in self.state(folder)["files"]  # one that was lost is not passed over
        return ema if listed else folder / "model.safetensors"

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint, or None."""
        found = self.checkpoints()
        return found[-1] if found else None

    def best_checkpoint(self) -> Path | None:
        """Return the checkpoint of the best score, or None where nothing was scored."""
        best = self.best()
        folder = self.folder / "checkpoints" / best["checkpoint"] if best else None
        return folder if folder and folder.is_dir() else None

    def best(self) -> dict[str, Any] | None:
        """Return the content of `best.json`, or None."""
        path = self.folder / "best.json"
        if not kind_of(path):
            return None
        best = read_json(path, BEST, f"; remove it, and use --checkpoint last or one of {self.folder / 'checkpoints'}")
        if not best["checkpoint"].isdecimal():
            raise InputError(f"{path} is damaged: {short(best['checkpoint'])} is no checkpoint; remove it")
        return best

    def state(self, folder: Path) -> dict[str, Any]:
        """Return a checkpoint's state."""
        return read_state(folder)

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of `stats.jsonl`, leaving out one that a kill cut short."""
        path = self.folder / "stats.jsonl"
        found = []
        for text in self.stats_lines():
            with contextlib.suppress(InputError):  # a kill or a copy cut it short
                found.append(parse_json(text, path, LINE))
        return found

    def stats_lines(self) -> list[str]:
        """Return `stats.jsonl` as it stands, line by line."""
        path = self.folder / "stats.jsonl"
        return content_of(path).decode("utf-8", "replace").splitlines(keepends=True) if kind_of(path) else []

    # -- writing -----------------------------------------------------------------------------------

    def write_stats(self, report: Any) -> None:
        """Append a report to `stats.jsonl`."""
        line = {name: value for name, value in asdict(report).items() if value is not None}
        line["notes"] = {name: value for name, value in line["notes"].items() if math.isfinite(value)}  # JSON has no NaN
        line |= {name: str(line[name].relative_to(self.folder)) for name in ("grid", "checkpoint") if name in line}
        with (self.folder / "stats.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def forget_future(self) -> None:
        """Drop lines later than the last checkpoint: training goes over that stretch again."""
        last = self.last_checkpoint()
        reached = int(last.name) if last else -1
        kept = [json.dumps(line) + "\n" for line in self.history() if line["examples"] <= reached]
        if kept != self.stats_lines():
            temporary = self.folder / ".stats.part"
            temporary.write_text("".join(kept))
            temporary.replace(self.folder / "stats.jsonl")

    def forget_damaged_best(self) -> None:
        """Remove a `best.json` that says nothing: the next score makes it anew."""
        try:
            self.best()
        except InputError:
            (self.folder / "best.json").unlink()

    def write_grid(self, model: Model, examples: int) -> Path | None:
        """Draw the fixed samples of this run as one picture; None where the model draws none or its kind has no pictures."""
        picture = model.strip() if isinstance(model, Translates | Upscales) else None
        if isinstance(model, Samples):
            picture = model.shape.preview(fixed_samples(model, GRID))
        if picture is None:
            return None
        path = self.folder / "samples" / f"{examples:012d}.png"
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f".{path.name}")
        try:
            picture.save(part, format="png")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def remember(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Return what `make` gives, which is kept in the run folder: a model's costly study of the data is made once."""
        path = self.folder / "study" / f"{name}.safetensors"
        with contextlib.suppress(InputError):  # what is not there, cut short or another's is made again
            content = content_of(path)
            if read_json(path.with_suffix(".json")) == facts_of(content):
                return parse_tensors(content, path)
        made = {key: plain(value) for key, value in make().items()}
        with contextlib.suppress(OSError):  # what cannot be kept is made again
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            content = save(made)
            write_synced(part, content)
            part.replace(path)
            write_json(path.with_suffix(".json"), facts_of(content))
        return made

    def write_checkpoint(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, let `best.json` name it if its score is the best, and drop old ones."""
        state = checkpoint.state
        folder = self.folder / "checkpoints" / f"{state['examples']:012d}"
        checkpoint.write(folder)
        self.forget_damaged_best()
        if state["score"] is not None:
            name, value = state["score"]
            best = self.best()
            if best is None or value <= best["value"] or self.best_checkpoint() is None:
                write_json(self.folder / "best.json", {"checkpoint": folder.name, "measure": name, "value": value})
        best_folder = self.best_checkpoint()
        for old in self.checkpoints()[:-KEPT]:
            if old != best_folder:
                shutil.rmtree(old, ignore_errors=True)
        return folder

    def explain(self, error: OSError) -> str:
        """Say in one sentence what a failed write means to the person."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            last = self.last_checkpoint()
            kept = f"the run keeps its checkpoint at {int(last.name):,} examples" if last else "there is no checkpoint yet"
            return f"the disk of {self.folder} is full: {kept}; free some space and give the same command to go on"
        return f"cannot write to {self.folder}: {error.strerror or error}"


@torch.no_grad()
def fixed_samples(model: Model, n: int) -> Tensor:
    """Draw the same `n` samples at every call for the same weights, on the CPU in fp32."""
    assert isinstance(model, Samples)
    return model.sample(n, noise=Noise.of(SEED_OF_GRID, n)).float().cpu()


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {key: v for name, part in value.items() for key, v in flatten(part, f"{prefix}.{name}".lstrip(".")).items()}
