"""Repair of a table in a file: one pass to count and to sample, one to write; and what is said about it."""

# n rows

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from genloom.data.tables.base import Cells
from genloom.data.tables.files import find_table
from genloom.data.tables.layout import Layout, checked_names, known_cells
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.columns import Numbers
from genloom.use.tables.fixes import Fix
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Settings

SAMPLE = 100_000  # rows that are held to learn from
SHOWN = 2000  # values of a column that are kept for its picture
WORST = 5  # of a column, the least certain cells that the report names
LOG = ("row", "column", "value", "low", "high", "probabilities", "method", "certainty", "trusted", "doubt")


@dataclass
class Outcome:
    """What a repair did.

    Attributes:
        source, target: what was read and what was written, in words.
        rows: of the table.
        missing, filled: cells by column.
        words: how many cells were taken as missing for what they say, by word.
        doubtful: filled cells that are not to be trusted, by column.
        worst: by column, lines of the log about its least certain cells that are not to be trusted.
        known, new: values of some known and some filled cells by column, from all over the table, for pictures.
        written: files or tables that were written.
    """

    source: str
    repairer: Repairer
    rows: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, int] = field(default_factory=dict)
    worst: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    known: dict[str, Numbers] = field(default_factory=dict)
    new: dict[str, Sample] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def count(self, frame: pd.DataFrame, words: frozenset[str]) -> None:
        """Count rows, missing cells, and what was taken for one.

        Raises:
            InputError: two columns have the same name.
        """
        self.rows += len(frame)
        for name, label in zip(checked_names(frame), frame.columns, strict=True):
            holes = ~known_cells(frame[label], words)
            self.missing[name] = self.missing.get(name, 0) + int(holes.sum())
            said = frame[label][holes].dropna().astype(str).str.strip()
            for word, count in said[said != ""].value_counts().items():
                self.words[str(word)] = self.words.get(str(word), 0) + int(count)

    def note(self, fix: Fix, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Count a fix and yield its lines of the log; `rows` names the rows of its cells."""
        name = fix.field.name
        self.filled[name] = self.filled.get(name, 0) + len(fix.cells)
        self.doubtful[name] = self.doubtful.get(name, 0) + sum(map(bool, fix.doubts))
        self.new.setdefault(name, Sample()).add(fix.values)
        doubted: list[dict[str, Any]] = []
        for line in log_lines(fix, rows):
            if line["doubt"]:
                doubted.append(line)
            yield line
        worst = self.worst.get(name, []) + doubted
        self.worst[name] = sorted(worst, key=lambda line: line["certainty"])[:WORST]

    def left(self) -> dict[str, int]:
        """Return how many cells are still missing, by column, where there are any."""
        counts = {name: count - self.filled.get(name, 0) for name, count in self.missing.items()}
        return {name: count for name, count in counts.items() if count}


class Sample:
    """A fair sample of at most some thousand of all values that it is given."""

    def __init__(self) -> None:
        self.values, self.keys = np.zeros(0), np.zeros(0)
        self.generator = np.random.default_rng(0)

    def add(self, values: Numbers) -> None:
        """Take values `[n]` into account: those with the least random keys stay."""
        keys = np.concatenate([self.keys, self.generator.random(len(values))])
        kept = np.argsort(keys, kind="stable")[:SHOWN]
        self.values, self.keys = np.concatenate([self.values, values])[kept], keys[kept]


def log_lines(fix: Fix, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield a line of the log for each filled cell."""
    column = fix.field.column
    numbers = column is not None and not column.levels
    ends = [shown_ends(fix, end) if numbers else [""] * len(fix.cells) for end in (fix.low, fix.high)]
    for i, (row, cell, doubt) in enumerate(zip(rows, fix.cells, fix.doubts, strict=True)):
        certain = round(float(fix.certain[i]), 3)
        trusted = "no" if doubt else "yes"
        known = (ends[0][i], ends[1][i], fix.probabilities(i))
        values = (row, fix.field.name, cell, *known, fix.method, certain, trusted, doubt)
        yield dict(zip(LOG, values, strict=True))


def shown_ends(fix: Fix, ends: Numbers) -> list[Any]:
    """Return ends of intervals as they are shown: dates as dates, numbers with six digits."""
    column = fix.field.column
    assert column is not None
    return fix.field.say(ends) if column.kind == "date" else [f"{end:.6g}" for end in ends]


def repair_file(
    source: str, out: str, settings: Settings, draws: int = 0, say: Callable[[str], None] = lambda text: None
) -> Outcome:
    """Repair a table in a file: write it whole to `out`, a log beside it, and as many drawn versions as asked for.

    Raises:
        InputError: the table cannot be read or understood, or nothing can be filled in, or a file cannot be written.
    """
    table, target = find_table(source), Path(out).expanduser()
    log = target.with_name(f"{plain_stem(target)}.repairs.csv")
    drawn = [target.with_name(f"{plain_stem(target)}.draw{i + 1}{''.join(suffixes(target))}") for i in range(draws)]
    if any(path.exists() and path.samefile(table.path) for path in (target, log, *drawn)):
        raise InputError(f"{source} would be written over by -o {out}, and is to stay as it is: name another file")
    if kind_of(target) != kind_of(table.path):
        raise InputError(f"{source} is {kind_of(table.path)}: name a file of the same kind after -o, not {target.name}")
    if odd := next((path for path in (target, log, *drawn) if path.exists() and not path.is_file()), None):
        raise InputError(f"{odd} would be written, but stands there and is no plain file: name another after -o")
    outcome = Outcome(source, Repairer(settings, say))
    say("reading the table")
    sample = look_through(table, settings, outcome)
    if not any(outcome.missing.values()):
        with replaced(target) as part:
            shutil.copyfile(table.path, part)
        outcome.written.append(str(target))
        return outcome
    outcome.repairer.fit(sample, outcome.missing)
    if draws:
        outcome.repairer.drawing()
    keep_known(outcome, sample)
    say("filling in")
    with replaced(log) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG)
        writer.writeheader()

        def fill(frame: pd.DataFrame, first: int) -> Iterator[Cells]:
            fixes = outcome.repairer.fix(frame)
            for fix in fixes:
                writer.writerows(outcome.note(fix, (np.flatnonzero(fix.rows) + first + 1).tolist()))
            yield {fix.field.name: (fix.rows, fix.cells) for fix in fixes}
            yield from outcome.repairer.draws(frame, draws)

        table.rewrite([target, *drawn], fill)
    outcome.written += [str(target), str(log), *map(str, drawn)]
    return outcome


class Rows(Protocol):
    """Rows, some thousands at a time."""

    def chunks(self) -> Iterator[pd.DataFrame]: ...


def look_through(table: Rows, settings: Settings, outcome: Outcome) -> pd.DataFrame:
    """Count rows and missing cells; return a fair sample of the rows, all where they are few.

    Raises:
        InputError: the table has no row, or two columns of the same name, or, where no cell is missing, one that mixes
            what a repair could not understand: a mark for missing cells, perhaps, that was not recognised.
    """
    words = settings.words()
    generator = np.random.default_rng(settings.seed)
    held: list[pd.DataFrame] = []
    keys: list[Numbers] = []
    for frame in table.chunks():
        outcome.count(frame, words)
        held.append(frame)
        keys.append(generator.random(len(frame)))
        if sum(map(len, held)) > 2 * SAMPLE:
            held, keys = thinned(held, keys)
    if not outcome.rows:
        raise InputError(f"{outcome.source} has no row")
    held, keys = thinned(held, keys)
    if not any(outcome.missing.values()):
        Layout.study(held[0], settings.kinds, words, settings.keys)
    return held[0]


def thinned(held: list[pd.DataFrame], keys: list[Numbers]) -> tuple[list[pd.DataFrame], list[Numbers]]:
    """Keep the rows with the least keys, which are random: a fair sample of all rows seen."""
    frame, key = pd.concat(held), np.concatenate(keys)
    if len(frame) > SAMPLE:
        chosen = np.sort(np.argpartition(key, SAMPLE)[:SAMPLE])
        frame, key = frame.iloc[chosen], key[chosen]
    return [frame], [key]


def keep_known(outcome: Outcome, sample: pd.DataFrame) -> None:
    """Keep some known values of each learnt column, from all over the sample."""
    part = sample.iloc[np.unique(np.linspace(0, len(sample) - 1, 2 * SHOWN).astype(int))]
    known = outcome.repairer.layout.known(part)
    for item, name in zip(outcome.repairer.layout.fields, part.columns, strict=True):
        if item.column is not None:
            values = item.read(part[name], known[item.name])
            outcome.known[item.name] = values[np.isfinite(values)]


def suffixes(path: Path) -> list[str]:
    """Return the endings of a file's name that say what it is: `.csv`, or `.csv.gz`."""
    return path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]


def plain_stem(path: Path) -> str:
    """Return a file's name without those endings."""
    return path.name.removesuffix("".join(suffixes(path)))


def kind_of(path: Path) -> str:
    """Return in a word what kind of file a name means."""
    endings = "".join(suffixes(path)).lower()
    return (
        "Parquet" if endings in (".parquet", ".pq") else endings[1:4].upper() if endings[:4] in (".csv", ".tsv") else endings
    )
