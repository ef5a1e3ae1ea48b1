"""Databases as sources: reached, and a table of one read, which `sqlite:///plant.db#readings` names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genloom.errors import InputError, nearest
from genloom.reading import found

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sql

CHUNK = 20_000  # rows read at once
PATIENCE = 10  # seconds in which a server must answer
NO_DATABASES = ("http", "https", "s3", "gs", "ftp", "file")  # addresses of files
SECRETS = (r"(://[^/@]*?:)[^@/]*(?=@)", r"((?:pass\w*|pwd|secret|token|sslpassword)=)[^&#]*")


def is_address(name: str) -> bool:
    """Whether what a person named is the address of a database."""
    return "://" in name and name.split(":", 1)[0].lower() not in NO_DATABASES


def shown(name: str) -> str:
    """Return an address as sentences show it, without passwords; any other name as it is."""
    for secret in SECRETS if is_address(name) else ():
        name = re.sub(secret, r"\1***", name, flags=re.IGNORECASE)
    return name


def chunks_of(name: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table of a database, in the order of its key where it has one.

    Raises:
        InputError: there is no such table, or the address holds a password, which would be kept with what is learnt.
    """
    import pandas as pd

    if shown(name) != name:
        raise InputError(
            f"{shown(name)} holds a password, and the address of data is kept with what is learnt from it: leave it out; "
            "PostgreSQL takes one from PGPASSWORD or from the file .pgpass"
        )
    where, table_name = named_table(name)
    with closing(engine_of(where)) as engine, told(where):
        table = find_table(engine, table_name)
        query = raw_cells(engine, table).order_by(*table.primary_key.columns)
        first = 0
        with engine.connect().execution_options(stream_results=True) as connection:
            for rows in connection.execute(query).partitions(CHUNK):
                yield pd.DataFrame([tuple(row) for row in rows], columns=list(table.c.keys())).set_index(
                    pd.RangeIndex(first, first + len(rows))
                )
                first += len(rows)


def raw_cells(engine: sql.Engine, table: sql.Table) -> sql.Select[Any]:
    """Return the query of all cells of a table; of SQLite's as they are, for its columns hold what they like."""
    import sqlalchemy as sql

    if engine.dialect.name != "sqlite":
        return sql.select(table)
    return sql.select(*(raw(column).label(column.name) for column in table.c))


def raw(column: sql.Column[Any]) -> Any:
    """Return a column with its cells as the database holds them."""
    import sqlalchemy as sql

    return sql.type_coerce(column, sql.types.NullType())


def named_table(name: str) -> tuple[str, str]:
    """Return the address of a database and the name of the table that a person named together."""
    where, _, table = name.partition("#")
    return where, table


def find_table(engine: sql.Engine, name: str) -> sql.Table:
    """Return a table or a view of a database by its name, with its schema or without; InputError where there is none."""
    import sqlalchemy as sql

    def names_in(schema: str | None) -> list[str]:
        seen = sql.inspect(engine)
        views = [*seen.get_view_names(schema)]
        if engine.dialect.name == "postgresql":
            views += seen.get_materialized_view_names(schema)
        return [*seen.get_table_names(schema), *views]

    names, schema, plain_name = names_in(None), "", name
    if not name:
        there = f": it has {', '.join(names[:5])}" if names else ""
        raise InputError(f"name the table after the address, {engine.url.render_as_string(hide_password=True)}#NAME{there}")
    if name not in names and "." in name:
        schema, _, plain_name = name.rpartition(".")
        names = names_in(schema)
    if plain_name not in names:
        raise InputError(f"no table {name!r} in the database{nearest(plain_name, names)}")
    return sql.Table(plain_name, sql.MetaData(), schema=schema or None, autoload_with=engine)


def address_of(url: str) -> sql.URL:
    """Return an address in its parts; InputError where it is none."""
    import sqlalchemy as sql
    from sqlalchemy import exc

    try:
        return sql.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise InputError(
            f"{shown(url)!r} is no address of a database: sqlite:///FILE or postgresql://USER@HOST/NAME is"
        ) from None


def engine_of(url: str, after: str = "") -> sql.Engine:
    """Return the engine of an address, once it has answered; `after` as `told` has it.

    Raises:
        InputError: it is none, or its driver is not installed, or nobody answers.
    """
    import sqlalchemy as sql
    from sqlalchemy import exc

    address = address_of(url)
    kind, where = address.get_backend_name(), shown(url)
    if kind == "sqlite":
        if not address.database:
            raise InputError(f"{where} names no file: sqlite:///plant.db does")
        found(address.database.removeprefix("file:"), "database")
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        # A server that takes a connection and never answers must not hold us for ever.
        patience = {"connect_timeout": PATIENCE} if kind == "postgresql" and "connect_timeout" not in address.query else {}
        engine = sql.create_engine(address, connect_args=patience)
    except exc.NoSuchModuleError:
        raise InputError(f"{where}: databases of the kind {kind!r} are not known here; SQLite and PostgreSQL are") from None
    except (TypeError, ValueError, exc.ArgumentError) as error:  # options that its driver does not understand
        raise InputError(f"{where} is no address of a database: {error}") from None
    except ModuleNotFoundError as error:
        remedy = "pip install 'genloom[postgres]'" if kind == "postgresql" else f"pip install {error.name}"
        raise InputError(f"{error.name} is not installed, which reaches {kind}: {remedy}") from None
    if kind == "sqlite":  # Python's driver begins transactions late and would let CREATE TABLE stand
        sql.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sql.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with told(where, after):
        engine.connect().close()
    return engine


@contextmanager
def closing(engine: sql.Engine) -> Iterator[sql.Engine]:
    """Let go of all connections in the end."""
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def told(where: str, after: str = "") -> Iterator[None]:
    """Turn what a database says went wrong into one sentence; `after` is what became of the work."""
    from sqlalchemy import exc

    try:
        yield
    except exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise InputError(f"{shown(where)}: {shown(said)}{after}") from None
