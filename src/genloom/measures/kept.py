"""Tensors kept in the cache: networks, features and neighbours that many judgements share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from genloom.data.cache import cache_folder
from genloom.errors import InputError
from genloom.tensors import read_tensors

MOST_BYTES = 1 << 29  # what is larger is made again each time


def kept_tensors(
    kind: str,
    key: Sequence[Any],
    make: Callable[[], Mapping[str, Tensor]],
    sound: Callable[[Mapping[str, Tensor]], bool] = lambda tensors: True,
) -> Mapping[str, Tensor]:
    """Return tensors from the cache, or make and keep them; what cannot be kept costs time, nothing else.

    Args:
        kind: the folder within the cache.
        key: all that the tensors depend on, as JSON takes it.
        sound: whether tensors that were read are what `make` would give; where not, they are made anew.
    """
    name = hashlib.blake2b(json.dumps(key).encode(), digest_size=12).hexdigest()
    path = cache_folder() / kind / f"{name}.safetensors"
    with contextlib.suppress(InputError):  # not there yet, or cut short
        if sound(found := read_tensors(path)):
            return found
    made = make()
    if sum(value.nbytes for value in made.values()) <= MOST_BYTES:
        with contextlib.suppress(OSError, SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            save_file({name: value.contiguous() for name, value in made.items()}, part)
            part.replace(path)
    return made


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor by its name."""
    return {name: tuple(value.shape) for name, value in tensors.items()}
