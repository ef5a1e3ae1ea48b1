"""Checkpoints: all that the next round depends on, as safetensors and JSON in a folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from genloom.core.clock import Clock
from genloom.errors import InputError
from genloom.files import write_synced
from genloom.reading import content_of, found, kind_of, read_json
from genloom.tensors import MOST, parse_tensors
from genloom.train.forms import STATE
from genloom.train.plan import Report
from genloom.train.ranks import Ranks

if TYPE_CHECKING:
    from genloom.train.loop import Loop

Tensors = Mapping[str, Tensor]
GROUPS = ("model", "optimizer", "ema", "ranks")  # the files of a checkpoint; the last two where there is anything in them


@dataclass
class Checkpoint:
    """What a training is at one instant.

    Attributes:
        groups: tensors by file: the weights and buffers of the model; optimizer state as `player/parameter/slot`; the model
            with its averaged weights (EMA); the buffers of further processes, which may differ, as `rank/name`.
        state: clock and costs, as JSON.
        path: where it was read from.
    """

    groups: dict[str, Tensors]
    state: dict[str, Any]
    path: Path = Path()

    @property
    def clock(self) -> Clock:
        """The clock at that instant."""
        return Clock(*(self.state[name] for name in ("examples", "rounds", "phase", "phase_start")))

    # -- making ------------------------------------------------------------------------------------

    @classmethod
    def of(cls, loop: Loop) -> Checkpoint:
        """Return the checkpoint of a training as it is now; every process takes part."""
        groups: dict[str, Tensors] = {"model": loop.model.state_dict()}
        others = loop.ranks.gather(buffers_of(loop.model))[1:]
        if others:
            groups["ranks"] = {f"{i + 1}/{name}": value for i, each in enumerate(others) for name, value in each.items()}
        groups["optimizer"] = {
            key: value
            for name, learner in loop.learners.items()
            for key, value in optimizer_tensors(name, learner.optimizer).items()
        }
        if loop.ema and loop.ranks.first:
            with loop.ema.applied() as model:
                groups["ema"] = {name: value.clone() for name, value in model.state_dict().items()}
        clock = loop.clock
        state = {
            "examples": clock.examples,
            "rounds": clock.rounds,
            "phase": clock.phase,
            "phase_start": clock.start,
            "ema": loop.ema.followed,
        }
        return cls(groups, state)

    def tensors(self, group: str) -> Tensors:
        """Return the tensors of a file; InputError where the checkpoint lacks it."""
        if group not in self.groups:
            raise InputError(
                f"{self.path / group}.safetensors is missing; remove {self.path} to go on from an older checkpoint"
            )
        return self.groups[group]

    def note(self, report: Report, score: tuple[str, float] | None, score_cpu: float) -> None:
        """Add what training has cost, and the light judge's score."""
        self.state |= {
            "seconds": report.seconds,
            "cpu_seconds": report.cpu_seconds,
            "score_cpu_seconds": score_cpu,
            "score": score,
        }

    def check_clock(self, loop: Loop) -> None:
        """Raise InputError where the state is none that this model and its players can be in."""
        state, ema = self.state, self.state["ema"]
        held = state["phase"] < len(loop.model.phases()) and state["phase_start"] <= state["examples"]
        if not held or ema.keys() != loop.ema.followed.keys() or any(seen > state["examples"] for seen in ema.values()):
            raise InputError(f"{self.path / 'state.json'} is damaged; remove {self.path} to go on from an older checkpoint")

    def write(self, folder: Path) -> None:
        """Write `<group>.safetensors` and `state.json` into the new `folder`.

        All is written to a temporary neighbour, flushed to the disk, and renamed; a kill or a full disk
        at any instant leaves the older checkpoints as they were.
        """
        temporary = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            digests = {}
            for name, group in self.groups.items():
                content = save({key: plain(value) for key, value in group.items()})
                write_synced(temporary / f"{name}.safetensors", content)
                digests[name] = facts_of(content)
            write_synced(temporary / "state.json", json.dumps({**self.state, "files": digests}, indent=1).encode())
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    # -- taking up ---------------------------------------------------------------------------------

    @classmethod
    def shared(cls, folder: Path | None, ranks: Ranks) -> Checkpoint | None:
        """Return a checkpoint as the first process reads it, in every process: only that one need see the run folder.

        Raises:
            InputError: it is not whole.
        """
        found = ranks.share_bytes(packed(folder) if folder else b"")
        return unpacked(found, folder or Path("the checkpoint")) if found else None

    def restore(self, loop: Loop) -> None:
        """Give a training what the next round depends on; InputError where it is another training's."""
        read_weights(loop.model, self.tensors("model"), self.path)
        mine = f"{loop.ranks.rank}/"
        own = {k.removeprefix(mine): v for k, v in self.groups.get("ranks", {}).items() if k.startswith(mine)}
        with torch.no_grad():
            for name, value in buffers_of(loop.model).items():
                if name in own:
                    value.copy_(own[name])
        self.check_clock(loop)
        read_optimizers({name: each.optimizer for name, each in loop.learners.items()}, self.tensors("optimizer"), self.path)
        loop.ema.followed = dict(self.state["ema"])
        if loop.ema:
            refuse_other_weights(loop.model, self.tensors("ema"), self.path / "ema.safetensors")
            loop.ema.restore(self.tensors("ema"))
        ledger = loop.ledger
        ledger.past_seconds, ledger.past_cpu = self.state["seconds"], self.state["cpu_seconds"]
        ledger.score_cpu = self.state["score_cpu_seconds"]


def facts_of(content: bytes) -> dict[str, Any]:
    """Return what tells the content of a file from any other."""
    return {"bytes": len(content), "digest": hashlib.blake2b(content, digest_size=16).hexdigest()}


def whole_file(path: Path, state: Mapping[str, Any]) -> bytes:
    """Return the content of a file of a checkpoint; InputError where it is not the one that was written with its state."""
    known = state["files"].get(path.stem, {"bytes": -1})
    found(path, "file of weights")
    content = content_of(path, "file of weights", MOST) if path.stat().st_size == known["bytes"] else b""
    if known != facts_of(content):
        raise InputError(
            f"{path} is cut short, damaged, or of another checkpoint; remove {path.parent} to go on from an older one"
        )
    return content


def read_group(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of a checkpoint; InputError where it is damaged."""
    return parse_tensors(whole_file(path, read_state(path.parent)), path)


def packed(folder: Path) -> bytes:
    """Return the files of a checkpoint as one sequence of bytes: for each its length, then its content; the state first."""
    state = read_state(folder)
    contents = [json.dumps(state).encode()]
    for group in GROUPS:
        contents.append(whole_file(folder / f"{group}.safetensors", state) if group in state["files"] else b"")
    return b"".join(struct.pack("<Q", len(content)) + content for content in contents)


def unpacked(content: bytes, folder: Path) -> Checkpoint:
    """Return the checkpoint of what `packed` gave."""
    parts, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        parts.append(content[place + 8 : place + 8 + length])
        place += 8 + length
    state, *groups = parts
    named = zip(GROUPS, groups, strict=True)
    tensors: dict[str, Tensors] = {name: parse_tensors(each, folder / f"{name}.safetensors") for name, each in named if each}
    return Checkpoint(tensors, json.loads(state), folder)


def plain(tensor: Tensor) -> Tensor:
    """A tensor as safetensors takes it: on the CPU, contiguous, sharing memory with no other."""
    return tensor.detach().cpu().contiguous().clone()


def checkpoints(folder: Path) -> list[Path]:
    """Return the finished checkpoints of a run's `checkpoints/`, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir() and path.name.isdigit())


def read_state(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's `state.json`; InputError where it is missing or damaged."""
    path, remedy = folder / "state.json", f"; remove {folder} to go on from an older checkpoint"
    if not kind_of(path):
        raise InputError(f"{folder} is no whole checkpoint: it has no state.json{remedy}")
    state: dict[str, Any] = read_json(path, STATE, remedy)
    numbers = [value for value in (*state.values(), *state["ema"].values()) if isinstance(value, int | float)]
    if any(number < 0 for number in numbers) or state["examples"] != int(folder.name):
        raise InputError(f"{path} is damaged: its numbers cannot be{remedy}")
    return state


def buffers_of(module: nn.Module) -> dict[str, Tensor]:
    """Return what a checkpoint holds besides parameters: statistics, pools, counters."""
    weights = {name for name, _ in module.named_parameters()}
    return {name: value for name, value in module.state_dict().items() if name not in weights}


def refuse_other_weights(module: nn.Module, tensors: Tensors, path: Path, growing: bool = False) -> None:
    """Raise InputError where the names or sizes of tensors are another model's; arguments as for `read_weights`."""
    own = module.state_dict()
    late = tuple(getattr(module, "late", ()))
    new = {name for name in own.keys() - tensors.keys() if growing and (name.startswith(late) or not own[name].any())}
    old = {name for name in tensors.keys() - own.keys() if growing and name.startswith(late)}
    wrong = sorted((own.keys() ^ tensors.keys()) - new - old)
    wrong = wrong or [name for name in tensors.keys() - old if own[name].shape != tensors[name].shape]
    if wrong:
        raise InputError(f"{path} belongs to another model or other hyper-parameters: {wrong[0]!r} does not fit")


def read_weights(module: nn.Module, tensors: Tensors, path: Path, growing: bool = False) -> None:
    """Copy tensors into a module; InputError where names or sizes are another model's.

    Args:
        growing: allow weights that the file lacks where they are zero, since what begins as nothing leaves the model as it
            was, and those of a network that joins `late`, which may be left behind too.
    """
    refuse_other_weights(module, tensors, path, growing)
    own = module.state_dict()
    with torch.no_grad():
        for name, value in tensors.items():
            if name in own:
                own[name].copy_(value)


def optimizer_tensors(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's state as tensors named `player/parameter/slot`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"{name}/{i}/{slot}": value
        for i, p in enumerate(parameters)
        for slot, value in optimizer.state.get(p, {}).items()
        if isinstance(value, Tensor)
    }


def read_optimizers(optimizers: Mapping[str, Optimizer], tensors: Tensors, folder: Path) -> None:
    """Restore what `optimizer_tensors` returned of each; InputError where a tensor is none of theirs."""
    owners = {
        f"{name}/{i}": (optimizer, p, group)
        for name, optimizer in optimizers.items()
        for i, (p, group) in enumerate((p, group) for group in optimizer.param_groups for p in group["params"])
    }
    for key, value in tensors.items():
        place, _, slot = key.rpartition("/")
        if place not in owners or (value.shape != owners[place][1].shape and value.numel() != 1):
            raise InputError(
                f"{folder / 'optimizer.safetensors'} belongs to another training: {key!r} does not fit; remove {folder} to "
                "go on from an older checkpoint"
            )
        optimizer, p, group = owners[place]
        if value.shape == p.shape:
            # Moments take the parameter's memory layout, or vectorised updates would round otherwise than before.
            optimizer.state[p][slot] = torch.empty_like(p).copy_(value)
        else:  # the count of steps: an optimizer reads it on the CPU, unless it runs as one kernel
            beside = bool(group.get("fused") or group.get("capturable"))
            optimizer.state[p][slot] = value.to(p.device) if beside else value.clone()
