"""Records of a plant: the simulator, what says when rows are, the grid, and what `check` finds wrong."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from genloom.cli.app import run
from genloom.data.options import SeriesOptions
from genloom.data.series.dataset import SeriesData
from genloom.data.series.plant import HOLE_1, HOLE_2, STEP_S, Plan, plant
from genloom.data.series.record import read_record, time_index
from genloom.errors import InputError
from genloom.shapes.series import SeriesShape
from genloom.use.series.check import check_record


def record(n: int = 400, step_s: float = 60.0, **columns: object) -> pd.DataFrame:
    random = np.random.default_rng(0)
    time = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(n) * step_s, unit="s")
    values = {"flow": random.normal(50, 2, n).round(3), "level": np.sin(np.arange(n) / 9).round(3)}
    return pd.DataFrame({"time": time, **values, **columns})


def check(tmp_path, frame: pd.DataFrame, **options: object):
    frame.to_csv(tmp_path / "record.csv", index=False)
    return check_record(str(tmp_path / "record.csv"), SeriesOptions(**options))


# -- the plant -------------------------------------------------------------------------------------


def test_the_plant_is_the_same_for_a_seed_and_holds_its_levels():
    a, b = plant(Plan(runs=3, changes=0), seed=5), plant(Plan(runs=3, changes=0), seed=5)
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(plant(Plan(runs=3, changes=0), seed=6))
    held = {"low": 0.8, "normal": 1.2, "high": 1.6}
    last = a.groupby("run").tail(100)
    assert np.allclose(last["level_2"], last["mode"].map(held), atol=0.06)
    # At rest the same water runs through both holes, so that the levels are as the squares of these.
    ratio = last.groupby("run")["level_1"].mean() / last.groupby("run")["level_2"].mean()
    assert np.allclose(ratio, (HOLE_2 / HOLE_1) ** 2, atol=0.02)
    assert np.allclose(last["inflow"].mean(), last["outflow"].mean(), rtol=0.02)


MOVED = {  # what a fault moves, in deviations of the usual runs
    "leak": {"valve": 5, "inflow": 5},
    "stuck valve": {"level_1": 0.3},
    "drifting sensor": {"outflow": 2, "inflow": 1},
    "frozen sensor": {"temperature": 0.1},
    "worn pump": {"valve": 5},
}


@pytest.mark.parametrize("fault", MOVED)
def test_a_fault_changes_nothing_before_it_begins_and_what_it_must_after_it(fault):
    usual, faulty = (plant(Plan(runs=4, changes=0, fault=each), seed=2) for each in (None, fault))
    row = usual.groupby("run").cumcount()
    pd.testing.assert_frame_equal(usual[row < 180], faulty[row < 180])
    late = row >= 300
    for tag, least in MOVED[fault].items():
        spread = usual.groupby("run")[tag].std().mean()
        assert (faulty[tag] - usual[tag])[late].abs().mean() > least * spread, tag
    if fault == "frozen sensor":
        assert (faulty[late].groupby("run")["temperature"].nunique() == 1).all()
    if fault == "drifting sensor":  # the controller holds what the sensor says, so the true level falls
        assert np.allclose(faulty["level_2"][late], usual["level_2"][late], atol=0.05)
        assert faulty["outflow"][late].mean() < usual["outflow"][late].mean() - 0.5


# -- when rows are ---------------------------------------------------------------------------------


def test_a_record_is_read_by_its_times_and_runs():
    found = read_record(plant(Plan(runs=3, rows=50)), SeriesOptions(), "plant")
    assert found.step == STEP_S and found.codes.shape == (150, 8) and found.mask.all() and not found.notes
    assert found.index.time == "time" and found.index.group == "run" and len(found.index.runs) == 3
    assert [column.name for column in found.columns][:2] == ["mode", "ambient"]


def test_rows_are_laid_onto_even_steps():
    frame = record(100)
    frame.loc[10, "time"] += pd.Timedelta(seconds=20)  # comes late
    frame = frame.drop(index=[30, 31])
    twice = frame.loc[[50]].assign(time=frame.loc[50, "time"] + pd.Timedelta(seconds=10), flow=0.0)
    frame = pd.concat([frame, twice]).sort_values("time", ignore_index=True)
    found = read_record(frame, SeriesOptions(), "record")
    assert found.codes.shape == (100, 2) and found.step == 60
    assert (~found.mask).sum() == 4 and not found.mask[30:32].any()
    flow = found.columns[0]
    at = found.codes[50, 0] * flow.scale + flow.mean
    assert at == pytest.approx(record(100).loc[50, "flow"] / 2)  # the mean of two rows
    assert any("do not lie at even steps" in note for note in found.notes)
    assert any("share a step" in note for note in found.notes)
    assert any("2 places of the grid have no row" in note for note in found.notes)


def test_nothing_reaches_across_a_long_gap():
    frame = record(100)
    frame.loc[60:, "time"] += pd.Timedelta(hours=5)
    found = read_record(frame, SeriesOptions(), "record")
    assert len(found.codes) == 100 and found.stretch.tolist() == [0] * 60 + [1] * 40
    assert found.seconds[60] - found.seconds[59] == 60 + 5 * 3600


def test_times_are_numbers_or_even_steps_where_a_person_says_so():
    frame = record(50).drop(columns="time")
    for time, step in ((np.arange(50) * 0.5, 0.5), (np.arange(50), 1.0)):
        named = frame.assign(t=time)
        assert time_index(named, SeriesOptions(time="t"), "x").usual_step == step
    assert read_record(frame, SeriesOptions(time="row"), "x").step == 1
    named = frame.assign(run=["a"] * 20 + ["b"] * 30)
    assert time_index(named, SeriesOptions(time="row"), "x").seconds.tolist() == [*range(20), *range(30)]
    ten = read_record(named, SeriesOptions(time="row", step=10.0), "x")
    assert len(ten.codes) == 50 and ten.seconds[19] == 190 and not ten.notes
    dates = read_record(record(50), SeriesOptions(time="row"), "x")
    assert [column.name for column in dates.columns] == ["flow", "level"]  # a date is no tag


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ("%Y-%m-%d %H:%M:%S+01:00", 60.0),
        ("%Y-%m-%dT%H:%M:%S.000000Z", 60.0),
        ("%d-%b-%y %H:%M:%S", 60.0),
        ("%m/%d/%Y %I:%M %p", 60.0),
        ("%d.%m.%Y %H:%M", 60.0),
    ],
)
def test_dates_are_read_as_historians_and_spreadsheets_write_them(form, step):
    frame = record(30, step)
    found = time_index(frame.assign(time=frame["time"].dt.strftime(form)), SeriesOptions(), "x")
    assert np.diff(found.seconds).tolist() == [step] * 29


def test_a_record_faster_than_a_second_lies_at_even_steps():
    for step in (0.1, 0.001):
        frame = record(5000, step)
        found = read_record(frame.assign(time=frame["time"].astype(str)), SeriesOptions(), "x")
        assert found.step == step and len(found.codes) == 5000 and not found.notes and found.mask.all()


def test_parts_of_seconds_since_1970_are_told_by_their_size():
    frame = record(100)
    since = (frame["time"] - pd.Timestamp(0)) // pd.Timedelta(microseconds=1)
    for parts in (1, 1000, 1_000_000):
        assert time_index(frame.assign(time=since // parts), SeriesOptions(), "x").usual_step == 60


def test_a_column_called_run_that_says_whether_something_runs_is_a_tag():
    frame = record(400, run=["on", "off"] * 200)
    found = read_record(frame, SeriesOptions(), "x")
    assert found.index.group is None and [column.name for column in found.columns] == ["flow", "level", "run"]
    frame = record(400).assign(run=[i // 100 for i in range(400)])
    assert read_record(frame, SeriesOptions(), "x").index.group == "run"
    assert read_record(frame, SeriesOptions(group="none"), "x").index.group is None


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda f: f.drop(columns="time"), {}, "has no column that says when a row is: say --time NAME, or --time row"),
        (lambda f: f.assign(datum=f["time"]), {}, "time or datum may say when a row is: say --time time"),
        (lambda f: f, {"time": "tiem"}, "--time names no column: there is no 'tiem'"),
        (lambda f: f, {"group": "batch"}, "--group names no column"),
        (lambda f: f, {"group": "time"}, "time is another in every row, so it names no runs"),
        (lambda f: f.assign(run=["a"] * 399 + [""]), {"group": "run"}, "row 400 names no run"),
        (lambda f: f.iloc[::-1], {}, "plant.csv has its newest row first: sort the rows by time"),
        (lambda f: f.assign(Date="2026-03-01"), {}, "has its dates in Date and the time of day in time: make one column"),
        (lambda f: f, {"step": 1e-9}, "--step 1e-09 is far below the usual step of plant.csv, 60 s"),
        (lambda f: f, {"step": 1e-300}, "is too small for plant.csv: its usual step is 60 s"),
        (lambda f: f.assign(time="noon"), {}, "'noon' is no date that is read: name another column by --time, or say how"),
        (
            lambda f: f.iloc[[1, 0, *range(2, 400)]],
            {},
            "the time in row 2 is before that of the row above it: sort the rows",
        ),
        (lambda f: f.iloc[[0, 0, *range(1, 400)]], {}, "the time in row 2 is the same as that of the row above it"),
        (
            lambda f: f.assign(time=f["time"].where(f.index < 390)),
            {},
            "the time in row 391 is missing; the rows from there on",
        ),
        (lambda f: f.assign(time=f["time"].where(f.index != 5)), {}, "the time in row 6 is missing; leave that row out"),
        (
            lambda f: f[["time"]].assign(a=1.0, b=np.nan),
            {},
            "has no tag to learn from: 'a': one value in all known cells; 'b'",
        ),
        (lambda f: f.assign(who=["x", "y"] * 200), {"time": "who"}, "'x' is no date that is read"),
        (lambda f: f.head(1), {}, "no run of more than one row"),
    ],
)
def test_a_record_that_cannot_be_told_in_time_is_refused(change, options, said):
    with pytest.raises(InputError) as caught:
        read_record(change(record()).reset_index(drop=True), SeriesOptions(**options), "plant.csv")
    assert said in str(caught.value) and "\n" not in str(caught.value)


# -- what looks wrong ------------------------------------------------------------------------------


def test_a_usual_record_has_nothing_wrong(tmp_path):
    found = check(tmp_path, record())
    assert found.lines[0].endswith("400 rows, one every 60 s, from 2026-03-01 00:00:00 to 2026-03-01 06:39:00")
    assert len(found.lines) == 1 and [tag[-1] for tag in found.tags] == ["", ""]


def test_check_names_what_is_wrong_with_a_tag(tmp_path):
    n = 2000
    random = np.random.default_rng(1)
    stuck = random.normal(size=n)
    stuck[700:800] = stuck[700]
    frame = record(
        n,
        stuck=stuck,
        jumps=random.normal(5, 0.1, n) * np.where(np.arange(n) < 1250, 1, 1000),
        starts=np.where(np.arange(n) < 1000, 0, random.normal(2000, 5, n)),
        marked=np.where(np.arange(n) % 100 == 7, -999, random.normal(size=n)),
        drifts=random.normal(size=n) + np.arange(n) / 100,
        ends=np.where(np.arange(n) < 1900, random.normal(size=n), np.nan),
        mode=np.where(np.arange(n) % 500 < 250, "on", "off"),
    )
    tags = {tag[0]: tag for tag in check(tmp_path, frame).tags}
    assert "stuck for 100 rows from 2026-03-01 11:40:00" in tags["stuck"][-1]
    assert tags["jumps"][-1].startswith("grows to ") and "at 2026-03-01 20:50:00: another unit?" in tags["jumps"][-1]
    assert "unit" not in tags["starts"][-1]
    assert tags["marked"][-1] == "-999 stands far from all else in 20 rows: say --missing -999 if it means nothing"
    assert "drifts by +" in tags["drifts"][-1]
    assert "unknown in the last 100 rows" in tags["ends"][-1] and tags["ends"][2] == "95.0%"
    assert tags["mode"][1] == "mode of 2" and tags["mode"][3] == "off 50%, on 50%"
    assert not tags["flow"][-1] and not tags["level"][-1]


def test_check_puts_rows_in_order_and_says_so(tmp_path):
    frame = record()
    frame = frame.iloc[[*range(100), 99, *range(100, 200), 201, 200, *range(202, 400)]]
    found = check(tmp_path, frame)
    assert "the time of row 203 is before that of the row above: put in order here" in found.lines
    assert "the time of row 101 is the same as that of the row above: left out here" in found.lines
    assert len(found.record.codes) == 400
    found = check(tmp_path, record().iloc[::-1])
    assert "the newest row comes first: turned round here" in found.lines and len(found.record.codes) == 400


def test_a_value_that_stays_from_one_run_into_the_next_is_not_stuck(tmp_path):
    flow = np.random.default_rng(0).normal(size=400)
    flow[180:220] = 1.0  # twenty rows of either run
    frame = record(400).assign(run=np.arange(400) // 200, flow=flow)
    assert not {tag[0]: tag[-1] for tag in check(tmp_path, frame).tags}["flow"]
    frame.loc[100:160, "flow"], frame.loc[300:340, "flow"] = 2.0, 3.0
    said = {tag[0]: tag[-1] for tag in check(tmp_path, frame).tags}["flow"]
    assert said == "stuck for 61 rows from 2026-03-01 01:40:00 of run 0, and 1 more time"


def test_a_table_with_dates_may_be_a_record(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record(50).to_csv(tmp_path / "table.csv", index=False)
    assert run(["check", "table.csv"]) == 0
    assert "`genloom check table.csv --time time` looks at them as a record" in capsys.readouterr().out
    record(50).drop(columns="time").to_csv(tmp_path / "table.csv", index=False)
    assert run(["check", "table.csv"]) == 0
    assert "as a record" not in capsys.readouterr().out


def test_check_draws_the_plant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["check", "plant"]) == 0
    out = capsys.readouterr().out
    assert "21,600 rows of 60 runs by run, one every 10 s" in out and "the same within every run: ambient" in out
    assert "mode of 3" in out and (tmp_path / "check.png").stat().st_size > 10_000


def test_a_folder_of_runs_is_a_record(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for i in range(3):
        record(100).to_csv(tmp_path / "runs" / f"day{i}.csv", index=False)
    assert run(["check", "runs", "--time", "time"]) == 0
    assert "300 rows of 3 runs by run" in capsys.readouterr().out
    for i in range(3):  # whose files have a column of that name already
        record(100, run=1).to_csv(tmp_path / "runs" / f"day{i}.csv", index=False)
    assert run(["check", "runs", "--time", "time"]) == 0
    assert "300 rows of 3 runs by file" in capsys.readouterr().out
    for i in range(3):
        record(100).to_csv(tmp_path / "runs" / f"day{i}.csv", index=False)
    assert run(["check", "runs", "--time", "time", "--group", "shift"]) == 2
    assert "--group names no column: there is no 'shift'" in capsys.readouterr().err
    record(100, other=1).to_csv(tmp_path / "runs" / "day9.csv", index=False)
    assert run(["check", "runs", "--time", "time"]) == 2
    assert "differ in the column 'other'" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(["check", "empty", "--time", "time"]) == 2
    assert "holds no .csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.csv", "--time", "t"], "no such file"),
        (["plant", "--step", "0"], "--step takes a number above 0"),
        (["plant", "--time", "level_1"], "level_1 goes back in 10,384 of 21,600 rows, so it says no time"),
        (["plant", "--time", "mode"], "is no date that is read"),
        (["plant", "-o", "x.csv"], "the contact sheet is a picture"),
    ],
)
def test_bad_input_of_check(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["check", *words]) == 2
    assert said in capsys.readouterr().err


# -- windows ---------------------------------------------------------------------------------------


def windows_of(frame: pd.DataFrame, window: int = 20, **options: object) -> SeriesData:
    return SeriesData.of(read_record(frame, SeriesOptions(**options), "record"), window, "record")


def test_windows_are_rows_that_follow_each_other():
    frame = record(300)
    data = windows_of(frame)
    batch = data.batch({"x": torch.tensor([0, 7])})
    assert batch["x"].shape == (2, 20, 2) and batch["mask"].all()
    values = data.shape.decode(batch["x"])
    assert np.allclose(values["flow"][1], frame["flow"][7:27]) and np.allclose(values["level"][0], frame["level"][:20])
    assert torch.allclose(data.shape.encode(values), batch["x"], atol=1e-6)


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Let half of each run come an hour later."""
    late = frame.groupby("run").cumcount() >= 60
    return frame.assign(time=frame["time"] + late.astype(int) * pd.Timedelta(hours=1))


@pytest.mark.parametrize(
    "frame",
    [record(300), plant(Plan(runs=7, rows=60)), with_gaps(plant(Plan(runs=6, rows=120)))],
    ids=["one stretch", "many runs", "runs with gaps"],
)
def test_no_window_that_is_held_out_shares_a_row_with_training(frame):
    data = windows_of(frame)
    rows = [set((starts[:, None] + torch.arange(20)).flatten().tolist()) for starts in (data.starts, data.held)]
    assert rows[0] and rows[1] and not rows[0] & rows[1]
    assert 0.1 < len(rows[1]) / len(data.x) < 0.3
    found = read_record(frame, SeriesOptions(), "record")
    stretch = found.stretch
    if len(found.index.runs) > 1:  # with a gap or without, a run is of one part
        runs = [set(found.run[sorted(part)].tolist()) for part in rows]
        assert not runs[0] & runs[1]
    assert all(len(set(stretch[i : i + 20].tolist())) == 1 for i in torch.cat([data.starts, data.held]).tolist())


def test_windows_of_which_most_is_unknown_are_left_out():
    frame = record(300)
    frame.loc[100:140, ["flow", "level"]] = np.nan
    starts = windows_of(frame).starts.tolist()
    assert 85 in starts and 95 not in starts and 110 not in starts and 135 in starts


def test_windows_that_cannot_be_cut_are_refused():
    with pytest.raises(InputError, match="windows of 500 rows are longer than all stretches of record"):
        windows_of(record(300), 500)
    with pytest.raises(InputError, match="too short, or too much of it unknown, for windows of 100 rows"):
        windows_of(record(300), 100)
    with pytest.raises(InputError, match="two rows or more"):
        windows_of(record(300), 1)


def test_a_shape_of_windows_travels_as_json_and_is_written_in_the_units_of_the_data(tmp_path):
    data = windows_of(plant(Plan(runs=7, rows=60)))
    again = SeriesShape(
        **{key: value for key, value in json.loads(json.dumps(data.shape.to_json())).items() if key != "kind"}
    )
    assert again.columns[0].categories == ("high", "low", "normal") and again.dims == (20, 8)
    made = data.batch({"x": torch.tensor([0, 50])})["x"]
    data.shape.write([made[:1], made[1:]], 2, tmp_path / "runs.csv")
    read = pd.read_csv(tmp_path / "runs.csv")
    assert list(read.columns[:4]) == ["run", "time", "mode", "ambient"] and len(read) == 40
    assert (
        read["time"][:2].tolist() == ["2026-01-05 00:00:00", "2026-01-05 00:00:10"]
        and read["run"].tolist() == [1] * 20 + [2] * 20
    )
    first = plant(Plan(runs=7, rows=60)).head(20)
    assert np.allclose(read["valve"][:20], first["valve"]) and (read["mode"][:20] == first["mode"]).all()
