"""What a column of a person's table is, guessed from its cells."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from genloom.bounds import short
from genloom.data.tables.cells import DATE_FORMS, THOUSANDS, read_dates, read_numbers
from genloom.errors import InputError
from genloom.shapes.columns import Bits, Numbers

COMPACT = r"\s*(19|20)\d{6}\s*"
TRUTHS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
MOST = 200  # categories that are told apart; the rest of a longer list is known, but never filled in
MANY = 50  # different texts from which they may be free text, or names of rows
ENOUGH = 20  # rows from which on different values in every row mean an identifier


def whole_step(values: Numbers) -> float:
    """Return what all of many whole numbers are multiples of: credit limits go by thousands."""
    if len(values) < ENOUGH or np.abs(values).max() >= 2**53:
        return 1.0
    return float(max(1, np.gcd.reduce(np.unique(values).astype(np.int64))))


def guess_kind(name: str, cells: pd.Series, known: Bits) -> tuple[str, str]:
    """Guess what a column is; of one to pass through, also say why, and of dates in text, how they are written.

    Raises:
        InputError: it mixes numbers or dates with other things.
    """
    present, kind = cells[known], cells.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return "categorical", ""
    if pd.api.types.is_bool_dtype(kind):
        return "boolean", ""
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "date", ""
    if pd.api.types.is_timedelta64_dtype(kind):
        return "passed", "spans of time"
    if pd.api.types.is_numeric_dtype(kind):
        return guess_number(name, present, read_numbers(present, ""))
    texts = present.map(lambda cell: isinstance(cell, str))
    if not texts.all():
        return guess_objects(name, present, texts.to_numpy(bool))
    words = {str(cell).strip().lower() for cell in present.unique()[:3]}
    if len(words) == 2 and words in TRUTHS and present.nunique() == 2:
        return "boolean", ""
    if present.str.fullmatch(r"\s*0\d+\s*").any():  # 00123 is a code, which no number stands for
        return guess_text(present)
    if present.str.fullmatch(COMPACT).all() and np.isfinite(read_dates(present, "%Y%m%d")).all():
        return "date", "%Y%m%d"
    values = read_numbers(present, comma_form(present))
    bad = np.isnan(values)
    if not bad.any():
        return guess_number(name, present, values)
    if bad.mean() < 0.5:
        raise odd_cell(name, "number", present, bad)
    if form := date_form(name, present):
        return "date", form
    return guess_text(present)


def comma_form(present: pd.Series) -> str:
    """Return what commas mean in the numbers of a column of text: nothing, the decimal mark, or that they part thousands."""
    with_commas = present[present.str.contains(",")]
    if not len(with_commas):
        return ""
    if with_commas.str.fullmatch(r"\s*[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?\s*").all():
        return THOUSANDS
    return "," if present.str.fullmatch(r"\s*[-+]?\d+(,\d+)?\s*").all() else ""


def guess_objects(name: str, present: pd.Series, texts: Bits) -> tuple[str, str]:
    """Guess what a column of Python objects is that are not all text."""
    if texts.any():
        raise odd_cell(name, "number", present, texts if texts.mean() < 0.5 else ~texts)
    if present.map(lambda cell: isinstance(cell, bool)).all():
        return "boolean", ""
    if present.map(lambda cell: hasattr(cell, "year")).all():
        return "date", ""
    if present.map(lambda cell: isinstance(cell, timedelta)).any():
        return "passed", "spans of time"
    values = read_numbers(present, "")
    return ("passed", "of a kind that no model learns") if np.isnan(values).any() else guess_number(name, present, values)


def guess_number(name: str, present: pd.Series, values: Numbers) -> tuple[str, str]:
    """Tell numbers from identifiers and from truth values written as 0 and 1."""
    if not np.isfinite(values).all():
        return "numeric", ""
    whole = bool((values == np.round(values)).all())
    different = len(np.unique(values))
    typed = whole and pd.api.types.is_numeric_dtype(present.dtype) and bool(((values > 1.8e7) & (values < 2.2e7)).all())
    days = pd.Series(values[:1000]).map("{:.0f}".format) if typed else None
    if days is not None and len(days) >= ENOUGH and np.isfinite(read_dates(days, "%Y%m%d")).all():
        return "passed", f"dates written as whole numbers: --kind.{name} date:%Y%m%d takes them for such"
    if whole and different == len(values) >= ENOUGH:
        named = re.search(r"(^|[_\W])(id|key|nr|no|number|index|row|uuid)$", name.lower()) or name.endswith("Id")
        if named or len(np.unique(np.diff(values))) == 1:
            return "passed", "an identifier"
    return ("boolean" if whole and different == 2 else "integer" if whole else "numeric"), ""


def guess_text(present: pd.Series) -> tuple[str, str]:
    """Tell categories from identifiers and free text."""
    different = present.nunique()
    if different > MANY and different > 0.9 * len(present):
        return "passed", "another value in almost every row"
    if different > MANY and different > 0.2 * len(present):
        return "passed", "free text"
    return "categorical", ""


def date_form(name: str, present: pd.Series) -> str:
    """Return how the dates of a column are written, or "" where it holds none.

    Raises:
        InputError: most cells are dates, but not all.
    """
    sample = present.iloc[:1000]
    shares = [float(np.isfinite(read_dates(sample, form)).mean()) for form in DATE_FORMS]
    if max(shares) < 0.5:
        return ""
    form = DATE_FORMS[int(np.argmax(shares))]
    values, swapped = read_dates(present, form), form.replace("%m/%d", "%d/%m")
    bad = np.isnan(values)
    if swapped != form and np.isfinite(others := read_dates(present, swapped)).all():
        if bad.any():  # the month came first in all of the sample
            return swapped
        if (others != values).any():
            raise InputError(
                f"column {name!r}: {short(present.iloc[0])} may be day and month or month and day, and no cell "
                f"tells which: say --kind.{name} date:{swapped} or date:{form}"
            )
    if bad.any():
        raise odd_cell(name, date_like(form), present, bad)
    return form


def date_like(form: str) -> str:
    """Return what dates written in this form are called."""
    return "date" + (f" like {pd.Timestamp(2020, 1, 31, 13, 5):{form}}" if form else "")


def odd_cell(name: str, kind: str, present: pd.Series, bad: Bits) -> InputError:
    """Say which cell does not go with the rest of its column, and what to do."""
    return InputError(
        f"column {name!r}: {short(present[bad].iloc[0])} {where(present, bad)} is no {kind}, as the rest of the column is; "
        f"mend that cell, say --missing for a word that stands for nothing, or --kind.{name} categorical (or passed, or "
        "date:%d/%m/%Y)"
    )


def where(present: pd.Series, bad: Bits) -> str:
    """Say in which row the first of some cells stands."""
    row = present.index[int(np.flatnonzero(bad)[0])]
    return f"in row {row + 1:,}" if isinstance(row, int | np.integer) else f"in row {row!r}"


def plain_value(value: Any) -> Any:
    """Return a value of numpy's kinds as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
