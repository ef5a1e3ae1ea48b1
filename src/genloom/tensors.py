"""Tensors in safetensors files, read with care."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from genloom.errors import InputError
from genloom.reading import content_of, refuse_pickle

MOST = 1 << 36  # bytes of a file of weights


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; InputError where it is missing, cut short or a pickle."""
    refuse_pickle(path, "reads .safetensors only")
    return parse_tensors(content_of(path, "file of weights", MOST), path)


def parse_tensors(content: bytes, path: Path, remedy: str = "use an older checkpoint") -> dict[str, Tensor]:
    """Return the tensors of the bytes of a safetensors file; InputError, with a remedy, where they are cut short."""
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is damaged or cut short ({said}); {remedy}") from None
