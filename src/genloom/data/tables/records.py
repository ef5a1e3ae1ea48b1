"""Records of a CSV file, raw: cut into fields without losing a byte, and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST = 1 << 23  # letters of a line, and of a record


@dataclass
class Record:
    """A line of a CSV file, or several where a quoted field holds line ends: its raw fields and how it ends."""

    fields: list[str]
    end: str
    whole: bool = True


def agreement(lines: Sequence[str], mark: str) -> float:
    """Return how well a delimiter fits: the fields that it gives, where all records agree."""
    counts = [len(record.fields) for record in split_lines(lines, mark) if record.whole and record.fields != [""]]
    return counts[0] * (sum(count == counts[0] for count in counts) / len(counts)) ** 2 if counts else 0


def split_lines(lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Yield the records of lines; a last one that is not whole has a quote that is never closed."""
    held = ""
    for line in lines:
        inside = bool(held)
        held += line
        if inside and '"' not in line and len(held) <= LONGEST:  # nothing here closes the quote
            continue
        text = held.rstrip("\r\n")
        fields, whole = split_record(text, delimiter)
        if whole or len(held) > LONGEST:
            yield Record(fields, held[len(text) :], whole)
            held = ""
    if held:
        yield Record(split_record(held, delimiter)[0], "", False)


def split_record(text: str, delimiter: str) -> tuple[list[str], bool]:
    """Split a record into raw fields, quotes and all; also say whether its last quoted field is closed.

    A quote counts where a field begins with it, after blanks; elsewhere it is a letter like others: `5" pipe`.
    """
    if '"' not in text:
        return text.split(delimiter), True
    fields: list[str] = []
    start = 0
    while True:
        first = start
        while text[first : first + 1] == " ":
            first += 1
        after = start
        if text[first : first + 1] == '"':
            after = closing_quote(text, first + 1)
            if after < 0:
                return [*fields, text[start:]], False
        end = text.find(delimiter, after)
        if end < 0:
            return [*fields, text[start:]], True
        fields.append(text[start:end])
        start = end + 1


def closing_quote(text: str, place: int) -> int:
    """Return the place after the quote that closes a field, -1 where none does; two quotes stand for one."""
    while True:
        place = text.find('"', place)
        if place < 0:
            return -1
        if text[place + 1 : place + 2] != '"':
            return place + 1
        place += 2


def unquoted(field: str) -> str:
    """Return what a raw field says."""
    stripped = field.strip()
    if len(stripped) >= 2 and stripped[0] == stripped[-1] == '"':
        return stripped[1:-1].replace('""', '"')
    return field


def quoted(cell: str, delimiter: str) -> str:
    """Return a cell as a raw field."""
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in (delimiter, '"', "\n", "\r")) else cell
