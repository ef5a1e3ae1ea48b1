"""Hugging Face data sets, fetched only when a person names one as `hf:owner/name`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.pictures.sources import Pictures
from genloom.errors import InputError


@dataclass
class Rows(Pictures):
    """Pictures of a data set's image column."""

    column: Any = None

    def open(self, i: int) -> Any:
        return self.column[i]


def from_hub(name: str, split: str) -> Pictures:
    """Open `owner/name`, or a local folder or Parquet file that `datasets` can read."""
    try:
        import datasets
    except ImportError:
        raise InputError(f"hf:{name} needs the package datasets: pip install datasets pillow") from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are not the person's concern
    try:
        table = datasets.load_dataset(name)
    except Exception as error:  # the package raises dozens of kinds: no network, no such name, a gated set
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"hf:{name} cannot be opened ({first}); check the name and the network") from None
    rows = table[split] if split in table else table[next(iter(table))]
    image = next((c for c, kind in rows.features.items() if isinstance(kind, datasets.Image)), None)
    if image is None:
        raise InputError(f"hf:{name} has no column of pictures; its columns are {', '.join(rows.features)}")
    label = next((c for c, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)), None)
    labels = None if label is None else np.array(rows[label])
    classes = () if label is None else tuple(rows.features[label].names)
    files = [Path(part["filename"]) for part in rows.cache_files]
    return Rows(
        [f"{name}[{i}]" for i in range(len(rows))],
        labels,
        classes,
        files,
        key=f"{name} {rows._fingerprint}",
        column=rows[image],
    )
