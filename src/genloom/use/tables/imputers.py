"""Imputers as scikit-learn has them: `GAINImputer` for arrays of numbers, `TableImputer` for DataFrames of any columns."""

# n rows, D columns

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from genloom.errors import InputError
from genloom.shapes.columns import Bits, Column, Numbers
from genloom.use.tables.network import Network
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Method, Settings

FEW = 20  # different values below which the paper's code rounds a column


class GAINImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fills missing numbers by GAIN (Yoon et al. 2018), in the way of scikit-learn.

    Args:
        preset: "modern", "paper" or "tiny", as `genloom models gain` describes them; "paper" rounds the cells of columns
            with fewer than 20 different known values, as its published code does.
        max_iter: rounds of training; as the table's size suggests where None.
        max_seconds: most seconds to train, or None. The result then depends on the machine's speed.
        sample_posterior: fill in a draw rather than the mean: a new one for each `random_state`.
        keep_empty_features: keep columns without a known value, filled with 0, rather than drop them.
        random_state: all randomness follows from it.

    Attributes:
        network_: the trained net; `network_.interval` gives 90 % intervals in its standardised units.
        columns_: how the columns that are kept are standardised.
        n_iter_: rounds that were played.

    Example:
        >>> import numpy as np
        >>> x = np.array([[1.0, 2.0], [2.0, 4.0], [np.nan, 6.0], [4.0, np.nan]] * 5)
        >>> GAINImputer(max_iter=50, random_state=0).fit_transform(x).shape
        (20, 2)
    """

    def __init__(
        self,
        *,
        preset: str = "modern",
        max_iter: int | None = None,
        max_seconds: float | None = None,
        sample_posterior: bool = False,
        keep_empty_features: bool = False,
        random_state: Any = None,
    ) -> None:
        self.preset = preset
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.sample_posterior = sample_posterior
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from an array `[n, D]` with not-a-number where cells are missing."""
        self.check_parameters()
        x = self.checked(X, reset=True)
        known = np.isfinite(x)
        self.kept_ = known.any(0) | self.keep_empty_features
        x, known = x[:, self.kept_], known[:, self.kept_]
        self.columns_ = [Column.of_numbers(str(d), x[known[:, d], d]) for d in range(x.shape[1])]
        self.few_ = np.array([len(np.unique(x[known[:, d], d])) < FEW for d in range(x.shape[1])], bool)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.seed_ = int(seed)
        self.network_ = Network(self.preset, rounds=self.max_iter, seconds=self.max_seconds, seed=self.seed_, threads=1)
        self.n_iter_ = 0
        if x.shape[1]:
            self.network_.fit(self.codes(x), known, self.columns_)
            self.n_iter_ = self.network_.played
        return self

    def transform(self, X: Any) -> Numbers:
        """Return the array with its holes filled; known cells as they are."""
        check_is_fitted(self)
        x = self.checked(X, reset=False)[:, self.kept_]
        known = np.isfinite(x)
        if known.all() or not x.shape[1]:
            return x
        codes = self.codes(x)
        filled = (
            self.network_.draw(codes, known, 1, self.seed_)[0] if self.sample_posterior else self.network_.fill(codes, known)
        )
        plain = np.stack([column.plain(filled[:, d]) for d, column in enumerate(self.columns_)], 1)
        if self.preset == "paper":
            plain[:, self.few_] = np.round(plain[:, self.few_])
        return np.where(known, x, plain)

    def checked(self, X: Any, reset: bool) -> Numbers:
        """Return an array of floating numbers, or raise as scikit-learn does."""
        return validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            copy=True,
            ensure_min_samples=2 if reset else 1,
        )

    def check_parameters(self) -> None:
        """Raise where a parameter makes no sense."""
        if self.preset not in ("modern", "paper", "tiny"):
            raise InputError(f"preset is modern, paper or tiny, got {self.preset!r}")
        for name in ("max_iter", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Real) and 0 < float(value) < float("inf")):
                raise InputError(f"{name} takes a number above 0 or None, got {value!r}")

    def codes(self, x: Numbers) -> Numbers:
        """Return standardised numbers, 0 where missing."""
        codes = np.stack([column.code(x[:, d]) for d, column in enumerate(self.columns_)], 1)
        return np.nan_to_num(codes, nan=0.0)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns that are kept."""
        check_is_fitted(self)
        return super().get_feature_names_out(input_features)[self.kept_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class TableImputer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fills the holes of DataFrames, whatever their columns hold: numbers, categories, truth values, dates.

    Types, categories and the index are kept, whole numbers stay whole, identifiers and free text pass through.

    Args:
        method: one of mean, knn, ridge, trees, boosted, gain; auto takes for each column the mix that did best on
            known cells.
        max_seconds: about the most seconds that `fit` may take, or None.
        kinds: what a column is, by name, where the guess is wrong: numeric, categorical, boolean, date or passed.
        missing: words or numbers that stand for a missing cell, besides the usual words.
        random_state: all randomness follows from it.

    Attributes:
        repairer_: what was learnt; `repairer_.tests` are the errors of every method, `repairer_.promised` those to expect,
            `repairer_.methods(name)` the methods that fill a column, `repairer_.fix(frame)` gives intervals and doubts
            too, `repairer_.draws(frame, n)` several ways to fill.
    """

    def __init__(
        self,
        *,
        method: Method = "auto",
        max_seconds: float | None = None,
        kinds: Any = None,
        missing: Any = (),
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.max_seconds = max_seconds
        self.kinds = kinds
        self.missing = missing
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Study a DataFrame and learn from it."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if self.max_seconds is not None and not 0 < self.max_seconds < float("inf"):
            raise InputError(f"max_seconds takes a number above 0 or None, got {self.max_seconds!r}")
        minutes = None if self.max_seconds is None else self.max_seconds / 60
        settings = Settings(method=self.method, minutes=minutes, kinds=self.kinds or {}, missing=self.missing, seed=seed)
        self.repairer_ = Repairer(settings)
        self.repairer_.fit(self.framed(X))
        self.feature_names_in_ = np.array([str(name) for name in X.columns], dtype=object)
        self.kinds_ = list(X.dtypes)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return a copy with the holes filled.

        Raises:
            InputError: the columns are not those of `fit`, or of another kind.
        """
        check_is_fitted(self)
        names = [str(name) for name in self.framed(X).columns]
        if names != list(self.feature_names_in_):
            raise InputError(f"the columns are {', '.join(names)}, where `fit` saw {', '.join(self.feature_names_in_)}")
        filled = X.copy()
        for place, kind in enumerate(self.kinds_):
            filled.isetitem(place, as_fitted(X.iloc[:, place], kind))
        for fix in self.repairer_.fix(filled.reset_index(drop=True)):
            place = names.index(fix.field.name)
            cells = filled.iloc[:, place].copy()
            try:
                filled.isetitem(place, put(cells, fix.rows, fix.cells))
            except (TypeError, ValueError):
                raise foreign(cells, self.kinds_[place]) from None
        return filled

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns."""
        check_is_fitted(self)
        return self.feature_names_in_

    @staticmethod
    def framed(X: Any) -> pd.DataFrame:
        """Return the input, which must be a DataFrame."""
        if not isinstance(X, pd.DataFrame):
            raise InputError(f"a DataFrame is wanted, got {type(X).__name__}; GAINImputer takes arrays of numbers")
        for name, kind in X.dtypes.items():
            if isinstance(kind, pd.SparseDtype):
                raise InputError(f"column {name!r} is sparse: X.sparse.to_dense() makes it an ordinary one")
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def as_fitted(cells: pd.Series, kind: Any) -> pd.Series:
    """Return a column as it can be filled in by what was learnt of a column of that type.

    Raises:
        InputError: it holds something else.
    """
    if cells.dtype == kind:
        return cells
    if bool(cells.isna().all()):
        return empty_of(cells, kind)
    sorts = {sort_of(cells.dtype), sort_of(kind)}
    if len(sorts - {"objects"}) == 2:
        raise foreign(cells, kind)
    return cells


def empty_of(cells: pd.Series, kind: Any) -> pd.Series:
    """Return a column without a cell as one of a type, of objects where the type knows no missing cell."""
    try:
        return cells.astype(kind)
    except (TypeError, ValueError):
        return cells if sort_of(cells.dtype) == sort_of(kind) else cells.astype(object)


def foreign(cells: pd.Series, kind: Any) -> InputError:
    """Say that a column is not of the type that was learnt."""
    return InputError(f"column {cells.name!r} is of type {cells.dtype}, where `fit` saw {kind}: cast it first")


def sort_of(kind: Any) -> str:
    """Return in a word what a type holds; objects may be anything, and are looked at one by one."""
    if isinstance(kind, pd.CategoricalDtype):
        return sort_of(kind.categories.dtype)
    if pd.api.types.is_numeric_dtype(kind):
        return "numbers"
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "dates"
    return "text" if isinstance(kind, pd.StringDtype) else "objects"


def put(cells: pd.Series, rows: Bits, new: Sequence[Any]) -> pd.Series:
    """Return a column with some cells replaced, of the same type."""
    kind = cells.dtype
    if isinstance(kind, np.dtype) and kind.hasobject:
        known = cells.dropna()
        cells[rows] = pd.Series([like(cell, known.iloc[0]) for cell in new] if len(known) else new, dtype=object).to_numpy()
        return cells
    values = pd.Series(new, dtype=object)
    if isinstance(kind, pd.DatetimeTZDtype):
        stamps = pd.to_datetime(values)
        values = (stamps if stamps.dt.tz else stamps.dt.tz_localize("UTC")).dt.tz_convert(kind.tz)
    if isinstance(kind, pd.CategoricalDtype):
        cells = cells.cat.add_categories([value for value in dict.fromkeys(values) if value not in kind.categories])
        kind = cells.dtype
    if pd.api.types.is_integer_dtype(kind):
        values = values.map(lambda value: round(float(value)))
    cells[rows] = pd.Series(values.tolist()).astype(kind).array
    return cells


def like(cell: Any, known: Any) -> Any:
    """Return a new cell of a column of objects as a known one is: a `Decimal`, a `date`, or what it is."""
    if isinstance(known, Decimal):
        return Decimal(str(cell))
    if isinstance(known, date) and not isinstance(known, datetime) and isinstance(cell, datetime):
        return cell.date()
    return cell
