"""What requests bring and what they are answered with, as files of the kinds that the commands read and write."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.core.model import Model
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.columns import Column
from genloom.shapes.table import TableShape
from genloom.use.export.alone import coded
from genloom.use.sampling.draw import checked

TYPES = {  # of files, by what they are called on the way
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "text/csv": ".csv",
    "audio/midi": ".mid",
    "application/x-npy": ".npy",
    "application/json": ".json",
    "text/html": ".html",
}
PICTURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/bmp": ".bmp", "image/gif": ".gif"}
PICTURES |= {"image/tiff": ".tiff", "application/octet-stream": ".png"}
DEEP = PICTURES | {"application/x-npy": ".npy"}  # where pictures may be of more than 8 bits
MISSING = ("", "na", "nan", "null", "none")
FARTHEST, DAY = 1e6, 86_400  # deviations that a cell may be off; seconds


@contextmanager
def as_file(content: bytes, suffix: str) -> Iterator[Path]:
    """Give a request's body as a file in a folder of its own; what is said of it names no place of this machine."""
    with tempfile.TemporaryDirectory(prefix="genloom-serve-") as folder:
        path = Path(folder) / f"body{suffix}"
        path.write_bytes(content)
        try:
            yield path
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "").replace(folder, "")) from None


def written(shape: Shape, parts: Sequence[Tensor], n: int, suffix: str) -> bytes:
    """Return samples `[n, *dims]` as a file of this kind."""
    with as_file(b"", suffix) as path:
        shape.write(iter(parts), n, path)
        return path.read_bytes()


def file_of(image: Any, suffix: str = ".png") -> bytes:
    """Return a pillow image, or an array, as a file."""
    held = io.BytesIO()
    if suffix == ".npy":
        np.save(held, np.asarray(image))
    else:
        image.save(held, {".jpg": "JPEG", ".webp": "WEBP"}.get(suffix, "PNG"))
    return held.getvalue()


def chosen_type(accept: str, offered: Sequence[str]) -> str:
    """Return the type that a request accepts, of those that are offered, the usual one first; "" where it accepts none."""
    asked: list[tuple[float, int, str]] = []
    for place, each in enumerate(accept.split(",") if accept.strip() else ["*/*"]):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        said = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            asked.append((-float(said), place, kind))
        except ValueError:
            asked.append((-1.0, place, kind))
    never = {kind for weight, _, kind in asked if not weight}
    for weight, _, kind in sorted(asked):
        family = kind.partition("/")[0]
        for each in offered:
            if (
                weight < 0
                and each not in never
                and (kind in ("*/*", each) or (kind.endswith("/*") and each.startswith(f"{family}/")))
            ):
                return each
    return ""


# -- rows of a table -------------------------------------------------------------------------------


def rows_of_csv(content: bytes, names: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Return the rows of a CSV file that has these columns, or some of them, one row more than `most` at most.

    Raises:
        InputError: it is no CSV file, or has other columns, or one twice.
    """
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        refuse_columns(header, names)
        rows = []
        for cells in reader:
            if len(cells) > len(header):
                raise InputError("the body has a row with more cells than there are columns")
            if cells:
                rows.append(dict(zip(header, cells, strict=False)))
            if len(rows) > most:
                break
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the body is no CSV file in UTF-8: {error}") from None
    if not rows:
        raise InputError("the body has no rows: a CSV file begins with the names of its columns")
    return rows


def refuse_columns(header: Sequence[str], names: Sequence[str]) -> None:
    """Raise InputError where a column is not among the names, or comes twice."""
    known = {name.strip() for name in names}
    if strange := [name for name in header if name not in known][:1]:
        raise InputError(f"there is no column {strange[0][:80]!r}, but {', '.join(names)[:300]}")
    if len(set(header)) < len(header):
        raise InputError("a column comes twice")


def codes_of(rows: Sequence[Mapping[str, Any]], shape: TableShape) -> tuple[Tensor, Tensor]:
    """Return rows by column names as codes `[n, D]`, and which cells are known; InputError for a cell that cannot be."""
    names = [column.name for column in shape.columns]
    x, mask = torch.zeros(len(rows), len(names)), torch.zeros(len(rows), len(names), dtype=torch.bool)
    for i, row in enumerate(rows):
        refuse_columns([str(name).strip() for name in row], names)
        cells = {str(name).strip(): cell for name, cell in row.items()}
        for d, column in enumerate(shape.columns):
            cell = cells.get(column.name.strip())
            cell = cell.strip() if isinstance(cell, str) else cell
            if cell is not None and str(cell).lower() not in MISSING:
                x[i, d], mask[i, d] = code_of(cell, column, i), True
    return x, mask


def code_of(cell: Any, column: Column, row: int) -> float:
    """Return the code of a cell; InputError where it is none of its column."""
    where = f"row {row + 1}, {column.name}"
    if isinstance(cell, list | dict):
        raise InputError(f"{where}: a cell is one value")
    if column.categories:
        return place_of(cell, column.categories, where)
    try:
        if isinstance(cell, bool) or "_" in str(cell):
            raise ValueError
        code = coded(asdict(column), cell)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{where}: {str(cell)[:80]!r} is no {'date' if column.kind == 'date' else 'number'}") from None
    if not abs(code) < FARTHEST:
        raise InputError(f"{where}: {str(cell)[:80]} is beyond all that was seen, {column.low:g} to {column.high:g}")
    return code


def place_of(cell: Any, categories: Sequence[Any], where: str) -> float:
    """Return the place of a category, however it is written: 2 for 2.0, TRUE for true."""
    said = str(cell).casefold()
    for place, each in enumerate(categories):
        if said == str(each).casefold() or (isinstance(each, float) and each.is_integer() and said == str(int(each))):
            return float(place)
    raise InputError(f"{where}: there is no category {str(cell)[:80]!r}, but {', '.join(map(str, categories))[:300]}")


def filled_rows(given: Sequence[Mapping[str, Any]], mask: Tensor, codes: Tensor, shape: TableShape) -> list[dict[str, Any]]:
    """Return rows with what was known as it was given, and what was filled in as their columns hold it.

    Raises:
        InputError: what was filled in is no number.
    """
    values = shape.decode(checked(codes))
    found = []
    for i, row in enumerate(given):
        cells = {str(name).strip(): cell for name, cell in row.items()}
        found.append(
            {
                column.name: cells[column.name.strip()] if mask[i, d] else written_cell(column, values[column.name][i])
                for d, column in enumerate(shape.columns)
            }
        )
    return found


def written_cell(column: Column, value: Any) -> Any:
    """Return a value that was filled in as people write it: dates as text, whole numbers whole."""
    if column.kind == "date" and not column.categories:
        moment = np.datetime64(round(value), "s")
        return str(moment.astype("datetime64[D]") if column.step and column.step % DAY == 0 else moment)
    if isinstance(value, float) and (column.kind == "integer" or column.categories) and value.is_integer():
        return int(value)
    return float(f"{value:.10g}") if isinstance(value, float) else value


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a CSV file."""
    held = io.StringIO(newline="")
    writer = csv.DictWriter(held, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return held.getvalue().encode()


def rows_of_samples(model: Model, x: Tensor) -> Any:
    """Return samples `[n, *dims]` as JSON has them: rows of tables and records by name, else nested lists."""
    rows = getattr(model.shape, "rows", None)  # what a row of a record is
    if rows is not None:
        return [named_rows(rows, window) for window in x]
    return named_rows(model.shape, x) if isinstance(model.shape, TableShape) else x.tolist()


def named_rows(shape: TableShape, x: Tensor) -> list[dict[str, Any]]:
    """Return codes `[n, D]` as rows by name."""
    values = {
        column.name: [written_cell(column, each) for each in cells]
        for column, cells in zip(shape.columns, shape.decode(x).values(), strict=True)
    }
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
