"""Improved Techniques for Training GANs: feature matching, and learning to classify from few labels.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen. 2016. arXiv 1606.03498.

The discriminator is a classifier of K classes whose logits l also say whether a picture is real: D(x) = Z / (Z + 1) with
Z = sum_k exp(l_k), the logit of "made" fixed at 0 (section 5). It learns from a few labelled pictures, from all pictures
without their labels, and from made ones. The generator does not play against it: it brings the means of the features of a
batch to those of another batch of real pictures (section 3.1), which makes the better classifier; or, with `--hyper.guide
minibatch`, it plays, against a discriminator that sees how near examples of a batch lie to each other (section 3.2), which
makes the better pictures.

`paper` is the authors' net for MNIST. Theirs for CIFAR-10 is `--hyper.net conv --hyper.generator 128 --hyper.noise_input 0.2
--hyper.rate 3e-4 --hyper.falls_from 80e6 --hyper.horizon 120e6`: 1,200 epochs of 50,000 pictures, counted twice, as a round
takes two batches. Weights are normalised, with a start from 500 pictures; noise or dropout everywhere; averaged weights
classify.

A round takes two batches: 300 epochs of 60,000 digits, the paper's, are 36 million examples here.

What differs from the code: one order of the pictures serves both players, where each has its own; averaged weights start as
the weights, not at zero, and forget faster at first; Adam adds 1e-4 to the root, where theirs has 1e-8 within, so that small
steps are up to 1.4 times smaller; the labelled pictures of a round are drawn without return within a batch where there are
enough; every length of weights has 1e-6 within its root; with `--hyper.labels 0` there is one logit, and nobody classifies;
bf16 by autocast where the processor is good at it, the last layers in fp32.
"""

# B batch, C channels, K classes, z latent width

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Classifies, Latent
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, labels_of, size, take
from genloom.core.hyper import Hyper, hp
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.model import Misfit, Model, Move, Note, Player, Remember
from genloom.core.random import Noise, generator
from genloom.errors import InputError
from genloom.models.fitting import no_pictures
from genloom.nn.dense import uniform
from genloom.nn.feature_matching import ConvClassifier, ConvGenerator, DenseClassifier, DenseGenerator
from genloom.nn.weight_norm import start_from
from genloom.shapes.base import Shape

STARTED_FROM = 500  # pictures that gains and biases start from
MOST_DENSE = 4096  # values of a picture for dense nets
HALVED = 8  # the convolutional nets halve sizes three times


@dataclass(frozen=True)
class FeatureMatchingHyper(Hyper):
    """The authors' code for MNIST."""

    labels: int = hp(100, "pictures whose labels are used, as many of each class; 0 for none", low=0)
    draw: int = hp(0, "which pictures these are: another number, others", low=0)
    net: Literal["dense", "conv"] = hp("dense", "fully connected nets, or convolutional ones")
    guide: Literal["features", "minibatch"] = hp("features", "what the generator learns by: means of features, or playing")
    z: int = hp(100, "width of the latent code, uniform in [0, 1]", low=1)
    generator: int = hp(500, "units of the dense generator's layers; channels of the other's largest map", low=1)
    hidden: tuple[int, ...] = hp((1000, 500, 250, 250, 250), "units of the dense classifier's layers; its last match", low=1)
    width: int = hp(96, "channels of the convolutional classifier's first maps", low=1)
    noise_input: float = hp(0.3, "deviation of the noise on the input; share that is dropped, of conv", low=0, high=0.95)
    noise_hidden: float = hp(0.5, "of the noise on hidden layers; share that is dropped, of conv", low=0, high=0.95)
    kernels: int = hp(50, "of minibatch discrimination", low=1)
    unlabelled: float = hp(1.0, "weight of what is learnt without labels", low=0)
    rate: float = hp(3e-3, "learning rate of Adam", low=0)
    falls_from: int = hp(0, "examples from which on the rate falls in a line", low=0)
    horizon: int = hp(0, "examples at which it is zero, 0 for a rate that stays", low=0)
    batch: int = hp(100, "examples a batch", low=2)
    ema: float | None = hp(1_386_000.0, "half-life in examples of averaged weights, none for the weights themselves", low=1)

    @classmethod
    def tiny(cls) -> Self:
        """Learns 8x8 digits in seconds."""
        small = cls(labels=20, z=16, generator=64, hidden=(64, 32, 32), width=16, kernels=8, batch=50)
        return replace(small, noise_input=0.1, noise_hidden=0.2, ema=5_000.0)


class FeatureMatching(Model, Latent, Classifies):
    """Salimans et al. 2016."""

    Hyper = FeatureMatchingHyper
    hyper: FeatureMatchingHyper
    law = "uniform"
    notes = objectives.ACCURACY | {"labelled": Note("loss", "discriminator"), "right": Note("accuracy", shown=False)}

    def __init__(self, hyper: FeatureMatchingHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        channels, height, width = shape.dims
        self.classes = len(shape.classes) if hyper.labels else 0
        outputs, kernels = max(self.classes, 1), hyper.kernels if hyper.guide == "minibatch" else 0
        noise = hyper.noise_input, hyper.noise_hidden
        self.generator: DenseGenerator | ConvGenerator
        self.classifier: DenseClassifier | ConvClassifier
        if hyper.net == "dense":
            self.generator = DenseGenerator(hyper.z, hyper.generator, shape.width)
            self.classifier = DenseClassifier(shape.width, hyper.hidden, outputs, noise, kernels)
        else:
            self.generator = ConvGenerator(hyper.z, channels, (height, width), hyper.generator)
            self.classifier = ConvClassifier(channels, hyper.width, outputs, noise, kernels)
        self.x_labelled, self.y_labelled = torch.zeros(1, *shape.dims), torch.zeros(1, dtype=torch.int64)  # until it studies

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        assert isinstance(hyper, FeatureMatchingHyper)
        if misfit := no_pictures(shape, "feature_matching"):
            return misfit
        if hyper.horizon and hyper.falls_from >= hyper.horizon:
            return Misfit(
                f"the rate cannot fall from {hyper.falls_from:,} examples on to zero at {hyper.horizon:,}: say a larger "
                "--hyper.horizon",
                remedy=True,
            )
        if not hyper.hidden:
            return Misfit("--hyper.hidden takes the units of each layer, such as 1000,500,250", remedy=True)
        if hyper.labels and len(shape.classes) < 2:
            return Misfit(
                f"--hyper.labels {hyper.labels} needs pictures with classes, and this data has none: put each class into a "
                "sub-folder, or say --hyper.labels 0 to learn without",
                remedy=True,
            )
        if hyper.labels % max(len(shape.classes), 1):
            return Misfit(
                f"--hyper.labels {hyper.labels} cannot be shared evenly among {len(shape.classes)} classes: say a multiple",
                remedy=True,
            )
        if hyper.net == "dense" and shape.width > MOST_DENSE:
            return Misfit(
                f"the dense nets are for small pictures, and {shape.describe()} is {shape.width:,} values each: say "
                "--size 32, or --size 32 --hyper.net conv",
                remedy=True,
            )
        if hyper.net == "conv" and (min(shape.dims[1:]) < 2 * HALVED or any(side % HALVED for side in shape.dims[1:])):
            return Misfit(f"the convolutional nets make sizes that are multiples of {HALVED}: say --size 32", remedy=True)
        return shape

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Refuse more labels than a class has: better now than after the run began."""
        assert isinstance(hyper, FeatureMatchingHyper)
        if hyper.labels and len(data.shape.classes) > 1:
            chosen(data, hyper.labels, len(data.shape.classes), hyper.draw)
        return hyper

    def study(self, data: Dataset, remember: Remember) -> Dataset:
        """Choose the labelled pictures, and start gains and biases from some."""
        if self.classes:
            places = remember("labelled", lambda: {"places": self.labelled(data)})
            batch = take(data, places["places"])
            self.x_labelled, self.y_labelled = batch["x"], batch["y"].long()
        some = torch.randperm(size(data), generator=generator("weight norm", seed=self.hyper.draw))[:STARTED_FROM]
        x = take(data, some)["x"].to(self.device)
        start_from(self.classifier, self.scaled_in(x))
        if self.hyper.net == "conv":
            start_from(self.generator, self.prior(len(x)))
        return data

    def players(self) -> Sequence[Player]:
        # Theirs divides by sqrt(v + 1e-8): of the smallest gradients that is an epsilon of 1e-4.
        adam = partial(torch.optim.Adam, lr=self.hyper.rate, betas=(0.5, 0.999), eps=1e-4, fused=True)
        return [
            Player("generator", (self.generator,), adam, self.descent),
            Player("discriminator", (self.classifier,), adam, self.descent, ema=self.hyper.ema),
        ]

    def descent(self, clock: Clock) -> dict[str, float]:
        """Return the learning rate: it stays, or falls in a line to zero."""
        start, end = self.hyper.falls_from, self.hyper.horizon
        left = (end - clock.examples) / max(end - start, 1) if end else 1.0
        return {"lr": self.hyper.rate * min(max(left, 0.0), 1.0)}

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        x, again = (self.scaled_in(next(batches)["x"]) for _ in range(2))  # the second batch is the generator's
        with torch.no_grad():
            x_fake = self.generator(self.prior(len(x)))
        x_labelled, y = self.some_labelled(len(x))
        seen = [x, x_fake.view_as(x), *x_labelled]
        logits = self.classifier(torch.cat(seen), len(seen))[1].chunk(len(seen))  # no example's depend on the others
        real, fake = normaliser(logits[0]), normaliser(logits[1])
        # The mean of both halves, of -log D(x) and of -log(1 - D(G(z))).
        loss = self.hyper.unlabelled / 2 * objectives.discriminate(real, fake)
        notes: dict[str, Tensor | float] = {**objectives.accuracy(real, fake)}
        if self.classes:
            supervised = F.cross_entropy(logits[2].float(), y)
            right = (logits[2].argmax(1) == y).float().mean()
            loss, notes = loss + supervised, notes | {"labelled": supervised.detach(), "right": right}
        yield Move("discriminator", loss, notes)
        z = self.prior(len(x))
        if self.hyper.guide == "minibatch":
            yield Move("generator", -F.softplus(normaliser(self.classifier(self.generator(z))[1])).mean())
            return
        with torch.no_grad():
            wanted = self.classifier(again.view_as(x_fake))[0].float().mean(0)
        features = self.classifier(self.generator(z))[0].float().mean(0)
        yield Move("generator", self.apart(features, wanted))

    def recorded(self, n: int) -> Sequence[tuple[nn.Module, tuple[Any, ...]]]:
        parts = 3 if self.classes else 2
        seen, made = (torch.zeros(m, *self.shape.dims, device=self.device) for m in (parts * n, n))
        made = made if self.hyper.net == "conv" else made.flatten(1)
        return [
            (self.classifier, (seen, parts)),
            (self.classifier, (made.requires_grad_(),)),
            (self.generator, (self.prior(n),)),
        ]

    def apart(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Return the distance of means of features `[F]`: of squares for dense nets, absolute for others, as in the code."""
        return F.mse_loss(made, wanted) if self.hyper.net == "dense" else F.l1_loss(made, wanted)

    def some_labelled(self, n: int) -> tuple[list[Tensor], Tensor]:
        """Return `n` labelled pictures, in a list that is empty where there are no classes, and their labels `[n]`."""
        if not self.classes:
            return [], self.y_labelled
        count = len(self.x_labelled)
        order = torch.cat([torch.randperm(count) for _ in range(-(-n // max(count, 1)))])[:n]
        x, y = (each[order].to(self.device) for each in (self.x_labelled, self.y_labelled))
        return [self.scaled_in(x)], y

    def scaled_in(self, x: Tensor) -> Tensor:
        """Return pictures in [0, 1] as the nets take them: so, or in [-1, 1] where these are convolutional."""
        return x if self.hyper.net == "dense" else x * 2 - 1

    def classify(self, x: Tensor) -> Tensor:
        if not self.classes:
            raise InputError("this run learnt without labels, so it knows no classes: train with --hyper.labels 100")
        with torch.no_grad():
            logits = self.classifier(self.scaled_in(x.to(self.device)), x.shape[0])[1]  # each alone, whatever lies beside it
        return logits.float().softmax(1)

    def labelled(self, data: Dataset) -> Tensor:
        if not self.classes:
            return torch.empty(0, dtype=torch.int64)
        return chosen(data, self.hyper.labels, self.classes, self.hyper.draw)

    @property
    def code_width(self) -> int:
        return self.hyper.z

    def prior(self, n: int, noise: Noise | None = None) -> Tensor:
        return uniform(n, self.hyper.z, self.device, noise)

    def scaled(self, z: Tensor, temperature: float) -> Tensor:
        return (z - 0.5) * temperature + 0.5

    def generate(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator(z.to(self.device))
        return made.unflatten(1, self.shape.dims) if self.hyper.net == "dense" else made / 2 + 0.5


def normaliser(logits: Tensor) -> Tensor:
    """Return log Z `[B]`: the logit of being real."""
    return logits.float().logsumexp(1)


def chosen(data: Dataset, count: int, classes: int, draw: int) -> Tensor:
    """Return the places of pictures whose labels are used, as many of each class.

    Raises:
        InputError: a class has too few.
    """
    labels, each = labels_of(data), count // classes
    assert labels is not None
    mixed = torch.randperm(len(labels), generator=generator("labelled", seed=draw))
    found = [mixed[labels[mixed] == k][:each] for k in range(classes)]
    least = min(range(classes), key=lambda k: len(found[k]))
    if (there := len(found[least])) < each:
        raise InputError(
            f"--hyper.labels {count} asks for {each} of each class, and class {data.shape.classes[least]} has {there}: say "
            f"--hyper.labels {there * classes} or fewer"
        )
    return torch.cat(found)
