"""The commands that look: show, check, models, lesson, doctor."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Parameter
from rich.table import Column, Table

from genloom.cli.console import GRIDS, Data, Out, RunFolder, clock, console, count, named_so, progress_on
from genloom.data.options import (
    AllOptions,
    PairOptions,
    PictureOptions,
    RecordOptions,
    ScoreOptions,
    SeriesOptions,
    TableOptions,
    TagOptions,
)
from genloom.errors import InputError
from genloom.files import check_writable

MOST_OF_LESSON = 100_000_000
ALIKE = 0.3  # diversity of samples below which nobody would call them varied


def show(run: RunFolder, *, out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a PNG")] = None) -> None:
    """Show a run: where it stands, its curves and its grids."""
    from genloom.train.run import Run
    from genloom.use.report.plot import plot_run, sparkline

    if out:
        named_so(out, GRIDS, "curves and grids are a picture", "show")
        check_writable(out)
    folder, opened = run, Run.open(run)
    record, history = opened.record, opened.history()
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
    diversity = last["notes"].get("diversity", 1.0)
    if diversity < ALIKE:
        console.print(f"samples are all but alike: diversity {diversity:.2f}, of real ones 1", style="yellow")
    elif not last["health"]:
        console.print("healthy", style="green")
    if best := opened.best():
        console.print(f"best by {best['measure']}: {best['value']:.4g} at {int(best['checkpoint']):,} examples")
    if out:
        plot_run(opened, Path(out))
        console.print(f"curves and grids in {out}")


def check_series(data: str, said: dict[str, object], out: Path) -> None:
    """Print what a record holds and what looks wrong with it, and draw it."""
    from genloom.use.series.check import check_record, plot_record

    found = check_record(data, SeriesOptions.of(said))
    for sentence in found.lines:
        console.print(sentence, soft_wrap=True)
    shown = Table(box=None, pad_edge=False)
    for heading in ("tag", "is", "known", "values", "looks wrong"):
        shown.add_column(heading, overflow="fold")
    for row in found.tags:
        shown.add_row(*row)
    console.print(shown)
    plot_record(found, out)
    console.print(f"plot in {out}")


def check(
    data: Data,
    *,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="the contact sheet, or the plot")] = "check.png",
    pictures: Annotated[AllOptions | None, Parameter(name="*")] = None,
) -> None:
    """Examine a data set: counts, sizes, classes, broken files, copies, which models fit; and a contact sheet."""
    if data.startswith(("sqlite", "postgresql")) and "://" in data and "#" not in data:
        raise InputError(f"check looks at files; `genloom repair {data} --table NAME` looks at a table of a database")
    from genloom.data.source import find_source
    from genloom.use.check import check, describe, write_sheet

    named_so(out, GRIDS, "the contact sheet is a picture", "check")
    check_writable(out)

    said = pictures.given() if pictures else {}
    if data == "plant" or said.keys() & {each.name for each in dataclasses.fields(RecordOptions)}:
        return check_series(data, said, Path(out))
    source = find_source(data, said)
    if source.Options is TagOptions:
        from genloom.data.tags.load import TagSource
        from genloom.use.tagging import describe_tags

        source = find_source(data, {**said, "skip_broken": True}, progress_on(console))
        assert isinstance(source, TagSource)
        found = source.load()
        for sentence in describe_tags(found, said, source.marked):
            console.print(sentence, soft_wrap=True)
        write_sheet(found.images, Path(out))
        return console.print(f"contact sheet in {out}")
    if source.Options is ScoreOptions:
        from genloom.use.music import check as music_check

        for sentence in music_check.check(data, said, Path(out)):
            console.print(sentence, soft_wrap=True)
        return console.print(f"piano rolls in {out}")
    if source.Options is PairOptions:
        from genloom.use.translation import check as pairs_check

        lines, pairs = pairs_check.check_pairs(data, PairOptions.of(said), progress_on(console))
        for sentence in lines:
            console.print(sentence, soft_wrap=True)
        pairs_check.write_sheet(pairs, Path(out))
        return console.print(f"contact sheet in {out}")
    if source.Options is not PictureOptions:
        from genloom.cli.tables import check_table

        return check_table(data, TableOptions.of(said))
    findings = check(data, PictureOptions.of(said), progress_on(console))
    for sentence in describe(findings):
        console.print(sentence, soft_wrap=True)
    if findings.data is None:
        raise InputError(f"none of the {findings.count} pictures of {data} can be read: {findings.broken[0]}")
    console.print(f"batches: about {batches_per_second(findings.data):,.0f} examples/s from the cache on this machine")
    write_sheet(findings.data, Path(out))
    console.print(f"contact sheet in {out}")


def batches_per_second(data: Any) -> float:
    """Measure how fast batches are cut from the cache: an upper bound on training speed."""
    import torch

    from genloom.core.dataset import size, take

    index = torch.linspace(0, size(data) - 1, 64).long()
    take(data, index)
    began = time.perf_counter()
    for _ in range(10):
        take(data, index)
    return 640 / (time.perf_counter() - began)


def models(model: Annotated[str | None, Parameter(help="show its hyper-parameters")] = None) -> None:
    """List the models, or the hyper-parameters of one in each preset."""
    from genloom.catalogue import MODELS, find_model

    if model is None:
        table = Table("model", "paper", "can", box=None)
        for each, (_, paper) in MODELS.items():
            table.add_row(each, paper, ", ".join(abilities(find_model(each))))
        console.print(table)
        console.print("`genloom models MODEL` lists its hyper-parameters")
        return
    kind = find_model(model)
    presets = {preset: kind.Hyper.preset(preset) for preset in kind.Hyper.presets()}
    table = Table(Column("hyper-parameter", no_wrap=True), *presets, "", box=None)
    own, hints = vars(kind.Hyper).get("__annotations__", {}), get_type_hints(kind.Hyper)
    for field in sorted(dataclasses.fields(kind.Hyper), key=lambda field: field.name not in own):  # its own first
        values = [str(getattr(hyper, field.name)) for hyper in presets.values()]
        choices = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else ()
        told = f" ({' or '.join(map(str, choices))})" if choices else ""
        table.add_row(f"--hyper.{field.name}", *values, field.metadata["help"] + told)
    console.print(MODELS[model][1])
    console.print(table)


def abilities(model: type) -> list[str]:
    """Return the names of a model's capabilities."""
    return [base.__name__.lower() for base in model.__mro__ if base.__module__ == "genloom.core.capabilities"]


def lesson(
    name: Annotated[Literal["line"], Parameter(help="line: the GAN paper's first figure")],
    out: Out = "line.gif",
    *,
    examples: str = "1500k",
    frames: int = 60,
    seed: int = 0,
) -> None:
    """Draw a small game while it is learnt."""
    from genloom.use.lesson import line_lesson

    named_so(out, (".gif",), "a lesson is a GIF", "line")
    check_writable(out)
    if (number := count(examples) or 1) > MOST_OF_LESSON:
        raise InputError(f"a lesson takes at most {MOST_OF_LESSON:,} examples, got {number:,}: it is learnt long before")
    found = line_lesson(Path(out), number, frames, seed)
    console.print(
        f"{out}: D is within {found['gap']:.2f} of 1/2 where the data is; p_g has mean {found['mean']:.2f} "
        f"and deviation {found['deviation']:.2f} (the data 0 and 1)"
    )


def doctor() -> None:
    """Examine this machine: versions, processor, precision, cache, optional packages."""
    import torch

    from genloom.core.precision import has_bf16_units, pick_precision
    from genloom.data.cache import cache_folder
    from genloom.nn.efficientnet_lite import SIZES, package_of
    from genloom.train.machine import pick_device, processor, product_speed
    from genloom.train.session import versions

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
    for name, package, purpose in (
        *((name, package_of(name), f"the judge's {name} features") for name in SIZES),
        ("transformers", "transformers", "the judge's dinov2 features"),
        ("matplotlib", "matplotlib", "show and lesson"),
        ("onnx", "onnx", "export to ONNX"),
        ("onnxscript", "onnxscript", "export to ONNX"),
        ("onnxruntime", "onnxruntime", "export to ONNX"),
    ):
        found = importlib.util.find_spec(package) is not None
        console.print(f"{name:<11} {'found' if found else f'not installed: for {purpose} alone'}")
