"""Stamps of rows as seconds: dates in many forms, and numbers of seconds, or of parts of them since 1970."""

# n rows

from __future__ import annotations

import numpy as np
import pandas as pd

from genloom.bounds import short
from genloom.data.tables.cells import read_dates
from genloom.data.tables.guess import date_form
from genloom.data.tables.layout import is_text, known_cells, study_column
from genloom.errors import InputError
from genloom.shapes.columns import Numbers

FURTHER = (  # beside those that tables have: with zones and fractions, and as historians and spreadsheets write
    "ISO8601", "%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%d-%b-%y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
)  # fmt: skip
PARTS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # numbers from which on they are parts of a second since 1970, and how many


def column_dates(cells: pd.Series, missing: frozenset[str]) -> bool:
    """Whether a column holds dates."""
    try:
        found = study_column("", cells, known_cells(cells, missing), None)
    except InputError:
        return False
    return found.column is not None and found.column.kind == "date"


def read_stamps(time: str, cells: pd.Series, said: str | None) -> Numbers:
    """Return stamps, all of them known, as seconds `[n]`; of a date, since 1970.

    Args:
        said: what a person says the column is, as `--kind` takes it.

    Raises:
        InputError: they are no times.
    """
    if said and said.startswith("date:"):
        return checked(time, cells, read_dates(cells, said[5:]))
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return checked(time, cells, read_dates(cells, ""))
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float, na_value=np.nan)
    if np.isfinite(numbers).all():
        middle = float(np.median(np.abs(numbers)))
        return checked(time, cells, numbers / next((parts for least, parts in PARTS if middle >= least), 1.0))
    if not is_text(cells):
        return checked(time, cells, read_dates(cells, ""))
    if form := date_form(time, cells.astype(str)):
        return checked(time, cells, read_dates(cells, form))
    for form in FURTHER:
        stamps = pd.to_datetime(cells, format=form, errors="coerce", utc=True)
        if stamps.notna().all():
            return checked(time, cells, read_dates(stamps, ""))
    raise InputError(
        f"column {time!r} is to say when a row is, and {short(cells.iloc[0])} is no date that is read: name another column "
        f"by --time, or say how its dates are written, as in --kind.{time} date:%d-%m-%Y"
    )


def checked(time: str, cells: pd.Series, seconds: Numbers) -> Numbers:
    """Return seconds; InputError where some are none, or all are the same."""
    if (bad := ~np.isfinite(seconds)).any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"column {time!r}: {short(cells.iloc[row])} in row {row + 1:,} is no time, as the rest of it is")
    if (seconds == seconds[0]).all():
        raise InputError(f"column {time!r}, which is to say when a row is, says the same in all of them")
    return seconds
