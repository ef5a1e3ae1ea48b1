"""Instance-Conditioned GAN.

Casanova, Careil, Verbeek, Drozdzal, Romero-Soriano. 2021. arXiv 2109.05070.

Every picture is an instance: its features, by a frozen network, are what both nets are conditioned on, and the real pictures
of that condition are its nearest neighbours, itself left out. So a set without labels falls into many small, overlapping
parts, each easier to learn than the whole; and what a trained model makes follows whatever instance it is given, also one
that it has never seen. Backbone and hinge loss are BigGAN's (`nn/biggan.py`).

`condition` says what both nets are given: instances, instances and labels ("both", the paper's class-conditional variant),
labels alone (BigGAN itself), or nothing, the model to compare with. Samples need no data: the features of up to a thousand
instances, the medoids of k-means, lie in the checkpoint.

What differs from the paper: features are those of an EfficientNet-Lite, 1,280 numbers that were learnt with labels, in place
of a ResNet-50's 2,048; those of mirrored pictures are not taken beside; pictures are squares of 8 to 256 pixels (published:
64, 128, 256), sides other than those by BigGAN's rule; with labels alone the generator gets those of the batch in another
order; samples of a label start at instances of that very label; a code serves both moves of a round, the discriminator's
first; bf16 by autocast where the processor is good at it, the last layers in fp32.

`modern` is narrow, without attention, and takes features of smaller pictures about their mean, and five neighbours; its
generator takes instances eight times as loud, about as loud as noise: a vector of length 1 is a whisper beside a code.

A generator flatters the features that it was conditioned on, and their kin: look at others too (`--features random`, SWD).
"""

# B batch, C channels, F features, K classes, m instances in the store, z latent width

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Likens
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, labels_of, size
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Model, Move, Player, Remember
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.adversarial.instances import Neighbourhoods, all_features, features_of
from genloom.models.fitting import no_labels, other_channels, square
from genloom.nn.augment import AUGMENTED, GROWTH, Adaptive
from genloom.nn.biggan import ResidualDiscriminator, ResidualGenerator, linear, start
from genloom.nn.clusters import medoids
from genloom.nn.conv import spectral
from genloom.nn.dense import even_labels, full_precision
from genloom.nn.efficientnet_lite import HEAD, EfficientNetLite, pretrained
from genloom.nn.neighbours import approximate, neighbours
from genloom.shapes.base import Shape

LARGEST = 256  # pixels of a side
BLOCK = 8192  # instances worked on at once


@dataclass(frozen=True)
class ICGANHyper(Hyper):
    """Section 4 of the paper and the configuration of its authors for 64x64."""

    z: int = hp(120, "width of the latent code, normal", low=8)
    width: int = hp(64, "channels of the discriminator's largest map; maps double in width as they halve in size", low=1)
    attention: int = hp(
        32, "side of the maps in which pixels attend to each other, at most half the picture's; 0 for none", low=0
    )
    condition: Literal["instances", "both", "classes", "none"] = hp("instances", "what both nets are given")
    features: Literal["lite0", "lite1", "lite2"] = hp("lite0", "the frozen network whose features say what is alike")
    seen: int = hp(224, "pixels of a side that pictures are brought to for it", low=32, high=512)
    centred: bool = hp(False, "take features about their mean")
    loudness: float = hp(1.0, "factor of instances, which have length 1, before the generator's first layer for them", low=0)
    neighbours: int = hp(50, "pictures most like an instance that are real for it", low=1)
    search: Literal["exact", "approximate"] = hp(
        "exact", "how they are found; approximate by faiss, for millions of pictures"
    )
    store: int = hp(1000, "instances that lie in the checkpoint, at most", low=1)
    adaptive_augment: float = hp(0.0, GROWTH, low=0)
    rate_g: float = hp(1e-4, "learning rate of the generator's Adam", low=0)
    rate_d: float = hp(1e-4, "learning rate of the discriminator's Adam", low=0)
    batch: int = hp(256, "examples a batch", low=2)
    ema: float | None = hp(1_774_000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Narrow nets for a processor, and a few neighbours by features about their mean."""
        return cls(
            width=16,
            attention=0,
            seen=128,
            centred=True,
            loudness=8.0,
            neighbours=5,
            rate_g=2e-4,
            rate_d=4e-4,
            batch=16,
            ema=10_000.0,
        )

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        return replace(cls.modern(), z=16, width=8, seen=32, store=50, ema=1_000.0)


class Condition(nn.Module):
    """Features `[B, F]`, classes `[B]`, or both to one vector `[B, E]`, of width 0 for neither.

    Args:
        by_features: width of the part for features, 0 for none; `by_classes` of that for classes.
        normed: divide the embedding of classes by its spectral norm.
        loudness: factor of features.
    """

    def __init__(self, by_features: int, by_classes: int, classes: int, normed: bool, loudness: float = 1.0) -> None:
        super().__init__()
        self.loudness = loudness
        self.width = by_features + by_classes
        self.features = linear(HEAD, by_features) if by_features else None
        embedding = start(nn.Embedding(classes, by_classes)) if by_classes else None
        self.classes = spectral(embedding) if embedding is not None and normed else embedding

    def forward(self, h: Tensor, y: Tensor) -> Tensor:
        parts = [] if self.classes is None else [self.classes(y)]
        parts += [] if self.features is None else [self.features(h * self.loudness)]
        return torch.cat([part.float() for part in parts], 1) if parts else h.new_zeros(h.shape[0], 0)


class ICGAN(Model, Likens):
    """Casanova et al. 2021."""

    Hyper = ICGANHyper
    hyper: ICGANHyper
    law = "gaussian"
    notes = objectives.ACCURACY | AUGMENTED
    store: Tensor
    store_labels: Tensor
    mean: Tensor

    def __init__(self, hyper: ICGANHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, side, _ = shape.dims
        self.classes = len(shape.classes)
        self.by_instances = hyper.condition in ("instances", "both")
        features, labels = int(self.by_instances), int(self.conditional)
        attention = attended(hyper.attention, side)
        self.given = Condition(512 * features, 128 * labels, self.classes, normed=False, loudness=hyper.loudness)
        self.generator = ResidualGenerator(hyper.z, channels, side, hyper.width, self.given.width, attention)
        self.discriminator = ResidualDiscriminator(channels, side, hyper.width, attention)
        part = self.discriminator.features // max(features + labels, 1)
        self.wanted = Condition(part * features, part * labels, self.classes, normed=True)
        self.register_buffer("store", torch.zeros(hyper.store if features else 0, HEAD))
        self.register_buffer("store_labels", torch.zeros(len(self.store), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(HEAD if features else 0))
        self.frozen: list[EfficientNetLite] = []  # in a list, so that it is no part of the model: neither trained nor saved
        self.adaptive = Adaptive(hyper.adaptive_augment)

    @property
    def conditional(self) -> bool:
        return self.hyper.condition in ("classes", "both")

    @property
    def taught_by(self) -> str:
        return self.hyper.features if self.by_instances else ""

    @classmethod
    def studies(cls, hyper: AnyHyper) -> str:
        return "every picture is looked at by the frozen network, and its neighbours are found"

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, ICGANHyper)
        found = square(shape, "icgan")
        if isinstance(found, Misfit):
            return found
        if misfit := other_channels(found, "icgan"):
            return misfit
        if hyper.condition in ("both", "classes") and (
            misfit := no_labels(shape, f"--hyper.condition {hyper.condition} needs labels")
        ):
            return misfit
        side = min(found.height, LARGEST)
        return replace(found, height=side, width_px=side)

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Fit the store to the data; refuse too many neighbours, and classes of one picture."""
        assert isinstance(hyper, ICGANHyper)
        n = size(data)
        if hyper.condition in ("both", "classes"):
            refuse_lone_classes(data)
        if hyper.condition not in ("instances", "both"):
            return hyper
        if n < 2:
            raise InputError(f"{data.source} holds a single picture: icgan learns from neighbours, and it has none")
        if hyper.neighbours >= n:
            raise InputError(
                f"a picture cannot have {hyper.neighbours} neighbours among {n}: say --hyper.neighbours {n - 1} or less"
            )
        pretrained(hyper.features)  # better now than after the run began
        return replace(hyper, store=min(hyper.store, n))

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Find each picture's features and neighbours, and the instances to keep."""
        self.adaptive.pictures = size(data)
        if not self.by_instances:
            return data
        labels = labels_of(data) if self.conditional else None
        found = remember("instances", lambda: self.learn_instances(data))
        with torch.no_grad():
            self.mean.copy_(found["mean"])
            kept = found["kept"][torch.arange(len(self.store)) % len(found["kept"])]
            self.store.copy_(found["features"][kept].float())
            if labels is not None:
                self.store_labels.copy_(labels[kept])
        return Neighbourhoods(data, found["features"], found["near"], labels)

    def learn_instances(self, data: Dataset) -> Mapping[str, Tensor]:
        """Return the instances `[n, F]`, their mean, their neighbours `[n, k]` and which to keep `[m]`."""
        h = all_features(self.network(), data, self.hyper.seen)
        blocks = h.split(BLOCK)  # a million instances would fill the memory as fp32
        sums = torch.stack([rows.double().sum(0) for rows in blocks]).sum(0)
        mean = (sums / len(h)).float() if self.hyper.centred else torch.zeros(h.shape[1])
        for rows in blocks:
            rows.copy_(F.normalize(rows.float() - mean, dim=1))
        search = neighbours if self.hyper.search == "exact" else approximate
        near = search(h, self.hyper.neighbours).int()
        return {"features": h, "mean": mean, "near": near, "kept": medoids(h, self.hyper.store)}

    def network(self) -> EfficientNetLite:
        """Return the frozen network, where the weights are."""
        if not self.frozen:
            self.frozen = [pretrained(self.hyper.features)]
        return self.frozen[0].to(self.device)

    def players(self) -> Sequence[Player]:
        adam = partial(torch.optim.Adam, betas=(0.0, 0.999), fused=True)
        return [
            Player("generator", (self.generator, self.given), partial(adam, lr=self.hyper.rate_g), ema=self.hyper.ema),
            Player("discriminator", (self.discriminator, self.wanted), partial(adam, lr=self.hyper.rate_d)),
        ]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x = batch["x"] * 2 - 1
        nothing = x.new_zeros(len(x), HEAD * self.by_instances)  # as where a rehearsal has not studied the data
        h, h_fake = batch.get("h", nothing), batch.get("h_fake", nothing)
        y = batch.get("y", nothing)
        y_fake = batch["y_fake"] if "y_fake" in batch else y[torch.randperm(len(y), device=y.device)]
        x_fake = self.generator(self.noise_of(len(x)), self.given(h_fake, y_fake))
        seen = self.adaptive(x_fake)
        real, fake = self.judged(self.adaptive(x), h, y), self.judged(seen.detach(), h_fake, y_fake)
        notes = objectives.accuracy(real, fake) | self.adaptive.follow(real, clock)
        yield Move("discriminator", objectives.hinge(real, fake), notes)
        yield Move("generator", -self.judged(seen, h_fake, y_fake).mean())

    def judged(self, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
        """Return the logits `[B]` of pictures `[B, C, H, W]` in [-1, 1] for their instances and classes."""
        features, logits = self.discriminator(x)
        with full_precision(features):
            wanted = self.wanted(h, y)
            return logits + (features * wanted).sum(1) if wanted.shape[1] else logits

    # -- sampling ----------------------------------------------------------------------------------

    @property
    def code_width(self) -> int:
        return self.generator.z + self.store.shape[1] * self.by_instances

    def noise_of(self, n: int, noise: Noise | None = None) -> Tensor:
        """Draw the part `[n, z]` of codes that is noise."""
        if noise is None:
            return torch.randn(n, self.generator.z, device=self.device)
        return noise.normal(self.generator.z, device=self.device)

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        z = self.noise_of(n, noise)
        if not self.by_instances:
            return z
        chance = torch.rand(n, device=self.device) if noise is None else noise.uniform(1, device=self.device)[:, 0]
        return torch.cat([z, self.store[(chance * len(self.store)).long()]], 1)

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        noise, h = z.split([self.generator.z, z.shape[1] - self.generator.z], 1)
        return torch.cat([noise * temperature, h], 1)  # an instance is no noise to scale

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        z = z.to(self.device)
        noise, h = z.split([self.generator.z, z.shape[1] - self.generator.z], 1)
        y = self.usual_labels(h) if given is None else given.to(z.device)
        return self.generator(noise, self.given(F.normalize(h, dim=1), y)) / 2 + 0.5

    def sample(self, n: int, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None) -> Tensor:
        if given is None or not self.by_instances:
            return super().sample(n, given, temperature, noise)
        noise = Noise.fresh(n) if noise is None else noise
        z, chance = self.noise_of(n, noise), noise.uniform(1, device=self.device)[:, 0]
        h = self.store[self.labelled(given.to(self.device), chance)]
        with torch.no_grad():
            return self.generate(self.scaled(torch.cat([z, h], 1), temperature), given).cpu()

    def labelled(self, y: Tensor, chance: Tensor) -> Tensor:
        """Return places `[n]` in the store of instances with labels `[n]`, any where there is none, by chances in [0, 1)."""
        match = self.store_labels == y[:, None]
        match |= ~match.any(1, keepdim=True)
        wanted = (chance * match.sum(1)).long()[:, None] + 1
        return (match.cumsum(1) >= wanted).int().argmax(1)

    def usual_labels(self, h: Tensor) -> Tensor:
        """Return the label `[n]` of the instance in the store that is most like each, or labels round the classes."""
        if self.by_instances and self.conditional:
            return self.store_labels[(h @ self.store.T).argmax(1)]
        return even_labels(h.shape[0], self.classes or 1, h.device)

    def instances(self, x: Tensor) -> Tensor:
        if not self.by_instances:
            raise InputError(
                f"this icgan was trained with --hyper.condition {self.hyper.condition}: it follows no instances"
            )
        h = F.normalize(features_of(self.network(), x, self.hyper.seen), dim=1)
        return F.normalize(h - self.mean.cpu(), dim=1)

    def sample_like(
        self, h: Tensor, given: Tensor | None = None, temperature: float = 1.0, noise: Noise | None = None
    ) -> Tensor:
        h = h.to(self.device)
        noise = Noise.fresh(len(h)) if noise is None else noise
        with torch.no_grad():
            return self.generate(self.scaled(torch.cat([self.noise_of(len(h), noise), h], 1), temperature), given).cpu()


def attended(asked: int, side: int) -> int:
    """Return the side of the maps that attention follows in both nets for pictures of `side`: 0, or 8, 16, ... side / 2."""
    most = min(asked, side // 2)
    return 2 ** int(math.log2(most)) if most >= 8 else 0


def refuse_lone_classes(data: Dataset) -> None:
    """Raise InputError where a class has a single picture: nothing can be learnt of it."""
    labels = labels_of(data)
    assert labels is not None
    counts = torch.bincount(labels, minlength=len(data.shape.classes)).tolist()
    lone = [name for name, count in zip(data.shape.classes, counts, strict=True) if count == 1]
    if lone:
        more = f" and {len(lone) - 1} more" if len(lone) > 1 else ""
        raise InputError(
            f"the class {lone[0]}{more} has a single picture, of which no variety can be learnt: add pictures to it, take "
            "it away, or say --hyper.condition instances"
        )
