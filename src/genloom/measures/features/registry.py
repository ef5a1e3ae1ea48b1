"""Features: what turns pictures into the vectors that distances are taken between. Named and hashed.

A distance means nothing without the features it was taken in. Each kind carries a name such as
`classifier:1f3a`, whose digits are a hash of all that its output depends on: weights, resize, range.
`inception`, `dinov2` and `lite0` to `lite2` are published networks and quotable anywhere; the others compare
within their own name. Models that need a network themselves take `genloom.nn.efficientnet_lite.pretrained`.
"""

# n pictures, C channels, D features, K classes

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from genloom.data.cache import cache_folder
from genloom.data.pictures.dataset import ImageData
from genloom.errors import InputError, nearest
from genloom.measures.features.classifier import fit_classifier, precision
from genloom.measures.features.random import RandomFeatures
from genloom.measures.mixture import principal_directions
from genloom.nn.efficientnet_lite import installed, pretrained
from genloom.nn.resize import to_size

BLOCK = 250
LITE_BLOCK = 4  # pictures whose maps stay within a processor's caches
Compute = Callable[[Tensor], tuple[Tensor, Tensor | None]]
FITTED_ON = 5000  # pictures that `pixels` and `random` are fitted or scaled on


@dataclass(frozen=True)
class Features:
    """A feature extractor.

    Attributes:
        name: kind and the first digits of the hash.
        digest: the whole hash.
        compute: pictures `[n, C, H, W]` in [0, 1] to features `[n, D]` and, where there are classes, logits `[n, K]`.
        about: resize and weights, in words.
    """

    name: str
    digest: str
    compute: Compute
    about: str

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features `[n, D]` and class probabilities `[n, K]` or None, block by block."""
        h, logits = batched(self.compute, x)
        return h, None if logits is None else logits.softmax(1)


def make_features(kind: str | None, data: ImageData, weights: Path | None = None, fetch: bool = False) -> Features:
    """Return the features of a kind for this data; None takes the usual one.

    Args:
        data: the training pictures; `classifier`, `pixels` and `random` are made from them.
        weights: a file or folder of published weights, in place of the cache's.
        fetch: whether weights may be fetched over the network.

    Raises:
        InputError: no such kind, no labels, or no weights; the message says where to put them.
    """
    kind = kind or usual_kind(data)
    if kind not in KINDS:
        raise InputError(f"no features {kind!r}{nearest(kind, KINDS)}; there are {', '.join(KINDS)}, and autoencoder:RUN")
    if weights and kind in OURS:
        raise InputError(f"{kind} features take no weights: leave --weights away, or say which with --features")
    return KINDS[kind](data, weights, fetch)


def usual_kind(data: ImageData) -> str:
    """Return `lite2` for colour where its package is installed, else `classifier`, or `random` without labels."""
    if data.shape.channels > 1 and installed("lite2"):
        return "lite2"
    return "classifier" if data.labels is not None else "random"


@torch.no_grad()
def batched(compute: Compute, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Compute features and logits block by block."""
    parts = [compute(part) for part in x.split(BLOCK)]
    logits = [b.float() for _, b in parts if b is not None]
    return torch.cat([a.float() for a, _ in parts]), torch.cat(logits) if logits else None


def classifier(data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """The last hidden layer of a small network trained on the data's own labels, scaled to a mean variance of one."""
    net = fit_classifier(data)
    about = (
        f"last hidden layer of a small classifier trained on the data's own labels at {size_of(data)}, mean variance one, "
        f"{precision()}"
    )
    raw, _ = batched(net.both, spread(data, FITTED_ON))
    mean, scale = raw.mean(0), raw.var(0).mean().sqrt()

    def compute(x: Tensor) -> tuple[Tensor, Tensor]:
        h, logits = net.both(x)
        return (h - mean) / scale, logits

    return named("classifier", net.state_dict(), compute, about)


def pixels(data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """Principal components of the pixels."""
    x = spread(data, FITTED_ON).flatten(1)
    mean, directions = principal_directions(x, min(64, x.shape[1], len(x) - 1))
    about = f"{directions.shape[1]} principal components of the pixels at {size_of(data)}"
    tensors = {"mean": mean, "directions": directions}
    return named("pixels", tensors, lambda x: ((x.flatten(1) - mean) @ directions, None), about)


def random(data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """A fixed orthogonal convolutional network."""
    net = RandomFeatures(spread(data, FITTED_ON))
    # Named by the data that scales it: the statistics themselves differ in their last bits between processors.
    tensors = {"data": torch.frombuffer(bytearray(data.fingerprint.encode()), dtype=torch.uint8)}
    return named("random", tensors, lambda x: (net(x), None), f"a fixed random convolutional network at {size_of(data)}")


def inception(data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """The network of the published FID."""
    from genloom.measures.features.inception import FIDInception, read_inception

    path = weights or cache_folder() / "weights" / "inception.safetensors"
    if not path.is_file():
        raise InputError(
            f"the FID's Inception weights are not at {path}: they are published as a pickle, which genloom never reads; put "
            "the .safetensors that docs/judge.md shows how to make there, or name it with --weights"
        )
    net = FIDInception().eval()
    read_inception(net, path)
    about = "FID Inception v3 (2015-12-05), pooled features, pictures resized to 299x299, bicubic, antialiased"
    return named("inception", net.state_dict(), lambda x: net(to_size(colour(x), 299)), about)


def dinov2(data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """DINOv2's small network by transformers, as recommended by Stein et al. 2023 (arXiv 2306.04675)."""
    try:
        from transformers import Dinov2Model
    except (ImportError, RuntimeError):
        raise InputError("dinov2 features need transformers: pip install 'genloom[features]'") from None
    folder = weights or cache_folder() / "weights" / "dinov2"
    if not folder.is_dir() and not fetch:
        raise InputError(
            f"the DINOv2 weights are not at {folder}: put config.json and model.safetensors of facebook/dinov2-small there, "
            "name their folder with --weights, or say --fetch to have them fetched over the network"
        )
    try:
        where = str(folder) if folder.is_dir() else "facebook/dinov2-small"
        net = Dinov2Model.from_pretrained(where, local_files_only=not fetch, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the DINOv2 weights: {str(error).splitlines()[0]}") from None
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def compute(x: Tensor) -> tuple[Tensor, None]:
        return net((to_size(colour(x), 224) - mean) / deviation).pooler_output, None

    about = "DINOv2 class token, pictures resized to 224x224, bicubic, antialiased"
    return named("dinov2", net.state_dict(), compute, about)


def lite(kind: str, data: ImageData, weights: Path | None, fetch: bool) -> Features:
    """One of the EfficientNet-Lite nets, by the package that holds its weights."""
    net = pretrained(kind, weights)

    def compute(x: Tensor) -> tuple[Tensor, Tensor]:
        rows = [net(to_size(colour(part), net.pixels)) for part in x.split(LITE_BLOCK)]
        features, logits = zip(*rows, strict=True)
        return torch.cat(features), torch.cat(logits)

    about = (
        f"EfficientNet-Lite {kind[4:]}, pooled features, pictures resized to {net.pixels}x{net.pixels}, bicubic, antialiased"
    )
    return named(kind, net.state_dict(), compute, about)


KINDS: dict[str, Callable[[ImageData, Path | None, bool], Features]] = {
    "classifier": classifier,
    "inception": inception,
    "dinov2": dinov2,
    "lite0": partial(lite, "lite0"),
    "lite1": partial(lite, "lite1"),
    "lite2": partial(lite, "lite2"),
    "pixels": pixels,
    "random": random,
}


OURS = ("classifier", "pixels", "random")  # made from the data


def named(kind: str, tensors: Mapping[str, Tensor], compute: Compute, about: str) -> Features:
    """Return features whose name carries a hash of all that decides their output."""
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(about.encode())
    return Features(f"{kind}:{digest.hexdigest()[:4]}", digest.hexdigest(), compute, about)


def spread(data: ImageData, n: int) -> Tensor:
    """Return up to `n` evenly spread pictures `[n, C, H, W]` in [0, 1], not mirrored."""
    index = torch.linspace(0, len(data) - 1, min(n, len(data))).long()
    return data.pictures(index)


def colour(x: Tensor) -> Tensor:
    """Return pictures `[n, C, H, W]` as three channels: grey repeated, transparency left out."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]


def size_of(data: ImageData) -> str:
    """Return the size of the pictures as text."""
    return f"{data.shape.height}x{data.shape.width_px}"
