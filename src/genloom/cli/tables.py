"""The commands for tables, as `app` lists them; nothing heavy is imported before one runs."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

Names = Annotated[list[str] | None, Parameter(help="a column that names rows; more of them together, by repeating it")]


def repair(
    source: Annotated[str, Parameter(help="a .csv, .csv.gz, .tsv or .parquet file, or a database: sqlite:///FILE, "
                                          "postgresql://USER@HOST/NAME")],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="the repaired table, a file of the same kind")] = None,
    table: Annotated[str | None, Parameter(help="of a database, the table to repair")] = None,
    report: Annotated[str | None, Parameter(help="an .html page on what was done and how far to trust it")] = None,
    draws: Annotated[int, Parameter(help="also write so many versions with drawn values, as different as is open")] = 0,
    method: Annotated[
        Literal["auto", "gain", "mean", "knn", "ridge", "trees"], Parameter(help="auto: what did best, column by column")
    ] = "auto",
    minutes: Annotated[float | None, Parameter(help="most minutes to train; by the table's size, if left out")] = None,
    kind: Annotated[
        dict[str, str] | None,
        Parameter(help="--kind.COLUMN K, where the guess is wrong: numeric, categorical, boolean, date, date:%d/%m/%Y, or "
                       "passed, to leave it alone"),
    ] = None,
    missing: Annotated[list[str] | None, Parameter(help="a word or number that stands for a missing cell: -999")] = None,
    known: Annotated[list[str] | None, Parameter(help="a word that is a value here, though it usually stands for a missing "
                                                      "cell: NA, None, ?")] = None,
    key: Names = None,
    replace: Annotated[bool, Parameter(help="of a database, replace tables that an earlier repair wrote")] = False,
    seed: int = 0,
    threads: int | None = None,
) -> None:  # fmt: skip
    """Fill the holes of a table with values like its usual ones, and say how far each column is to be trusted."""
    from genloom.cli.repair import repair_command
    from genloom.use.tables.repair import Settings

    settings = Settings(method=method, minutes=minutes, kinds=dict(kind or {}), missing=missing or (), known=known or (),
                        keys=key or (), seed=seed, threads=threads)  # fmt: skip
    repair_command(source, out, table, settings, draws, report, replace)
