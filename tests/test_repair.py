"""`genloom repair`: simple methods against their definitions, the self-test, files whole and exact, and what it refuses."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from genloom.cli.app import run
from genloom.errors import InputError
from genloom.measures.chains import Boosted, Ridge, Trees
from genloom.measures.fillers import Mean, Neighbours
from genloom.measures.holes import column_errors, covered
from genloom.shapes.columns import Column
from genloom.use.tables.files import repair_file
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Settings
from holes import as_text, complete, holes, write_csv

NUMBERS = tuple(Column(str(d), low=-9.0, high=9.0) for d in range(5))


def rows(n=300, seed=0):
    g = np.random.default_rng(seed)
    x = g.normal(size=(n, 5))
    x[:, 1] += x[:, 0]
    mask = g.random(x.shape) > 0.2
    return x, mask


# -- simple methods --------------------------------------------------------------------------------


def test_the_mean_and_the_most_frequent():
    x = np.array([[1.0, 2], [3, 2], [9, 0], [0, 0]])
    mask = np.array([[1, 1], [1, 1], [0, 1], [0, 0]], bool)
    filler = Mean()
    filler.fit(x, mask, [Column("a"), Column("b", "categorical", categories=("u", "v", "w"))])
    assert filler.fill(x, mask).tolist() == [[1, 2], [3, 2], [2, 0], [2, 2]]


def test_neighbours_are_those_of_scikit_learn():
    from sklearn.impute import KNNImputer

    x, mask = rows()
    filler = Neighbours()
    filler.fit(np.where(mask, x, 0), mask, NUMBERS)
    theirs = KNNImputer(n_neighbors=10, weights="distance").fit_transform(np.where(mask, x, np.nan))
    assert np.abs(filler.fill(np.where(mask, x, 0), mask) - theirs).max() < 5e-3  # ours measures in single precision
    wanted = ~mask & (np.arange(5) == 2)
    found = filler.guess(np.where(mask, x, 0), mask, wanted)
    assert np.abs(found.best - theirs)[:, 2].max() < 5e-3 and np.isfinite(found.low).sum() == wanted.sum()
    assert (found.low <= found.best)[wanted].all() and (found.best <= found.high)[wanted].all()


def test_neighbours_vote():
    x = np.array([[0.0, 1], [0.1, 1], [0.2, 2], [5, 0], [0.05, 0]])
    mask = np.ones_like(x, bool)
    mask[4, 1] = False
    filler = Neighbours(k=3)
    filler.fit(np.where(mask, x, 0), mask, [Column("a"), Column("b", "categorical", categories=("u", "v", "w"))])
    found = filler.guess(np.where(mask, x, 0), mask, ~mask)
    assert found.best[4, 1] == 1 and found.chances[1][4].tolist() == pytest.approx(
        [0, 2 / 2.3333, 0.3333 / 2.3333], abs=1e-3
    )


@pytest.mark.parametrize("method", [Ridge, Trees, Boosted])
def test_chains_find_what_hangs_together(method):
    x, mask = rows(600)
    columns = (*NUMBERS, Column("c", "categorical", categories=("n", "y")))
    x = np.c_[x, x[:, 2] > 0]
    mask = np.c_[mask, np.random.default_rng(1).random(600) > 0.2]
    filler = method()
    filler.fit(np.where(mask, x, 0), mask, columns)
    filled = filler.fill(np.where(mask, x, 0), mask)
    assert np.array_equal(filled[mask], x[mask])
    chosen = ~mask & mask[:, [1, 0, 0, 0, 0, 2]]  # cells whose best informant is known
    errors = column_errors(filled, x, chosen, columns)
    assert errors[0] < 0.95 and errors[1] < 1.15 and errors[5] < 0.15
    assert np.allclose(filler.fill(np.where(mask, x, 0)[:7], mask[:7]), filled[:7])  # of other rows as of these
    found = filler.guess(np.where(mask, x, 0), mask, ~mask)
    assert np.allclose(found.chances[5].sum(1), 1) and (found.chances[5].argmax(1) == found.best[:, 5])[~mask[:, 5]].all()


def test_errors_and_coverage_by_hand():
    columns = [Column("a"), Column("b", "categorical", categories=("u", "v"))]
    x, filled = np.array([[0.0, 1], [1, 0], [2, 1]]), np.array([[0.0, 0], [4, 0], [2, 1]])
    cells = np.array([[1, 1], [1, 1], [0, 0]], bool)
    assert column_errors(filled, x, cells, columns).tolist() == [pytest.approx(4.5**0.5), 0.5]
    assert covered(x - 1, x + np.array([[0.0, 0], [-0.5, 0], [0, 0]]), x, cells) == 0.75
    assert np.isnan(column_errors(filled, x, np.zeros_like(cells), columns)).all()


# -- a table ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repaired(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repair")
    frame, out = write_csv(folder / "t.csv", 200)
    outcome = repair_file(str(folder / "t.csv"), str(folder / "fixed.csv"), Settings(), draws=2)
    return folder, frame, out, outcome


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_known_cells_stay_and_all_holes_are_filled(repaired):
    folder, _, out, outcome = repaired
    lines = (folder / "t.csv").read_text().splitlines()
    for name in ("fixed.csv", "fixed.draw1.csv", "fixed.draw2.csv"):
        new = (folder / name).read_text().splitlines()
        assert new[0] == lines[0] and len(new) == len(lines)
        for before, after in zip(lines[1:], new[1:], strict=True):
            assert all(b == a or (b == "" and a != "") for b, a in zip(before.split(","), after.split(","), strict=True))
    assert sum(outcome.filled.values()) == out.sum() == sum(outcome.missing.values())
    a, b = read(folder / "fixed.draw1.csv"), read(folder / "fixed.draw2.csv")
    assert (a != b).to_numpy()[out].mean() > 0.4  # drawn ways differ


def test_values_are_of_their_columns_kind(repaired):
    fixed = read(repaired[0] / "fixed.csv")
    assert fixed["size"].str.fullmatch(r"-?\d+\.\d\d").all() and fixed["weight"].str.fullmatch(r"-?\d+\.\d").all()
    assert set(fixed["kind"]) == {"small", "middle", "large"} and set(fixed["ok"]) == {"yes", "no"}
    assert pd.to_datetime(fixed["day"], format="%Y-%m-%d").between("2021-03-01", "2021-10-01").all()


def test_values_are_near_the_truth(repaired):
    folder, frame, out, outcome = repaired
    fixed = read(folder / "fixed.csv")
    size = frame["size"].astype(float)
    off = (fixed["size"].astype(float) - size)[out[:, 1] & ~out[:, 2]]
    assert np.sqrt((off**2).mean()) < 0.35 * size.std()  # its double is known
    tests = outcome.repairer.tests
    assert {"mean", "knn", "ridge", "trees", "boosted"} == set(tests)
    assert tests["mean"]["size"].error == pytest.approx(1, abs=0.4)


def test_the_log_names_each_filled_cell(repaired):
    folder, frame, out, _ = repaired
    fixed = read(folder / "fixed.csv")
    with (folder / "fixed.repairs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {(int(line["row"]) - 1, line["column"]) for line in lines} == {
        (int(r), frame.columns[c]) for r, c in zip(*out.nonzero(), strict=True)
    }
    inside = []
    for line in lines:
        assert line["value"] == fixed[line["column"]][int(line["row"]) - 1] and line["trusted"] in ("yes", "no")
        if line["column"] in ("size", "weight"):
            assert float(line["low"]) <= float(line["value"]) <= float(line["high"])
            truth = float(frame[line["column"]][int(line["row"]) - 1])
            inside.append(float(line["low"]) - 0.005 <= truth <= float(line["high"]) + 0.005)
        if line["column"] == "kind":
            chances = dict(part.rsplit(" ", 1) for part in line["probabilities"].split("; "))
            assert max(chances, key=lambda name: float(chances[name])) == line["value"]
            assert sum(map(float, chances.values())) == pytest.approx(1, abs=0.02)
    assert 0.75 <= np.mean(inside) <= 1


def test_the_report_shows_the_simple_methods(repaired, tmp_path):
    from genloom.use.tables.page import write_report

    write_report(repaired[3], str(tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text()
    assert all(
        word in page
        for word in (
            "nearest rows",
            "ridge, chained",
            "trees, chained",
            "boosted trees",
            "expect",
            "weight",
            "data:image/png",
        )
    )


@pytest.mark.usefixtures("brief_gain")
def test_an_unreasonable_row_is_doubted():
    frame = as_text(complete(200))
    frame.iloc[3, 1:] = ""
    frame.iloc[5, 1] = ""
    repairer = Repairer(Settings("ridge"))
    repairer.fit(frame)
    fixes = {fix.field.name: fix for fix in repairer.fix(frame)}
    assert fixes["size"].rows.nonzero()[0].tolist() == [3, 5]
    assert fixes["size"].doubts == ["most of the row is missing", ""]


@pytest.mark.usefixtures("brief_gain")
def test_a_coin_flip_is_doubted():
    frame = as_text(complete(400))
    frame["coin"] = np.where(np.random.default_rng(0).random(400) < 0.55, "yes", "no")
    frame.loc[::9, "coin"] = ""
    repairer = Repairer(Settings("trees"))
    repairer.fit(frame)
    doubts = next(fix for fix in repairer.fix(frame) if fix.field.name == "coin").doubts
    assert len(doubts) == 45 and all(doubts)


@pytest.mark.usefixtures("brief_gain")
def test_the_method_can_be_said():
    frame = as_text(complete(100)).mask(holes(complete(100)), "")
    repairer = Repairer(Settings("mean"))
    repairer.fit(frame)
    assert all(repairer.methods(column.name) == ["mean"] for column in repairer.columns)
    assert set(repairer.tests) == {"mean", "knn", "ridge", "trees", "boosted"}


# -- the command line ------------------------------------------------------------------------------


def complain(capsys, *arguments):
    """Run a command that must be refused; return the one sentence."""
    assert run(["repair", *map(str, arguments)]) == 2
    text = capsys.readouterr().err
    assert text.startswith("genloom: ") and text.count("\n") == 1 and "Traceback" not in text
    return text


def test_a_table_without_holes_is_written_as_it_is(tmp_path, capsys):
    as_text(complete(50)).to_csv(tmp_path / "t.csv", index=False)
    assert run(["repair", str(tmp_path / "t.csv"), "-o", str(tmp_path / "o.csv"), "--report", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "o.csv").read_bytes()
    assert "no missing cell" in capsys.readouterr().out and "No cell is missing" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("table", ["x\n" + "1\n2\n\n4\n" * 8, "x,y\n" + "1,\n,2\n3,4\n" * 3, "x,y\n1,a\n,b\n"])
@pytest.mark.usefixtures("brief_gain")
def test_small_tables_are_repaired(tmp_path, table):
    (tmp_path / "t.csv").write_text(table)
    assert run(["repair", str(tmp_path / "t.csv"), "-o", str(tmp_path / "o.csv"), "--draws", "1"]) == 0
    assert not any("" in line.split(",") for line in (tmp_path / "o.csv").read_text().splitlines())


@pytest.mark.usefixtures("brief_gain")
def test_what_cannot_be_filled_is_left_and_said(tmp_path, capsys):
    frame = as_text(complete(60)).assign(
        void="", currency=["EUR", ""] * 30, note=[f"note {i}" if i % 3 else "" for i in range(60)]
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert run(["repair", str(tmp_path / "t.csv"), "-o", str(tmp_path / "o.csv")]) == 0
    said, fixed = capsys.readouterr().out, read(tmp_path / "o.csv")
    assert "60 cells of 'void' (no known value)" in said.replace("\n", " ") and set(fixed["currency"]) == {"EUR"}
    assert (fixed["void"] == "").all() and "not to be trusted" in said


def test_check_says_what_the_columns_are(tmp_path, capsys):
    write_csv(tmp_path / "t.csv", 60)
    assert run(["check", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr().out
    assert "60 rows, 6 columns" in said and "passed: an identifier" in said and "large, middle, small" in said


def test_bad_input(tmp_path, capsys):
    path, out = tmp_path / "t.csv", tmp_path / "o.csv"
    write_csv(path, 60)
    assert "-o FILE" in complain(capsys, path)
    assert "no such file" in complain(capsys, tmp_path / "none.csv", "-o", out)
    assert "name another file" in complain(capsys, path, "-o", path)
    for name, options in (("o.repairs.csv", []), ("o.draw1.csv", ["--draws", "1"])):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert "name another file" in complain(capsys, tmp_path / name, "-o", out, *options)
        (tmp_path / name).unlink()
    assert "same kind" in complain(capsys, path, "-o", tmp_path / "o.parquet")
    assert "no folder that you may write to" in complain(capsys, path, "-o", path / "o.csv")
    assert "above 0" in complain(capsys, path, "-o", out, "--minutes", 0)
    assert "from 0 to" in complain(capsys, path, "-o", out, "--seed", -1)
    assert "ends with .html" in complain(capsys, path, "-o", out, "--report", path)
    assert "that is a folder" in complain(capsys, path, "-o", out, "--report", make(tmp_path / "r.html"))
    (tmp_path / "r.html").rmdir()
    assert "for databases" in complain(capsys, path, "-o", out, "--replace")
    assert "same kind" in complain(capsys, path, "-o", tmp_path / "o.tsv")
    assert "from 0 on" in complain(capsys, path, "-o", out, "--draws", -1)
    assert "no column 'wait' (did you mean 'weight'?)" in complain(capsys, path, "-o", out, "--kind.wait", "passed")
    path.write_text("a,b\n1,2\nx,3\n4,\n")
    assert "column 'a': 'x' in row 2 is no number" in complain(capsys, path, "-o", out)
    path.write_text("a,a\n1,2\n3,\n")
    assert "two columns are called 'a'" in complain(capsys, path, "-o", out)
    path.write_text("a,b\n1,2\n-,3\n4,6\n")  # holes that were not recognised are not no holes
    assert "column 'a': '-' in row 2 is no number" in complain(capsys, path, "-o", out)
    path.write_text("a\n\n\n\n")
    assert "no missing cell of this table can be filled in" in complain(capsys, path, "-o", out)
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["t.csv"]


def make(folder):
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("brief_gain")
def test_words_that_are_values(tmp_path, capsys):
    rows = [f"{country},{i % 7}" for i, country in enumerate(["NA", "US", "FR", ""] * 30)]
    (tmp_path / "t.csv").write_text("\n".join(["country,n", *rows]) + "\n")
    command = ["repair", str(tmp_path / "t.csv"), "-o", str(tmp_path / "o.csv"), "--method", "mean"]
    assert run(command) == 0
    assert "taken as missing: 'NA' 30 times" in capsys.readouterr().out and "NA" not in set(
        read(tmp_path / "o.csv")["country"]
    )
    assert run([*command, "--known", "NA"]) == 0
    assert (read(tmp_path / "o.csv")["country"] == "NA").sum() >= 30


@pytest.mark.usefixtures("brief_gain")
def test_a_bad_cell_further_on_costs_nothing(tmp_path, monkeypatch):
    """What is wrong beyond the rows that were learnt from shows while writing, and nothing half-written stays."""
    from genloom.data.tables import csv as tables
    from genloom.use.tables import files as repair_files

    write_csv(tmp_path / "t.csv", 200)
    monkeypatch.setattr(repair_files, "SAMPLE", 50)
    monkeypatch.setattr(tables, "CHUNK", 40)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[-1] = "200,unknown,,large,2021-04-01,yes"
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="'unknown' in row 200 is no number"):
        repair_file(str(tmp_path / "t.csv"), str(tmp_path / "o.csv"), Settings("mean", seed=3))
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.usefixtures("brief_gain")
def test_parquet_and_gain_as_any_model(tmp_path, capsys):
    frame = complete(200)
    frame.mask(holes(frame)).to_parquet(tmp_path / "t.parquet")
    assert run(["repair", str(tmp_path / "t.parquet"), "-o", str(tmp_path / "o.parquet"), "--method", "ridge"]) == 0
    fixed = pd.read_parquet(tmp_path / "o.parquet")
    assert not fixed.isna().any().any() and fixed["day"].dtype == pd.read_parquet(tmp_path / "t.parquet")["day"].dtype
    write_csv(tmp_path / "t.csv", 200)
    command = [
        "fit",
        "gain",
        str(tmp_path / "t.csv"),
        "-o",
        str(tmp_path / "run"),
        "--preset",
        "tiny",
        "--examples",
        "2000",
        "--quiet",
    ]
    assert run(command) == 0
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["measure"] == "error[held-out cells]" and best["value"] < 1.5
    assert run(["judge", str(tmp_path / "run")]) == 0
    judged = json.loads((tmp_path / "run" / "judge.json").read_text())
    assert {"error of numbers", "wrong categories", "held by 90 % intervals"} <= judged["measures"].keys()
    assert judged["baselines"].keys() == {
        "mean",
        "nearest rows",
        "ridge, chained",
        "trees, chained",
        "boosted trees",
    }
    assert judged["measures"]["error of numbers"]["value"] < judged["baselines"]["mean"]["error of numbers"]["value"]
    assert "held out of training" in capsys.readouterr().out and (tmp_path / "run" / "report.html").exists()
    for command, says in (
        (["sample", "-o", str(tmp_path / "x.npy")], "GAIN draws no samples"),
        (["certify"], "GAIN gives no likelihood"),
        (["walk", "-o", str(tmp_path / "w.gif")], "walk draws pictures, this run gives rows of 5 columns"),
        (["judge", "--test", str(tmp_path / "t.csv")], "leave --test away"),
    ):
        assert run([command[0], str(tmp_path / "run"), *command[1:]]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
