"""Draw samples from a trained model into files, and walk through its latent space."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.autoregressive import Autoregressive, Method
from genloom.capabilities import Latent, Samples
from genloom.errors import InputError, refuse_wide_seed
from genloom.model import Model
from genloom.shape import ImageShape, grid, to_picture

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


def walk(model: Model, seeds: list[int], frames: int = 24, label: str | int | None = None) -> Iterator[Tensor]:
    """Yield the examples `[1, *dims]` of a closed walk through the codes of these seeds.

    The path is straight for uniform codes, which fill a cube, and on the sphere for Gaussian ones,
    whose length would shrink on a straight path.
    """
    source = latent(model)
    given = None if label is None else torch.tensor([model.shape.label(label)])
    if given is None and source.conditional:
        given = torch.tensor([0])
    codes = [code_of(source, seed) for seed in seeds]
    between = sphere if source.law == "gaussian" else torch.lerp
    with torch.no_grad():
        for a, b in zip(codes, codes[1:] + codes[:1], strict=True):
            for i in range(frames):
                yield source.generate(between(a, b, i / frames), given).float().cpu()


def latent(model: Model) -> Latent:
    """Return the model as one with a latent code, or raise InputError."""
    if not isinstance(model, Latent):
        raise InputError(f"{type(model).__name__} has no latent code to walk in")
    return model


def code_of(model: Latent, seed: int) -> Tensor:
    """Return the code `[1, z]` of a seed."""
    refuse_wide_seed(seed)
    return model.prior(1, torch.Generator().manual_seed(seed))


def sphere(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation between codes `[1, z]`: the angle and the length both move evenly."""
    cosine = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if float(angle) < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


TERM = re.compile(r"\s*([+-]?)\s*(?:(\d+)|avg\(([\d,\s]+)\)|\(([\d,\s]+)\))")


def arithmetic(model: Model, text: str) -> Tensor:
    """Return the pictures of a sum such as `3 - 8 + 12`, or of averages: `(1,2,3) - (4,5,6) + (7,8,9)`.

    Each number is a seed. The result has one picture a term and the sum's last: `[terms + 1, *dims]`.
    Radford et al. 2015, section 6.3.2, averages three codes a concept.

    Raises:
        InputError: the text is no such sum.
    """
    source = latent(model)
    position, total = 0, None
    codes: list[Tensor] = []
    while position < len(text.rstrip()):
        match = TERM.match(text, position)
        if not match or (codes and not match[1]):
            raise InputError(f"--arithmetic takes seeds or averages of seeds, like '(1,2,3) - 4 + 5', got {text!r}")
        seeds = [int(s) for s in (match[2] or match[3] or match[4]).split(",")]
        code = torch.cat([code_of(source, seed) for seed in seeds]).mean(0, keepdim=True)
        sign = -1 if match[1] == "-" else 1
        total = code * sign if total is None else total + code * sign
        codes.append(code)
        position = match.end()
    if total is None:
        raise InputError("--arithmetic is empty; it takes seeds like '3 - 8 + 12'")
    with torch.no_grad():
        return source.generate(torch.cat([*codes, total])).float().cpu()


def write_gif(frames: list[Tensor], path: Path, zoom: int = 1, milliseconds: int = 60) -> None:
    """Write pictures `[1, C, H, W]` as an endless GIF."""
    pages = [to_picture(frame[0].repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)) for frame in frames]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=milliseconds, loop=0)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {error}") from None


def contact_sheet(x: Tensor, columns: int = 16, longest: int = 1200) -> Tensor:
    """Lay pictures out as one page, enlarged by whole numbers where it would be tiny."""
    page = grid(x, columns)
    zoom = max(1, min(4, longest // max(page.shape[1:])))
    return page.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)


def zoom_for(size: int, wanted: int = 256) -> int:
    """Whole factor that brings a picture of this size near to the wanted one."""
    return max(1, math.ceil(wanted / size))
