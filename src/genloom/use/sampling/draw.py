"""Draw samples from a trained model into files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from genloom.bounds import short, whole
from genloom.core.capabilities import PixelByPixel, Samples, Tags
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import named
from genloom.shapes.base import Shape

BLOCK = 250  # samples drawn at once
HOTTEST = 100
Method = Literal["cached", "naive"]


def draw(
    model: Model,
    n: int,
    seed: int = 0,
    label: str | int | None = None,
    temperature: float = 1.0,
    method: Method | None = None,
) -> Tensor:
    """Draw `n` samples `[n, *dims]` on the CPU in fp32; the i-th sample of a seed is the same whatever `n` is.

    Raises:
        InputError: the model draws no samples, has no such label, or gives values that are no numbers.
    """
    choose_method(model, method)
    return torch.cat([part for part, _ in stream(model, n, seed, label, temperature)])


def refuse_others(model: Model) -> None:
    """Raise InputError for a model that draws nothing, with what it does instead."""
    if isinstance(model, Samples):
        return
    instead = "; `genloom tag` has its words" if isinstance(model, Tags) else ""
    raise InputError(f"{type(model).__name__} draws no samples{instead}")


def choose_method(model: Model, method: Method | None) -> None:
    """Let a model of pixels draw by this method; InputError for another model."""
    if method and not isinstance(model, PixelByPixel):
        raise InputError(f"--method is for models of pixels; {type(model).__name__} draws in one way")
    if method and isinstance(model, PixelByPixel):
        model.method = method


def stream(
    model: Model,
    n: int,
    seed: int = 0,
    label: str | int | None = None,
    temperature: float = 1.0,
    given: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield `n` samples in blocks `[b, *dims]`, each with the labels asked for `[b]`, or None; raises as `draw`.

    `given` names the label of every sample; without it and `label` they go round the classes.
    """
    refuse_others(model)
    assert isinstance(model, Samples)
    n, seed = whole("n", n), whole("seed", seed)
    check_temperature(temperature)
    for start in range(0, n, BLOCK):
        noise = Noise.of(seed, min(BLOCK, n - start), start)
        part = labels_for(model, label, len(noise), start) if given is None else given[start : start + BLOCK]
        with torch.no_grad():
            samples = model.sample(len(noise), part, temperature, noise).float().cpu()
        yield checked(samples), part


def check_temperature(temperature: float) -> None:
    """Raise InputError for a scale of the noise that makes no sense."""
    if not 0 <= temperature <= HOTTEST:
        raise InputError(f"--temperature takes a number from 0 to {HOTTEST}, got {temperature}")


def checked(samples: Tensor) -> Tensor:
    """Return samples; InputError where they are no numbers."""
    if not samples.isfinite().all():
        raise InputError("the model gives values that are not numbers: its training went bad; use an older checkpoint")
    return samples


def labels_for(model: Model, label: str | int | None, n: int, start: int = 0) -> Tensor | None:
    """Return a label for each of `n` examples from the one numbered `start` on: the one asked for, else round the classes;
    None for a model without.

    Raises:
        InputError: the label is unknown, or asked of a model without labels.
    """
    if not model.conditional:
        if label is not None:
            raise InputError(f"label {short(label)} asked for, but this model was trained without labels")
        return None
    if label is None:
        return (torch.arange(start, start + n)) % len(model.shape.classes)
    return torch.full((n,), model.shape.label(label))


def write(model: Model, parts: Iterable[Tensor], n: int, target: str, zoom: int | None = None) -> None:
    """Write `n` samples, which come in parts: `.png` one sheet, `.npy` an array, a name ending in `/` a PNG each.

    Raises:
        InputError: they cannot be written so, or the disk has no room; what was there before is as it was.
    """
    write_as(model.shape, parts, n, target, zoom)


def write_as(shape: Shape, parts: Iterable[Tensor], n: int, target: str, zoom: int | None = None) -> None:
    """Write samples of a shape as `write` does."""
    shape.refuse_target(target, n, zoom)
    if target.endswith("/"):
        return shape.write_each(parts, named(target), zoom)
    with replaced(target) as path:
        shape.write(parts, n, path, zoom)
