"""Windows of a record: rows that follow each other at even steps, each cell coded by its column."""

# n windows, T rows of a window, D columns

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genloom.bounds import short
from genloom.errors import InputError, nearest
from genloom.shapes.base import Shape
from genloom.shapes.columns import Column
from genloom.shapes.table import COLUMN, TableShape, as_column

RUN, TIME = "run", "seconds"  # columns of a file of samples, beside those of the data
SINCE_1970 = 1e8  # seconds from which on they are a date
ACROSS, DOWN, NAMED, WIDE, HIGH = 8, 16, 160, 150, 56  # of a picture: windows, columns, and sizes in pixels


@dataclass(frozen=True)
class SeriesShape(Shape):
    """Windows `[T, D]`; a mask `[T, D]` beside a window says which cells are known.

    Attributes:
        columns: how cells are coded.
        window: rows of a window; `step`, seconds from row to row.
        conditions: columns that are given, not made: what a run is made with, or what an operator sets.
        time, group: what the columns of the time and of the run are called, "" where there are none; `begins`, the first
            time, in seconds.
    """

    kind: ClassVar[str] = "series"
    named: ClassVar[str] = "windows of a record"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".png", ".npy")
    form: ClassVar[Any] = {
        "classes?": [str],
        "columns": [COLUMN],
        "window": int,
        "step": float,
        "conditions?": [str],
        "time?": str,
        "group?": str,
        "begins?": float,
    }
    columns: tuple[Column, ...] = ()
    window: int = 1
    step: float = 1.0
    conditions: tuple[str, ...] = ()
    time: str = ""
    group: str = ""
    begins: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(map(as_column, self.columns)))

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.window, len(self.columns))

    @property
    def rows(self) -> TableShape:
        """What one row is; conditions need not be among the values that were seen."""
        return TableShape(columns=tuple(replace(c, grid=()) if c.name in self.conditions else c for c in self.columns))

    def describe(self) -> str:
        return f"windows of {self.window} {self.rows.describe()}, one every {self.step:g} s"

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write windows `[n, T, D]`: rows with run and time (`.csv`), lines of a few (`.png`), or codes (`.npy`)."""
        if path.suffix.lower() == ".png":
            return self.preview(torch.cat(list(parts)), zoom).save(path)
        if path.suffix.lower() != ".csv":
            return super().write(parts, n, path)
        stamps, begun = self.stamps(self.window), 0
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([self.group or RUN, self.time or TIME, *(column.name for column in self.columns)])
            for part in parts:
                for window in part:
                    begun += 1
                    cells = [list(map(plain, cells)) for cells in self.rows.decode(window).values()]
                    writer.writerows(zip([begun] * self.window, stamps, *cells, strict=True))

    def stamps(self, rows: int) -> list[Any]:
        """Return the times of so many rows, from that of the record's first on: dates, or seconds."""
        seconds = self.begins + np.arange(rows) * self.step
        if self.begins < SINCE_1970:
            return [plain(float(each)) for each in seconds - self.begins]
        return [self.stamp(float(each)) for each in seconds]

    def stamp(self, seconds: float) -> str:
        """Return a time as a person reads it: a date, or seconds."""
        if self.begins < SINCE_1970:
            return f"{plain(seconds):g} s"
        parts = "ms" if (self.step % 1 or self.begins % 1) else "s"
        return str(np.datetime64(round(seconds * 1000), "ms").astype(f"datetime64[{parts}]")).replace("T", " ")

    def stated(self, given: Mapping[str, Any]) -> dict[int, float]:
        """Return what a person gives of conditions, by name, as codes by the places of their columns.

        Raises:
            InputError: it is no condition, or a value that was never seen, or beyond those that were.
        """
        names, codes = [column.name for column in self.columns], {}
        for name, value in given.items():
            if name not in self.conditions:
                told = f"its conditions are {', '.join(self.conditions)}" if self.conditions else "it has no conditions"
                raise InputError(f"--given {name}: {told}; `genloom fit` takes them as --condition NAME")
            column = self.columns[names.index(name)]
            if column.categories:
                known = list(map(str, column.categories))
                if str(value) not in known:
                    raise InputError(f"--given {name}={value}: there is {', '.join(known[:20])}{nearest(str(value), known)}")
                codes[names.index(name)] = float(known.index(str(value)))
                continue
            try:
                number = float(value)
            except ValueError:
                raise InputError(f"--given {name} takes a number, got {short(str(value))}") from None
            if not column.low <= number <= column.high:
                raise InputError(
                    f"--given {name}={number:g} lies outside of what was seen, {column.low:g} to {column.high:g}: nothing "
                    "is known of runs there"
                )
            codes[names.index(name)] = float(column.code(np.array([number]))[0])
        return codes

    def preview(self, samples: Tensor, zoom: int | None = None) -> Any:
        """Return the first windows of `[n, R, D]` as lines, a row of the picture for each column of the record.

        Each row reaches from the least to the greatest value that is shown in it.
        """
        from PIL import Image, ImageDraw

        shown, columns = samples[:ACROSS].double().numpy(), self.rows.columns[:DOWN]
        page = Image.new("RGB", (NAMED + len(shown) * WIDE, len(columns) * HIGH), "white")
        pen = ImageDraw.Draw(page)
        for d, column in enumerate(columns):
            every = column.held(shown[..., d].reshape(-1)).reshape(shown.shape[:2])
            low, high = float(every.min()), float(every.max())
            ends = [str(column.categories[int(end)]) if column.levels else f"{end:.4g}" for end in (low, high)]
            pen.text((4, d * HIGH + HIGH // 2 - 5), column.name[:14], fill="black")
            for end, top in zip(ends, ((d + 1) * HIGH - 15, d * HIGH + 3), strict=True):
                pen.text((NAMED - 58, top), end[:9], fill="gray")
            for i, values in enumerate(every):
                x = NAMED + i * WIDE + 6 + np.linspace(0, WIDE - 12, len(values))
                y = (d + 1) * HIGH - 8 - (HIGH - 16) * (values - low) / ((high - low) or 1.0)
                if column.levels:
                    x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]  # a step stays until the next
                pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=(31, 119, 180), width=1)
        return page

    def encode(self, values: Any) -> Tensor:
        """Return plain numbers and category names, `[n, T]` by column name, as codes `[n, T, D]`; not-a-number stays so."""
        flat = {name: np.asarray(cells).reshape(-1) for name, cells in values.items()}
        return self.rows.encode(flat).reshape(-1, *self.dims)

    def decode(self, samples: Tensor) -> dict[str, list[list[Any]]]:
        """Return codes `[n, T, D]` as values that the columns could hold, `[n, T]` by column name."""
        flat = self.rows.decode(samples.reshape(-1, len(self.columns)))
        places = torch.arange(len(samples) * self.window).reshape(-1, self.window).tolist()
        return {name: [[cells[i] for i in row] for row in places] for name, cells in flat.items()}


def plain(value: Any) -> Any:
    """Return a number without the tail that binary fractions have."""
    return float(f"{value:.12g}") if isinstance(value, float) else value
