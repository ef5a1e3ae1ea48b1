"""What the columns of a person's table are: found out from its cells, and used to code them and to write them again.

A table arrives as a pandas DataFrame: of text, as a CSV file has it, or of types.
"""

# n rows, D columns that a model learns

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd

from genloom.data.tables.cells import DATE_FORMS, THOUSANDS, as_float, decimals_of, read_dates, read_numbers
from genloom.data.tables.guess import (
    MOST,
    comma_form,
    date_form,
    date_like,
    guess_kind,
    odd_cell,
    plain_value,
    where,
    whole_step,
)
from genloom.errors import InputError, nearest
from genloom.shapes.columns import Bits, Column, Kind, Numbers

MISSING = frozenset(("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None", "?"))
KINDS = (*get_args(Kind), "passed")
LARGEST_NUMBER = 1e100  # whose square a computer still holds
LEAST = 3  # known cells below which a column says nothing, unless they are half of it
Role = Literal["learnt", "constant", "empty", "passed"]


@dataclass(frozen=True)
class Field:
    """One column of a person's table.

    Attributes:
        role: learnt by models, constant (one value), empty (none), or passed through as it is.
        why: of a column that is not learnt, the reason in a few words.
        text: whether cells are text, as in a CSV file.
        form: of dates in text, how they are written; of numbers in text, "," where that is the decimal mark.
        zone: of dates with a time zone, which.
        decimals: of numbers and seconds in text, how many are written; -1 for numbers written with an exponent.
        column: how cells are coded, of a learnt column.
        value: of a constant column.
        different: of a column of categories, how many values it has; the commonest alone are told apart.
    """

    name: str
    role: Role
    why: str = ""
    text: bool = False
    form: str = ""
    zone: Any = None
    decimals: int = 0
    column: Column | None = None
    value: Any = None
    different: int = 0

    def read(self, cells: pd.Series, known: Bits) -> Numbers:
        """Return the plain numbers or category indices `[n]` of known cells, not-a-number for all others.

        Raises:
            InputError: a known cell is no number or no date; the sentence names it.
        """
        assert self.column is not None
        found = np.full(len(cells), np.nan)
        present = cells[known]
        if self.column.categories:
            index = {value: float(i) for i, value in enumerate(self.column.categories)}
            found[known] = present.map(lambda value: index.get(plain_value(value), np.nan)).to_numpy(float)
            return found
        values = self.numbers(present)
        if np.isnan(values).any():
            kind = date_like(self.form) if self.column.kind == "date" else "number"
            raise odd_cell(self.name, kind, present, np.isnan(values))
        if np.isinf(values).any():
            raise InputError(
                f"column {self.name!r} holds an infinite number {where(present, np.isinf(values))}; leave that cell empty"
            )
        found[known] = values
        return found

    def numbers(self, cells: pd.Series) -> Numbers:
        """Return cells as numbers `[n]`, not-a-number where they are none."""
        if self.column is not None and self.column.kind == "date":
            return read_dates(cells, self.form)
        return read_numbers(cells, self.form)

    def say(self, values: Numbers) -> list[Any]:
        """Return plain numbers or category indices `[n]` as cells of the person's kind."""
        if self.column is None:
            return [self.value] * len(values)
        if self.column.categories:
            return [self.column.categories[int(value)] for value in values]
        if self.column.kind == "date":
            return self.say_dates(values)
        if not self.text:
            whole = self.column.step >= 1
            return [round(value) if whole else round(float(value), 12) for value in values]
        if self.decimals < 0:
            return [f"{value:.6g}" for value in values]
        marked = "," if self.form == THOUSANDS else ""
        shown = [f"{value:{marked}.{self.decimals}f}" for value in np.round(values, self.decimals) + 0.0]  # no -0
        return [text.replace(".", ",") for text in shown] if self.form == "," else shown

    def say_dates(self, values: Numbers) -> list[Any]:
        """Return seconds since 1970 `[n]` as dates of the person's kind, to the second."""
        stamps = pd.DatetimeIndex(np.round(values).astype("datetime64[s]"))
        if not self.text and self.form:
            return [int(text) for text in stamps.strftime(self.form)]
        if not self.text:
            return (stamps.tz_localize("UTC").tz_convert(self.zone) if self.zone else stamps).tolist()
        shown = stamps.strftime(self.form).tolist()
        return [text[: len(text) - 6 + self.decimals] for text in shown] if self.form.endswith("%f") else shown


@dataclass(frozen=True)
class Layout:
    """The columns of a person's table, in their order."""

    fields: tuple[Field, ...]
    missing: frozenset[str] = MISSING

    @classmethod
    def study(
        cls,
        frame: pd.DataFrame,
        kinds: Mapping[str, str] | None = None,
        missing: frozenset[str] = MISSING,
        keys: Sequence[str] = (),
    ) -> Layout:
        """Find out what each column of a table is.

        Args:
            kinds: what the person says a column is, by name: one of `KINDS`, or `date:FORM`.
            missing: words that stand for a missing cell.
            keys: columns that name rows, passed through.

        Raises:
            InputError: a column mixes numbers or dates with other things, or is not there.
        """
        names = checked_names(frame)
        said = {str(key): "passed" for key in keys} | {str(name): str(kind) for name, kind in (kinds or {}).items()}
        for name, kind in said.items():
            if name not in names:
                raise InputError(f"no column {name!r}{nearest(name, names)}")
            if kind not in KINDS and not (kind.startswith("date:") and is_form(kind[5:])):
                raise InputError(f"a column is {', '.join(KINDS)} or date:%d/%m/%Y, not {kind!r}: --kind.{name}")
        fields = [
            study_column(str(name), frame[name], known_cells(frame[name], missing), said.get(str(name)))
            for name in frame.columns
        ]
        return cls(tuple(fields), missing)

    @property
    def learnt(self) -> tuple[Column, ...]:
        """How the columns that models learn are coded."""
        return tuple(field.column for field in self.fields if field.column is not None)

    def known(self, frame: pd.DataFrame) -> dict[str, Bits]:
        """Return which cells `[n]` of each column are known."""
        return {
            field.name: known_cells(frame[name], self.missing)
            for field, name in zip(self.fields, frame.columns, strict=True)
        }

    def encode(self, frame: pd.DataFrame, known: Mapping[str, Bits]) -> Numbers:
        """Return the codes `[n, D]` of the learnt columns, not-a-number for what a model cannot use."""
        codes = [
            field.column.code(field.read(frame[name], known[field.name]))
            for field, name in zip(self.fields, frame.columns, strict=True)
            if field.column is not None
        ]
        return np.stack(codes, 1) if codes else np.zeros((len(frame), 0))


def checked_names(frame: pd.DataFrame) -> list[str]:
    """Return the columns' names.

    Raises:
        InputError: two columns have the same.
    """
    names = [str(name) for name in frame.columns]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two columns are called {doubled!r}; rename one of them")
    return names


def is_form(form: str) -> bool:
    """Whether dates written in this form, with a day and no zone, could be read again."""
    day = pd.Timestamp(2020, 1, 31)
    try:
        return "%" in form and "%z" not in form and pd.to_datetime(day.strftime(form), format=form) == day
    except ValueError:
        return False


def missing_words(further: Any = (), known: Any = ()) -> frozenset[str]:
    """Return the words that stand for a missing cell: the usual ones, further ones, less those that are values here."""
    further, known = ([words] if np.isscalar(words) else words for words in (further, known))
    return (MISSING | set(map(str, further))) - (set(map(str, known)) - {""})


def known_cells(cells: pd.Series, missing: frozenset[str]) -> Bits:
    """Return which cells `[n]` hold something: no missing word, nor a number that one says, however it is written."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        names = known_cells(pd.Series(cells.cat.categories), missing)
        return np.append(names, False)[cells.cat.codes.to_numpy()]
    known = cells.notna().to_numpy()
    numbers = [float(word) for word in missing if re.fullmatch(r"[-+]?\d+(\.\d*)?", word)]
    if is_text(cells):
        words = cells.astype(object).map(
            lambda cell: (isinstance(cell, str) and cell.strip() in missing) or (bool(numbers) and as_float(cell) in numbers)
        )
        known = known & ~words.to_numpy(bool)
    elif numbers and pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        known = known & ~np.isin(cells.to_numpy(float, na_value=np.nan), numbers)
    return known


def is_text(cells: pd.Series) -> bool:
    """Whether a column may hold text."""
    return cells.dtype == object or isinstance(cells.dtype, pd.StringDtype)


def study_column(name: str, cells: pd.Series, known: Bits, said: str | None) -> Field:
    """Find out what one column is."""
    present, text = cells[known], is_text(cells) and bool(cells[known].map(lambda c: isinstance(c, str)).all())
    if said == "passed":
        return Field(name, "passed", "passed through", text)
    if not len(present):
        return Field(name, "empty", "no known value", text)
    if len(present) < min(LEAST, len(cells) / 2):
        return Field(name, "empty", f"known in {len(present)} of {len(cells):,} rows, too few to go by", text)
    kind, form = said.split(":", 1) if said and ":" in said else (said, "") if said else guess_kind(name, cells, known)
    if kind == "passed":
        return Field(name, "passed", form, text)
    if kind == "date" and text and not form:
        form = date_form(name, present) or DATE_FORMS[0]
    if kind == "date" and pd.api.types.is_numeric_dtype(cells.dtype) and not form:
        raise InputError(f"column {name!r} holds numbers: say how they stand for dates, as in --kind.{name} date:%Y%m%d")
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        form = ""
    first = plain_value(present.iloc[0])
    if bool((present == present.iloc[0]).all()):
        return Field(name, "constant", "one value in all known cells", text, value=first)
    field = Field(name, "learnt", "", text, form, getattr(cells.dtype, "tz", None) or getattr(first, "tzinfo", None))
    if kind in ("categorical", "boolean"):
        counts = present.astype(object).map(plain_value).value_counts()
        if kind == "boolean" and len(counts) > 2:
            raise InputError(f"column {name!r} has {len(counts):,} different values: it is not boolean")
        return replace(
            field,
            different=len(counts),
            column=Column(name, cast(Kind, kind), categories=tuple(sorted(map(plain_value, counts.index[:MOST]), key=str))),
        )
    return number_field(replace(field, column=Column(name, cast(Kind, kind))), present)


def number_field(field: Field, present: pd.Series) -> Field:
    """Return the field of a column of numbers or dates, studied."""
    assert field.column is not None
    dates = field.column.kind == "date"
    if field.text and not dates:
        field = replace(field, form=comma_form(present))
    values = field.read(present, np.ones(len(present), bool))
    if np.abs(values).max() > LARGEST_NUMBER:
        return replace(field, role="passed", why=f"numbers beyond {LARGEST_NUMBER:g}", column=None)
    if dates:
        step = 86400.0 if (values % 86400 == 0).all() else 1.0
        parts = len(str(present.iloc[0]).strip().rpartition(".")[2]) if field.form.endswith("%f") else 0
        return replace(field, decimals=parts, column=Column.of_numbers(field.name, values, "date", step))
    decimals = decimals_of(present, field.form) if field.text else decimals_of(pd.Series(values[:2000]).map(repr), "")
    whole = bool((values == np.round(values)).all())
    step = whole_step(values) if whole else 10.0**-decimals if 0 <= decimals <= 6 else 0.0
    kind: Kind = "integer" if whole else "numeric"
    return replace(field, decimals=decimals, column=Column.of_numbers(field.name, values, kind, step))
