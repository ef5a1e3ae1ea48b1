"""Tables in files, read and written some rows at a time: CSV, of which every untouched byte is kept, and Parquet."""

# n rows

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genloom.data.tables.csv import CsvTable
from genloom.data.tables.parquet import ParquetTable
from genloom.errors import InputError
from genloom.shapes.columns import TABLE_SUFFIXES, Bits

CHUNK = 50_000  # rows held at once
Cells = Mapping[str, tuple[Bits, Sequence[Any]]]  # by column, which rows to replace, and the cells to put there
Fill = Callable[[pd.DataFrame, int], Iterator[Cells]]


class Table(ABC):
    """A table in a file.

    Attributes:
        path: where it is.
    """

    path: Path

    @abstractmethod
    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield the rows in order, some thousands at a time; the index counts on from 0."""

    @abstractmethod
    def rewrite(self, outs: Sequence[Path], fill: Fill) -> None:
        """Write the table several times, each time with the same cells replaced by others, in one pass.

        Args:
            fill: given some rows and the number of the first, yields what to replace for each of the outputs.
        """


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


# -- CSV -------------------------------------------------------------------------------------------


# -- Parquet ---------------------------------------------------------------------------------------
