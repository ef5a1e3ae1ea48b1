"""What a table in a file is: rows read some thousands at a time, and written with cells replaced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genloom.errors import InputError
from genloom.shapes.columns import Bits

CHUNK = 50_000  # rows held at once
MOST_COLUMNS = 5000

Cells = Mapping[str, tuple[Bits, Sequence[Any]]]  # by column, which rows to replace, and the cells to put there

Fill = Callable[[pd.DataFrame, int], Iterator[Cells]]


def refuse_wide(columns: int, path: Path) -> None:
    """Raise InputError for a table of more columns than can be worked on in reasonable time."""
    if columns > MOST_COLUMNS:
        raise InputError(f"{path} has {columns:,} columns, and at most {MOST_COLUMNS:,} are worked on: split it")


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
