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
from genloom.shapes.table import TableShape
from genloom.use.export.alone import coded

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
PICTURES |= {"image/tiff": ".tiff", "application/x-npy": ".npy", "application/octet-stream": ".png"}
MISSING = ("", "na", "nan", "null", "none")


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
    for weight, _, kind in sorted(asked):
        family = kind.partition("/")[0]
        for each in offered:
            if weight < 0 and (kind in ("*/*", each) or (kind.endswith("/*") and each.startswith(f"{family}/"))):
                return each
    return ""


# -- rows of a table -------------------------------------------------------------------------------


def rows_of_csv(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a CSV file; InputError where it is none."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        rows = [row for row in reader if any(row.values())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the body is no CSV file in UTF-8: {error}") from None
    if not rows:
        raise InputError("the body has no rows: a CSV file begins with the names of its columns")
    if any(None in row for row in rows):
        raise InputError("the body has a row with more cells than there are columns")
    return rows


def codes_of(rows: Sequence[Mapping[str, Any]], shape: TableShape) -> tuple[Tensor, Tensor]:
    """Return rows by column names as codes `[n, D]`, and which cells are known; InputError for a cell that cannot be."""
    columns = [asdict(column) for column in shape.columns]
    names = {column["name"].strip() for column in columns}
    x, mask = torch.zeros(len(rows), len(columns)), torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for i, row in enumerate(rows):
        cells = {str(name).strip(): cell for name, cell in row.items()}
        if strange := sorted(cells.keys() - names):
            raise InputError(f"row {i + 1} has a column {strange[0][:80]!r}; there is {', '.join(sorted(names))[:300]}")
        for d, column in enumerate(columns):
            cell = cells.get(column["name"].strip())
            if cell is None or str(cell).strip().lower() in MISSING:
                continue
            x[i, d], mask[i, d] = code_of(cell, column, i), True
    return x, mask


def code_of(cell: Any, column: Mapping[str, Any], row: int) -> float:
    """Return the code of a cell; InputError where it is none of its column."""
    try:
        if isinstance(cell, bool | list | dict) and not column["categories"]:
            raise ValueError(f"{column['name']} takes {column['kind']} values, not {cell!r}")
        code = float(coded(dict(column), cell))
        if not abs(code) < 1e30:
            raise ValueError(f"{column['name']} is out of all range")
        return code
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"row {row + 1}: {str(error)[:300]}") from None


def filled_rows(given: Sequence[Mapping[str, Any]], mask: Tensor, codes: Tensor, shape: TableShape) -> list[dict[str, Any]]:
    """Return rows with what was known as it was given, and what was filled in as their columns hold it."""
    values = shape.decode(codes)
    found = []
    for i, row in enumerate(given):
        cells = {str(name).strip(): cell for name, cell in row.items()}
        found.append(
            {
                column.name: cells[column.name.strip()] if mask[i, d] else values[column.name][i]
                for d, column in enumerate(shape.columns)
            }
        )
    return found


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a CSV file."""
    held = io.StringIO(newline="")
    writer = csv.DictWriter(held, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return held.getvalue().encode()


def rows_of_samples(model: Model, x: Tensor) -> Any:
    """Return samples `[n, *dims]` as JSON has them: rows of a table by name, else nested lists."""
    if isinstance(model.shape, TableShape):
        values = model.shape.decode(x)
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return x.tolist()
