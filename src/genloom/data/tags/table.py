"""Tables of tags: a row a picture, or a row a tag."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genloom.errors import InputError
from genloom.reading import content_of

PICTURE = ("file", "filename", "picture", "image", "name", "path")
TAGS = ("tags", "tag", "keywords", "keyword", "labels", "words")
SPLIT = ("split", "part")
MARKS = re.compile("[;|,]")  # between the tags of a cell
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}


@dataclass
class Tags:
    """The tags of pictures by name, in small letters; `parts`, what the table says of which split a picture is in."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def read_tags(path: Path) -> Tags:
    """Return a table of tags: columns `file` and `tags`; of a picture in one cell, with ; | or , between, or in rows.

    A first line that names no such columns is a row like the others: the picture, then its tags. A column `split` says which
    pictures are test.

    Raises:
        InputError: it is missing, no text, or holds no tags.
    """
    rows = rows_of(path)
    heads = [cell.lower() for cell in rows[0]] if rows else []
    name, tags, split = (column(heads, known) for known in (PICTURE, TAGS, SPLIT))
    headed = tags is not None and (name is not None or not any("." in cell for cell in heads))
    if (headed and name is None) or (tags is None and heads and heads[0] in PICTURE):
        lacks = "that of the pictures `file`" if name is None else "that of the tags `tags`"
        raise InputError(f"{path} has the columns {', '.join(head or '(no name)' for head in heads)}: call {lacks}")
    if not headed:
        name, tags, split = 0, None, None
    found = Tags()
    for cells in rows[1:] if headed else rows:
        if not (picture := cell_of(cells, name)):
            continue
        known = found.tags.setdefault(picture, [])
        given = cells[1:] if tags is None else [cell_of(cells, tags), *cells[len(heads) :]]  # a row may have more than heads
        known += [tag for tag in dict.fromkeys(tag for cell in given for tag in split_up(cell)) if tag not in known]
        if split is not None and (part := cell_of(cells, split).lower()):
            found.parts[picture] = PARTS.get(part, part)
    if not any(found.tags.values()):
        raise InputError(f"{path} holds no tags: a line such as photo.jpg,dog;beach is wanted for each picture")
    return found


def rows_of(path: Path) -> list[list[str]]:
    """Return the rows of a table, separated by commas, or by tabs or semicolons where the first line has no comma."""
    try:
        text = content_of(path, "table of tags").decode("utf-8-sig")
        first = text.partition("\n")[0]
        mark = next((mark for mark in ",\t;" if mark in first), ",")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=None), delimiter=mark)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 (byte {error.start:,}): save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table of tags ({error})") from None
    return [row for row in rows if any(row)]


def column(heads: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the place of the first column that is called so."""
    return next((heads.index(name) for name in known if name in heads), None)


def cell_of(cells: Sequence[str], place: int | None) -> str:
    """Return a cell of a row, which may be short."""
    return cells[place] if place is not None and place < len(cells) else ""


def split_up(cell: str) -> list[str]:
    """Return the tags of a cell in small letters, spaces within as underscores."""
    tags = ("_".join(tag.lower().split()) for tag in MARKS.split(cell))
    return [tag for tag in tags if tag]
