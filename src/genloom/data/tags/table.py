"""Tables of tags: a row a picture, or a row a tag."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genloom.errors import InputError
from genloom.reading import content_of

PICTURE = ("file", "filename", "picture", "image", "name", "path")
TAGS = ("tags", "tag", "keywords", "keyword", "labels", "words")
SPLIT = ("split", "part")
MARKS = (";", "|", ",")  # between the tags of a cell


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
    content = content_of(path, "table of tags")
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of tags ({error})") from None
    heads = [cell.strip().lower() for cell in rows[0]] if rows else []
    name, tags, split = (column(heads, known) for known in (PICTURE, TAGS, SPLIT))
    headed = tags is not None
    if tags is not None and name is None:
        raise InputError(f"{path} has a column {heads[tags]!r} and none for the pictures: call that one `file`")
    found = Tags()
    for row in rows[1:] if headed else rows:
        cells = [cell.strip() for cell in row]
        picture = cell_of(cells, name or 0)
        given = split_up(cell_of(cells, tags)) if tags is not None else [tag for cell in cells[1:] for tag in split_up(cell)]
        if picture:
            known = found.tags.setdefault(picture, [])
            known += [tag for tag in dict.fromkeys(given) if tag not in known]
            if split is not None:
                found.parts[picture] = cell_of(cells, split).lower()
    if not any(found.tags.values()):
        raise InputError(f"{path} holds no tags: a line such as photo.jpg,dog;beach is wanted for each picture")
    return found


def column(heads: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the place of the first column that is called so."""
    return next((heads.index(name) for name in known if name in heads), None)


def cell_of(cells: Sequence[str], place: int) -> str:
    """Return a cell of a row, which may be short."""
    return cells[place] if place < len(cells) else ""


def split_up(cell: str) -> list[str]:
    """Return the tags of a cell in small letters, spaces within as underscores."""
    mark = next((mark for mark in MARKS if mark in cell), ";")
    tags = ("_".join(tag.lower().split()) for tag in cell.split(mark))
    return [tag for tag in tags if tag]
