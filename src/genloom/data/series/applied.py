"""A record as a trained model has its columns: those of its training, coded as there."""

# n rows, D columns

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from genloom.bounds import short
from genloom.data.options import SeriesOptions
from genloom.data.series.load import rows_of
from genloom.data.series.record import IN_ROWS, NO_GROUP, Record, in_time, on_grid
from genloom.data.tables.guess import comma_form, plain_value
from genloom.data.tables.layout import Field, Layout, checked_names, is_text, known_cells, missing_words
from genloom.errors import InputError
from genloom.shapes.columns import Column
from genloom.shapes.series import SeriesShape

UNEVEN = 1.5  # times the step of training, from which on rows are too far apart to be read by it
UNITS, FAR = (1000.0, 60.0, 100.0, 3600.0, 1e6), 3.0  # by which units differ; spreads outside that are another's


def read_as(name: str, shape: SeriesShape, loaded: Mapping[str, Any]) -> tuple[pd.DataFrame, Record]:
    """Return the rows of what a person names, and these as a record with the columns of a shape.

    Args:
        loaded: the options with which the training record was read.

    Raises:
        InputError: tags are missing or new, a mode was never seen, units differ, or rows are at other steps.
    """
    frame, options = rows_of(name, SeriesOptions.of(dict(loaded)))
    return frame, as_record(frame, options, shape, name)


def as_record(frame: pd.DataFrame, options: SeriesOptions, shape: SeriesShape, name: str) -> Record:
    """Return rows as a record with the columns of a shape."""
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    group = shape.group if shape.group in frame.columns else NO_GROUP
    time = shape.time if shape.time in frame.columns else None if shape.time else IN_ROWS
    options = replace(options, group=group, time=time)
    frame, index = in_time(frame, options, name)
    if index.time and index.usual_step > UNEVEN * shape.step:
        raise InputError(
            f"{name} has a row every {index.usual_step:g} s, and the run learnt from one every {shape.step:g} s: give rows "
            "as close as that"
        )
    frame = in_order(frame, shape, [key for key in (index.time, index.group) if key], name)
    layout = layout_as(frame, shape, options, name)
    options = replace(options, step=shape.step if index.time else None)
    return on_grid(frame, options, index, name, layout)


def in_order(frame: pd.DataFrame, shape: SeriesShape, keys: list[str], name: str) -> pd.DataFrame:
    """Return a table with the columns of a shape in their order, after all others.

    Raises:
        InputError: one is not there, or two have the same name.
    """
    names, wanted = checked_names(frame), [column.name for column in shape.columns]
    new = [each for each in names if each not in (*wanted, *keys)]
    if lacking := [each for each in wanted if each not in names]:
        more = f"; new there: {', '.join(map(short, new[:5]))}" if new else ""
        rest = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise InputError(f"{name} lacks {', '.join(map(short, lacking[:5]))}{rest}, which the run learnt from{more}")
    frame = frame[[*[each for each in names if each not in wanted], *wanted]].copy()
    for column in shape.columns:  # a database may have as a number what a file has as text
        if ways := {str(value): value for value in column.categories}:
            cells = frame[column.name].astype(object)
            frame[column.name] = cells.map(lambda cell, ways=ways: ways.get(str(plain_value(cell)), cell))
    return frame


def layout_as(frame: pd.DataFrame, shape: SeriesShape, options: SeriesOptions, name: str) -> Layout:
    """Return what columns are, by those of a shape; others are passed over."""
    missing = missing_words(options.missing, options.known)
    columns, fields = {column.name: column for column in shape.columns}, []
    for each in frame.columns:
        if each not in columns:
            fields.append(Field(each, "passed", "not of the run"))
        else:
            fields.append(field_as(columns[each], frame[each][known_cells(frame[each], missing)], name))
    return Layout(tuple(fields), missing)


def field_as(column: Column, present: pd.Series, name: str) -> Field:
    """Return a column of training as the known cells of another record have it."""
    text = is_text(present) and bool(present.map(lambda cell: isinstance(cell, str)).all())
    field = Field(column.name, "learnt", text=text, column=column)
    if column.categories:
        new = sorted(set(present.map(plain_value)) - set(column.categories), key=str)
        if new:
            known, odd = ", ".join(map(str, column.categories[:10])), short(str(new[0]))
            raise InputError(f"{name}: {column.name} is {odd} there, which the run never saw; it knows {known}")
        return field
    if not len(present):
        return field
    field = replace(field, form=comma_form(present) if text else "")
    values = field.read(present, np.ones(len(present), bool))
    if unit := other_unit(column, float(np.median(values))):
        raise InputError(
            f"{name}: {column.name} is about {unit} those that the run learnt from, {column.low:g} to {column.high:g}: "
            "another unit?"
        )
    return field


def other_unit(column: Column, middle: float) -> str:
    """Return by how much the middle value differs from what was learnt, where another unit would bring it there, or ""."""
    low, high = column.low - FAR * column.scale, column.high + FAR * column.scale
    if low <= middle <= high:
        return ""
    for unit in UNITS:
        if column.low <= middle / unit <= column.high:
            return f"{unit:,.0f} times"
        if column.low <= middle * unit <= column.high:
            return f"1/{unit:,.0f} of"
    return ""
