"""Columns found out from cells, and tables in files: what is read, what is refused, and that no untouched byte changes."""

import gzip
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genloom.data.tables.csv import CsvTable
from genloom.data.tables.files import find_table
from genloom.data.tables.layout import Layout, known_cells, missing_words
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.columns import Column


def study(cells, **options):
    series = cells if isinstance(cells, pd.Series) else pd.Series(cells, dtype=object)
    return Layout.study(pd.DataFrame({"x": series}), **options).fields[0]


def text(values):
    return [str(value) for value in values]


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("cells", "kind", "step"),
    [
        (text(RNG.normal(size=50).round(3)), "numeric", 0.001),
        (text(RNG.integers(0, 9, 50)), "integer", 1.0),
        ([f"{50 * i}" for i in RNG.integers(1, 99, 50)], "integer", 50.0),
        (["1.5e3", "2e-2", "7e1"] * 9, "numeric", 0.0),
        (["1,5", "2,25", "3,0"] * 9, "numeric", 0.01),
        (["red", "green", "red"] * 9, "categorical", 0),
        (["1,234.50", "2.25", "12,000.00"] * 9, "numeric", 0.01),
        (["20200131", "20210201"] * 9, "date", 86400.0),
        (["yes", "no"] * 9, "boolean", 0),
        (["0", "1"] * 9, "boolean", 0),
        (["2020-01-31", "2021-02-01"] * 9, "date", 86400.0),
        (["31.01.2020 13:05", "01.02.2020 00:00"] * 9, "date", 1.0),
        (pd.Series([1.0, 2.0, np.nan, 5.0]), "integer", 1.0),
        (pd.Series([True, False] * 9), "boolean", 0),
        (pd.Series(["a", "b"] * 9, dtype="category"), "categorical", 0),
        (pd.Series([1, 5, 7, None], dtype="Int64"), "integer", 1.0),
        ([Decimal("1.50"), Decimal("2.25"), None], "numeric", 0.01),
        ([date(2020, 1, 31), date(2020, 5, 1)] * 3, "date", 86400.0),
    ],
)
def test_kinds_of_columns(cells, kind, step):
    field = study(cells)
    assert field.role == "learnt" and field.column.kind == kind and field.column.step == pytest.approx(step)


@pytest.mark.parametrize(
    ("cells", "role", "why"),
    [
        (["", "NA", "null"], "empty", "no known value"),
        (["EUR", "", "EUR"], "constant", "one value"),
        (["burnt", *[""] * 9], "empty", "known in 1 of 10 rows"),
        (["", "1", "7", *[""] * 9], "empty", "known in 2 of 12 rows"),
        ([f"C{i}" for i in range(200)], "passed", "in almost every row"),
        (text(range(40)), "passed", "an identifier"),
        (pd.Series(pd.to_timedelta([1, 2, 5], unit="s")), "passed", "spans of time"),
        (pd.Series(range(20200101, 20200131)), "passed", "dates written as whole numbers"),
        ([f"a remark {i % 90}" for i in range(200)], "passed", "free text"),
    ],
)
def test_columns_that_are_not_learnt(cells, role, why):
    field = study(cells)
    assert field.role == role and why in field.why


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1", "2", "abc", "4"], "'abc' in row 3 is no number"),
        (["2020-01-01", "2020-13-45", "2020-01-02"], "'2020-13-45' in row 2 is no date"),
        (["01/02/2021", "03/04/2021", "05/05/2021"], "say --kind.x date:%d/%m/%Y or date:%m/%d/%Y"),
        (["1", "inf", "4"], "infinite number in row 2"),
        ([1, "a", 3, 4], "'a' in row 2 is no number"),
    ],
)
def test_mixed_columns_are_refused_by_their_cell(cells, says):
    with pytest.raises(InputError, match=says):
        study(cells)


def test_a_person_may_say_what_a_column_is():
    assert study(["1", "2", "abc", "4"], kinds={"x": "categorical"}).column.kind == "categorical"
    assert study(["1", "2", "abc", "4"], kinds={"x": "passed"}).role == "passed"
    assert study(["1", "-999", "3", "4"], missing=missing_words(["-999"])).column.low == 1
    assert study([1.5, -999, 3, 4], missing=missing_words([-999])).column.low == 1.5  # of types too
    assert study([Decimal(1), Decimal(-999), Decimal(3), Decimal(7)], missing=missing_words("-999")).column.low == 1
    assert study(["1", "2", "abc"], missing=missing_words(["abc"])).column.kind == "boolean"  # 1 and 2 remain
    assert study(["NA", "US", "FR"] * 3, missing=missing_words(known=["NA"])).column.categories == ("FR", "NA", "US")
    assert study(["01/02/2021", "03/04/2021"], kinds={"x": "date:%d/%m/%Y"}).form == "%d/%m/%Y"
    days = study(pd.Series([20200131, 20210201] * 9), kinds={"x": "date:%Y%m%d"})
    assert days.column.kind == "date" and days.say(np.array([days.column.low])) == [20200131]
    hours = study(pd.Series([2020013113, 2021020100] * 9), kinds={"x": "date:%Y%m%d%H"})
    assert hours.say(np.array([hours.column.low])) == [2020013113]
    stamps = study(pd.Series(pd.date_range("2020", periods=9)), kinds={"x": "date:%Y%m%d"})
    assert isinstance(stamps.say(np.array([stamps.column.low]))[0], pd.Timestamp)
    for wrong in ("date:ISO8601", "date:%d/%q/%Y", "date:%Y-%m-%dT%H:%M:%S%z", "date:%Y"):
        with pytest.raises(InputError, match="a column is numeric"):
            study(["01/02/2021"], kinds={"x": wrong})
    with pytest.raises(InputError, match="say how they stand for dates"):
        study(pd.Series([20200131, 20210201] * 9), kinds={"x": "date"})
    with pytest.raises(InputError, match="a column is numeric, integer, .*, not 'number'"):
        study(["1", "2"], kinds={"x": "number"})
    with pytest.raises(InputError, match="has 3 different values: it is not boolean"):
        study([1.5, 2.5, 3.5], kinds={"x": "boolean"})
    with pytest.raises(InputError, match="no column 'y'"):
        study(["1", "2"], kinds={"y": "passed"})
    with pytest.raises(InputError, match="two columns are called 'a'"):
        Layout.study(pd.DataFrame([["1", "2"]], columns=["a", "a"]))


def test_the_day_may_come_first_however_late_it_shows():
    assert study(["01/02/2021"] * 1100 + ["13/02/2021"]).form == "%d/%m/%Y"


def test_missing_words_and_numbers_wherever_they_stand():
    words = missing_words([-999])
    assert known_cells(pd.Series(["-999.0", "-999", "1", "NA"], dtype=object), words).tolist() == [False, False, True, False]
    kinds = pd.Series(["a", "?", None, "b"], dtype="category")
    assert known_cells(kinds, words).tolist() == [True, False, False, True]
    assert study(kinds).column.categories == ("a", "b")
    zoned = study([pd.Timestamp(f"2021-01-0{i}", tz="Europe/Berlin") for i in range(1, 6)])
    assert str(zoned.say(np.array([zoned.column.low]))[0].tz) == "Europe/Berlin"


def test_what_is_said_is_of_the_column():
    whole = Column.of_numbers("x", np.array([1.0, 2.0, 4.0] * 10), "integer", 1.0)
    assert whole.snapped(whole.plain(whole.code(np.array([-5.0, 2.9, 3.1, 99.0])))).tolist() == [1, 2, 4, 4]
    fine = Column.of_numbers("x", np.linspace(0, 1, 101), "numeric", 0.01)
    assert fine.snapped(np.array([0.123456])).tolist() == pytest.approx([0.12])
    assert study(["1,50", "2,25", "3,00"] * 9).say(np.array([2.5])) == ["2,50"]
    thousands = study(["1,030", "582", "12,500", "1,999"] * 9)
    assert thousands.column.low == 582 and thousands.say(np.array([10200.0])) == ["10,200"]
    assert study(["1600-01-31", "9999-12-31", "1601-01-01"] * 9).say(np.array([-11676096000.0])) == ["1600-01-01"]
    assert study([f"0{i % 30:04d}" for i in range(200)]).column.kind == "categorical"  # a code, not a number
    assert study(["31.01.2020", "01.02.2020"] * 9).say(np.array([1580342400.0])) == ["30.01.2020"]


def test_an_unseen_category_is_known_but_tells_nothing():
    layout = Layout.study(pd.DataFrame({"x": ["a", "b", "a", "b"], "y": ["1", "2", "3", "5"]}, dtype=object))
    frame = pd.DataFrame({"x": ["a", "new", ""], "y": ["4", "7", "1"]}, dtype=object)
    known = layout.known(frame)
    codes = layout.encode(frame, known)
    assert known["x"].tolist() == [True, True, False] and np.isnan(codes[:, 0]).tolist() == [False, True, True]


# -- CSV -------------------------------------------------------------------------------------------

ODD = '﻿a;"b ""x""";c\r\n1;"two\nlines; here";3\r\n\r\n;x;\r\n 4 ;"";5'


LETTERS = st.characters(categories=("L", "N", "P", "S"), include_characters=' \t",;')


def nothing(frame, first):
    yield {}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_untouched_bytes_stay(tmp_path, name):
    data = ODD.encode("utf-8")
    path, out = tmp_path / name, tmp_path / f"out.{name}"
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    table = find_table(path)
    frame = next(table.chunks())
    assert table.names == ["a", 'b "x"', "c"] and frame.iloc[0].tolist() == ["1", "two\nlines; here", "3"]
    table.rewrite([out], nothing)
    assert (gzip.decompress(out.read_bytes()) if name.endswith("gz") else out.read_bytes()) == data
    place = np.array([False, True, False])
    table.rewrite(
        [out, tmp_path / "plain.csv"], lambda frame, first: iter([{"c": (place, [cell])} for cell in ("6;7", "8")])
    )
    written = gzip.decompress(out.read_bytes()) if name.endswith("gz") else out.read_bytes()
    assert written.decode() == ODD.replace("\r\n;x;\r\n", '\r\n;x;"6;7"\r\n')
    assert (tmp_path / "plain.csv").read_bytes().decode() == ODD.replace("\r\n;x;\r\n", "\r\n;x;8\r\n")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(LETTERS, max_size=8), min_size=3, max_size=3), min_size=1, max_size=6))
def test_any_cells_come_back(tmp_path_factory, rows):
    import csv

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    table = CsvTable.open(path)
    assert next(table.chunks()).to_numpy().tolist() == rows
    table.rewrite([path.with_name("out.csv")], nothing)
    assert path.with_name("out.csv").read_bytes() == path.read_bytes()


def test_a_quote_within_a_field_is_a_letter(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,5" pipe\n,3" pipe\n "4,5" ,x\n')
    table = find_table(tmp_path / "t.csv")
    assert next(table.chunks()).to_numpy().tolist() == [["1", '5" pipe'], ["", '3" pipe'], ["4,5", "x"]]


def test_a_single_column_with_decimal_commas(tmp_path):
    (tmp_path / "t.csv").write_text("x\n1,5\n2,25\n\n")
    assert next(find_table(tmp_path / "t.csv").chunks())["x"].tolist() == ["1,5", "2,25", ""]


def test_the_delimiter_is_found_across_quoted_lines(tmp_path):
    (tmp_path / "t.csv").write_text('a;"b, c";d\n' + '1,23;4,56;"l1\nl2 ""q"""\n' * 30)
    assert find_table(tmp_path / "t.csv").names == ["a", "b, c", "d"]


@pytest.mark.parametrize("before", [0, 30_000])
def test_another_encoding(tmp_path, before):
    """Found out however late it shows."""
    (tmp_path / "t.csv").write_bytes(("a,b\n" + "1,e\n" * before + "1,é\n").encode("latin-1"))
    assert next(find_table(tmp_path / "t.csv").chunks())["b"].iloc[-1] == "é"
    (tmp_path / "u.csv").write_bytes(("a,b\n" + "1,é\n" * before + "1,é\n").encode())
    assert find_table(tmp_path / "u.csv").encoding == "utf-8"


def test_one_column_may_hold_empty_lines(tmp_path):
    (tmp_path / "t.csv").write_text("x\n1\n\n3\n")
    assert next(find_table(tmp_path / "t.csv").chunks())["x"].tolist() == ["1", "", "3"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "no row"),
        ("a.csv", b"a,b\n1,2\n3\n", "row 2 has 1 fields where the heading has 2"),
        ("a.csv", b'a,b\n1,"2\n3,4\n', "never closed"),
        ("a.csv", b"\x89PNG\0\0", "no table"),
        ("a.csv", b"1,2\n3,4\n", "begins with numbers"),
        ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-30], "cut short"),
        ("a.csv.gz", b"no gzip", "cannot read"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("a.xlsx", b"PK", "is no table"),
    ],
)
def test_files_that_are_no_table(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says):
        for _ in find_table(tmp_path / name).chunks():
            pass


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        find_table(tmp_path / "none.csv")


def test_a_constant_date_in_parquet(tmp_path):
    frame = pd.DataFrame({"d": [date(1500, 1, 1), None] * 20, "e": [date(1500 + i, 1, 1) for i in range(40)]})
    table = pyarrow.Table.from_pandas(frame, pyarrow.schema([("d", pyarrow.date32()), ("e", pyarrow.date32())]))
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    holes = np.arange(40) % 2 == 1
    find_table(tmp_path / "t.parquet").rewrite(
        [tmp_path / "o.parquet"], lambda frame, first: iter([{"d": (holes, [date(1500, 1, 1)] * 20)}])
    )
    assert pyarrow.parquet.read_table(tmp_path / "o.parquet")["d"].null_count == 0
    field = study(pd.Series(table["e"].to_pylist(), dtype=object))
    assert field.column.kind == "date" and str(field.say(np.array([field.column.low]))[0].date()) == "1500-01-01"


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), replaced(tmp_path / "x.csv") as part:
        part.write_text("half")
        raise RuntimeError
    with (
        pytest.raises(InputError, match="No space left on device; that file is as it was"),
        replaced(tmp_path / "x.csv") as part,
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_parquet_keeps_its_schema(tmp_path):
    schema = pyarrow.schema(
        [
            ("i", pyarrow.int32()),
            ("big", pyarrow.int64()),
            ("f", pyarrow.float32()),
            ("s", pyarrow.string()),
            ("d", pyarrow.date32()),
            ("t", pyarrow.timestamp("ms")),
            ("n", pyarrow.decimal128(8, 2)),
            ("c", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
            ("b", pyarrow.bool_()),
        ],
        metadata={"made": "here"},
    )
    when = pd.Timestamp("2021-05-05 12:00")
    rows = [
        {
            "i": 1,
            "big": 2**60 + 1,
            "f": 0.1,
            "s": "a",
            "d": date(2020, 1, 1),
            "t": when,
            "n": Decimal("1.25"),
            "c": "u",
            "b": True,
        },
        dict.fromkeys(schema.names),
    ]
    table = pyarrow.Table.from_pylist(rows, schema)
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    cells = {
        "i": 7,
        "big": 2**60 + 3,
        "f": 0.5,
        "s": "z",
        "d": pd.Timestamp("2020-02-02"),
        "t": when,
        "n": 2.5,
        "c": "u",
        "b": False,
    }
    rest = np.array([False, True])
    find_table(tmp_path / "t.parquet").rewrite(
        [tmp_path / "o.parquet"], lambda frame, first: iter([{k: (rest, [v]) for k, v in cells.items()}])
    )
    out = pyarrow.parquet.read_table(tmp_path / "o.parquet")
    assert out.schema.equals(schema, check_metadata=True) and out.slice(0, 1).equals(table.slice(0, 1))
    assert out.to_pylist()[1] == cells | {"d": date(2020, 2, 2), "n": Decimal("2.50"), "t": when.to_pydatetime()}


def test_parquet_keeps_order_and_packing(tmp_path):
    kinds = pd.CategoricalDtype(["z", "y", "x", "unused"], ordered=True)
    frame = pd.DataFrame({"a": range(5), "c": pd.Categorical(["x", None, "z", "y", "x"], dtype=kinds)})
    frame.to_parquet(tmp_path / "t.parquet", compression="zstd")
    hole = frame["c"].isna().to_numpy()
    find_table(tmp_path / "t.parquet").rewrite([tmp_path / "o.parquet"], lambda frame, first: iter([{"c": (hole, ["y"])}]))
    out = pd.read_parquet(tmp_path / "o.parquet")
    assert out["c"].dtype == kinds and out["c"].tolist() == ["x", "y", "z", "y", "x"]
    packed = pyarrow.parquet.ParquetFile(tmp_path / "o.parquet").metadata.row_group(0).column(0).compression
    assert packed == "ZSTD"


def test_parts_of_a_parquet_file_with_dictionaries_of_their_own(tmp_path):
    kind = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
    big = pyarrow.decimal128(38, 10)
    parts = [
        pyarrow.table(
            {
                "c": pyarrow.DictionaryArray.from_arrays([0, None, 1], pyarrow.array(names)),
                "n": pyarrow.array([Decimal(10) ** 22, None, Decimal(1)], big),
            }
        )
        for names in (["a", "b"], ["c", "a"])
    ]
    with pyarrow.parquet.ParquetWriter(tmp_path / "t.parquet", pyarrow.schema([("c", kind), ("n", big)])) as writer:
        for part in parts:
            writer.write_table(part.cast(pyarrow.schema([("c", kind), ("n", big)])))

    def fill(frame, first):
        rows = frame["c"].isna().to_numpy()
        yield {"c": (rows, ["c"] * rows.sum()), "n": (rows, [1.5e22] * rows.sum())}

    find_table(tmp_path / "t.parquet").rewrite([tmp_path / "o.parquet"], fill)
    out = pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["c"] for row in out] == ["a", "c", "b", "c", "c", "a"] and out[1]["n"] == Decimal("1.5e22")


def test_a_damaged_parquet_file(tmp_path):
    pd.DataFrame({"a": np.random.default_rng(0).random(2000)}).to_parquet(tmp_path / "t.parquet")
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    data[4:600] = b"x" * 596
    (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(find_table(tmp_path / "t.parquet").chunks())


def test_an_open_quote_in_a_long_file_is_found_quickly(monkeypatch):
    from genloom.data.tables import records

    calls = []
    split = records.split_record
    monkeypatch.setattr(records, "split_record", lambda *given: calls.append(1) or split(*given))
    *_, last = records.split_lines(['"open,1\n', *["2,3\n"] * 1000], ",")
    assert not last.whole and len(calls) < 5  # not one for each line
