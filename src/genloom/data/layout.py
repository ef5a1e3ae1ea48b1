"""What the columns of a person's table are: found out from its cells, and used to code them and to write them again.

A table arrives as a pandas DataFrame: of text, as a CSV file has it, or of types.
"""

# n rows, D columns that a model learns

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from genloom.columns import Bits, Column, Kind, Numbers
from genloom.data.cells import DATE_FORMS, THOUSANDS, decimals_of, read_dates, read_numbers
from genloom.errors import InputError, nearest

MISSING = frozenset(("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None", "?"))
TRUTHS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
MOST = 50  # categories; the rest of a longer list is known, but never filled in
ENOUGH = 20  # rows from which on different values in every row mean an identifier
Role = Literal["learnt", "constant", "empty", "passed"]


@dataclass(frozen=True)
class Field:
    """One column of a person's table.

    Attributes:
        role: learnt by models, constant (one value), empty (none), or passed through as it is.
        why: of a column that is not learnt, the reason in a few words.
        text: whether cells are text, as in a CSV file.
        form: of dates in text, how they are written; of numbers in text, "," where that is the decimal mark.
        decimals: of numbers in text, how many are written; -1 for numbers written with an exponent.
        column: how cells are coded, of a learnt column.
        value: of a constant column.
    """

    name: str
    role: Role
    why: str = ""
    text: bool = False
    form: str = ""
    decimals: int = 0
    column: Column | None = None
    value: Any = None

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
            raise odd_cell(self, present, np.isnan(values))
        if np.isinf(values).any():
            raise InputError(f"column {self.name!r} holds an infinite number {where(present, np.isinf(values))}; "
                             "leave that cell empty")  # fmt: skip
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
            stamps = pd.DatetimeIndex(np.round(values).astype("datetime64[s]"))
            return stamps.strftime(self.form).tolist() if self.text else stamps.tolist()
        if not self.text:
            whole = self.column.step >= 1
            return [round(value) if whole else round(float(value), 12) for value in values]
        shown = [f"{value:.6g}" if self.decimals < 0 else f"{value:.{self.decimals}f}" for value in values]
        if self.form == THOUSANDS:
            return [f"{value:,.0f}" for value in values]
        return [text.replace(".", ",") for text in shown] if self.form == "," else shown


@dataclass(frozen=True)
class Layout:
    """The columns of a person's table, in their order."""

    fields: tuple[Field, ...]
    missing: frozenset[str] = MISSING

    @classmethod
    def study(cls, frame: pd.DataFrame, kinds: Mapping[str, str] | None = None, missing: Sequence[str] = (),
              keys: Sequence[str] = ()) -> Layout:  # fmt: skip
        """Find out what each column of a table is.

        Args:
            kinds: what the person says a column is, by name: one of `columns.Kind`, or `passed`.
            missing: further words that stand for a missing cell.
            keys: columns that name rows, passed through.

        Raises:
            InputError: a column mixes numbers or dates with other things, or is not there.
        """
        words = MISSING | set(missing)
        names = [str(name) for name in frame.columns]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"two columns are called {doubled!r}; rename one of them")
        said: dict[str, str] = {str(key): "passed" for key in keys} | dict(kinds or {})
        for name in said:
            if name not in names:
                raise InputError(f"no column {name!r}{nearest(name, names)}")
        fields = [study_column(str(name), frame[name], known_cells(frame[name], words), said.get(str(name)))
                  for name in frame.columns]  # fmt: skip
        return cls(tuple(fields), words)

    @property
    def learnt(self) -> tuple[Column, ...]:
        """How the columns that models learn are coded."""
        return tuple(field.column for field in self.fields if field.column is not None)

    def known(self, frame: pd.DataFrame) -> dict[str, Bits]:
        """Return which cells `[n]` of each column are known."""
        return {field.name: known_cells(frame[name], self.missing)
                for field, name in zip(self.fields, frame.columns, strict=True)}  # fmt: skip

    def encode(self, frame: pd.DataFrame, known: Mapping[str, Bits]) -> Numbers:
        """Return the codes `[n, D]` of the learnt columns, not-a-number for what a model cannot use."""
        codes = [field.column.code(field.read(frame[name], known[field.name]))
                 for field, name in zip(self.fields, frame.columns, strict=True) if field.column is not None]  # fmt: skip
        return np.stack(codes, 1) if codes else np.zeros((len(frame), 0))


def known_cells(cells: pd.Series, missing: frozenset[str]) -> Bits:
    """Return which cells `[n]` hold something."""
    known = cells.notna().to_numpy()
    if is_text(cells):
        known = known & ~cells.astype(object).map(lambda cell: isinstance(cell, str) and cell.strip() in missing).to_numpy(
            bool
        )
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
    kind, form = (said, "") if said else guess_kind(name, cells, known)
    if kind == "passed":
        return Field(name, "passed", form, text)
    if kind == "date" and text and not form:
        form = date_form(name, present) or DATE_FORMS[0]
    first = plain_value(present.iloc[0])
    if bool((present == present.iloc[0]).all()):
        return Field(name, "constant", "one value in all known cells", text, value=first)
    field = Field(name, "learnt", "", text, form)
    if kind in ("categorical", "boolean"):
        counts = present.map(plain_value).value_counts()
        return replace(
            field,
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
    if dates:
        step = 86400.0 if (values % 86400 == 0).all() else 1.0
        return replace(field, column=Column.of_numbers(field.name, values, "date", step))
    decimals = decimals_of(present, field.form) if field.text else decimals_of(pd.Series(values[:2000]).map(repr), "")
    whole = bool((values == np.round(values)).all())
    step = 1.0 if whole else 10.0**-decimals if 0 <= decimals <= 6 else 0.0
    kind: Kind = "integer" if whole else "numeric"
    return replace(field, decimals=decimals, column=Column.of_numbers(field.name, values, kind, step))


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
    values = read_numbers(present, comma_form(present))
    bad = np.isnan(values)
    if not bad.any():
        return guess_number(name, present, values)
    if bad.mean() < 0.5:
        raise odd_cell(Field(name, "learnt", column=Column(name)), present, bad)
    if form := date_form(name, present):
        return "date", form
    return guess_text(present)


def comma_form(present: pd.Series) -> str:
    """Return what commas mean in the numbers of a column of text: nothing, the decimal mark, or that they part thousands."""
    with_commas = present[present.str.contains(",")]
    if not len(with_commas) or not present.str.fullmatch(r"\s*[-+]?\d+(,\d+)*\s*").all():
        return ""
    thousands = with_commas.str.fullmatch(r"\s*[-+]?[1-9]\d{0,2}(,\d{3})+\s*").all()
    return THOUSANDS if thousands else ","


def guess_objects(name: str, present: pd.Series, texts: Bits) -> tuple[str, str]:
    """Guess what a column of Python objects is that are not all text."""
    if texts.any():
        raise odd_cell(Field(name, "learnt", column=Column(name)), present, texts if texts.mean() < 0.5 else ~texts)
    if present.map(lambda cell: isinstance(cell, bool)).all():
        return "boolean", ""
    if present.map(lambda cell: hasattr(cell, "year")).all():
        return "date", ""
    values = read_numbers(present, "")
    return ("passed", "of a kind that no model learns") if np.isnan(values).any() else guess_number(name, present, values)


def guess_number(name: str, present: pd.Series, values: Numbers) -> tuple[str, str]:
    """Tell numbers from identifiers and from truth values written as 0 and 1."""
    if not np.isfinite(values).all():
        return "numeric", ""
    whole = bool((values == np.round(values)).all())
    different = len(np.unique(values))
    if whole and different == len(values) >= ENOUGH:
        named = re.search(r"(^|[_\W])(id|key|nr|no|number|index|row|uuid)$", name.lower()) or name.endswith("Id")
        if named or len(np.unique(np.diff(values))) == 1:
            return "passed", "an identifier"
    return ("boolean" if whole and different == 2 else "integer" if whole else "numeric"), ""


def guess_text(present: pd.Series) -> tuple[str, str]:
    """Tell categories from identifiers and free text."""
    different = present.nunique()
    if different > MOST and different > 0.9 * len(present):
        return "passed", "an identifier"
    if different > MOST and different > 0.2 * len(present):
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
    bad = np.isnan(read_dates(present, form))
    if bad.any():
        raise odd_cell(Field(name, "learnt", form=form, column=Column(name, "date")), present, bad)
    return form


def odd_cell(field: Field, present: pd.Series, bad: Bits) -> InputError:
    """Say which cell does not go with the rest of its column, and what to do."""
    assert field.column is not None
    kind = "date" + (f" like {pd.Timestamp(2020, 1, 31, 13, 5):{field.form}}" if field.form else "")
    kind = kind if field.column.kind == "date" else "number"
    return InputError(f"column {field.name!r}: {present[bad].iloc[0]!r} {where(present, bad)} is no {kind}, as the rest of "
                      f"the column is; mend that cell, say --missing for a word that stands for nothing, or "
                      f"--kind.{field.name} categorical (or passed)")  # fmt: skip


def where(present: pd.Series, bad: Bits) -> str:
    """Say in which row the first of some cells stands."""
    row = present.index[int(np.flatnonzero(bad)[0])]
    return f"in row {row + 1:,}" if isinstance(row, int | np.integer) else f"in row {row!r}"


def plain_value(value: Any) -> Any:
    """Return a value of numpy's kinds as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
