"""Repair of a table in a database, within it and in one transaction: SQLite and PostgreSQL, by SQLAlchemy.

`T_repaired` is a copy of the table T with its holes filled, `T_repairs` a line for each filled cell; T stays as it is.
"""

# n rows

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, count
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sql
from sqlalchemy import exc

from genloom.errors import InputError, nearest
from genloom.train.loop import Report
from genloom.use.tables.files import Outcome, keep_known, look_through
from genloom.use.tables.repair import Fix, Repairer, Settings

CHUNK = 20_000  # rows read at once
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
                raise InputError(f"the key {', '.join(self.keys)} of {self.name} does not come back as it was written; "
                                 "name another with --key")  # fmt: skip
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


def repair_database(url: str, name: str, settings: Settings, draws: int = 0, replacing: bool = False,
                    watch: Callable[[Report, int], None] | None = None) -> Outcome:  # fmt: skip
    """Repair a table of a database.

    Args:
        url: as SQLAlchemy has it: `sqlite:///plant.db`, `postgresql://user@host/name`.
        name: of the table, with its schema before a dot where it is not the usual one.
        replacing: drop tables that an earlier repair wrote.

    Raises:
        InputError: the database does not answer or may not be written, there is no such table, it has no key, ...;
            nothing has been written.
    """
    engine = engine_of(url)
    where = engine.url.render_as_string(hide_password=True)
    with told(where), closing(engine):
        source = find(engine, name, list(settings.keys))
        links = {column.name: "passed" for column in source.table.c if column.foreign_keys}  # no mean points to a row
        settings = replace(settings, keys=source.keys, kinds=links | dict(settings.kinds))
        outcome = Outcome(f"{where} {name}", Repairer(settings, watch))
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
        raise InputError(f"the key {', '.join(keys.columns)} finds {found} of {len(lines)} rows again: its values do not "
                         "come back as they were written; name another with --key; nothing was written")  # fmt: skip


def in_log(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the log as the log table has it."""
    text = {name: None if line[name] == "" else str(line[name]) for name in ("value", "low", "high", "method", "doubt")}
    agreement = None if line["agreement"] == "" else line["agreement"]
    return {"column_name": line["column"], "agreement": agreement, "trusted": line["trusted"] == "yes", **text}


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


# -- finding and making tables ---------------------------------------------------------------------


def engine_of(url: str) -> sql.Engine:
    """Return the engine of an address.

    Raises:
        InputError: it is none, or of a kind that is not served, or its driver is not installed.
    """
    try:
        address = sql.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise InputError(
            f"{url!r} is no address of a database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME is"
        ) from None
    kind = address.get_backend_name()
    if kind not in KINDS:
        raise InputError(f"databases of the kind {kind!r} cannot be repaired in one transaction; SQLite and PostgreSQL can: "
                         "write the table to a .csv and repair that")  # fmt: skip
    named = (address.database or "").removeprefix("file:")
    if kind == "sqlite" and not Path(named).is_file():
        raise InputError(f"no database at {address.database}: no such file")
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        engine = sql.create_engine(address)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, which reaches PostgreSQL: pip install 'genloom[postgres]'"
        ) from None
    if kind == "sqlite":  # Python's driver begins transactions late and would let CREATE TABLE stand
        sql.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sql.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@contextmanager
def closing(engine: sql.Engine) -> Iterator[None]:
    """Let go of all connections in the end."""
    try:
        yield
    finally:
        engine.dispose()


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what a database says went wrong into one sentence."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise InputError(f"{where}: {said}; nothing was written") from None


def find(engine: sql.Engine, name: str, keys: list[str]) -> DatabaseTable:
    """Return the table of that name.

    Raises:
        InputError: there is none, or nothing names its rows.
    """
    seen = sql.inspect(engine)
    schema, plain_name = "", name
    names = [*seen.get_table_names(), *seen.get_view_names()]
    if name not in names and "." in name:
        schema, _, plain_name = name.rpartition(".")
        names = [*seen.get_table_names(schema), *seen.get_view_names(schema)]
    if plain_name not in names:
        raise InputError(f"no table {name!r} in the database{nearest(plain_name, names)}")
    table = sql.Table(plain_name, sql.MetaData(), schema=schema or None, autoload_with=engine)
    own = [column.name for column in table.primary_key.columns]
    if not (keys or own):
        raise InputError(f"{name} has no primary key, so a repair could not say which row it is of; name columns that "
                         "differ in every row: --key NAME")  # fmt: skip
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
            raise InputError(f"the key {named} of {source.name} is not of one row alone: {shown} is in several; add columns "
                             "with another --key")  # fmt: skip


def copy_of(source: DatabaseTable, name: str) -> sql.Table:
    """Return what a copy of the table is: the same columns and key, without links to other tables."""
    columns = [sql.Column(c.name, kind_of(c), primary_key=c.name in source.keys, nullable=c.name not in source.keys,
                          autoincrement=False) for c in source.table.c]  # fmt: skip
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
    for name in ("column_name", "value", "low", "high", "agreement", "method", "trusted", "doubt"):
        if name in source.keys:
            raise InputError(f"a key column called {name!r} cannot stand beside the log's own: rename it")
    rest = [sql.Column("column_name", sql.String(255), primary_key=True),
            *(sql.Column(name, sql.Text) for name in ("value", "low", "high")),
            sql.Column("agreement", sql.Float), sql.Column("method", sql.String(32)),
            sql.Column("trusted", sql.Boolean), sql.Column("doubt", sql.Text)]  # fmt: skip
    return sql.Table(f"{source.name}_repairs", sql.MetaData(), *keys, *rest, schema=source.table.schema)


def check_targets(source: DatabaseTable, tables: list[sql.Table], replacing: bool) -> None:
    """Raise InputError where a table to be written is there already, or may not be made: better now than after training."""
    seen = sql.inspect(source.engine)
    there = [table.name for table in tables if seen.has_table(table.name, table.schema)]
    if there and not replacing:
        raise InputError(f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already, by an earlier repair; "
                         "say --replace to write them anew")  # fmt: skip
    for table in tables:
        if table.name in there and {c["name"] for c in seen.get_columns(table.name, table.schema)} != set(table.c.keys()):
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
