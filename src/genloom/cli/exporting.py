"""`genloom export`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from genloom.cli.console import Checkpoint, RunFolder, Threads, console, say, threads_of


def export(
    run: RunFolder,
    *,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="a new folder; of a page, a file that ends in .html")],
    to: Annotated[
        Literal["onnx", "torch", "page"],
        Parameter(help="ONNX files for onnxruntime and others, programs of torch.export, or one HTML file for any browser"),
    ] = "onnx",
    only: Annotated[str | None, Parameter(help="functions to write, with commas; left out, all")] = None,
    weights: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        Parameter(help="how large weights are stored: fp16 in half the bits, which is a page's default, int8 in a quarter"),
    ] = None,
    title: Annotated[str | None, Parameter(help="of a page; left out, the name of the run's folder")] = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write what a run's model can do so that it runs without genloom: graphs in a new folder, or a page for any browser."""
    from rich.table import Table

    from genloom.errors import InputError
    from genloom.train.run import Run
    from genloom.use.export.folder import export as write
    from genloom.use.page.write import write_page

    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    if only is not None and not names:
        raise InputError("--only takes functions by name, with commas: leave it away for all")
    with threads_of(threads):
        if to == "page":
            return paged(write_page(Run.open(run), out, names, weights, checkpoint, title, say), out)
        if title is not None:
            raise InputError("--title is a page's: leave it away, or add --to page")
        record = write(Run.open(run), out, to, names, weights or "fp32", checkpoint, say)
    table = Table("function", "does", "kB", "difference", box=None, pad_edge=False, header_style="bold")
    for each in record["functions"]:
        table.add_row(each["name"], each["means"], f"{each['bytes'] / 1e3:,.0f}", f"{each['difference']:.0e}")
    console.print(table)
    left_out(record)
    console.print(f"{out}: README.md says how to run it", soft_wrap=True)


def paged(record: dict[str, Any], out: str) -> None:
    """Say what a page holds."""
    for each in record["functions"]:
        console.print(f"{each['name']} within {each['difference']:.0e} of the model", soft_wrap=True)
    left_out(record)
    console.print(f"{out}: {record['bytes'] / 1e6:,.2f} MB, open it in a browser", soft_wrap=True)


def left_out(record: dict[str, Any]) -> None:
    """Say what was left out."""
    for name, why in record["left_out"].items():
        console.print(f"left out: {name}, for {why}", soft_wrap=True)
