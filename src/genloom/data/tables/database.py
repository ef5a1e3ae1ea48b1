"""Databases as sources: reached, and a table of one read, which `sqlite:///plant.db#readings` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genloom.errors import InputError, nearest
from genloom.reading import found

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sql

CHUNK = 20_000  # rows read at once
PATIENCE = 10  # seconds in which a server must answer


def is_address(name: str) -> bool:
    """Whether what a person named is the address of a database."""
    return "://" in name


def chunks_of(name: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table of a database, in the order of its key, or of its columns where it has none.

    Raises:
        InputError: there is no such table, or the address holds a password, which would be kept with what is learnt.
    """
    import pandas as pd
    import sqlalchemy as sql

    where, table_name = named_table(name)
    engine = engine_of(where)
    shown = engine.url.render_as_string(hide_password=True)
    if engine.url.password:
        raise InputError(
            f"{shown} holds a password, and the address of the data is kept in the run: leave it out; PostgreSQL takes one "
            "from PGPASSWORD or from the file .pgpass"
        )
    with told(shown), engine.connect() as connection:
        table = find_table(engine, table_name)
        query = sql.select(table).order_by(*(table.primary_key.columns or table.c))
        first = 0
        for frame in pd.read_sql_query(query, connection, chunksize=CHUNK):
            frame.index = range(first, first + len(frame))
            first += len(frame)
            yield frame
    engine.dispose()


def named_table(name: str) -> tuple[str, str]:
    """Return the address of a database and the name of the table that a person named together."""
    where, _, table = name.partition("#")
    return where, table


def find_table(engine: sql.Engine, name: str) -> sql.Table:
    """Return a table of a database by its name; InputError where there is none."""
    import sqlalchemy as sql

    seen, shown = sql.inspect(engine), engine.url.render_as_string(hide_password=True)
    names = [*seen.get_table_names(), *seen.get_view_names()]
    if not name:
        raise InputError(f"name the table after the address: {shown}#{names[0] if names else 'NAME'}")
    if name not in names:
        raise InputError(f"no table {name!r} in the database{nearest(name, names)}")
    return sql.Table(name, sql.MetaData(), autoload_with=engine)


def address_of(url: str) -> sql.URL:
    """Return an address in its parts; InputError where it is none."""
    import sqlalchemy as sql
    from sqlalchemy import exc

    try:
        return sql.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise InputError(
            f"{url!r} is no address of a database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME is"
        ) from None


def engine_of(url: str) -> sql.Engine:
    """Return the engine of an address, once it has answered.

    Raises:
        InputError: it is none, or its driver is not installed, or nobody answers.
    """
    import sqlalchemy as sql
    from sqlalchemy import exc

    address = address_of(url)
    kind, where = address.get_backend_name(), address.render_as_string(hide_password=True)
    if kind == "sqlite":
        found((address.database or "").removeprefix("file:"), "database")
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        # A server that takes a connection and never answers must not hold us for ever.
        patience = {"connect_timeout": PATIENCE} if kind == "postgresql" and "connect_timeout" not in address.query else {}
        engine = sql.create_engine(address, connect_args=patience)
    except (TypeError, ValueError, exc.ArgumentError) as error:  # options that its driver does not understand
        raise InputError(f"{where} is no address of a database: {error}") from None
    except exc.NoSuchModuleError:
        raise InputError(f"{where}: there is no driver for databases of the kind {kind!r}") from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, which reaches {kind}"
            + (": pip install 'genloom[postgres]'" if kind == "postgresql" else "")
        ) from None
    if kind == "sqlite":  # Python's driver begins transactions late and would let CREATE TABLE stand
        sql.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sql.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with told(where):
        engine.connect().close()
    return engine


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what a database says went wrong into one sentence."""
    from sqlalchemy import exc

    try:
        yield
    except exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise InputError(f"{where}: {said}; nothing was written") from None
