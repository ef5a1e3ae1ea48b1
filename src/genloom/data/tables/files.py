"""Tables in files, read and written some rows at a time: CSV, of which every untouched byte is kept, and Parquet."""

# n rows

from __future__ import annotations

import os
from pathlib import Path

from genloom.data.tables.base import Table
from genloom.data.tables.csv import CsvTable
from genloom.data.tables.load import TABLE_SUFFIXES
from genloom.data.tables.parquet import ParquetTable
from genloom.errors import InputError


def find_table(source: str | os.PathLike[str]) -> Table:
    """Return the table at a path.

    Raises:
        InputError: there is none, or it is no table.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"no table at {source}: no such file")
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        raise InputError(f"{source} is no table: a {', '.join(TABLE_SUFFIXES)} file is, or the address of a database")
    if path.is_dir():
        raise InputError(f"{source} is a folder: name the file of a table in it")
    return ParquetTable(path) if path.suffix.lower() in (".parquet", ".pq") else CsvTable.open(path)
