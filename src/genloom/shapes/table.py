"""Rows of a table: how its columns are coded, and how codes become values again."""

# n rows, D columns

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from genloom.shapes.base import Shape
from genloom.shapes.columns import Column, Kind

NUMBERS = ("mean", "scale", "low", "high", "step")
COLUMN = {"name": str, "kind?": str, **{f"{name}?": float for name in NUMBERS}, "grid?": [float], "categories?": list}


@dataclass(frozen=True)
class TableShape(Shape):
    """Rows `[D]` of a table, each cell coded by its column; a mask `[D]` beside a row says which cells are known."""

    kind: ClassVar[str] = "table"
    named: ClassVar[str] = "rows of a table"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".npy")
    form: ClassVar[Any] = {"classes?": [str], "columns": [COLUMN]}
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(map(as_column, self.columns)))

    @property
    def dims(self) -> tuple[int, ...]:
        return (len(self.columns),)

    def describe(self) -> str:
        counts = {kind: sum(column.kind == kind for column in self.columns) for kind in get_args(Kind)}
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        return f"rows of {len(self.columns)} column{'s' if len(self.columns) > 1 else ''} ({kinds})"

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write codes `[n, D]` as values (`.csv`; dates as seconds since 1970) or as they are (`.npy`)."""
        if path.suffix.lower() != ".csv":
            return super().write(parts, n, path)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(column.name for column in self.columns)
            for part in parts:
                writer.writerows(zip(*self.decode(part).values(), strict=True))

    def encode(self, values: Any) -> Tensor:
        """Return plain numbers and category names, `[n]` by column name, as codes `[n, D]`; not-a-number stays so."""
        codes = []
        for column in self.columns:
            cells = values[column.name]
            places = {name: float(i) for i, name in enumerate(column.categories)}
            plain = [places.get(cell, np.nan) for cell in cells] if column.categories else cells
            codes.append(column.code(np.asarray(plain, float)))
        return torch.as_tensor(np.stack(codes, 1), dtype=torch.float32)

    def decode(self, samples: Tensor) -> dict[str, list[Any]]:
        """Return codes `[n, D]` as values that the columns could hold, `[n]` by column name."""
        codes = samples.double().numpy()
        held = {column.name: column.held(codes[:, d]) for d, column in enumerate(self.columns)}
        return {
            column.name: [column.categories[int(i)] for i in held[column.name]]
            if column.categories
            else held[column.name].tolist()
            for column in self.columns
        }


def as_column(value: Column | Mapping[str, Any]) -> Column:
    """Return a column as itself, or rebuilt from JSON."""
    if isinstance(value, Column):
        return value
    parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
    return Column(**parts)
