"""Conditional Generative Adversarial Nets: tags of pictures, as vectors of words.

Mirza, Osindero. 2014. arXiv 1411.1784, section 4.2.

From noise and the features of a picture the generator makes the vector of a word that is a tag of it; the discriminator
sees vector and features. Features and vectors come from networks that stay as they are. A picture with several tags is as
many examples. A picture is tagged by 100 draws: each has 20 nearest words by cosine, and the words that come most often
among these are the tags.

`paper` has the paper's layers and its training, that of the first GAN papers: SGD from a rate of .1, momentum .5 to .7,
dropout of .5 on hidden layers of both nets.

What differs from the paper: the features are 1,280 numbers of an EfficientNet-Lite in place of 4,096 of another net for
ImageNet, brought to mean 0 and deviation 1; words are those of the file that is given (theirs: 247,465 of the tags, titles
and descriptions of YFCC100M, 200 numbers each); dropout stays on when pictures are tagged: most of what makes one draw
unlike another.

`modern`: vectors are directions, of length 1; a real tag with another picture is a fake as well (Reed et al. 2016); a draw
shares its vote out among words by the exponential of their cosines, and the generator maximises the likelihood of a
picture's tags under the votes of several draws; these are also to lie as near to its tags as they lie to each other, by the
energy score (Gneiting & Raftery 2007), which a generator that leaves tags out does not reach; votes are divided by a power
of how often a word is a tag anyway; only tags of the training pictures are given; Adam. Without the likelihood the words
between two tags win too often (docs/models/tagger.md).
"""

# B batch, F features, D width of a word's vector, V words, z latent width

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.capabilities import Tags
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset
from genloom.core.hyper import Hyper as AnyHyper
from genloom.core.hyper import hp
from genloom.core.model import Misfit, Model, Move, Note, Player, Remember
from genloom.core.random import Noise
from genloom.core.schedules import AnnealedSGD
from genloom.models.adversarial.instances import TaggedFeatures, all_features, features_of
from genloom.nn.dense import Maxout, dense, exactly, full_precision
from genloom.nn.efficientnet_lite import HEAD, EfficientNetLite, pretrained
from genloom.shapes.base import Shape
from genloom.shapes.tags import TagShape

MOST = 1 << 24  # cosines of draws and words that are held at once


@dataclass(frozen=True)
class TaggerHyper(AnnealedSGD):
    """Section 4.2 of the paper."""

    features: Literal["lite0", "lite1", "lite2"] = hp("lite0", "the frozen network whose features of pictures are taken")
    seen: int = hp(224, "pixels of a side that pictures are brought to for it", low=32, high=1024)
    z: int = hp(100, "width of the latent code, normal", low=1)
    z_hidden: int = hp(500, "units of the generator's layer for the noise", low=1)
    h_hidden: int = hp(2000, "units of the generator's layer for the picture", low=1)
    word_hidden: int = hp(500, "units of the discriminator's layer for the word", low=1)
    picture_hidden: int = hp(1200, "units of the discriminator's layer for the picture", low=1)
    joint_maxout: int = hp(1000, "maxout units of the discriminator's joint layer", low=1)
    pieces: int = hp(3, "linear pieces of these", low=1)
    dropout: float = hp(0.5, "share of hidden units that dropout leaves out, in both nets", low=0, high=0.95)
    directions: bool = hp(False, "vectors of length 1, real and made")
    mismatched: float = hp(0.0, "share of the fakes that are real tags of other pictures", low=0, high=0.9)
    adversarial: float = hp(1.0, "weight of the adversarial loss", low=0)
    energy: float = hp(0.0, "weight of the energy score of several draws", low=0)
    likelihood: float = hp(0.0, "weight of the log of the share that a tag has in the votes of several draws", low=0)
    spread: int = hp(4, "draws for a picture that either takes", low=2)
    adam: float = hp(0.0, "learning rate of Adam; 0 for SGD as the paper has it", low=0)
    draws: int = hp(100, "vectors drawn to tag a picture", low=1)
    nearest: int = hp(20, "nearest words of each that count", low=1)
    softness: float = hp(0.0, "share words out by exp(cosine / softness) in place of counting the nearest; 0 counts", low=0)
    among: Literal["words", "tags"] = hp(
        "words", "words that are given: all that have vectors, or the training pictures' tags"
    )
    prior: float = hp(0.0, "power of a tag's frequency that counts are divided by", low=0, high=1)
    decay: float = hp(1.00004, "the rate is divided by this at every update", low=1)

    @classmethod
    def modern(cls) -> Self:
        """Directions, mismatched pairs, the likelihood of tags among the votes, an energy score, and Adam."""
        wide = cls(z=50, z_hidden=200, h_hidden=1000, word_hidden=200, picture_hidden=200, joint_maxout=200, spread_g=0.05)
        judged = replace(wide, spread_d=0.05, directions=True, mismatched=0.5, adversarial=0.1, energy=0.2, likelihood=1.0)
        return replace(judged, adam=5e-4, softness=0.05, among="tags", prior=0.05, ema=20_000.0)

    @classmethod
    def tiny(cls) -> Self:
        """Small nets that learn in seconds."""
        small = replace(cls.modern(), seen=64, z=16, z_hidden=32, h_hidden=64, word_hidden=32, picture_hidden=32)
        return replace(small, joint_maxout=32, draws=20, ema=2_000.0, batch=32)


class Generator(nn.Module):
    """z `[n * draws, z]`, what dropout keeps `[n * draws, H]`, and features `[n, F]` to words' vectors `[n * draws, D]`."""

    def __init__(self, hyper: TaggerHyper, columns: int) -> None:
        super().__init__()
        self.z = dense(hyper.z, hyper.z_hidden, hyper.spread_g)
        self.h = dense(HEAD, hyper.h_hidden, hyper.spread_g)
        self.out = dense(hyper.z_hidden + hyper.h_hidden, columns, hyper.spread_g)
        self.dropout = hyper.dropout

    def forward(self, z: Tensor, kept: Tensor, h: Tensor) -> Tensor:
        seen = F.relu(self.h(h)).repeat_interleave(z.shape[0] // h.shape[0], 0)
        joint = torch.cat([F.relu(self.z(z)), seen], 1)
        return exactly(self.out, joint * kept / (1 - self.dropout))


class Discriminator(nn.Module):
    """The vector of a word `[B, D]` and features `[B, F]` to the logit `[B]` of being a real pair."""

    def __init__(self, hyper: TaggerHyper, columns: int) -> None:
        super().__init__()
        self.x = dense(columns, hyper.word_hidden, hyper.spread_d)
        self.h = dense(HEAD, hyper.picture_hidden, hyper.spread_d)
        self.joint = Maxout(hyper.word_hidden + hyper.picture_hidden, hyper.joint_maxout, hyper.pieces, hyper.spread_d)
        self.out = dense(hyper.joint_maxout, 1, hyper.spread_d)
        self.drop = nn.Dropout(hyper.dropout)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        joint = self.joint(self.drop(torch.cat([F.relu(self.x(x)), F.relu(self.h(h))], 1)))
        return exactly(self.out, self.drop(joint)).squeeze(1)


class Tagger(Model, Tags):
    """Mirza & Osindero 2014, section 4.2."""

    Hyper = TaggerHyper
    hyper: TaggerHyper
    shape: TagShape
    reads = "tags"
    notes = objectives.ACCURACY | {"energy": Note("distance", "generator"), "surprise": Note("nats", "generator")}

    mean: Tensor
    scale: Tensor
    vectors: Tensor
    counts: Tensor

    def __init__(self, hyper: TaggerHyper, shape: Shape) -> None:
        super().__init__(hyper, shape)
        self.generator = Generator(hyper, shape.width)
        self.discriminator = Discriminator(hyper, shape.width)
        for name, made in (("mean", torch.zeros(HEAD)), ("scale", torch.ones(HEAD))):  # of features
            self.register_buffer(name, made)
        self.register_buffer("vectors", torch.zeros(len(shape.classes), shape.width))
        self.register_buffer("counts", torch.zeros(len(shape.classes)))  # training pictures that have the tag
        self.frozen: list[EfficientNetLite] = []  # in a list, so that it is no part of the model: neither trained nor saved

    @classmethod
    def studies(cls, hyper: AnyHyper) -> str:
        return "every picture is looked at by the frozen network"

    @classmethod
    def fits(cls, shape: Shape, hyper: AnyHyper) -> Shape | Misfit:
        if not isinstance(shape, TagShape):
            return Misfit(
                f"tagger learns from pictures with tags, and this data is {shape.describe()}: say --tags and --words"
            )
        assert isinstance(hyper, TaggerHyper)
        if hyper.likelihood and not hyper.softness:
            return Misfit("--hyper.likelihood is of votes that are shared out: say --hyper.softness 0.05 too", remedy=True)
        if shape.channels not in (1, 3):
            return Misfit("tagger takes grey or colour pictures; say --channels 1 or --channels 3", remedy=True)
        return shape

    @classmethod
    def settle(cls, hyper: AnyHyper, data: Dataset) -> AnyHyper:
        """Read the frozen network once: better now than after the run began."""
        assert isinstance(hyper, TaggerHyper)
        pretrained(hyper.features)
        return hyper

    def study(self, data: Any, remember: Remember) -> Dataset:
        """Take the words' vectors, count the tags, and compute the features of the pictures."""
        h = remember("features", lambda: self.learn_features(data))["features"].float()
        with torch.no_grad():
            self.vectors.copy_(data.vectors)
            self.counts.copy_(torch.bincount(data.pairs[:, 1], minlength=len(self.counts)))
            self.mean.copy_(h.mean(0))
            spread = h.std(0, correction=0)
            self.scale.copy_(spread.clamp_min(max(0.1 * float(spread.mean()), 1e-3)))  # some are nearly always zero
        return TaggedFeatures(data, h, data.vectors, data.pairs)

    def learn_features(self, data: Any) -> Mapping[str, Tensor]:
        """Return the features of all pictures, `[n, F]`."""
        return {"features": all_features(self.network(), data.images, self.hyper.seen, normed=False)}

    def network(self) -> EfficientNetLite:
        """Return the frozen network, where the weights are."""
        if not self.frozen:
            self.frozen = [pretrained(self.hyper.features)]
        return self.frozen[0].to(self.device)

    def players(self) -> Sequence[Player]:
        if not self.hyper.adam:
            return self.hyper.players(self.generator, self.discriminator)
        adam = partial(torch.optim.Adam, lr=self.hyper.adam, betas=(0.5, 0.999), fused=True)
        return [
            Player("generator", (self.generator,), adam, ema=self.hyper.ema),
            Player("discriminator", (self.discriminator,), adam),
        ]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        batch = next(batches)
        x, h = self.directed(batch["x"]), self.scaled_in(batch.get("h", batch["x"].new_zeros(len(batch["x"]), HEAD)))
        many = self.hyper.spread if self.hyper.energy or self.hyper.likelihood else 1
        made = self.made(h, draws=many).view(len(x), many, -1).transpose(0, 1)
        real, fake = self.discriminator(x, h), self.discriminator(made[0].detach(), h)
        loss = objectives.discriminate(real, fake)
        if share := self.hyper.mismatched:
            loss = F.softplus(-real).mean() + (1 - share) * F.softplus(fake).mean() + share * self.mismatch(batch, x, h)
        yield Move("discriminator", loss, objectives.accuracy(real, fake))
        loss = self.hyper.adversarial * objectives.non_saturating(self.discriminator(made[0], h))
        notes: dict[str, Tensor | float] = {}
        if self.hyper.energy:
            energy = energy_score(made, x)
            loss, notes = loss + self.hyper.energy * energy, {"energy": energy.detach()}
        if self.hyper.likelihood and "word" in batch:
            surprise = self.surprise(made, batch["word"])
            loss, notes = loss + self.hyper.likelihood * surprise, notes | {"surprise": surprise.detach()}
        yield Move("generator", loss, notes)

    def mismatch(self, batch: Batch, x: Tensor, h: Tensor) -> Tensor:
        """Return the loss of calling tags fake that are of other pictures, the next of the batch, and not theirs too."""
        other = F.softplus(self.discriminator(x, h.roll(1, 0)))
        apart = batch["apart"].float() if "apart" in batch else torch.ones_like(other)
        return (other * apart).sum() / apart.sum().clamp_min(1)

    def surprise(self, made: Tensor, word: Tensor) -> Tensor:
        """Return the mean of -log of the share that tags, places `[B]` of words, have in the votes of draws `[m, B, D]`."""
        allowed = self.allowed()
        with full_precision(made):
            likeness = F.normalize(made.float().flatten(0, 1), dim=1) @ F.normalize(self.vectors[allowed], dim=1).T
        shares = (likeness / self.hyper.softness).log_softmax(1).view(*made.shape[:2], -1)  # [m, B, A]
        place = torch.searchsorted(allowed, word.contiguous()).expand(len(made), -1)[..., None]
        return (math.log(len(made)) - shares.gather(2, place)[..., 0].logsumexp(0)).mean()

    def allowed(self) -> Tensor:
        """Return the places of the words that are given, in order."""
        every = torch.arange(len(self.counts), device=self.counts.device)
        return every[self.counts > 0] if self.hyper.among == "tags" else every

    def before_export(self) -> None:
        self.allowed_noted = self.allowed()

    def made(self, h: Tensor, noise: Noise | None = None, draws: int = 1) -> Tensor:
        """Return vectors `[B * draws, D]` for scaled features `[B, F]`, those of a row one after the other.

        Dropout is on, in use too: it is most of what makes one draw unlike another.
        """
        z, hidden, keep = self.hyper.z, self.generator.out.in_features, 1 - self.hyper.dropout
        if noise is None:
            code, kept = (
                torch.randn(len(h) * draws, z, device=h.device),
                torch.rand(len(h) * draws, hidden, device=h.device) < keep,
            )
        else:
            code, kept = noise.normal(draws * z, device=h.device), noise.chance(draws * hidden, keep, device=h.device)
        return self.directed(self.generator(code.view(-1, z), kept.view(-1, hidden), h))

    def directed(self, x: Tensor) -> Tensor:
        """Return vectors as this model has them."""
        return F.normalize(x, dim=1) if self.hyper.directions else x

    def scaled_in(self, h: Tensor) -> Tensor:
        """Return features `[B, F]` with mean 0 and deviation 1."""
        return (h - self.mean) / self.scale

    # -- tagging -----------------------------------------------------------------------------------

    @property
    def taught_by(self) -> str:
        return self.hyper.features

    def features(self, x: Tensor) -> Tensor:
        return features_of(self.network(), x, self.hyper.seen)

    @torch.no_grad()
    def votes(self, h: Tensor, noise: Noise | None = None) -> Tensor:
        h, draws = self.scaled_in(h.to(self.device)), self.hyper.draws
        made = self.made(h, Noise.fresh(len(h)) if noise is None else noise, draws)
        exporting = torch.compiler.is_exporting()
        allowed = self.allowed_noted if exporting else self.allowed()
        words = F.normalize(self.vectors[allowed], dim=1)
        block = draws * max(MOST // (draws * max(len(words), 1)), 1)
        blocks = [made] if exporting else made.split(block)
        parts = (self.shared_out(F.normalize(part, dim=1) @ words.T) for part in blocks)
        found = torch.cat([part.view(-1, draws, len(words)).sum(1) for part in parts])
        votes = torch.zeros(h.shape[0], len(self.counts))
        votes[:, allowed.cpu()] = (found / self.counts[allowed].clamp_min(1) ** self.hyper.prior).cpu()
        return votes

    def shared_out(self, likeness: Tensor) -> Tensor:
        """Return which words draws vote for, `[n, V]`, by the cosines of both: 1 for each of the nearest, or shares of 1."""
        if self.hyper.softness:
            return (likeness / self.hyper.softness).softmax(1)
        near = likeness.topk(min(self.hyper.nearest, likeness.shape[1]), dim=1).indices
        return torch.zeros_like(likeness).scatter_(1, near, 1.0)


def energy_score(made: Tensor, x: Tensor) -> Tensor:
    """Return the mean energy score of draws `[m, B, D]` for `x [B, D]`: E|w - x| - E|w - w'| / 2, least for x's own law."""
    m = len(made)
    near = (made - x).float().norm(dim=2).mean()
    far = (made[:, None] - made[None]).float().square().sum(3).add(1e-12).sqrt().mean(2)  # [m, m]
    return near - far.sum() / (m * (m - 1)) / 2
