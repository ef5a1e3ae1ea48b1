"""Draw samples from a trained model into files, and walk through its latent space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.core.capabilities import Samples
from genloom.core.model import Model
from genloom.errors import InputError, refuse_wide_seed
from genloom.models.likelihood.autoregressive import Autoregressive, Method
from genloom.shapes.pictures import ImageShape, grid

BLOCK = 250  # samples drawn at once


def draw(
    model: Model, n: int, seed: int = 0, label: str | int | None = None, temperature: float = 1.0,
    method: Method | None = None,
) -> Tensor:  # fmt: skip
    """Draw `n` samples `[n, *dims]` on the CPU in fp32; the same seed gives the same samples.

    Raises:
        InputError: the model draws no samples, has no such label, or gives values that are no numbers.
    """
    return torch.cat([part for part, _ in stream(model, n, seed, label, temperature, method)])


def stream(
    model: Model, n: int, seed: int = 0, label: str | int | None = None, temperature: float = 1.0,
    method: Method | None = None, given: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor | None]]:  # fmt: skip
    """Yield `n` samples in blocks `[b, *dims]`, each with the labels asked for `[b]`, or None; raises as `draw`.

    `given` names the label of every sample; without it and `label` they go round the classes.
    """
    if not isinstance(model, Samples):
        raise InputError(f"{type(model).__name__} draws no samples")
    if n < 1:
        raise InputError(f"-n takes a number of samples from 1 on, got {n}")
    refuse_wide_seed(seed)
    if not 0 <= temperature < float("inf"):
        raise InputError(f"--temperature takes a number from 0 on, got {temperature}")
    if method and not isinstance(model, Autoregressive):
        raise InputError(f"--method is for models of pixels; {type(model).__name__} draws in one way")
    ways: dict[str, Any] = {"method": method} if method else {}
    if label is not None:
        if not getattr(model, "conditional", False):
            raise InputError(f"label {label!r} asked for, but this model was trained without labels")
        given = torch.full((n,), model.shape.label(label))
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        part = given[start : start + size] if given is not None else round_classes(model, start, size)
        with torch.no_grad():
            samples = model.sample(size, part, temperature, generator, **ways).float().cpu()
        if not samples.isfinite().all():
            raise InputError("the model gives values that are not numbers: its training went bad; use an older checkpoint")
        yield samples, part


def round_classes(model: Model, start: int, size: int) -> Tensor | None:
    """Class indices that go round the classes over all blocks, or None for a model without labels."""
    if not getattr(model, "conditional", False):
        return None
    return torch.arange(start, start + size) % len(model.shape.classes)


def write(model: Model, samples: Tensor, target: str) -> Path:
    """Write samples: `.png` one grid, `.npy` an array, a name ending in `/` one PNG each."""
    path = Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if target.endswith("/"):
            if not isinstance(model.shape, ImageShape):
                raise InputError(f"one file each is for pictures, this model gives {model.shape.describe()}; use .npy")
            model.shape.write_each(samples, path)
        else:
            model.shape.write(samples, path)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from None
    return path


def contact_sheet(x: Tensor, columns: int = 16, longest: int = 1200) -> Tensor:
    """Lay pictures out as one page, enlarged by whole numbers where it would be tiny."""
    page = grid(x, columns)
    zoom = max(1, min(4, longest // max(page.shape[1:])))
    return page.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
