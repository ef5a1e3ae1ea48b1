"""The commands that look: walk, show, check, models, lesson, doctor."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Column, Table

from genloom.api import load
from genloom.catalogue import MODELS, find_model
from genloom.cli.fit import progress_on
from genloom.data import Options
from genloom.data.cache import cache_folder
from genloom.data.tables.load import TABLE_SUFFIXES
from genloom.errors import InputError
from genloom.train.machine import has_bf16_units, pick_device, pick_precision, processor, product_speed
from genloom.train.run import Run
from genloom.train.session import versions

console = Console(highlight=False, markup=False)


def walk_command(
    run: str, out: str, seeds: str, frames: int, label: str | None, arithmetic: str | None, checkpoint: str
) -> None:
    """Write a walk as a GIF, or a sum of codes as a PNG."""
    from genloom.shapes.pictures import ImageShape
    from genloom.use.sampling import draw

    model = load(run, checkpoint)
    if not isinstance(model.shape, ImageShape):
        raise InputError(f"walk draws pictures, this run gives {model.shape.describe()}")
    zoom = draw.zoom_for(model.shape.height)
    if arithmetic:
        terms = draw.arithmetic(model, arithmetic)
        draw.write(model, terms.repeat_interleave(max(1, zoom // 2), 2).repeat_interleave(max(1, zoom // 2), 3), out)
        console.print(f"{len(terms) - 1} terms and their sum in {out}")
        return
    if not out.endswith(".gif"):
        raise InputError(f"a walk is a GIF, name it so: -o {Path(out).stem or 'walk'}.gif")
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise InputError(f"--seeds takes numbers with commas, such as 1,2,3,4, got {seeds!r}") from None
    if frames < 1:
        raise InputError(f"--frames takes a number from 1 on, got {frames}")
    pictures = list(draw.walk(model, numbers, frames, label))
    draw.write_gif(pictures, Path(out), zoom)
    console.print(f"{len(pictures)} frames in {out}")


def show_command(folder: str, out: str | None) -> None:
    """Print where a run stands, with its curves; write the page of pictures where asked."""
    from genloom.cli.fit import clock
    from genloom.use.report.plot import plot_run, sparkline

    run = Run.open(folder)
    record, history = run.record, run.history()
    console.print(
        f"{folder}: {record['model']} ({record['preset']}) on {record['data']['source']}, seed {record['plan']['seed']}"
    )
    if not history:
        console.print("nothing reported yet")
        return
    last = history[-1]
    console.print(f"{last['examples']:,} examples in {clock(last['seconds'])}, {last['examples_per_second']:,.0f}/s of late")
    for name in last["notes"]:
        values = [line["notes"].get(name, float("nan")) for line in history]
        console.print(f"{name:>20} {sparkline(values)} {last['notes'][name]:.4g}")
    for verdict in last["health"]:
        console.print(f"since {verdict['since']:,} examples: {verdict['text']}", style="yellow")
    if not last["health"]:
        console.print("healthy", style="green")
    if best := run.best():
        console.print(f"best by {best['measure']}: {best['value']:.4g} at {int(best['checkpoint']):,} examples")
    if out:
        plot_run(run, Path(out))
        console.print(f"curves and grids in {out}")


def check_command(
    data: str, out: str, size: int | None, channels: Literal[1, 3, 4] | None, squeeze: bool, split: Literal["train", "test"]
) -> None:
    """Print the doctor's findings and write the contact sheet; of a table, print what its columns are."""
    from genloom.use import check

    if data.startswith(("sqlite", "postgresql")) and "://" in data:
        raise InputError(f"check looks at files; `genloom repair {data} --table NAME` looks at a table of a database")
    if data.lower().endswith(TABLE_SUFFIXES):
        from genloom.cli.repair import check_table

        return check_table(data)
    if size is not None and size < 1:
        raise InputError(f"--size takes a number from 1 on, got {size}")
    options = Options(size=(size, size) if size else None, channels=channels, crop=not squeeze, split=split)
    findings = check.check(data, options, progress_on(console))
    for sentence in check.describe(findings):
        console.print(sentence, soft_wrap=True)
    if findings.data is None:
        raise InputError(f"none of the {findings.count} pictures of {data} can be read")
    console.print(f"batches: about {batches_per_second(findings.data):,.0f} examples/s from the cache on this machine")
    try:
        check.write_sheet(findings.data, Path(out))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {out}: {error}; name a .png after -o") from None
    console.print(f"contact sheet in {out}")


def batches_per_second(data: Any) -> float:
    """Measure how fast batches are cut from the cache: an upper bound on training speed."""
    index = torch.randint(len(data), (64,))
    data.batch(index)
    began = time.perf_counter()
    for _ in range(10):
        data.batch(index)
    return 640 / (time.perf_counter() - began)


def models_command(name: str | None) -> None:
    """List the models, or the hyper-parameters of one in each preset."""
    if name is None:
        table = Table("model", "paper", "can", box=None)
        for each, (_, paper) in MODELS.items():
            table.add_row(each, paper, ", ".join(abilities(find_model(each))))
        console.print(table)
        console.print("`genloom models MODEL` lists its hyper-parameters")
        return
    model = find_model(name)
    presets = {preset: model.Hyper.preset(preset) for preset in model.Hyper.presets()}
    table = Table(Column("hyper-parameter", no_wrap=True), *presets, "", box=None)
    own = vars(model.Hyper).get("__annotations__", {})
    for field in sorted(dataclasses.fields(model.Hyper), key=lambda field: field.name not in own):  # its own first
        values = [str(getattr(hyper, field.name)) for hyper in presets.values()]
        table.add_row(f"--hyper.{field.name}", *values, field.metadata["help"])
    console.print(MODELS[name][1])
    console.print(table)


def abilities(model: type) -> list[str]:
    """Return the names of a model's capabilities."""
    return [base.__name__.lower() for base in model.__mro__ if base.__module__ == "genloom.core.capabilities"]


def lesson_command(out: str, examples: int, frames: int, seed: int) -> None:
    """Play the one-dimensional game into a GIF."""
    from genloom.use.lesson import line_lesson

    if not out.endswith(".gif"):
        raise InputError(f"a lesson is a GIF, name it so: -o {Path(out).stem or 'line'}.gif")
    found = line_lesson(Path(out), examples, frames, seed)
    console.print(f"{out}: D is within {found['gap']:.2f} of 1/2 where the data is; p_g has mean {found['mean']:.2f} "
                  f"and deviation {found['deviation']:.2f} (the data 0 and 1)")  # fmt: skip


def doctor_command() -> None:
    """Print what this machine is good for."""
    device = pick_device()
    console.print(f"processor   {processor()}")
    console.print("versions    " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    console.print(f"device      {device}, {torch.get_num_threads()} threads")
    units = "has" if has_bf16_units(device) else "has no"
    console.print(f"precision   {pick_precision('auto', device)} ({units} fast bf16 units)")
    fp32, bf16 = (product_speed(device, dtype) for dtype in (torch.float32, torch.bfloat16))
    console.print(f"products    {fp32:,.0f} GFLOP/s in fp32, {bf16:,.0f} in bf16")
    folder = cache_folder()
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    console.print(f"cache       {folder}, {used / 1e6:,.0f} MB used, {free / 1e9:,.0f} GB free")
    for package, purpose in (
        ("torchmetrics", "judge"),
        ("transformers", "dinov2 features"),
        ("matplotlib", "show and lesson"),
    ):
        found = importlib.util.find_spec(package) is not None
        console.print(f"{package:<11} {'found' if found else f'not installed; only {purpose} needs it'}")
