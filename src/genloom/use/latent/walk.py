"""Walks through a latent space, and sums of codes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from genloom.bounds import short, whole
from genloom.core.capabilities import Latent
from genloom.core.model import Model
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.pictures import enlarged, to_picture
from genloom.use.sampling.draw import labels_for

MOST_GIF = 1 << 30  # pixels of all frames together
LONGEST_SUM = 1000  # letters


def walk(model: Model, seeds: list[int], frames: int = 24, label: str | int | None = None) -> Iterator[Tensor]:
    """Yield the examples `[1, *dims]` of a closed walk through the codes of these seeds.

    The path is straight for uniform codes, which fill a cube, and on the sphere for Gaussian ones,
    whose length would shrink on a straight path.
    """
    source = latent(model)
    given = labels_for(model, label, 1)
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
    return model.prior(1, Noise.of(whole("seed", seed), 1))


def sphere(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation between codes `[1, z]`: the angle and the length both move evenly."""
    cosine = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if float(angle) < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


NUMBER = r"\s*[0-9]{1,18}\s*"
TERM = re.compile(rf"\s*([+-]?)\s*(?:([0-9]{{1,18}})(?![0-9])|(?:avg)?\(({NUMBER}(?:,{NUMBER})*)\))")


def arithmetic(model: Model, text: str) -> Tensor:
    """Return the pictures of a sum such as `3 - 8 + 12`, or of averages: `(1,2,3) - (4,5,6) + (7,8,9)`.

    Each number is a seed. The result has one picture a term and the sum's last: `[terms + 1, *dims]`.
    Radford et al. 2015, section 6.3.2, averages three codes a concept.

    Raises:
        InputError: the text is no such sum.
    """
    source = latent(model)
    text, position, total = text.strip(), 0, None
    if len(text) > LONGEST_SUM:
        raise InputError(f"--arithmetic takes a sum of at most {LONGEST_SUM:,} letters, got {len(text):,}")
    codes: list[Tensor] = []
    while position < len(text):
        match = TERM.match(text, position)
        if not match or (codes and not match[1]):
            raise InputError(f"--arithmetic takes seeds or averages of seeds, like '(1,2,3) - 4 + 5', got {short(text)}")
        seeds = [int(s) for s in (match[2] or match[3]).split(",")]
        code = torch.cat([code_of(source, seed) for seed in seeds]).mean(0, keepdim=True)
        sign = -1 if match[1] == "-" else 1
        total = code * sign if total is None else total + code * sign
        codes.append(code)
        position = match.end()
    if total is None:
        raise InputError("--arithmetic is empty; it takes seeds like '3 - 8 + 12'")
    with torch.no_grad():
        return source.generate(torch.cat([*codes, total])).float().cpu()


def write_gif(frames: Iterable[Tensor], count: int, path: Path, zoom: int = 1, milliseconds: int = 60) -> None:
    """Write `count` pictures `[1, C, H, W]` as an endless GIF.

    Raises:
        InputError: it cannot be written, or would be too large for any viewer.
    """
    pages = (to_picture(enlarged(frame[0], zoom)) for frame in frames)
    first = next(pages)
    if first.width * first.height * count > MOST_GIF:
        raise InputError(f"{count:,} frames of {first.width}x{first.height} pixels are too many for a GIF: fewer --frames")
    with replaced(path) as part:
        first.save(part, save_all=True, append_images=pages, duration=milliseconds, loop=0)


def zoom_for(height: int, width: int, wanted: int = 256) -> int:
    """Whole factor that brings a picture of this size near to the wanted one."""
    return max(1, math.ceil(wanted / max(height, width)))
