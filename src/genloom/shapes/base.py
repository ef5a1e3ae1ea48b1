"""Shape: what a model must know of the data, and how tensors become a person's file and come back.

A shape is JSON and travels with every checkpoint. One file a kind; what asks for a kind by name is `data/`, `models/` and
the panels of the judge alone.
"""

# n samples

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from genloom.bounds import numeral, short
from genloom.errors import InputError, nearest
from genloom.files import check_writable, room
from genloom.kinds import KINDS, imported
from genloom.reading import in_words, kind_of, misfit, named

LARGEST = 1 << 24  # numbers along one side of an example


@dataclass(frozen=True)
class Shape(ABC):
    """What one example is.

    Attributes:
        classes: names of the labels in `y`, empty where there are none.
        kind, named: its name in files, and in sentences.
        suffixes: of the files that samples can be written as; `/` stands for a folder with a file each.
        form: of the fields as JSON, as `read_json` takes it.
        drawn: whether examples are pictures themselves, `[C, H, W]` in [0, 1].
        brought: what is done to them where a model takes another size.
    """

    kind: ClassVar[str]
    named: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)
    form: ClassVar[Any] = {"classes?": [str]}
    drawn: ClassVar[bool] = False
    brought: ClassVar[str] = "resized"
    classes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """The size of `x` for one example, without the batch."""

    @property
    def width(self) -> int:
        """Numbers in one example."""
        return math.prod(self.dims)

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words what one example is."""

    def need_pictures(self, who: str) -> None:
        """Raise InputError where examples are no pictures, which `who` draws."""
        if not self.drawn:
            raise InputError(f"{who} draws pictures, this run gives {self.describe()}")

    def write(self, parts: Iterable[Tensor], n: int, path: Path, zoom: int | None = None) -> None:
        """Write `n` samples, which come in parts `[b, *dims]`, to `path`; the suffix decides how, `.npy` always works.

        Args:
            zoom: how many times larger pictures are drawn; None picks a size that one can see.
        """
        with path.open("wb") as file:
            head = {"descr": "<f4", "fortran_order": False, "shape": (n, *self.dims)}
            np.lib.format.write_array_header_1_0(file, head)
            for part in parts:
                file.write(part.numpy().astype("<f4").tobytes())

    def write_each(self, parts: Iterable[Tensor], folder: Path, zoom: int | None = None) -> None:
        """Write one file a sample into `folder`, for a kind that has such files."""
        self.refuse_suffix("/")

    def refuse_target(self, target: str, n: int, zoom: int | None = None) -> None:
        """Raise InputError where `n` samples cannot be written so: better before they are drawn than after it."""
        suffix = "/" if target.endswith("/") else named(target).suffix
        if suffix != "/" and kind_of(named(target)) == "folder":
            raise InputError(f"{target} is a folder: write {target}/ for one file each in it")
        self.refuse_suffix(suffix)
        check_writable(target)
        free, needed = room(named(target)), self.bytes_of(n, suffix, zoom)
        if needed > free:
            raise InputError(f"{n:,} samples take {in_words(needed)}, and the disk of {target} has {in_words(free)} left")

    def bytes_of(self, n: int, suffix: str, zoom: int | None) -> int:
        """Return about how many bytes a file of `n` samples has; InputError where there can be no such file."""
        return 4 * n * self.width if suffix.lower() == ".npy" else n

    def refuse_suffix(self, suffix: str) -> None:
        """Raise InputError where samples cannot be written so."""
        if suffix.lower() not in self.suffixes:
            *first, last = ["FOLDER/" if known == "/" else known for known in self.suffixes]
            what = {"": "a name without suffix", "/": "one file each"}.get(suffix, suffix)
            ways = f"{', '.join(first)} or {last}" if first else last
            raise InputError(f"cannot write {self.named} as {what}; use {ways}")

    def preview(self, samples: Tensor) -> Any:
        """Return samples `[n, *dims]` as one small picture, a pillow image, or None for a kind that has none."""
        return None

    def encode(self, values: Any) -> Tensor:
        """Return examples as a person has them as tensors `[n, *dims]`."""
        raise InputError(f"{self.describe()} come as tensors alone")

    def decode(self, samples: Tensor) -> Any:
        """Return tensors `[n, *dims]` as a person has such examples; the inverse of `encode`."""
        return samples.numpy()

    def label(self, name: str | int) -> int:
        """Return the class index of a label given by name or number."""
        if not self.classes:
            raise InputError(f"label {short(name)} asked for, but this model was trained without labels")
        if str(name) in self.classes:
            return self.classes.index(str(name))
        if (number := numeral(str(name))) is not None and number < len(self.classes):
            return number
        raise InputError(f"no label {short(name)} among {len(self.classes)} classes{nearest(str(name)[:100], self.classes)}")

    def to_json(self) -> dict[str, Any]:
        """Return the shape as plain JSON."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Shape:
        """Rebuild a shape of whatever kind from `to_json`; InputError where it is none."""
        kind, rest = values.get("kind"), {name: value for name, value in values.items() if name != "kind"}
        if not isinstance(kind, str) or kind not in KINDS:
            raise InputError(f"this run holds data of the kind {kind!r}, which this genloom does not know")
        shape: type[Shape] = imported(KINDS[kind].shape)
        if odd := rest.keys() - {field.name for field in fields(shape)}:
            raise InputError(f"this run describes its {kind} by {sorted(odd)[0]!r}, which this genloom does not know")
        if wrong := misfit(rest, shape.form, "its shape"):
            raise InputError(f"this run describes its {kind} wrongly: {wrong}")
        built = shape(**{name: tuple(value) if isinstance(value, list) else value for name, value in rest.items()})
        if not built.dims or not all(1 <= size <= LARGEST for size in built.dims):
            raise InputError(f"this run describes its {kind} wrongly: examples of {'x'.join(map(str, built.dims))}")
        return built
