"""The imputers, as scikit-learn and pandas users meet them."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from genloom import GAINImputer, InputError, TableImputer
from holes import complete, holes


@pytest.mark.slow
def test_scikit_learns_own_suite():
    results = check_estimator(GAINImputer(max_iter=4), on_fail=None, on_skip=None)  # what it learns is not looked at
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")]
    assert not failed and sum(r["status"] == "passed" for r in results) >= 45
    assert [r["check_name"] for r in results if r["status"] == "skipped"] == ["check_array_api_input"]


def some(n=120):
    g = np.random.default_rng(0)
    x = g.normal(size=(n, 4)) * [1, 100, 0.01, 5] + [0, 1e4, 0, -3]
    x[:, 1] = 1e4 + 100 * x[:, 0]
    mask = g.random(x.shape) < 0.15
    return x, np.where(mask, np.nan, x), mask


def test_it_fills_and_repeats_itself():
    x, given, mask = some()
    a = GAINImputer(max_iter=200, random_state=0).fit(given)
    filled = a.transform(given)
    assert np.array_equal(filled[~mask], x[~mask]) and np.isfinite(filled).all() and a.n_iter_ == 200
    both = mask[:, 1] & ~mask[:, 0]
    assert np.abs(filled - x)[both, 1].mean() < 40  # of a deviation of 100
    brief = GAINImputer(max_iter=20, random_state=0)
    filled = brief.fit_transform(given)
    assert np.array_equal(filled, clone(brief).fit_transform(given))
    draws = [GAINImputer(max_iter=20, random_state=s, sample_posterior=True).fit_transform(given) for s in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2]) and not np.array_equal(draws[0], filled)


def test_in_a_pipeline_with_names():
    x, given, _ = some()
    frame = pd.DataFrame(given, columns=list("abcd"), index=range(1000, 1120))
    imputer = GAINImputer(max_iter=20, random_state=0).set_output(transform="pandas")
    out = imputer.fit_transform(frame)
    assert list(out.columns) == list("abcd") and out.index.equals(frame.index)
    assert make_pipeline(GAINImputer(max_iter=20), LinearRegression()).fit(given, x[:, 0]).predict(given).shape == (120,)


def test_empty_and_constant_columns():
    _, given, _ = some()
    given[:, 2], given[:, 3] = np.nan, np.where(np.isnan(given[:, 3]), np.nan, 7.0)
    imputer = GAINImputer(max_iter=10, random_state=0).fit(given)
    out = imputer.transform(given)
    assert (
        out.shape == (120, 3) and np.allclose(out[:, 2], 7) and list(imputer.get_feature_names_out()) == ["x0", "x1", "x3"]
    )
    kept = GAINImputer(max_iter=10, random_state=0, keep_empty_features=True).fit_transform(given)
    assert kept.shape == given.shape and (kept[:, 2] == 0).all()
    empty = GAINImputer(max_iter=10).fit(np.full((30, 2), np.nan)).transform(np.full((30, 2), np.nan))
    assert empty.shape == (30, 0)


@pytest.mark.parametrize("options", [{"preset": "best"}, {"max_iter": 0}, {"max_seconds": -1}, {"max_iter": "many"}])
def test_parameters_that_make_no_sense(options):
    with pytest.raises(InputError, match=next(iter(options))):
        GAINImputer(**options).fit(some()[1])


@pytest.mark.usefixtures("brief_gain")
def test_frames_keep_their_types():
    frame = complete(200).assign(
        n=np.arange(200) % 7, small=np.float32(1.5) * (np.arange(200) % 5), free=[f"text {i}" for i in range(200)]
    )
    frame = frame.astype({"kind": "category", "n": "Int16"}).set_index(pd.Index([f"row {i}" for i in range(200)]))
    frame["day"] = frame["day"].dt.tz_localize("Europe/Berlin")
    frame["ok"] = frame["ok"].astype("boolean")
    out = holes(frame, 0.1)
    given = frame.mask(out)
    imputer = TableImputer(method="ridge", random_state=0).fit(given)
    filled = imputer.transform(given)
    assert (filled.dtypes == given.dtypes).all() and filled.index.equals(frame.index)
    learnt = [c for c in frame.columns if c not in ("id", "free")]
    assert (
        not filled[learnt].isna().any().any() and filled["free"].isna().sum() == out[:, frame.columns.get_loc("free")].sum()
    )
    for place, name in enumerate(frame.columns):
        known = ~out[:, place]
        assert (filled[name][known] == frame[name][known]).all()
    assert given.isna().sum().sum() == out.sum()  # the input was not touched


@pytest.mark.usefixtures("brief_gain")
def test_frames_of_other_rows():
    frame = complete(150)
    imputer = TableImputer(method="ridge", random_state=0).fit(frame.mask(holes(frame)))
    one = frame.iloc[:1].astype({"size": float}).assign(size=np.nan, kind="enormous")  # a category never seen
    filled = imputer.transform(one)
    assert np.isfinite(filled["size"].iloc[0]) and filled["kind"].iloc[0] == "enormous"
    assert abs(filled["size"].iloc[0] - frame["size"].iloc[0]) < 3
    assert imputer.transform(frame).equals(frame)  # nothing is missing
    with pytest.raises(InputError, match="the columns are"):
        imputer.transform(frame[["id", "size"]])
    with pytest.raises(InputError, match="a DataFrame is wanted, got ndarray"):
        TableImputer().fit(frame.to_numpy())


@pytest.mark.usefixtures("brief_gain")
def test_objects_stay_what_they_are():
    frame = complete(100)
    frame["day"] = frame["day"].dt.date.astype(object)
    frame["weight"] = frame["weight"].map(lambda weight: Decimal(f"{weight:.1f}"))
    imputer = TableImputer(method="ridge", random_state=0)
    filled = imputer.fit_transform(frame.mask(holes(frame)))
    assert {type(cell) for cell in filled["day"]} == {date} and {type(cell) for cell in filled["weight"]} == {Decimal}
    assert {type(cell) for cell in filled["ok"]} == {bool}


@pytest.mark.usefixtures("brief_gain")
def test_frames_of_other_types():
    frame = complete(150).astype({"id": float})
    imputer = TableImputer(method="ridge", random_state=0).fit(frame.mask(holes(frame)))
    empty = imputer.transform(frame.assign(kind=np.nan, day=np.nan))  # as pandas reads a column without a cell
    assert (empty["kind"] == frame["kind"]).mean() > 0.5 and empty["day"].map(type).eq(pd.Timestamp).all()
    last = imputer.transform(frame.iloc[:1].assign(size=np.nan, id=np.nan, ok=None))
    assert (
        last.dtypes["size"] == frame.dtypes["size"]
        and last.dtypes["id"] == "float64"
        and last["ok"].iloc[0] in (True, False)
    )
    for name, cells in {"day": 1.5, "size": pd.Timestamp("2021-03-01"), "kind": 1.5}.items():
        other = frame.assign(**{name: cells})
        other.loc[3, name] = None
        with pytest.raises(InputError, match=f"column '{name}' is of type .*, where `fit` saw .*: cast it first"):
            imputer.transform(other)


def test_categories_of_any_type():
    frame = complete(150).assign(day=lambda f: f["day"].dt.floor("D").astype("category"))
    frame["size"] = pd.cut(frame["size"], 4)
    given = frame.mask(holes(frame))
    filled = TableImputer(method="gain", max_seconds=0.2, random_state=0).fit_transform(given)
    assert (filled.dtypes == given.dtypes).all() and not filled.isna().any().any()


@pytest.mark.parametrize(
    ("options", "frame", "says"),
    [
        ({"method": "forest"}, complete(40), "the method is auto, mean,"),
        ({"max_seconds": -1}, complete(40), "max_seconds takes"),
        ({"kinds": {"size": "number"}}, complete(40), "a column is numeric"),
        ({}, pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0, np.nan])}), "column 'x' is sparse"),
    ],
)
def test_what_a_table_imputer_refuses(options, frame, says):
    with pytest.raises(InputError, match=says):
        TableImputer(**options).fit(frame)


@pytest.mark.usefixtures("brief_gain")
def test_a_number_may_stand_for_a_missing_cell():
    frame = complete(120)[["size", "weight"]]
    given = frame.mask(holes(frame, 0.2)).fillna(-999.0)
    filled = TableImputer(method="ridge", missing=-999, random_state=0).fit_transform(given)
    assert (filled > -100).all().all() and (filled["weight"] / filled["size"] - 2).abs().median() < 0.1


def test_the_papers_preset():
    """It rounds as its code does, and holds nothing back."""
    x = np.random.default_rng(0).integers(0, 5, (60, 3)).astype(float)
    x[::4, 0] = np.nan
    imputer = GAINImputer(preset="paper", max_iter=20, random_state=0)
    filled = imputer.fit_transform(x)
    assert np.array_equal(filled, np.round(filled)) and imputer.n_iter_ == 20 and not imputer.network_.calibrated
    assert GAINImputer(preset="tiny", max_iter=20, random_state=0).fit(x).n_iter_ == 20
