"""Which class a model takes pictures for: of one file, or of all pictures of a source."""

# n pictures, K classes

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genloom.core.capabilities import Classifies
from genloom.core.model import Model
from genloom.data.options import PictureOptions
from genloom.data.pictures.load import PictureSource
from genloom.data.pictures.sources import SUFFIXES
from genloom.errors import InputError
from genloom.files import replaced
from genloom.reading import kind_of, named
from genloom.use.likelihood.complete import read_picture

BLOCK = 250


@dataclass(frozen=True)
class Classified:
    """What a model says of pictures.

    Attributes:
        names: of the pictures, and `classes`, of the classes.
        probabilities: of each class `[n, K]`.
        part: of the source that they are, train or test.
        wrong: how many are of another class than the source says, None where it has no classes, or others than the model.
    """

    names: list[str]
    classes: tuple[str, ...]
    probabilities: Tensor
    wrong: int | None
    part: str = ""

    @property
    def found(self) -> list[int]:
        """The likeliest class of each picture."""
        return self.probabilities.argmax(1).tolist()

    def write(self, path: Path) -> None:
        """Write a CSV: a picture a row, its class, that one's probability, and those of all classes."""
        with replaced(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["picture", "class", "probability", *self.classes])
            for name, place, row in zip(self.names, self.found, self.probabilities.tolist(), strict=True):
                rows.writerow([name, self.classes[place], f"{row[place]:.4f}", *(f"{p:.4f}" for p in row)])


def check_classifies(model: Model) -> Classifies:
    """Return a model that tells classes; InputError for another."""
    if not isinstance(model, Classifies):
        raise InputError(f"{type(model).__name__} does not tell classes; feature_matching does")
    return model


def classify(model: Model, source: str, split: str = "train", skip_broken: bool = False) -> Classified:
    """Classify a picture file, or all pictures of a source, cropped and resized as `fit` does.

    Raises:
        InputError: the model tells no classes, or there are no pictures that can be read.
    """
    check_classifies(model)
    if kind_of(named(source)) == "file" and source.lower().endswith(SUFFIXES):
        return Classified([source], model.shape.classes, told(model, read_picture(source, model.shape)), None)
    channels, height, width = model.shape.dims
    options = PictureOptions(size=(height, width), channels=channels, split=split, skip_broken=skip_broken)  # type: ignore[arg-type]
    found = PictureSource(source, options)
    data = found.load()
    parts = [told(model, data.pictures(index)) for index in torch.arange(len(data)).split(BLOCK)]
    probabilities = torch.cat(parts)
    wrong = None
    if data.labels is not None and data.shape.classes == model.shape.classes:
        wrong = int((probabilities.argmax(1) != data.labels.cpu()).sum())
    return Classified(found.names_of(data), model.shape.classes, probabilities, wrong, split)


def told(model: Model, x: Tensor) -> Tensor:
    """Return the probabilities `[n, K]` of pictures `[n, C, H, W]`, on the CPU."""
    return check_classifies(model).classify(x).cpu()
