"""Cells as numbers: text and types read, a column at a time, with not-a-number where a cell is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genloom.shapes.columns import Numbers

DATE_FORMS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y/%m/%d", "%d.%m.%Y",
    "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f",
)  # fmt: skip
THOUSANDS = "1,000"
LONGEST = 12  # decimals that are looked at


def read_numbers(cells: pd.Series[Any], mark: str) -> Numbers:
    """Return cells as numbers `[n]`; `mark` is "," where that is the decimal mark, or says that it parts thousands."""
    if mark == THOUSANDS:
        cells = cells.astype(str).str.replace(",", "", regex=False)
    if mark == ",":
        cells = cells.astype(str).str.replace(",", ".", regex=False)
    if cells.dtype == object:  # Decimal too, which pandas takes for text
        cells = cells.map(lambda cell: cell if isinstance(cell, str) else as_float(cell))
    return pd.to_numeric(cells, errors="coerce").to_numpy(float, na_value=np.nan)


def as_float(cell: Any) -> float:
    """Return a Python object as a number, not-a-number where it is none."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def read_dates(cells: pd.Series[Any], form: str) -> Numbers:
    """Return dates as seconds since 1970 `[n]`: text or whole numbers written as `form`, or types."""
    if form and pd.api.types.is_numeric_dtype(cells.dtype):
        numbers = cells.astype("Float64")
        cells = numbers.where(numbers % 1 == 0).map("{:.0f}".format, na_action="ignore")
    stamps = pd.to_datetime(cells, format=form or None, errors="coerce", utc=True).dt.tz_localize(None)
    exact = stamps.dt.as_unit("us").to_numpy()  # in nanoseconds the centuries before 1677 would not fit
    return np.where(np.isnat(exact), np.nan, exact.astype(np.int64) / 1e6)


def decimals_of(texts: pd.Series[Any], mark: str) -> int:
    """Return the most decimals with which numbers are written, or -1 where any has an exponent."""
    texts = texts.astype(str).str.strip()
    if texts.str.contains("[eE]", regex=True).any():
        return -1
    lengths = texts.str.partition("," if mark == "," else ".")[2].str.len()
    return min(int(lengths.max()), LONGEST)
