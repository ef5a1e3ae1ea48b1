"""Tables of a database: found, read in the order of their key, and made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pandas as pd
import sqlalchemy as sql

from genloom.data.tables.database import CHUNK, address_of, engine_of, find_table
from genloom.errors import InputError, nearest

KINDS = ("sqlite", "postgresql")  # where creating a table can be undone with the rest of a transaction


@dataclass
class DatabaseTable:
    """A table of a database, read in the order of its key.

    Attributes:
        keys: the columns that name its rows.
    """

    engine: sql.Engine
    table: sql.Table
    keys: list[str]

    @property
    def name(self) -> str:
        return self.table.name

    def chunks(self) -> Iterator[pd.DataFrame]:
        with self.engine.connect() as connection:
            yield from self.read(connection, self.table)

    def read(self, connection: sql.Connection, table: sql.Table) -> Iterator[pd.DataFrame]:
        """Yield the rows of the table, or of a copy of it; none is being read while the caller has a chunk."""
        keys = [table.c[key] for key in self.keys]
        last: Sequence[Any] | None = None
        first = 0
        while True:
            query = sql.select(table).order_by(*keys).limit(CHUNK)
            if last is not None:
                query = query.where(
                    sql.tuple_(*keys) > sql.tuple_(*(sql.literal(v, k.type) for v, k in zip(last, keys, strict=True)))
                )
            try:
                rows = connection.execute(query).all()
            except (ValueError, TypeError) as error:  # SQLite lets a column hold what is not of its type
                raise InputError(f"{self.name} holds a cell that is not of its column's type: {error}") from None
            if not rows:
                return
            before, last = last, [rows[-1]._mapping[key] for key in self.keys]
            if before == last:
                raise InputError(
                    f"the key {', '.join(self.keys)} of {self.name} does not come back as it was written; "
                    "name another with --key"
                )
            frame = pd.DataFrame([tuple(row) for row in rows], columns=list(table.c.keys()))
            for column in table.c:  # whole numbers beside holes would lose digits as floating ones
                if isinstance(column.type, sql.Integer) and not isinstance(column.type, sql.Boolean):
                    frame[column.name] = whole(frame[column.name])
            frame.index = range(first, first + len(frame))
            yield frame
            first += len(rows)


def whole(cells: pd.Series) -> pd.Series:
    """Return cells as whole numbers with holes; as they are where SQLite holds something else there."""
    try:
        return cells.astype("Int64")
    except (TypeError, ValueError):
        return cells


def writable_engine(url: str) -> sql.Engine:
    """Return the engine of an address, of a database that a repair can be written into.

    Raises:
        InputError: it is none, or of a kind that is not served, or its driver is not installed.
    """
    address = address_of(url)
    kind = address.get_backend_name()
    if kind not in KINDS:
        raise InputError(
            f"databases of the kind {kind!r} cannot be repaired in one transaction; SQLite and PostgreSQL can: "
            "write the table to a .csv and repair that"
        )
    if kind == "sqlite" and address.query.get("mode") == "ro":
        raise InputError("the address says read-only (mode=ro), and a repair is written into the database: leave mode away")
    return engine_of(url, "; nothing was written")


def find(engine: sql.Engine, name: str, keys: list[str]) -> DatabaseTable:
    """Return the table of that name.

    Raises:
        InputError: there is none, or nothing names its rows.
    """
    table = find_table(engine, name)
    own = [column.name for column in table.primary_key.columns]
    if not (keys or own):
        raise InputError(
            f"{name} has no primary key, so a repair could not say which row it is of; name columns that "
            "differ in every row: --key NAME"
        )
    for key in keys:
        if key not in table.c:
            raise InputError(f"{name} has no column {key!r}{nearest(key, table.c.keys())}")
    source = DatabaseTable(engine, table, keys or own)
    check_keys(source)  # of a table's own key too: SQLite lets parts of it be missing
    return source


def check_keys(source: DatabaseTable) -> None:
    """Raise InputError where keys are missing or stand in several rows."""
    columns = [source.table.c[key] for key in source.keys]
    named = ", ".join(source.keys)
    with source.engine.connect() as connection:
        if connection.execute(sql.select(sql.literal(1)).where(sql.or_(*(c.is_(None) for c in columns))).limit(1)).first():
            raise InputError(f"the key {named} of {source.name} is missing in some rows: name columns that every row has")
        twice = sql.select(*columns).group_by(*columns).having(sql.func.count() > 1).limit(1)
        if row := connection.execute(twice).first():
            shown = ", ".join(map(str, row))
            raise InputError(
                f"the key {named} of {source.name} is not of one row alone: {shown} is in several; add columns "
                "with another --key"
            )


def copy_of(source: DatabaseTable, name: str) -> sql.Table:
    """Return what a copy of the table is: the same columns and key, without links to other tables."""
    columns = [
        sql.Column(
            c.name, kind_of(c), primary_key=c.name in source.keys, nullable=c.name not in source.keys, autoincrement=False
        )
        for c in source.table.c
    ]
    return sql.Table(name, sql.MetaData(), *columns, schema=source.table.schema)


class Untyped(sql.types.UserDefinedType[Any]):
    """The type of an SQLite column that was given none."""

    def get_col_spec(self, **_: Any) -> str:
        return ""


def kind_of(column: sql.Column[Any]) -> sql.types.TypeEngine[Any]:
    """Return the type with which a column can be made again."""
    return Untyped() if isinstance(column.type, sql.types.NullType) else column.type


def log_table(source: DatabaseTable) -> sql.Table:
    """Return what the table of repairs is: keyed as the table, and by column."""
    keys = [sql.Column(key, kind_of(source.table.c[key]), primary_key=True, autoincrement=False) for key in source.keys]
    for name in ("column_name", "value", "low", "high", "probabilities", "method", "certainty", "trusted", "doubt"):
        if name in source.keys:
            raise InputError(f"a key column called {name!r} cannot stand beside the log's own: rename it")
    rest = [
        sql.Column("column_name", sql.String(255), primary_key=True),
        *(sql.Column(name, sql.Text) for name in ("value", "low", "high", "probabilities")),
        sql.Column("method", sql.String(64)),
        sql.Column("certainty", sql.Float),
        sql.Column("trusted", sql.Boolean),
        sql.Column("doubt", sql.Text),
    ]
    return sql.Table(f"{source.name}_repairs", sql.MetaData(), *keys, *rest, schema=source.table.schema)


def check_targets(source: DatabaseTable, tables: list[sql.Table], replacing: bool) -> None:
    """Raise InputError where a table to be written is there already, or may not be made: better now than after training."""
    seen = sql.inspect(source.engine)
    there = [table.name for table in tables if seen.has_table(table.name, table.schema)]
    if there and not replacing:
        raise InputError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already, by an earlier repair; "
            "say --replace to write them anew"
        )
    for table in tables:
        names = {c["name"] for c in seen.get_columns(table.name, table.schema)} if table.name in there else set()
        if names and names not in (set(table.c.keys()), set(table.c.keys()) - {"certainty"}):  # an older log has none
            raise InputError(f"{table.name} is there already and has other columns than a repair would write: rename it")
    with source.engine.connect() as connection, connection.begin() as trial:
        try:
            make(connection, source, tables, replacing, rows=False)
        finally:
            trial.rollback()


def drop_draws(connection: sql.Connection, source: DatabaseTable, first: int) -> None:
    """Drop the drawn tables of an earlier repair from a number on, which would not go with this one."""
    for i in count(first):
        stale = sql.Table(f"{source.name}_draw{i}", sql.MetaData(), schema=source.table.schema)
        seen = sql.inspect(connection)
        if not seen.has_table(stale.name, stale.schema):
            return
        if {column["name"] for column in seen.get_columns(stale.name, stale.schema)} == set(source.table.c.keys()):
            stale.drop(connection)


def make(
    connection: sql.Connection, source: DatabaseTable, tables: list[sql.Table], replacing: bool, rows: bool = True
) -> None:
    """Make the tables; all but the last get the rows of the source, copied by the database itself."""
    for table in tables:
        if replacing:
            table.drop(connection, checkfirst=True)
        table.create(connection)
    if replacing:
        drop_draws(connection, source, len(tables) - 1)
    origin = source.table
    for copy in tables[:-1] if rows else []:  # the source is read once, since others may write to it meanwhile
        connection.execute(sql.insert(copy).from_select(list(copy.c.keys()), sql.select(origin)))
        origin = tables[0]
