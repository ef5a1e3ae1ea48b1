"""Data inside installed packages, with nothing to download."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from genloom.data.pictures.arrays import as_arrays
from genloom.data.pictures.sources import Pictures
from genloom.errors import InputError


def digits(split: str) -> Pictures:
    """scikit-learn's 1,797 handwritten digits of 8x8 in 17 greys; every fifth is the test split."""
    images, labels, file = digit_arrays()
    test = np.arange(len(labels)) % 5 == 4
    chosen = test if split == "test" else ~test
    return as_arrays(images[chosen], labels[chosen], tuple("0123456789"), [file], f"digits-{split}")


@cache
def digit_arrays() -> tuple[np.ndarray, np.ndarray, Path]:
    """Return the pictures, their labels and the file where they lie, parsed once."""
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("the data set digits lives in scikit-learn: pip install scikit-learn") from None
    bunch = load_digits()
    file = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
    return np.round(bunch.images * (255 / 16)).astype(np.uint8), bunch.target, file


BUILTIN: dict[str, Callable[[str], Pictures]] = {"digits": digits}
