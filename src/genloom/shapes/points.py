"""Points of real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from genloom.shapes.base import Shape


@dataclass(frozen=True)
class PointShape(Shape):
    """Points `[D]` of real numbers, unscaled."""

    kind: ClassVar[str] = "points"
    named: ClassVar[str] = "points"
    form: ClassVar[Any] = {"classes?": [str], "columns": int}
    columns: int = 1

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.columns,)

    def describe(self) -> str:
        return f"points of {self.columns} number{'s' if self.columns > 1 else ''}"
