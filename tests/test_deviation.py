"""What is unusual in a record, what to look at first, following it while it grows, and filling its gaps."""

import json
import sqlite3
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import genloom
from genloom.cli.app import run as command
from genloom.data.options import SeriesOptions
from genloom.data.series.applied import as_record
from genloom.data.series.plant import Plan, plant
from genloom.errors import InputError
from genloom.train.run import Run
from genloom.use.series import follow
from genloom.use.series.card import to_json, verdict, write_card
from genloom.use.series.deviation import Watch, quantile_beyond
from genloom.use.series.repair import repair_record

WINDOW = 20


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    """A small run on the plant that watches others."""
    folder = tmp_path_factory.mktemp("usual")
    plant(Plan(runs=30, rows=150), 1).to_csv(folder / "usual.csv", index=False)
    said = {"window": WINDOW, "condition": ("mode", "ambient"), "threads": 1}
    hyper = {"components": 60, "gaussians": 4}
    run = genloom.fit("rtsgan", folder / "usual.csv", folder / "run", preset="tiny", hyper=hyper, examples=64, **said)
    return Watch(run)


def today(fault=None, rows=200, begins=100, seed=3):
    return plant(Plan(runs=1, rows=rows, fault=fault, begins=begins), seed).drop(columns="run")


def scored(watch, frame):
    return watch.score_record(as_record(frame, SeriesOptions.of(watch.loaded), watch.shape, "today"), "today")


@pytest.mark.parametrize(
    ("fault", "tags", "delay"),
    [
        ("leak", {"level_1", "level_2", "inflow"}, 3),
        ("drifting sensor", {"level_2"}, 90),
        ("frozen sensor", {"temperature"}, WINDOW),
        ("worn pump", {"valve"}, 30),
    ],
)
def test_faults_are_found_and_blamed_on_what_they_touch(watch, fault, tags, delay):
    found = scored(watch, today(fault))
    assert np.isnan(found.scores[: WINDOW - 1]).all() and np.isfinite(found.scores[WINDOW - 1 :]).all()
    assert not (found.scores[WINDOW - 1 : 100] > 1).any()
    first = 100 + int(np.argmax(found.scores[100:] > 1))
    assert 100 <= first <= 100 + delay and found.scores[first] > 1
    assert found.columns[found.blame(first, 200)[0][0]].name in tags


def test_usual_runs_pass_the_bar_no_more_often_than_is_said(watch):
    found = scored(watch, plant(Plan(runs=60, rows=150), 99))
    share = float((found.scores[np.isfinite(found.scores)] > 1).mean())
    assert watch.bars.rate == 0.001 and share <= 0.01  # six held-out runs of 131 scored rows are few for one in a thousand


def test_a_rows_score_is_the_same_whatever_span_is_given(watch):
    frame = today("leak")
    whole, part = scored(watch, frame), scored(watch, frame.iloc[60:160])
    assert np.allclose(part.scores[WINDOW - 1 :], whole.scores[60 + WINDOW - 1 : 160], atol=1e-4)
    assert np.allclose(part.off[WINDOW - 1 :], whole.off[60 + WINDOW - 1 : 160], atol=1e-4, equal_nan=True)


def test_unknown_cells_blame_nobody_and_unknown_ends_are_not_scored(watch):
    frame = today()
    frame.loc[80:90, "valve"] = None
    frame.loc[180:, frame.columns[3:]] = None
    frame.loc[180:, ["mode", "ambient"]] = None
    found = scored(watch, frame)
    valve = [column.name for column in found.columns].index("valve")
    assert np.isnan(found.off[80:91, valve]).all() and np.isfinite(found.off[91:180, valve]).all()
    assert np.isnan(found.scores[180:]).all() and verdict(found).startswith("as usual; no value at the end of mode")


def test_what_cannot_be_scored_is_refused_in_one_sentence(watch):
    cases = [
        (today().drop(columns="valve"), "lacks 'valve', which the run learnt from"),
        (today().rename(columns={"valve": "gate"}), "lacks 'valve', which the run learnt from; new there: 'gate'"),
        (today().assign(mode="off"), "mode is 'off' there, which the run never saw; it knows high, low, normal"),
        (today().assign(level_1=today()["level_1"] * 1000), "level_1 is about 1,000 times .* another unit"),
        (today().iloc[::3], "a row every 30 s, and the run learnt from one every 10 s"),
        (today().iloc[:10], "no 20 rows in a row"),
        (today().iloc[[*range(50), 51, 50, *range(52, 90)]], "the time in row 52 is before that of the row above it"),
    ]
    for frame, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            scored(watch, frame)
    with pytest.raises(InputError, match="between 0 and .5"):
        Watch(watch.run, rate=0.7)
    run = genloom.fit("gan", "digits", watch.run.folder.parent / "digits", preset="tiny", examples=64)
    with pytest.raises(InputError, match="GAN does not say what is unusual"):
        Watch(run)


def test_columns_may_stand_in_another_order_and_others_are_passed_over(watch):
    frame = today("leak")
    other = frame[[*frame.columns[::-1]]].assign(note="x")
    assert np.allclose(scored(watch, frame).scores, scored(watch, other).scores, equal_nan=True)


def test_bars_are_read_off_where_they_can_be_and_reckoned_beyond():
    values = np.random.default_rng(0).exponential(1.0, 200_000)
    assert quantile_beyond(values, 0.01, 10) == pytest.approx(np.log(100), rel=0.05)
    assert np.log(1e5) < quantile_beyond(values, 1e-5, 10) < 1.5 * np.log(1e5)


def test_the_card_and_the_scores(watch, tmp_path):
    found = scored(watch, today("leak"))
    write_card(found, "today.csv", "runs/plant", tmp_path / "card.html")
    page = (tmp_path / "card.html").read_text()
    assert "What to look at first" in page and "that the others say" in page and page.count("data:image/png") == 2
    scores = to_json(found, "today.csv", "runs/plant")
    assert json.loads(json.dumps(scores))["alarms"][0]["look_at"] and len(scores["rows"]) == 200
    worst = max(scores["rows"], key=lambda row: row["score"] or 0)
    assert worst["alarm"] and abs(sum(worst["tags"].values()) - 1) < 0.02 and scores["threshold"] == 1
    assert scores["rows"][0]["score"] is None and not scores["rows"][0]["alarm"]
    calm = scored(watch, today())
    write_card(calm, "today.csv", "runs/plant", tmp_path / "calm.html")
    assert "as usual" in (tmp_path / "calm.html").read_text() and not calm.alarms()


def test_deviation_from_the_command_line(watch, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    today("leak").to_csv("today.csv", index=False)
    run = str(watch.run.folder)
    assert command(["deviation", run, "today.csv", "-o", "card.html"]) == 0
    said = capsys.readouterr().out
    assert "alarm" in said and "that the others say" in said
    assert command(["deviation", run, "today.csv", "-o", "card.html", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["alarms"] and said["rows"][-1].keys() == {"time", "score", "alarm", "tags"}
    for arguments, sentence in (
        (["today.csv", "-o", "card.pdf"], "ends with .html"),
        (["today.csv", "--follow", "-o", "card.html"], "leave -o and --json away"),
        (["nothing.csv"], "nothing.csv"),
        (["sqlite:///x.db"], "no database at x.db"),
        (["today.csv", "--rate", "2"], "--rate takes a share"),
    ):
        assert command(["deviation", run, *arguments]) == 2
        assert sentence in capsys.readouterr().err


# -- while it grows --------------------------------------------------------------------------------


def growing(path, frame, parts):
    """Append a record to a file part by part, as often as it is waited for; cut in the middle of lines."""
    text = frame.to_csv(index=False)
    cuts = [round(len(text) * i / parts) for i in range(parts + 1)]
    path.write_text(text[: cuts[1]])
    pieces = iter([text[a:b] for a, b in pairwise(cuts[1:])])

    def wait(_):
        with path.open("a") as file:
            file.write(next(pieces))

    return wait


def test_a_growing_file_alarms_as_the_whole_does(watch, tmp_path):
    frame = today("leak")
    wait = growing(tmp_path / "today.csv", frame, 13)
    alarms = list(follow.alarms_of(watch, follow.growing(str(tmp_path / "today.csv"), watch), waiting=wait))
    found = scored(watch, frame)
    (begin, _), *_ = found.alarms()
    assert alarms[0] == {"following": str(tmp_path / "today.csv"), "rate": 0.001}
    alarms = alarms[1:]
    assert [alarm["alarm"] for alarm in alarms] == ["begins"] and set(alarms[0]["tags"]) & {"level_1", "level_2", "inflow"}
    assert alarms[0]["score"] == pytest.approx(found.scores[begin], abs=0.01)
    frame = pd.concat([frame.iloc[:110], today().iloc[110:]])
    wait = growing(tmp_path / "again.csv", frame, 7)
    alarms = list(follow.alarms_of(watch, follow.growing(str(tmp_path / "again.csv"), watch), waiting=wait))
    assert [alarm["alarm"] for alarm in alarms[1:]] == ["begins", "ended"]


def test_a_row_that_cannot_be_read_is_told_and_left_out(watch, tmp_path):
    frame = today("leak").astype({"valve": object})
    frame.loc[50, "valve"] = "Bad Input"
    frame.loc[60, "mode"] = "off"
    wait = growing(tmp_path / "today.csv", frame, 9)
    alarms = list(follow.alarms_of(watch, follow.growing(str(tmp_path / "today.csv"), watch), waiting=wait))
    assert [alarm.get("alarm") for alarm in alarms] == [None, "row left out", "row left out", "begins"]
    assert "Bad Input" in alarms[1]["why"] and "mode is 'off' there" in alarms[2]["why"]


def test_a_tag_that_is_dead_and_one_that_is_wrong_are_named_and_no_other(watch):
    dead = scored(watch, today().assign(inflow=float("nan")))
    assert not dead.alarms() and verdict(dead) == "as usual; no value at the end of inflow"
    frame = today()
    frame.loc[100:, "inflow"] += 3
    found = scored(watch, frame)
    assert [found.columns[d].name for d, _ in found.blame(*found.alarms()[0])] == ["inflow"]


def test_a_file_that_shrinks_or_goes_is_told(watch, tmp_path):
    path = tmp_path / "today.csv"
    today().to_csv(path, index=False)
    text = path.read_text()
    with pytest.raises(InputError, match="has become shorter"):
        list(follow.alarms_of(watch, follow.growing(str(path), watch), waiting=lambda _: path.write_text(text[:500])))
    path.write_text(text)
    with pytest.raises(InputError, match="can no longer be read"):
        list(follow.alarms_of(watch, follow.growing(str(path), watch), waiting=lambda _: path.unlink()))
    today().to_parquet(tmp_path / "today.parquet")
    with pytest.raises(InputError, match="reads a .csv file that grows"):
        follow.growing(str(tmp_path / "today.parquet"), watch)


def test_a_table_of_a_database_is_followed(watch, tmp_path):
    frame, path = today("leak"), tmp_path / "plant.db"
    frame["time"] = frame["time"].astype(str)
    with sqlite3.connect(path) as connection:
        frame.iloc[:60].to_sql("readings", connection, index=False)
    parts = iter([frame.iloc[60:120], frame.iloc[120:]])

    def wait(_):
        with sqlite3.connect(path) as connection:
            next(parts).to_sql("readings", connection, index=False, if_exists="append")

    source = follow.growing(f"sqlite:///{path}#readings", watch)
    assert [alarm.get("alarm") for alarm in follow.alarms_of(watch, source, waiting=wait)] == [None, "begins"]
    with pytest.raises(InputError, match="no table 'reading'"):
        follow.growing(f"sqlite:///{path}#reading", watch)
    with pytest.raises(InputError, match="name the table after the address"):
        follow.growing(f"sqlite:///{path}", watch)


def test_a_table_of_a_database_is_learnt_and_scored_as_the_file_is(tmp_path, monkeypatch):
    frame, path = plant(Plan(runs=8, rows=80), 2), tmp_path / "plant.db"
    frame["time"] = frame["time"].astype(str)
    frame.to_csv(tmp_path / "plant.csv", index=False)
    with sqlite3.connect(path) as connection:
        frame.to_sql("readings", connection, index=False)
    said = {"preset": "tiny", "hyper": {"components": 20}, "examples": 64, "window": WINDOW, "threads": 1}
    address = f"sqlite:///{path}#readings"
    runs = [
        genloom.fit("rtsgan", each, tmp_path / name, **said)
        for each, name in ((address, "a"), (tmp_path / "plant.csv", "b"))
    ]
    scores = [Watch(run).score(name).scores for run, name in zip(runs, (address, str(tmp_path / "plant.csv")), strict=True)]
    assert np.allclose(*scores, atol=1e-4, equal_nan=True)
    monkeypatch.chdir(tmp_path)
    for name, sentence in (
        ("sqlite:///plant.db", "name the table after the address"),
        ("sqlite:///plant.db#reading", "no table 'reading' in the database .did you mean 'readings'"),
        ("sqlite:///nothing.db#readings", "no database at nothing.db"),
        ("postgresql://me:secret@127.0.0.1:1/x#readings", "holds a password"),
        ("postgresql://127.0.0.1:1/x?user=me&password=secret#readings", "holds a password"),
        ("postgresql://me:secret@here:port/x#readings", "here:port"),
        ("sqlite://#readings", "names no file"),
        ("odd://x#readings", "are not known here"),
    ):
        with pytest.raises(InputError, match=sentence) as found:
            genloom.fit("rtsgan", name, tmp_path / "c", **said)
        assert "secret" not in str(found.value)


def test_a_tables_rows_have_no_order_and_its_cells_are_what_was_put_there(tmp_path):
    frame, path = plant(Plan(runs=8, rows=60), 2), tmp_path / "plant.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table readings (inflow numeric, run integer, mode text, level real, time datetime)")
        rows = frame[["inflow", "run", "mode", "level_1", "time"]].astype({"time": str}).sample(frac=1, random_state=0)
        rows["time"] = pd.to_datetime(rows["time"]).dt.strftime("%d.%m.%Y %H:%M:%S")  # which is no ISO date
        connection.executemany("insert into readings values (?, ?, ?, ?, ?)", rows.values.tolist())
    data = genloom.load_data(f"sqlite:///{path}#readings", window=WINDOW)
    level = data.x[:, [c.name for c in data.shape.columns].index("level")]
    assert np.corrcoef(level.numpy(), frame["level_1"].to_numpy())[0, 1] > 0.999999  # the rows are in their order again


def test_absurd_cells_alarm_and_records_of_modes_alone_are_scored(watch, tmp_path):
    frame = today()
    frame.loc[150, "inflow"] = 1e25
    found = scored(watch, frame)
    assert found.scores[150] > 1 and np.isfinite(found.scores[WINDOW:]).all()
    assert found.columns[found.blame(150, 151)[0][0]].name == "inflow"
    plant(Plan(runs=30, rows=100), 1)[["time", "run", "mode"]].to_csv(tmp_path / "modes.csv", index=False)
    said = {"preset": "tiny", "hyper": {"components": 8}, "examples": 64, "window": WINDOW, "threads": 1}
    run = genloom.fit("rtsgan", tmp_path / "modes.csv", tmp_path / "run", **said)
    found = Watch(run).score(str(tmp_path / "modes.csv"))
    assert np.isfinite(found.scores[WINDOW - 1 : 100]).all() and np.isnan(found.expected).all()


# -- repair ----------------------------------------------------------------------------------------


def holed(seed=0):
    """Return a record, and the same with gaps."""
    whole, random = plant(Plan(runs=8, rows=120), 5), np.random.default_rng(seed)
    frame = whole.copy()
    for _ in range(40):
        begin, length = int(random.integers(len(frame) - 20)), int(random.integers(2, 15))
        frame.loc[begin : begin + length - 1, str(random.choice(["level_1", "inflow", "outflow", "valve"]))] = np.nan
    return whole, frame


def test_a_record_is_repaired_by_what_did_best_and_nothing_else_is_touched(tmp_path):
    whole, frame = holed()
    frame.to_csv(tmp_path / "holes.csv", index=False)
    options = SeriesOptions(time="time", group="run")
    outcome = repair_record(str(tmp_path / "holes.csv"), str(tmp_path / "fixed.csv"), options, draws=1)
    fixed = pd.read_csv(tmp_path / "fixed.csv")
    assert not fixed.isna().any().any() and sum(outcome.filled.values()) == int(frame.isna().sum().sum())
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("holes.csv", "fixed.csv"))
    assert all(a == b for a, b in zip(before, after, strict=True) if ",," not in a and not a.endswith(","))
    ratios = []
    for d, column in enumerate(outcome.columns):
        holes = frame[column.name].isna()
        if holes.any():
            off, line = (
                ((x[column.name] - whole[column.name])[holes] ** 2).mean()
                for x in (fixed, frame.select_dtypes("number").interpolate())
            )
            ratios.append((off / line) ** 0.5)
            assert outcome.errors[outcome.chosen[d]][d] == min(errors[d] for errors in outcome.errors.values())
    assert len(ratios) == 4 and np.mean(ratios) < 0.7
    drawn = pd.read_csv(tmp_path / "fixed.draw1.csv")
    assert not drawn.isna().any().any() and (drawn["valve"] != fixed["valve"]).sum() > 10
    log = pd.read_csv(tmp_path / "fixed.repairs.csv")
    assert len(log) == sum(outcome.filled.values()) and (log["low"] <= log["high"]).all()


def test_repair_of_a_record_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holed()[1].to_csv("holes.csv", index=False)
    assert command(["repair", "holes.csv", "-o", "fixed.csv", "--time", "time", "--group", "run", "--report", "r.html"]) == 0
    assert "errors on gaps like the real ones" in capsys.readouterr().out
    assert "gaps like the real ones" in (tmp_path / "r.html").read_text()
    for arguments, sentence in (
        (["-o", "holes.csv", "--time", "time"], "would be written over"),
        (["-o", "f.csv", "--time", "tim"], "--time names no column"),
        (["-o", "f.csv", "--time", "time", "--method", "knn"], "leave --table"),
        (["--time", "time"], "repair needs -o"),
    ):
        assert command(["repair", "holes.csv", *arguments]) == 2
        assert sentence in capsys.readouterr().err


def test_records_are_drawn_from_the_command_line(watch, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = str(watch.run.folder)
    assert (
        command(["sample", run, "-n", "3", "-o", "runs.csv", "--given", "mode=low", "--length", "10min", "--seed", "2"]) == 0
    )
    frame = pd.read_csv("runs.csv")
    assert len(frame) == 3 * 60 and set(frame["mode"]) == {"low"} and frame["time"][1] == "2026-01-05 00:00:10"
    assert command(["sample", run, "-n", "2", "-o", "runs.png", "--length", "90"]) == 0
    for arguments, sentence in (
        (["--length", "soon"], "--length takes rows"),
        (["--length", "1s"], "from 2 to"),
        (["--given", "mode"], "NAME=VALUE"),
        (["--given", "mode=off"], "there is high, low, normal"),
    ):
        assert command(["sample", run, "-o", "x.csv", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    assert Run.open(run).record["shape"]["conditions"] == ["mode", "ambient"]


def test_a_judge_of_records(watch, tmp_path):
    judgement = genloom.judge(watch.run, quick=True, n=100)
    assert {"discriminative", "told apart by a forest", "nearest training window"} <= judgement.measures.keys()
    assert set(judgement.baselines) == {"training windows", "blocks rejoined", "mixture"}
    joins = judgement.baselines["blocks rejoined"]["differences"].value
    assert judgement.measures["differences"].value < joins
    assert judgement.baselines["training windows"]["nearest training window"].value == 0


def test_a_run_that_was_told_nothing_of_its_record_scores_and_goes_on(tmp_path):
    plant(Plan(runs=8, rows=90), 1).to_csv(tmp_path / "usual.csv", index=False)
    run = genloom.fit("rtsgan", tmp_path / "usual.csv", tmp_path / "run", preset="tiny", examples=64, threads=1)
    assert run.record["data"]["loaded"].keys() >= {"time", "group", "window", "condition"}
    assert np.isfinite(Watch(run).score(str(tmp_path / "usual.csv")).scores).any()
    assert command(["fit", "-o", str(tmp_path / "run"), "--examples", "128", "--quiet"]) == 0


def test_reports_do_not_write_over_what_they_are_of(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holed()[1].to_csv("holes.csv", index=False)
    before = (tmp_path / "holes.csv").read_text()
    assert command(["repair", "holes.csv", "-o", "f.csv", "--time", "time", "--group", "run", "--report", "holes.csv"]) == 2
    assert "--report takes the name of a page" in capsys.readouterr().err
    assert (tmp_path / "holes.csv").read_text() == before
