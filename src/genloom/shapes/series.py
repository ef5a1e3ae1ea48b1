"""Windows of a record: rows that follow each other at even steps, each cell coded by its column."""

# n windows, T rows of a window, D columns

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.shapes.base import Shape
from genloom.shapes.columns import Column
from genloom.shapes.table import COLUMN, TableShape, as_column

RUN, TIME = "run", "seconds"  # columns of a file of samples, beside those of the data


@dataclass(frozen=True)
class SeriesShape(Shape):
    """Windows `[T, D]`; a mask `[T, D]` beside a window says which cells are known.

    Attributes:
        columns: how cells are coded.
        window: rows of a window; `step`, seconds from row to row.
    """

    kind: ClassVar[str] = "series"
    named: ClassVar[str] = "windows of a record"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".npy")
    form: ClassVar[Any] = {"classes?": [str], "columns": [COLUMN], "window": int, "step": float}
    columns: tuple[Column, ...] = ()
    window: int = 1
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(map(as_column, self.columns)))

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.window, len(self.columns))

    @property
    def rows(self) -> TableShape:
        """What one row is."""
        return TableShape(columns=self.columns)

    def describe(self) -> str:
        return f"windows of {self.window} {self.rows.describe()}, one every {self.step:g} s"

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write windows `[n, T, D]`: rows with the number of the run and the seconds since it began (`.csv`), or codes."""
        if path.suffix.lower() != ".csv":
            return super().write(parts, n, path)
        seconds, begun = (np.arange(self.window) * self.step).tolist(), 0
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([RUN, TIME, *(column.name for column in self.columns)])
            for part in parts:
                for window in part:
                    begun += 1
                    cells = self.rows.decode(window).values()
                    writer.writerows(zip([begun] * self.window, seconds, *cells, strict=True))

    def encode(self, values: Any) -> Tensor:
        """Return plain numbers and category names, `[n, T]` by column name, as codes `[n, T, D]`; not-a-number stays so."""
        flat = {name: np.asarray(cells).reshape(-1) for name, cells in values.items()}
        return self.rows.encode(flat).reshape(-1, *self.dims)

    def decode(self, samples: Tensor) -> dict[str, list[list[Any]]]:
        """Return codes `[n, T, D]` as values that the columns could hold, `[n, T]` by column name."""
        flat = self.rows.decode(samples.reshape(-1, len(self.columns)))
        places = torch.arange(len(samples) * self.window).reshape(-1, self.window).tolist()
        return {name: [[cells[i] for i in row] for row in places] for name, cells in flat.items()}
