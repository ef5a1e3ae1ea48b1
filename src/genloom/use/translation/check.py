"""The doctor of pairs: what either side is, which partners are missing, which models fit."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import torch

from genloom.catalogue import MODELS, find_model
from genloom.core.model import Misfit
from genloom.core.random import building
from genloom.data.options import PairOptions
from genloom.data.pairs.dataset import PairData
from genloom.data.pairs.load import PairSource
from genloom.data.pictures.decode import read_headers
from genloom.data.source import Progress
from genloom.files import replaced
from genloom.shapes.pictures import save

FEW = 100  # pairs below which a word of warning is due
SHOWN = 12  # pairs on the contact sheet


def check_pairs(source: str, options: PairOptions, progress: Progress) -> tuple[list[str], PairData]:
    """Look at every pair of a source; return what was found as sentences, and the pairs.

    Raises:
        InputError: partners are missing or differ in size, or pictures cannot be read.
    """
    found = PairSource(source, options, progress)
    sides, shape = found.sides, found.shape()
    lines = []
    for name, pictures in (("A", sides.a), ("B", sides.b)):
        headers = read_headers(pictures, progress)
        sizes = Counter(header.size for header in headers).most_common(4)
        said = ", ".join(f"{h}x{w} ({n})" for (h, w), n in sizes)
        lines.append(f"{name}: {len(pictures):,} pictures, {shape.words(name)}; sizes (height x width): {said}")
    lines.append(f"{len(sides.a):,} pairs, by their names" if sides.paired else "two domains: no pictures of equal names")
    lines += sides.notes
    data = found.load()
    lines += [said for name in "AB" if (said := classes_left_out(name, data))]
    if len(data) < FEW:
        lines.append(f"{len(data):,} {'pairs' if sides.paired else 'pictures of A'} are few: some hundred are a beginning")
    lines += [line for name in MODELS if (line := how_it_fits(name, data))]
    again = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, value in given(options)
    ]
    model = "pix2pix" if sides.paired else "cyclegan"
    words = ["genloom fit", model, shlex.quote(source), "-o runs/mine", *again, "--minutes 30"]
    lines.append(f"to train: {' '.join(words)}")
    return lines, data


def classes_left_out(side: str, data: PairData) -> str:
    """Name the classes of label maps that no pixel has: a stray pixel above them makes the network larger for nothing."""
    pictures, palette = (data.a, data.shape.palette) if side == "A" else (data.b, data.shape.palette_b)
    if not palette:
        return ""
    seen = torch.zeros(len(palette) // 3, dtype=torch.bool)
    for block in pictures.pixels.split(256):
        seen[block.flatten().unique().long()] = True
    none = (~seen).nonzero().flatten().tolist()
    if not none:
        return ""
    which = ", ".join(map(str, none[:8])) + (", ..." if len(none) > 8 else "")
    return f"{side}: no pixel is of class {which}: are those above meant, or stray pixels?"


def given(options: PairOptions) -> list[tuple[str, object]]:
    """Return the options that a person gave, for a command to type again."""
    return [
        (name, "x".join(map(str, value)) if isinstance(value, tuple) else value) for name, value in options.given().items()
    ]


def how_it_fits(name: str, data: PairData) -> str:
    """Say whether a model of pairs takes these, or what it would need; "" for models of other data."""
    model = find_model(name)
    hyper = model.Hyper.preset(model.Hyper.usual())
    shape = model.fits(data.shape, hyper)
    if isinstance(shape, Misfit):
        return f"{name}: {shape.reason}" if shape.remedy else ""
    with building("meta"):
        weights = sum(p.numel() for p in model(hyper, shape).parameters())
    return f"fits {name} ({model.Hyper.usual()}): {weights / 1e6:.1f} million weights"


def write_sheet(data: PairData, path: Path) -> None:
    """Write a contact sheet of some pictures of A above some of B; of pairs, each above its partner."""
    sides = [(name, len(side)) for name, side in (("A", data.a), ("B", data.b))]
    shown = min(SHOWN, *(count for _, count in sides))
    rows = [(name, data.pictures(name, torch.linspace(0, count - 1, shown).long())) for name, count in sides]
    with replaced(path) as part:
        save(data.shape.strip(rows), part)
