"""Tables in files, read and written some rows at a time: CSV, of which every untouched byte is kept, and Parquet."""

# n rows

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genloom.data.tables import database
from genloom.data.tables.base import Table
from genloom.data.tables.csv import CsvTable
from genloom.data.tables.load import TABLE_SUFFIXES
from genloom.data.tables.parquet import ParquetTable
from genloom.errors import InputError
from genloom.reading import kind_of, named

if TYPE_CHECKING:
    import pandas as pd


def rows_of_table(name: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table in a file or in a database, some thousands at a time; InputError where there is none."""
    yield from database.chunks_of(name) if database.is_address(name) else find_table(name).chunks()


def find_table(source: str | os.PathLike[str]) -> Table:
    """Return the table at a path.

    Raises:
        InputError: there is none, or it is no table.
    """
    path = named(source)
    kind = kind_of(path)
    if not kind:
        raise InputError(f"no table at {source}: no such file")
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        raise InputError(f"{source} is no table: a {', '.join(TABLE_SUFFIXES)} file is, or the address of a database")
    if kind == "folder":
        raise InputError(f"{source} is a folder: name the file of a table in it")
    if kind != "file":
        raise InputError(f"{source} is a {kind}, and a table is a plain file")
    return ParquetTable(path) if path.suffix.lower() in (".parquet", ".pq") else CsvTable.open(path)
