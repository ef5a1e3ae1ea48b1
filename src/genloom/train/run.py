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
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from genloom.core.capabilities import Samples
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.files import read_tensors, refuse_pickle, write_json, write_synced
from genloom.train.checkpoint import Checkpoint, checkpoints, plain, read_state

FORMAT = 2  # of a run folder: raise it when an older one can no longer be read
KEPT = 3  # newest checkpoints that stay, beside the best
LOCK_PATIENCE = 120  # seconds that a restarted group of processes waits for the lock of a dead node to go
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

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: Any = None

    # -- opening -----------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Open an existing run; InputError where there is none, or one that this genloom does not read."""
        run = cls(Path(folder))
        refuse_pickle(run.folder, "opens run folders only")
        if not run.folder.is_dir():
            raise InputError(f"no run at {folder}: no such folder; `genloom fit MODEL DATA -o {folder}` makes one")
        if not (run.folder / "run.json").exists():
            raise InputError(f"{run.folder} is no run: it has no run.json")
        _ = run.record
        return run

    @classmethod
    def begin(cls, folder: str | os.PathLike[str], record: Mapping[str, Any]) -> Run:
        """Make the folder with its `run.json`, or open it to go on where the same options made it.

        Raises:
            InputError: the folder holds other things, or a run with other options (the first difference is named).
        """
        run, record = cls(Path(folder)), {"format": FORMAT, **record}
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
            import fcntl
        except ImportError:  # no such lock on Windows
            return
        patience = time.monotonic() + (LOCK_PATIENCE if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0)
        try:
            self._lock = (self.folder / ".lock").open("w")
            while not self.locked(fcntl):
                if time.monotonic() >= patience:
                    raise InputError(
                        f"{self.folder} is being trained by another process; wait for it or name another folder"
                    )
                time.sleep(1)
        except OSError as error:
            self.release()
            raise InputError(self.explain(error)) from None
        except InputError:
            self.release()
            raise

    def locked(self, fcntl: Any) -> bool:
        """Try to lock the folder; False where another process holds it. Some file systems of clusters know no locks."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
            warnings.warn(f"{self.folder} lies on a file system without locks: do not train it twice at once", stacklevel=2)
        return True

    def release(self) -> None:
        """Let other processes train this run."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def refuse_differences(self, record: Mapping[str, Any]) -> None:
        """Raise InputError naming the first option in which this run differs from `record`, or where it is no run."""
        if not (self.folder / "run.json").exists():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise InputError(f"{self.folder} is not empty and not a run; name a new folder after -o")
            return
        before, now = flatten(self.record), flatten(json.loads(json.dumps(record)))
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
        if key == "data.fingerprint":
            raise InputError(
                f"{self.folder} was begun on other data: {before.get('data.source')} as it was then, "
                f"{now.get('data.source')} now; {remedy}"
            )
        said = "--from" if key == "start.run" else key
        raise InputError(f"{self.folder} was begun with {said} = {before.get(key)!r}, now it is {now.get(key)!r}; {remedy}")

    # -- reading -----------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """The content of `run.json`.

        Raises:
            InputError: it is cut short, or of another form than this genloom writes.
        """
        try:
            record = json.loads((self.folder / "run.json").read_text())
        except ValueError as error:
            raise InputError(f"{self.folder / 'run.json'} is cut short ({error})") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(
                f"{self.folder} was made by another version of genloom, whose runs this one does not read: "
                "train it anew into another folder"
            )
        return record

    def checkpoints(self) -> list[Path]:
        """Return the finished checkpoints, oldest first."""
        return checkpoints(self.folder / "checkpoints")

    def checkpoint(self, name: str) -> Path:
        """Return a checkpoint: `last`, `best`, or the name of a folder in `checkpoints/`; InputError where there is none."""
        named = {"last": self.last_checkpoint, "best": self.best_checkpoint}
        folders = {folder.name: folder for folder in self.checkpoints()}
        folder = named[name]() if name in named else folders.get(name)
        if folder is None:
            raise InputError(f"{self.folder} has no {name} checkpoint yet; give its `genloom fit` command again")
        return folder

    def weights(self, checkpoint: str = "last") -> Path:
        """Return the file of a checkpoint's averaged weights, or of its weights where it has no others."""
        folder = self.checkpoint(checkpoint)
        ema = folder / "ema.safetensors"
        return ema if ema.exists() else folder / "model.safetensors"

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
        best = parsed(path.read_text()) if path.exists() else None
        return best if best and math.isfinite(best["value"]) else None

    def state(self, folder: Path) -> dict[str, Any]:
        """Return a checkpoint's state."""
        return read_state(folder)

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of `stats.jsonl`, leaving out one that a kill cut short."""
        lines = [parsed(text) or {} for text in self.stats_lines()]
        return [line for line in lines if {"examples", "notes", "health"} <= line.keys()]

    def stats_lines(self) -> list[str]:
        """Return `stats.jsonl` as it stands, line by line."""
        path = self.folder / "stats.jsonl"
        return path.read_text().splitlines(keepends=True) if path.exists() else []

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

    def write_grid(self, model: Model, examples: int) -> Path | None:
        """Draw the fixed samples of this run as one picture; None where the model draws none or its kind has no pictures."""
        if not isinstance(model, Samples):
            return None
        picture = model.shape.preview(fixed_samples(model, GRID))
        if picture is None:
            return None
        path = self.folder / "samples" / f"{examples:012d}.png"
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
        return path

    def remember(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Return what `make` gives, which is kept in the run folder: a model's costly study of the data is made once."""
        path = self.folder / "study" / f"{name}.safetensors"
        with contextlib.suppress(InputError, FileNotFoundError):  # what is cut short is made again
            return read_tensors(path)
        made = {key: plain(value) for key, value in make().items()}
        with contextlib.suppress(OSError):  # what cannot be kept is made again
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            write_synced(part, save(made))
            part.replace(path)
        return made

    def write_checkpoint(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, let `best.json` name it if its score is the best, and drop old ones."""
        state = checkpoint.state
        folder = self.folder / "checkpoints" / f"{state['examples']:012d}"
        checkpoint.write(folder)
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


def parsed(text: str) -> dict[str, Any] | None:
    """Return a JSON object, or None where a kill or a copy cut it short."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


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
