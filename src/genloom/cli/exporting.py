"""`genloom export`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from genloom.cli.console import Checkpoint, RunFolder, Threads, console, say, threads_of


def export(
    run: RunFolder,
    *,
    out: Annotated[str, Parameter(name=["-o", "--out"], help="a new folder")],
    to: Annotated[
        Literal["onnx", "torch"], Parameter(help="ONNX files for onnxruntime and others, or programs of torch.export")
    ] = "onnx",
    only: Annotated[str | None, Parameter(help="functions to write, with commas; left out, all")] = None,
    weights: Annotated[
        Literal["fp32", "fp16", "int8"],
        Parameter(help="how ONNX files store large weights: fp16 in half the bits, int8 in a quarter"),
    ] = "fp32",
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write what a run's model can do as graphs that run without genloom, into a new folder with a README."""
    from rich.table import Table

    from genloom.train.run import Run
    from genloom.use.export.folder import export as write

    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    with threads_of(threads):
        record = write(Run.open(run), out, to, names, weights, checkpoint, say)
    table = Table("function", "does", "kB", "difference", box=None, pad_edge=False, header_style="bold")
    for each in record["functions"]:
        table.add_row(each["name"], each["means"], f"{each['bytes'] / 1e3:,.0f}", f"{each['difference']:.0e}")
    console.print(table)
    for name, why in record["left_out"].items():
        console.print(f"left out: {name}, for {why}", soft_wrap=True)
    console.print(f"{out}: README.md says how to run it", soft_wrap=True)
