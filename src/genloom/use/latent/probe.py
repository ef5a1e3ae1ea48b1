"""probe: what the codes of an encoder are worth when only a few labels are known, beside simple features."""

# N examples, Z features

from __future__ import annotations

import copy
import hashlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core.capabilities import Encodes
from genloom.core.model import Model
from genloom.core.random import generator, stream, training
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError
from genloom.files import replaced
from genloom.measures.heads import HEADS, NEIGHBOURS, Graph, nearest_places, scaled
from genloom.measures.mixture import principal_directions

PCA = 50  # axes, or a quarter of the pixels where that is less
USUAL = (100, 600, 1000, 3000)  # numbers of labels in published studies
TUNING_STEPS = 300
VOTED = "neighbours with propagated labels"  # the graph is of training pictures alone: new ones may come
PROPAGATION = "label propagation (transductive)"  # the graph holds the test pictures too


@dataclass
class Row:
    """Test errors, in per cent, of one head on one kind of features, by number of labels: one for each seed."""

    features: str
    head: str
    errors: dict[int, list[float]] = field(default_factory=dict)

    def cell(self, count: int) -> tuple[float, float]:
        """Return mean and standard deviation over seeds."""
        values = self.errors[count]
        return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Split:
    """Which examples of the pool are labelled."""

    count: int
    seed: int
    index: Tensor


@dataclass(frozen=True)
class Study:
    """Pool and test set, and the splits.

    The pool `[N]` are the places of the training pictures that take part: labels are drawn from it, the same number for
    each class, and the others stand unlabelled in the graph over which labels propagate.
    """

    train: ImageData
    test: ImageData
    pool: Tensor
    splits: tuple[Split, ...]

    @property
    def hash(self) -> str:
        """A name for exactly these splits."""
        digest = hashlib.blake2b(self.train.fingerprint.encode(), digest_size=4)
        for split in self.splits:
            digest.update(self.pool[split.index].numpy().tobytes())
        return digest.hexdigest()


def usual_counts(train: ImageData) -> list[int]:
    """Return as many of the usual numbers of labels as the data can serve."""
    if train.labels is None:
        return [len(train.shape.classes)]  # refused later
    classes = len(train.shape.classes)
    least = int(torch.bincount(train.labels, minlength=classes).min())
    return [count for count in USUAL if count % classes == 0 and count // classes <= least] or [classes]


def plan(train: ImageData, test: ImageData, counts: Sequence[int], seeds: int, unlabelled: int) -> Study:
    """Draw the pool and the splits.

    Raises:
        InputError: the data has no labels, or too few of a class.
    """
    if train.labels is None or test.labels is None:
        raise InputError(f"{train.source} has no labels: probe needs them; put each class into a sub-folder")
    classes = len(train.shape.classes)
    for count in counts:
        if count < classes or count % classes:
            raise InputError(f"--labels takes multiples of the {classes} classes, got {count}")
    if seeds < 1:
        raise InputError(f"--seeds takes a number from 1 on, got {seeds}")
    if unlabelled < 0:
        raise InputError(f"--unlabelled takes a number from 0 on, got {unlabelled}")
    order = torch.randperm(len(train), generator=generator("probe pool", seed=0))
    most = max(counts) // classes
    labelled = [order[train.labels[order] == each][: 2 * most] for each in range(classes)]  # of which each seed draws
    pool = torch.cat([*labelled, order[:unlabelled]]).unique()
    labels = train.labels[pool]
    splits = tuple(Split(count, seed, balanced(labels, count, classes, seed)) for count in counts for seed in range(seeds))
    return Study(train, test, pool, splits)


def balanced(labels: Tensor, count: int, classes: int, seed: int) -> Tensor:
    """Return places `[count]` of labels, the same number of each class, drawn by the seed."""
    drawing = generator("probe labels", seed=seed)
    found = []
    for each in range(classes):
        places = (labels == each).nonzero().flatten()
        if len(places) < count // classes:
            raise InputError(
                f"--labels {count} needs {count // classes} examples of each class; class {each} has {len(places)}"
            )
        found.append(places[torch.randperm(len(places), generator=drawing)[: count // classes]])
    return torch.cat(found)


def probe(model: Model, study: Study, fine_tune: bool = False, say: Callable[[str], None] = lambda text: None) -> list[Row]:
    """Return the errors of every head on the codes of the encoder, raw pixels, PCA and an untrained encoder.

    Labels never reach the encoder, except with `fine_tune`, which trains a copy of it with a linear head on the labels.
    """
    rows: list[Row] = []
    for name, (train, test) in all_features(model, study):
        say(f"{name}: {train.shape[1]} features")
        rows += [Row(name, head) for head in (*HEADS, VOTED, PROPAGATION)]
        measure(rows[-len(HEADS) - 2 :], *scaled(train, test), study)
    if fine_tune:
        say("fine-tuning copies of the encoder")
        rows.append(Row("the encoder, fine-tuned", "linear"))
        for split in study.splits:
            rows[-1].errors.setdefault(split.count, []).append(fine_tuned(model, study, split))
    return rows


def check_encodes(model: Model) -> None:
    """Raise InputError where there is nothing to probe."""
    if not isinstance(model, Encodes):
        raise InputError(f"{type(model).__name__} has no encoder to probe; autoencoder and vae have one")


def all_features(model: Any, study: Study) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield each kind of features by name, those `[N, Z]` of the pool and those of the test set."""
    index = [(study.train, study.pool), (study.test, torch.arange(len(study.test)))]
    with training(stream("probe untrained", seed=0)):
        untrained = type(model)(model.hyper, model.shape).to(model.device).eval()

    def of(encode: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            parts = [[encode(data.pictures(i)).float().cpu() for i in places.split(500)] for data, places in index]
        return torch.cat(parts[0]), torch.cat(parts[1])

    yield "the encoder's codes", of(model.encode)
    pixels = of(lambda x: x.flatten(1))
    yield "raw pixels", pixels
    mean, axes = principal_directions(pixels[0], min(PCA, pixels[0].shape[1] // 4 + 1, len(pixels[0])))
    yield f"PCA, {axes.shape[1]} axes", ((pixels[0] - mean) @ axes, (pixels[1] - mean) @ axes)
    yield "an untrained encoder", of(untrained.encode)


def measure(rows: list[Row], train: Tensor, test: Tensor, study: Study) -> None:
    """Fill in the errors of every head, and of propagation over the pool, without and with the test set."""
    assert study.train.labels is not None and study.test.labels is not None
    labels, truth = study.train.labels[study.pool], study.test.labels
    classes = len(study.train.shape.classes)
    alone, together = Graph(train), Graph(torch.cat([train, test]))
    near = nearest_places(test, train, NEIGHBOURS)
    for split in study.splits:
        x, y = train[split.index], labels[split.index]
        found = [head(x, y, test) for head in HEADS.values()]
        found.append(alone.propagate(split.index, y, classes)[near].mode(1).values)
        found.append(together.propagate(split.index, y, classes)[len(train) :])
        for row, said in zip(rows, found, strict=True):
            row.errors.setdefault(split.count, []).append(error(said, truth))


def error(said: Tensor, truth: Tensor | None) -> float:
    """Return the share, in per cent, of labels `[N]` that are wrong."""
    assert truth is not None
    return 100 * float((said != truth).float().mean())


def fine_tuned(model: Any, study: Study, split: Split) -> float:
    """Return the test error, in per cent, of a copy of the encoder trained with a linear head on the labels."""
    with training(stream("probe tuning", seed=split.seed)):
        net = copy.deepcopy(model).train()
        places = study.pool[split.index]
        x, y = study.train.pictures(places), study.train.labels[places].to(model.device)  # type: ignore[index]
        head = torch.nn.Linear(net.encode(x[:1]).shape[1], len(study.train.shape.classes)).to(model.device)
        torch.nn.init.zeros_(head.weight)
        optimizer = torch.optim.AdamW([*net.encoder.parameters(), *head.parameters()], lr=1e-3, weight_decay=1e-2)
        for _ in range(TUNING_STEPS):
            part = torch.randint(len(x), (min(100, len(x)),))
            loss = F.cross_entropy(head(net.encode(x[part])), y[part])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            parts = torch.arange(len(study.test)).split(500)
            said = torch.cat([head(net.encode(study.test.pictures(i))).argmax(1).cpu() for i in parts])
    return error(said, study.test.labels)


def plot(rows: list[Row], path: Path) -> None:
    """Write error against labels as a PNG, a panel for each kind of features."""
    from genloom.use.report.plot import figure

    names = list(dict.fromkeys(row.features for row in rows))
    page, axes = figure(len(names), [3.4], width=3.2)
    for ax, name in zip(axes.flat, names, strict=True):
        for row in (row for row in rows if row.features == name):
            counts = sorted(row.errors)
            cells = [row.cell(count) for count in counts]
            ax.errorbar(counts, [c[0] for c in cells], [c[1] for c in cells], label=row.head, capsize=2, linewidth=1)
        ax.set(title=name, xlabel="labels", xscale="log", yscale="log", ylim=(1, 60))
        ax.set_xticks(counts, [str(count) for count in counts], minor=False)
        ax.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        ax.minorticks_off()
    axes.flat[0].set_ylabel("test error, per cent")
    axes.flat[1].legend(frameon=False, loc="lower left")
    with replaced(path) as part:
        page.savefig(part)
