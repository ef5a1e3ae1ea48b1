"""The panel: every measure of a set of pictures against real ones, by the same code for every model."""

# n pictures, C channels, H height, W width, D features, K classes

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from genloom.data.pictures.dataset import ImageData
from genloom.measures.classes import class_accuracy, inception_score
from genloom.measures.copies import AXES, PROBES, Nearest, Sketch, copy_figures, nearest_training
from genloom.measures.features.registry import Features
from genloom.measures.figure import Figure, mean_figure
from genloom.measures.frechet import fid
from genloom.measures.kept import kept_tensors
from genloom.measures.kernel import kid
from genloom.measures.manifold import manifold_figures, neighbour_squares
from genloom.measures.mixture import principal_directions
from genloom.measures.parzen import choose_sigma, log_density
from genloom.measures.pyramid import SIDE, enough_pictures, wasserstein_figures
from genloom.measures.similarity import similarity_figure

KEPT_PICTURES, KEPT_BYTES = 16_384, 1 << 29
BLOCK = 1000
PARZEN_SAMPLES, PARZEN_VALIDATION, PARZEN_FRESH = 10_000, 500, 2000
Blocks = Iterable[tuple[Tensor, Tensor | None]]  # pictures [n, C, H, W] in [0, 1], and the labels asked for


@dataclass
class View:
    """What is kept of a set of pictures: features of all, and the first pictures themselves as 8 bits.

    Attributes:
        probabilities: of the feature network's classes `[n, K]`, where it has any.
        read: of the data's own classes, as its classifier reads them `[n, K]`.
        given: the labels asked for, or real ones `[n]`.
    """

    features: Tensor
    probabilities: Tensor | None
    read: Tensor | None
    pictures: Tensor
    given: Tensor | None

    def __len__(self) -> int:
        return len(self.features)

    def floats(self, n: int | None = None) -> Tensor:
        """Return the first kept pictures in [0, 1]."""
        return self.pictures[:n].float() / 255


@dataclass
class Jury:
    """The real pictures and feature networks that every row is measured with.

    Attributes:
        train: all pictures that training saw.
        real: a view of some of them; what samples are compared with.
        fresh: a view of pictures that are not in `real`, and were never trained on where `unseen`.
        validation: pictures `[m, C, H, W]`, in neither of the others, for choices that a measure needs; where None,
            a part of `fresh` serves.
        reader: the classifier of the data's own labels, where there are labels.
        key: all that its figures depend on, as JSON takes it: what is costly is kept in the cache under it.
        quick: leave out what takes longest: patches, similarity, and copies in other spaces than pixels.
    """

    train: ImageData
    features: Features
    reader: Features | None
    real: View
    fresh: View
    unseen: bool
    validation: Tensor | None = None
    flip: bool = False
    key: Sequence[Any] = ()
    quick: bool = False

    @property
    def common(self) -> int:
        """Pictures of which there are as many in every row: measures that hang on the count take no more."""
        return min(len(self.real), len(self.fresh))

    def view(self, blocks: Blocks) -> View:
        """Look at pictures block by block."""
        return view_of(blocks, self.features, self.reader)

    def measure(self, view: View) -> dict[str, Figure]:
        """Return every figure of a set of pictures."""
        name, same = self.features.name, f"{len(view)} pictures"
        figures = {
            f"FID[{name}]": fid(view.features, self.real.features, same),
            f"KID[{name}]": kid(view.features, self.real.features, same),
        }
        manifold = manifold_figures(view.features[: self.common], self.real.features[: self.common], self.radii)
        figures |= {f"{key}[{name}]": figure for key, figure in manifold.items()}
        if view.probabilities is not None:
            figures[f"IS[{name}]"] = inception_score(view.probabilities, same)
        if self.reader is not None and view.read is not None and view.given is not None:
            figures[f"class accuracy[{self.reader.name}]"] = class_accuracy(view.read, view.given, "labels asked for")
        figures |= {} if self.quick else self.likeness_figures(view)
        if self.unseen:
            figures["Parzen"] = self.parzen(view)
        return figures

    @cached_property
    def radii(self) -> Tensor:
        """The squared distances of real pictures to their nearest others, the same for every row."""
        return neighbour_squares(self.real.features[: self.common], 5)

    def likeness_figures(self, view: View) -> dict[str, Figure]:
        """Return how like real ones the patches of pictures are, and how like each other the pictures."""
        figures: dict[str, Figure] = {}
        if min(view.pictures.shape[2:]) >= SIDE:
            figures |= wasserstein_figures(view.pictures, self.real.pictures, enough_pictures(self.common))
        if (similarity := similarity_figure(view.floats(2 * BLOCK))) is not None:
            figures["MS-SSIM"] = similarity
        return figures

    def parzen(self, view: View) -> Figure:
        """Return the Parzen log-likelihood of fresh pictures, in nats: Goodfellow et al. 2014, section 5."""
        samples = (self.real if view is self.fresh else view).floats(PARZEN_SAMPLES).flatten(1)  # never of themselves
        fresh = self.fresh.floats()
        choice = self.validation
        if choice is None:
            choice, fresh = fresh.tensor_split([min(PARZEN_VALIDATION, len(fresh) // 2)])
        choice = choice[:PARZEN_VALIDATION]
        sigma, _ = choose_sigma(choice.flatten(1), samples)
        nats = log_density(fresh[:PARZEN_FRESH].flatten(1), samples, sigma)
        return mean_figure(nats, f"nats, {len(samples)} samples, sigma from {len(choice)} other pictures", "higher")

    # -- memorisation ------------------------------------------------------------------------------

    def copies(self, view: View) -> tuple[dict[str, Figure], Nearest]:
        """Return the memorisation figures in pixels and in features, and the nearest training pictures by pixels."""
        kind = "never trained on" if self.unseen else "each left out of the training set"
        figures: dict[str, Figure] = {}
        found = {}
        for name, space in self.spaces().items():
            held = view is self.fresh  # where these were trained on, they would only find themselves
            found[name] = self.held[name] if held else self.nearest(name, space(view.floats(self.probes)))
            figures |= {f"{key}[{name}]": value for key, value in copy_figures(found[name], self.held[name], kind).items()}
        return figures, found["pixels"]

    def spaces(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the spaces in which copies are looked for: pixels `[n, CHW]`, and the features `[n, D]`."""
        found: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: x.flatten(1)}
        return found if self.quick else found | {self.features.name: lambda x: self.features(x)[0]}

    def nearest(self, name: str, probes: Tensor, itself: Sequence[Tensor] | None = None) -> Nearest:
        """Find the nearest training pictures of probes `[n, D]` in a space; `itself` as in `nearest_training`."""
        if name != "pixels" or self.sketch is None:
            return nearest_training(probes, self.training(name), itself)
        found, sure = self.sketch.nearest(probes, lambda places: self.training_at(places).flatten(1), itself)
        rest = (~sure).nonzero().flatten()
        if len(rest):
            own = None if itself is None else [places[rest] for places in itself]
            again = nearest_training(probes[rest], self.training(name), own)
            found.distance[rest], found.index[rest] = again.distance, again.index
        return found

    @cached_property
    def sketch(self) -> Sketch | None:
        """All pictures that training saw along their main axes; None where there are too few to be worth it."""
        if len(self.train) < 20 * AXES or self.train.shape.width < 2 * AXES:
            return None
        x = self.train.pictures(torch.linspace(0, len(self.train) - 1, min(len(self.train), 5000)).long()).flatten(1)
        mean, axes = principal_directions(x, AXES)
        return Sketch.of((block.flatten(1) for block in self.training_pictures()), mean, axes)

    def training_at(self, places: Tensor) -> Tensor:
        """Return the pictures that training saw at these places `[n]`; mirrored ones stand after the others."""
        mirrored, found = places >= len(self.train), self.train.pictures(places % len(self.train))
        return torch.where(mirrored[:, None, None, None], found.flip(3), found) if self.flip else found

    def training(self, name: str) -> Iterable[Tensor]:
        """Return all training pictures in a space, block by block, mirrored ones after them where training mirrored."""
        return map(self.spaces()[name], self.training_pictures()) if name == "pixels" else self.training_features

    def training_pictures(self) -> Iterator[Tensor]:
        """Yield all pictures `[b, C, H, W]` that training saw."""
        for mirrored in (False, True) if self.flip else (False,):
            for index in torch.arange(len(self.train)).split(BLOCK):
                x = self.train.pictures(index)
                yield x.flip(3) if mirrored else x

    @cached_property
    def training_features(self) -> list[Tensor]:
        """The features of all pictures that training saw, in blocks."""
        key, n = [self.features.digest, self.train.fingerprint, self.flip], len(self.train) * (1 + self.flip)
        made = kept_tensors(
            "features",
            key,
            lambda: {"features": torch.cat([self.features(x)[0] for x in self.training_pictures()])},
            lambda found: found.keys() == {"features"} and len(found["features"]) == n,
        )
        return list(made["features"].split(BLOCK))

    @cached_property
    def held(self) -> dict[str, Nearest]:
        """For each space, the nearest training pictures of real ones that are not among them."""
        made = kept_tensors("neighbours", self.key, self.nearest_of_held, lambda found: found.keys() == self.held_names())
        return {name: Nearest(made[f"distance {name}"], made[f"index {name}"]) for name in self.spaces()}

    def held_names(self) -> set[str]:
        """Return the names under which the neighbours of real pictures are kept."""
        return {f"{part} {name}" for part in ("distance", "index") for name in self.spaces()}

    def nearest_of_held(self) -> dict[str, Tensor]:
        """Find the nearest training pictures of real ones, in each space."""
        if self.unseen:
            held, places = self.fresh.floats(self.probes), None
        else:  # every picture was trained on: its neighbours are the other ones
            chosen = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(3))[: self.probes]
            held, places = self.train.pictures(chosen), [chosen, *([chosen + len(self.train)] if self.flip else [])]
        made: dict[str, Tensor] = {}
        for name, space in self.spaces().items():
            found = self.nearest(name, space(held), places)
            made |= {f"distance {name}": found.distance, f"index {name}": found.index}
        return made

    @property
    def probes(self) -> int:
        """Pictures whose nearest training pictures are looked for."""
        return PROBES // 4 if self.quick else PROBES


def view_of(blocks: Blocks, features: Features, reader: Features | None) -> View:
    """Look at pictures block by block, quantised to the 8 bits that a file would hold."""
    rows: dict[str, list[Tensor]] = {"features": [], "probabilities": [], "read": [], "pictures": [], "given": []}
    kept = 0
    for x, given in blocks:
        pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8)
        x = pixels.float() / 255
        h, probabilities = features(x)
        read = probabilities if reader is features else reader(x)[1] if reader else None
        room = max(0, most_kept(pixels[0].numel()) - kept)
        kept += len(pixels[:room])
        for name, value in (
            ("features", h),
            ("probabilities", probabilities),
            ("read", read),
            ("given", given),
            ("pictures", pixels[:room]),
        ):
            rows[name] += [] if value is None else [value]
    whole = {name: torch.cat(parts) if parts else None for name, parts in rows.items()}
    assert whole["features"] is not None and whole["pictures"] is not None
    return View(whole["features"], whole["probabilities"], whole["read"], whole["pictures"], whole["given"])


def most_kept(values: int) -> int:
    """Return how many pictures of so many values a view keeps."""
    return min(KEPT_PICTURES, KEPT_BYTES // values)


def data_blocks(data: ImageData, index: Tensor, size: int = BLOCK) -> Blocks:
    """Yield the pictures of a data set at these places, with their labels."""
    for part in index.split(size):
        yield data.pictures(part), None if data.labels is None else data.labels[part].cpu()
