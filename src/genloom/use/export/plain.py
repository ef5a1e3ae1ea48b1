"""The functions of what a model can do in one go, by capability, never by the model's name."""

# n examples, C channels, H height, W width, D columns, K classes

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genloom.core import capabilities as can
from genloom.core.random import Noise
from genloom.use.export.entries import (
    OWN_DRAWS,
    UNROLLED,
    Entry,
    LeftOut,
    Port,
    Size,
    Told,
    labels_port,
    numbers_used,
    some_labels,
    uniform_port,
)


def pictures(model: Any, name: str = "x", channels: int | None = None, size: tuple[Size, Size] | None = None) -> Port:
    """Return the port of a model's examples, or of pictures of another size."""
    dims = model.shape.dims
    if len(dims) == 3:
        c, h, w = dims
        return Port(name, ("n", channels or c, *(size or (h, w))), "pictures in [0, 1]", bounds=(0, 1))
    return Port(name, ("n", *dims), f"examples: {model.shape.describe()}")


def of_latent(model: Any) -> Iterator[Entry]:
    """Codes from random numbers, and examples from codes."""
    used = numbers_used(lambda noise: model.prior(2, noise))
    width = model.code_width
    code = Port("z", ("n", width), "codes, as `prior` makes them")

    def prior(u: Tensor) -> Tensor:
        return model.prior(u.shape[0], Told(u))

    yield Entry(
        "prior",
        prior,
        (uniform_port(used),),
        (code,),
        lambda size, g: (torch.rand(size["n"], used, generator=g),),
        "Make random codes of uniform random numbers.",
    )
    yield Entry(
        "generate",
        model.generate,
        (code, *labels_port(model)),
        (pictures(model),),
        lambda size, g: (model.prior(size["n"], Noise.of(1, size["n"])), *some_labels(model, size["n"])),
        "Make examples of codes.",
    )


def some_examples(model: Any, n: int, g: torch.Generator | None = None) -> Tensor:
    """Return examples that a model might see: on the levels of its pixels, where it has them."""
    x = torch.rand(n, *model.shape.dims, generator=g)
    levels = getattr(model, "levels", 256)
    return (x * levels).floor().clamp_max(levels - 1) / (levels - 1)


def draws_levels(model: Any) -> bool:
    """Return whether pictures are turned into levels by chance."""
    return bool(getattr(model, "draws_levels", False))


def of_encodes(model: Any) -> Iterator[Entry | LeftOut]:
    """Codes from examples, and back."""
    x = pictures(model)
    with torch.no_grad():
        width = model.encode(some_examples(model, 2)).shape[1]
    code = Port("z", ("n", width), "codes")
    if draws_levels(model):
        yield LeftOut("encode", OWN_DRAWS)
    else:
        yield Entry(
            "encode",
            model.encode,
            (x,),
            (code,),
            lambda size, g: (some_examples(model, size["n"], g),),
            "Give the codes of examples.",
        )
    yield Entry(
        "decode",
        model.decode,
        (code,),
        (x,),
        lambda size, g: (model.encode(some_examples(model, size["n"], g)),),
        "Make examples of codes.",
    )


def of_infers(model: Any) -> Iterator[Entry | LeftOut]:
    """The posterior of codes."""
    if draws_levels(model):
        yield LeftOut("infer", OWN_DRAWS)
        return
    x = pictures(model)
    width = model.code_width
    outputs = Port("mean", ("n", width), "means of q(z|x)"), Port("logvar", ("n", width), "logarithms of its variances")
    yield Entry(
        "infer",
        model.infer,
        (x,),
        outputs,
        lambda size, g: (some_examples(model, size["n"], g),),
        "Give the posterior of codes.",
    )


def of_classifies(model: Any) -> Iterator[Entry]:
    """The probability of classes."""
    if not getattr(model, "classes", 0):
        return
    yield Entry(
        "classify",
        model.classify,
        (pictures(model),),
        (Port("p", ("n", model.classes), "probability of each class"),),
        lambda size, g: (some_examples(model, size["n"], g),),
        "Give the probability of each class.",
    )


def of_scores(model: Any) -> Iterator[Entry | LeftOut]:
    """The likelihood of examples."""
    if not model.compilable:
        yield LeftOut("log_prob", UNROLLED)
        return
    if model.bound != "exact" or draws_levels(model):
        yield LeftOut("log_prob", OWN_DRAWS)
        return
    yield Entry(
        "log_prob",
        model.log_prob,
        (pictures(model), *labels_port(model)),
        (Port("nats", ("n",), "log p(x) in nats"),),
        lambda size, g: (some_examples(model, size["n"], g), *some_labels(model, size["n"])),
        f"Give the log-likelihood of examples: {model.coding}.",
    )


def of_translates(model: Any) -> Iterator[Entry]:
    """Pictures of one side from those of the other; of a model that draws, of the size that it was trained at."""
    c, *trained = model.shape.dims
    channels = {"A": c, "B": model.shape.channels_b}
    for to in model.sides:
        before, after = channels["A" if to == "B" else "B"], channels[to]
        x = torch.zeros(2, before, *trained)
        used = numbers_used(partial(model.translate, x, to))
        size: tuple[Size, Size] = (f"{model.multiple} height", f"{model.multiple} width")
        if used:
            size = trained[0], trained[1]

        def call(x: Tensor, *u: Tensor, to: str = to) -> Tensor:
            return model.translate(x, to, Told(u[0] if u else x.new_zeros(x.shape[0], 0)))

        def examples(size: dict[str, int], g: torch.Generator, before: int = before, used: int = used) -> tuple[Tensor, ...]:
            h, w = size.get("height", trained[0]), size.get("width", trained[1])
            x = torch.rand(size["n"], before, h, w, generator=g)
            return (x, *([torch.rand(size["n"], used, generator=g)] if used else []))

        yield Entry(
            f"translate_to_{to}",
            call,
            (pictures(model, "x", before, size), *([uniform_port(used)] if used else [])),
            (pictures(model, "made", after, size),),
            examples,
            f"Turn pictures into those of side {to}.",
        )


def of_upscales(model: Any) -> Iterator[Entry]:
    """Larger pictures."""
    c = model.shape.dims[0]
    larger: tuple[Size, Size] = (f"{model.scale} height", f"{model.scale} width")
    yield Entry(
        "upscale",
        model.upscale,
        (pictures(model, size=("height", "width")),),
        (pictures(model, "large", size=larger),),
        lambda size, g: (torch.rand(size["n"], c, size["height"], size["width"], generator=g),),
        f"Make pictures {model.scale} times as large.",
    )


def of_imputes(model: Any) -> Iterator[Entry]:
    """Rows with their unknown cells filled in."""
    d = model.shape.width
    row = "rows: numbers less their column's mean over its scale, categories by their place from 0; any number where unknown"
    x, mask = Port("x", ("n", d), row), Port("mask", ("n", d), "which cells are known", torch.bool)

    def examples(size: dict[str, int], g: torch.Generator | None = None) -> tuple[Tensor, ...]:
        n = size["n"]
        cells = [
            torch.randint(c.levels, (n,), generator=g).float() if c.levels else torch.randn(n, generator=g)
            for c in model.shape.columns
        ]
        return torch.stack(cells, 1), torch.rand(n, d, generator=g) < 0.7

    filled = Port("filled", ("n", d), "the same rows, their unknown cells filled in")
    yield Entry("impute", model.impute, (x, mask), (filled,), examples, "Fill in unknown cells by the best guess.")
    used = numbers_used(lambda noise: model.draw(*examples({"n": 2}), 1, noise))

    def draw(x: Tensor, mask: Tensor, u: Tensor) -> Tensor:
        return model.draw(x, mask, 1, Told(u))[0]

    yield Entry(
        "draw",
        draw,
        (x, mask, uniform_port(used)),
        (filled,),
        lambda size, g: (*examples(size, g), torch.rand(size["n"], used, generator=g)),
        "Fill in unknown cells by chance, as different as the known ones leave open.",
    )


def of_tags(model: Any) -> Iterator[Entry]:
    """Words for features."""
    width = model.mean.shape[-1]
    used = numbers_used(lambda noise: model.votes(torch.zeros(2, width), noise))
    yield Entry(
        "tag",
        lambda h, u: model.votes(h, Told(u)),
        (Port("h", ("n", width), f"features of pictures by {model.taught_by}"), uniform_port(used)),
        (Port("votes", ("n", len(model.shape.classes)), "how much speaks for each word"),),
        lambda size, g: (torch.randn(size["n"], width, generator=g), torch.rand(size["n"], used, generator=g)),
        "Say by which words pictures may be called.",
    )


def of_samples(model: Any) -> Iterator[Entry | LeftOut]:
    """What draws examples and has no finer function."""
    if isinstance(model, can.Latent | can.PixelByPixel | can.Composes):
        return
    if isinstance(model, can.Follows):
        yield LeftOut("sample", "its records are drawn row by row, for as long as is asked, from more than a network")
        return
    used = numbers_used(lambda noise: model.sample(2, noise=noise))
    yield Entry(
        "sample",
        lambda u: model.sample(u.shape[0], noise=Told(u)),
        (uniform_port(used),),
        (Port("x", ("n", *model.shape.dims), f"examples: {model.shape.describe()}"),),
        lambda size, g: (torch.rand(size["n"], used, generator=g),),
        "Draw examples.",
    )
