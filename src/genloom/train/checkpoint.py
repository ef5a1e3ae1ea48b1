"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all. No pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from genloom.errors import InputError

Tensors = Mapping[str, Tensor]


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensors], state: Mapping[str, Any]) -> None:
    """Write `<name>.safetensors` for each group of tensors and `state.json` into the new `folder`.

    All is written to a temporary neighbour, flushed to the disk, and renamed; a kill or a full disk
    at any instant leaves the older checkpoints as they were.
    """
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, group in tensors.items():
            write_synced(temporary / f"{name}.safetensors", save({key: plain(value) for key, value in group.items()}))
        write_synced(temporary / "state.json", json.dumps(state, indent=1).encode())
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def plain(tensor: Tensor) -> Tensor:
    """A tensor as safetensors takes it: on the CPU, contiguous, sharing memory with no other."""
    return tensor.detach().cpu().contiguous().clone()


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file at once: a reader sees the old content or the new."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        write_synced(temporary, (json.dumps(value, indent=1) + "\n").encode())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def checkpoints(folder: Path) -> list[Path]:
    """Return the finished checkpoints of a run's `checkpoints/`, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir() and path.name.isdigit())


def read_state(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's `state.json`; InputError where it is missing or cut short."""
    try:
        return json.loads((folder / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no whole checkpoint ({error}); remove it to go on from an older one") from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; InputError where it is missing, cut short or a pickle."""
    if path.suffix in (".pt", ".pth", ".pkl", ".ckpt", ".bin"):
        raise InputError(f"{path} looks like a pickle, which can run code when it is read: genloom reads .safetensors only")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read, it is missing or cut short ({error}); use an older checkpoint") from None


def read_weights(module: nn.Module, tensors: Tensors, path: Path, growing: bool = False) -> None:
    """Copy tensors into a module; InputError where names or sizes are another model's.

    Args:
        growing: allow weights that the file lacks where they are zero: what begins as nothing leaves the model as it was.
    """
    own = module.state_dict()
    new = {name for name in own.keys() - tensors.keys() if growing and not own[name].any()}
    wrong = sorted((own.keys() ^ tensors.keys()) - new)
    wrong = wrong or [name for name in tensors if own[name].shape != tensors[name].shape]
    if wrong:
        raise InputError(f"{path} belongs to another model or other hyper-parameters: {wrong[0]!r} does not fit")
    with torch.no_grad():
        for name, value in tensors.items():
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


def read_optimizer(name: str, optimizer: Optimizer, tensors: Tensors) -> None:
    """Restore what `optimizer_tensors` returned."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in tensors.items():
        player, i, slot = key.split("/")
        if player != name:
            continue
        p = parameters[int(i)]
        # Moments take the parameter's memory layout, or vectorised updates would round otherwise than before.
        optimizer.state[p][slot] = torch.empty_like(p).copy_(value) if value.shape == p.shape else value.clone()
