"""Rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from genloom.shapes.base import Shape
from genloom.shapes.columns import Column, Kind


@dataclass(frozen=True)
class TableShape(Shape):
    """Rows `[D]` of a table, each cell coded by its column; a mask `[D]` beside a row says which cells are known."""

    kind: ClassVar[str] = "table"
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


def as_column(value: Column | Mapping[str, Any]) -> Column:
    """Return a column as itself, or rebuilt from JSON."""
    if isinstance(value, Column):
        return value
    parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
    return Column(**parts)
