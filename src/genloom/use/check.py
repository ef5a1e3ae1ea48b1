"""The data set's doctor: what is there, what is wrong, what will be done to it, which models fit."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from genloom.catalogue import MODELS, find_model
from genloom.core.clock import Clock
from genloom.core.model import Misfit, Model
from genloom.core.precision import has_bf16_units
from genloom.data.options import PictureOptions
from genloom.data.pictures.arrays import Arrays
from genloom.data.pictures.dataset import ImageData
from genloom.data.pictures.decode import Header, natural_channels, read_headers
from genloom.data.pictures.load import find_pictures, load_pictures, split_range
from genloom.data.pictures.sources import Members, Pictures
from genloom.data.pieces.load import USUAL
from genloom.data.source import Progress, silent
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.pictures import MODES, ImageShape, enlarged, grid, save, to_picture
from genloom.train.machine import pick_device, product_speed

SHEET_COLUMNS, SHEET_LONGEST = 16, 1200  # of the contact sheet; pixels up to which it is enlarged by whole numbers
FEW = 2000  # pictures below which a word of warning is due
LARGE = 64  # pixels of the side up to which models are tried at the pictures' own size
SHARE_OF_PEAK = 0.5  # of a matrix product's speed that training reaches, as a rule of thumb


@dataclass
class Findings:
    """What the doctor found. Lines are sentences to print."""

    source: str
    count: int
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    classes: Counter[str]
    broken: list[str]
    duplicates: list[tuple[str, str]]
    plan: list[str] = field(default_factory=list)
    fits: list[str] = field(default_factory=list)
    megabytes: float = 0.0
    resized: bool = False
    data: ImageData | None = None
    advice: list[str] = field(default_factory=list)


def check(source: str, options: PictureOptions, progress: Progress = silent) -> Findings:
    """Look at every picture of a source and say what was found. Broken pictures are named, not refused."""
    whole, rows = split_range(str(source))
    pictures = find_pictures(whole, options.split)
    pictures = pictures.part(rows) if rows else pictures
    if not len(pictures):
        raise InputError(f"{source} leaves no picture")
    headers = read_headers(pictures, progress)
    findings = Findings(
        source=source,
        count=len(pictures),
        sizes=Counter(header.size for header in headers if not header.error),
        modes=Counter(header.mode for header in headers if not header.error),
        classes=count_classes(pictures),
        broken=[f"{pictures.names[i]}: {header.error}" for i, header in enumerate(headers) if header.error],
        duplicates=find_duplicates(pictures),
    )
    if len(findings.broken) == len(pictures):
        return findings
    findings.plan, size = what_will_be_done(headers, options)
    findings.resized = any(size != header.size for header in headers if not header.error)
    findings.data = load_pictures(source, replace(options, size=size, skip_broken=True), progress)
    known = {line.split(":")[0] for line in findings.broken}
    late = [note.removeprefix("left out ") for note in findings.data.notes]
    findings.broken += [line for line in late if line.split(":")[0] not in known]
    findings.megabytes = findings.data.pixels.nbytes / 1e6
    findings.fits = [line for name in MODELS if (line := how_it_fits(name, findings.data))]
    findings.fits += pieces_to_learn_from(source, findings.sizes)
    findings.advice = advice(source, pictures, findings, options)
    return findings


def advice(source: str, pictures: Pictures, findings: Findings, options: PictureOptions) -> list[str]:
    """Return what to know before training: other pictures beside these, too few of them, and the command to type."""
    assert findings.data is not None
    lines, (whole, rows) = [], split_range(source)
    other = "test" if options.split == "train" else "train"
    beside = find_pictures(whole, other) if rows is None else None
    if beside is not None and list(beside.places) != list(find_pictures(whole, options.split).places):
        lines.append(
            f"these are its {options.split} pictures; {len(beside):,} for {other} lie beside them, which `fit` does not see"
        )
    loose = sum("/" not in name for name in pictures.names)
    if pictures.labels is None and 0 < loose < len(pictures):
        lines.append(f"{loose:,} pictures lie beside the sub-folders, which so are no classes: move them into one")
    if findings.count < FEW:
        lines.append(
            f"{findings.count:,} pictures are few: a GAN learns by heart or fails to learn, and what looks sharp may be a "
            f"copy; some {FEW:,} are a beginning, --flip doubles what may be mirrored"
        )
    shape = find_model("dcgan").fits(findings.data.shape, find_model("dcgan").Hyper())
    said = [f"genloom fit dcgan {shlex.quote(source)} -o runs/mine"]
    if isinstance(shape, ImageShape) and (findings.resized or shape != findings.data.shape):
        height, width = shape.size
        said.append(f"--size {height if height == width else f'{height}x{width}'}")
    given = options.given().items()
    said += [f"--{name} {value}" for name, value in given if name in ("channels", "split")]
    said += [f"--{name}" for name, value in given if value is True and name != "skip_broken"]
    said += ["--skip-broken"] if findings.broken else []
    lines.append(f"to train: {' '.join(said)} --minutes 30")
    return lines


def count_classes(pictures: Pictures) -> Counter[str]:
    """Count the pictures of each class."""
    if pictures.labels is None:
        return Counter()
    return Counter(pictures.classes[int(label)] for label in pictures.labels)


def find_duplicates(pictures: Pictures) -> list[tuple[str, str]]:
    """Return pairs of names whose bytes are equal."""
    first: dict[bytes, str] = {}
    pairs = []
    for i, name in enumerate(pictures.names):
        content = raw_bytes(pictures, i)
        if content is None:
            continue
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest in first:
            pairs.append((first[digest], name))
        else:
            first[digest] = name
    return pairs


def raw_bytes(pictures: Pictures, i: int) -> bytes | None:
    """Return the bytes of one picture as stored, or None where it cannot be read."""
    if isinstance(pictures, Arrays):
        return pictures.array[i].tobytes()
    if isinstance(pictures, Members):
        try:
            return pictures.content(i)
        except Exception:  # zipfile raises many kinds for damaged members: named among the broken ones
            return None
    if len(pictures.files) == len(pictures):
        return pictures.files[i].read_bytes()
    return pictures.open(i).tobytes()


def what_will_be_done(headers: list[Header], options: PictureOptions) -> tuple[list[str], tuple[int, int]]:
    """Say what the options do to these pictures, and the size they get."""
    lines, asked = [], options.height_and_width
    sizes = {header.size for header in headers if not header.error}
    natural = next(iter(sizes)) if len(sizes) == 1 else None
    size = asked or usual_size(sizes)
    if asked is None and natural is None:
        lines.append(f"sizes differ: `fit` will ask for --size; {size[0]}x{size[1]} was taken for this look")
    elif asked is None and size != natural:
        lines.append(f"large: looked at as {size[0]}x{size[1]}, which trains in reasonable time; --size takes another")
    if size != natural:
        odd = any(height * size[1] != width * size[0] for height, width in sizes)
        cut = "the middle cut to shape (--squeeze keeps all of it) and " if odd and not options.squeeze else ""
        lines.append(f"{cut}resized to {size[0]}x{size[1]} with an antialiased bicubic filter")
    channels = options.channels or natural_channels(headers)
    modes = {header.mode for header in headers if not header.error}
    target = {1: "grey", 3: "RGB", 4: "RGBA"}[channels]
    if modes - {MODES[channels]}:
        transparent = "" if channels == 4 else "; transparent parts on white"
        lines.append(f"converted from {', '.join(sorted(modes))} to {target}{transparent}")
    return lines or ["nothing: they are used as they are"], size


def usual_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """Return the size at which to look at pictures where none is asked for.

    It is their own where that is one and small, else one that a processor trains in reasonable time.
    """
    (height, width), smallest = min(sizes), min(min(size) for size in sizes)
    if len(sizes) == 1 and max(height, width) <= LARGE:
        return height, width
    side = min(2 ** int(math.log2(max(smallest, 8))), LARGE)
    scale = side / min(height, width)
    return (side, side) if len(sizes) > 1 else (max(1, round(height * scale)), max(1, round(width * scale)))


def how_it_fits(name: str, data: ImageData) -> str:
    """Say how a model takes these pictures and what it costs here, or which option it needs; '' where it cannot."""
    device, model = pick_device(), find_model(name)
    preset = "modern" if "modern" in model.Hyper.presets() else "paper"
    hyper = model.Hyper.preset(preset)
    shape = model.fits(data.shape, hyper)
    if not isinstance(shape, Misfit):
        try:
            hyper = model.settle(hyper, data)
        except InputError as error:  # a package is missing, or there are too few pictures
            return f"{name}: {error}"
        shape = model.fits(shape, hyper)
    if isinstance(shape, Misfit):
        return f"{name}: {shape.reason}" if shape.remedy else ""  # where an option helps
    with torch.device("meta"):
        built = model(hyper, shape)
    speed = SHARE_OF_PEAK * product_speed(device, torch.bfloat16 if has_bf16_units(device) else torch.float32)
    weights = sum(p.numel() for p in built.parameters())
    resized = "" if shape == data.shape else f" resized to {'x'.join(map(str, shape.dims[1:]))},"
    return (
        f"fits {name} ({preset}):{resized} {weights / 1e6:.1f} million weights, {weights * 16 / 1e6:,.0f} MB with "
        f"optimizer, roughly {speed / work_per_example(built):,.0f} examples/s"
    )


def pieces_to_learn_from(source: str, sizes: Counter[tuple[int, int]]) -> list[str]:
    """Say how many pictures are large enough to learn to enlarge others from; nothing where none is."""
    large = sum(count for size, count in sizes.items() if min(size) >= USUAL)
    if not large:
        return []
    whose = "all of them" if large == sizes.total() else f"{large:,} of them"
    said = f"genloom fit srgan {shlex.quote(source)} -o runs/larger"
    return [f"fits srgan, which learns to enlarge pictures, from pieces of {USUAL}x{USUAL} of {whose}: {said}"]


def work_per_example(model: Model) -> float:
    """Count the GFLOP of a round for one example, on the meta device, where nothing is computed."""
    n = 4
    batch = {"x": torch.empty(n, *model.shape.dims, device="meta"), "y": torch.zeros(n, dtype=torch.long, device="meta")}
    parameters = {player.name: player.parameters() for player in model.players()}
    with FlopCounterMode(display=False) as counter:
        for move in model.round(repeat(batch), Clock()):
            move.loss.backward(inputs=parameters[move.player])
    return counter.get_total_flops() / n / 1e9


def write_sheet(data: ImageData, path: Path) -> None:
    """Write a contact sheet of up to 128 pictures drawn evenly from the data."""
    index = torch.linspace(0, len(data) - 1, min(128, len(data))).round().long()
    page = grid(data.pictures(index), SHEET_COLUMNS)
    zoom = max(1, min(4, SHEET_LONGEST // max(page.shape[1:])))
    with replaced(path) as part:
        save(to_picture(enlarged(page, zoom)), part)


def describe(findings: Findings) -> list[str]:
    """Return the findings as sentences."""
    sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in findings.sizes.most_common(4))
    more = f" and {len(findings.sizes) - 4} other sizes" if len(findings.sizes) > 4 else ""
    modes = ", ".join(f"{mode} ({n})" for mode, n in findings.modes.most_common())
    lines = [
        f"{findings.count:,} pictures in {findings.source}",
        f"sizes (height x width): {sizes}{more}",
        f"modes: {modes}",
    ]
    if findings.classes:
        few = findings.classes.most_common()
        lines.append(
            f"{len(few)} classes: " + ", ".join(f"{name} ({n})" for name, n in few[:12]) + (" ..." if few[12:] else "")
        )
    else:
        lines.append("no classes: for labels, put each class into a sub-folder")
    if findings.count == 1:
        lines.append("only one picture: a generative model needs many")
    for what, rows in (
        ("cannot be read", findings.broken),
        ("are copies of another", [f"{b} = {a}" for a, b in findings.duplicates]),
    ):
        lines.append(f"{len(rows)} {what}" + (": " + "; ".join(rows[:5]) + (" ..." if rows[5:] else "") if rows else ""))
    lines += [f"will be done: {line}" for line in findings.plan]
    if findings.data:
        lines.append(f"memory: {findings.megabytes:,.1f} MB as bytes, mapped from the cache")
    return lines + findings.fits + findings.advice
