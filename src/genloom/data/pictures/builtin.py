"""Data inside installed packages, with nothing to download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from genloom.data.pictures.sources import Pictures, as_arrays
from genloom.errors import InputError


def digits(split: str) -> Pictures:
    """scikit-learn's 1,797 handwritten digits of 8x8 in 17 greys; every fifth is the test split."""
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("the data set digits lives in scikit-learn: pip install scikit-learn") from None
    bunch = load_digits()
    test = np.arange(len(bunch.target)) % 5 == 4
    chosen = test if split == "test" else ~test
    array = np.round(bunch.images[chosen] * (255 / 16)).astype(np.uint8)
    file = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
    return as_arrays(array, bunch.target[chosen], tuple("0123456789"), [file], f"digits-{split}")


BUILTIN: dict[str, Callable[[str], Pictures]] = {"digits": digits}
