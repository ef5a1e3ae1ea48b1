"""Repair of a table in a database, within it and in one transaction: SQLite and PostgreSQL, by SQLAlchemy.

`T_repaired` is a copy of the table T with its holes filled, `T_repairs` a line for each filled cell; T stays as it is.
"""

# n rows

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any

import pandas as pd
import sqlalchemy as sql

from genloom.data.tables.database import closing, told
from genloom.errors import InputError
from genloom.use.tables.database_tables import (
    DatabaseTable,
    check_targets,
    copy_of,
    find,
    log_table,
    make,
    writable_engine,
)
from genloom.use.tables.files import Outcome, keep_known, look_through
from genloom.use.tables.fixes import Fix
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Settings


def repair_database(
    url: str,
    name: str,
    settings: Settings,
    draws: int = 0,
    replacing: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Repair a table of a database.

    Args:
        url: as SQLAlchemy has it: `sqlite:///plant.db`, `postgresql://user@host/name`.
        name: of the table, with its schema before a dot where it is not the usual one.
        replacing: drop tables that an earlier repair wrote.

    Raises:
        InputError: the database does not answer or may not be written, there is no such table, it has no key, ...;
            nothing has been written.
    """
    engine = writable_engine(url)
    where = engine.url.render_as_string(hide_password=True)
    with told(where, "; nothing was written"), closing(engine):
        source = find(engine, name, list(settings.keys))
        links = {column.name: "passed" for column in source.table.c if column.foreign_keys}  # no mean points to a row
        settings = replace(settings, keys=source.keys, kinds=links | dict(settings.kinds))
        outcome = Outcome(f"{where} {name}", Repairer(settings, say))
        copies = [
            copy_of(source, f"{source.name}_repaired"),
            *(copy_of(source, f"{source.name}_draw{i + 1}") for i in range(draws)),
        ]
        log = log_table(source)
        check_targets(source, [*copies, log], replacing)
        sample = look_through(source, settings, outcome)
        if any(outcome.missing.values()):
            outcome.repairer.fit(sample, outcome.missing)
            if draws:
                outcome.repairer.drawing()
            keep_known(outcome, sample)
        with engine.begin() as connection:
            make(connection, source, [*copies, log], replacing)
            if any(outcome.missing.values()):
                write(connection, source, copies, log, outcome)
    outcome.written = [table.name for table in [*copies, log]]
    return outcome


def write(
    connection: sql.Connection, source: DatabaseTable, copies: list[sql.Table], log: sql.Table, outcome: Outcome
) -> None:
    """Fill the copies' holes and write the log, some thousands of rows at a time."""
    repairer, draws = outcome.repairer, len(copies) - 1
    for frame in source.read(connection, copies[0]):
        fixes = repairer.fix(frame)
        keys = frame[source.keys]
        for fix in fixes:
            connection.execute(sql.insert(log), logged(outcome, fix, keys[fix.rows]))
        first = {fix.field.name: (fix.rows, fix.cells) for fix in fixes}
        for copy, way in zip(copies, chain([first], repairer.draws(frame, draws)), strict=True):
            for column, (chosen, cells) in way.items():
                put(connection, copy, column, keys[chosen], cells)


def logged(outcome: Outcome, fix: Fix, keys: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a fix as rows of the log table."""
    rows = [tuple(map(plain, row)) for row in keys.itertuples(index=False)]
    named = [row[0] if len(row) == 1 else " ".join(map(str, row)) for row in rows]
    lines = zip(rows, outcome.note(fix, named), strict=True)
    return [dict(zip(keys.columns, row, strict=True)) | in_log(line) for row, line in lines]


def put(connection: sql.Connection, copy: sql.Table, column: str, keys: pd.DataFrame, cells: Sequence[Any]) -> None:
    """Set cells of one column by the keys of their rows."""
    if not len(cells):
        return
    mark = "_" * (1 + max(map(len, copy.c.keys())))  # a parameter may not be called as a column is
    names = [f"{mark}{i}" for i in range(keys.shape[1])]
    statement = sql.update(copy).values({column: sql.bindparam(mark)})
    for key, name in zip(keys.columns, names, strict=True):
        statement = statement.where(copy.c[key] == sql.bindparam(name))
    kind = copy.c[column].type
    lines = [
        {mark: for_column(cell, kind)} | dict(zip(names, map(plain, row), strict=True))
        for row, cell in zip(keys.itertuples(index=False), cells, strict=True)
    ]
    found = connection.execute(statement, lines).rowcount
    if 0 <= found != len(lines):
        raise InputError(
            f"the key {', '.join(keys.columns)} finds {found} of {len(lines)} rows again: its values do not "
            "come back as they were written; name another with --key; nothing was written"
        )


def in_log(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the log as the log table has it."""
    named = ("value", "low", "high", "probabilities", "method", "doubt")
    text = {name: None if line[name] == "" else str(line[name]) for name in named}
    plain = {"column_name": line["column"], "certainty": line["certainty"], "trusted": line["trusted"] == "yes"}
    return {**plain, **text}


def plain(value: Any) -> Any:
    """Return a value of numpy's or pandas' kinds as Python's own."""
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def for_column(cell: Any, kind: Any) -> Any:
    """Return a cell as a column's type takes it."""
    if isinstance(kind, sql.Date) and isinstance(cell, pd.Timestamp):
        return cell.date()
    if isinstance(kind, sql.DateTime) and kind.timezone and isinstance(cell, pd.Timestamp) and cell.tzinfo is None:
        return cell.tz_localize("UTC").to_pydatetime()  # else the session's zone would be taken
    if isinstance(kind, sql.Numeric) and kind.asdecimal:
        return Decimal(str(cell))
    return plain(cell)
