"""One step of what draws step by step, as functions of tensors: what it remembers goes in and comes out.

An output named `x_next` goes in as `x` the next time; at the start it is zeros.
"""

# n examples, T steps, V voices, C channels, H height, W width, F features

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from genloom.models.likelihood.autoregressive import invert
from genloom.models.likelihood.cached_pixelcnn import Columns
from genloom.models.music.stepwise import DENSITIES, picked
from genloom.use.export.entries import UNROLLED, Entry, LeftOut, Port, labels_port, some_labels, uniform_port

WARM = Port("temperature", (), "above 0: 1 is the model's own, less is more usual", bounds=(1e-3, 1e3))
NEXT = "_next"
CODES = "0 nothing, 1 the note before goes on, from 2 on a pitch that begins: code - 2 + the shape's `low`"


def carried(ports: Sequence[Port]) -> tuple[Port, ...]:
    """Return the ports from which what is remembered comes out."""
    return tuple(Port(port.name + NEXT, port.dims, port.means, port.kind) for port in ports)


# -- pictures --------------------------------------------------------------------------------------


class PixelSteps:
    """What draws a row, and a pixel of it: `network` is the model's, for columns that are tensors."""

    def __init__(self, model: Any, network: Any) -> None:
        self.model, self.channels = model, model.channels
        with torch.no_grad():
            network.begin_row()
        self.windows = [named(f"window_{i}", each.row) for i, each in enumerate(network.windows)]
        self.rows = [named(f"rows_{i}", each.rows) for i, each in enumerate(network.rows)]
        self.bases = [named(f"base_{i}", each.base.transpose(0, 1)) for i, each in enumerate(network.bases)]
        assert len(self.bases) == len(self.windows)  # a layer has one of each
        self.seen = Port("seen", ("n", self.channels), "the pixel before, in [-1, 1]; zeros before the first")
        self.row = Port("place", (), "the number of the row, from 0", torch.int64, (0, model.height - 1))
        self.column = Port("place", (), "the number of the pixel's column, from 0", torch.int64, (0, model.width - 1))

    def network(self, windows: Sequence[Tensor], labels: Sequence[Tensor]) -> Any:
        """Return the network with what is known of the row."""
        network = self.model.indexed(windows[0].shape[0], labels[0] if labels else None)
        for each, row in zip(network.windows, windows, strict=True):
            each.row = row
        return network

    def next_row(self, seen: Tensor, place: Tensor, *held: Tensor) -> tuple[Tensor, ...]:
        """Begin a row, of what is held: windows, rows, and labels where there are any."""
        k, m = len(self.windows), len(self.rows)
        network = self.network(held[:k], held[k + m :])
        network.see(self.model.width - 1, seen)
        network.row = place
        for each, rows in zip(network.rows, held[k : k + m], strict=True):
            each.rows = rows
        network.begin_row()
        first = torch.zeros_like(seen)  # left of a row's first pixel there is nothing
        known = [each.row for each in network.windows], [each.rows for each in network.rows]
        return (first, *known[0], *known[1], *(each.base.transpose(0, 1) for each in network.bases))

    def next_pixel(
        self, u: Tensor, fixed: Tensor, warm: Tensor, seen: Tensor, place: Tensor, *held: Tensor
    ) -> tuple[Tensor, ...]:
        """Draw a pixel, channel by channel, of what is held: windows, bases, and labels where there are any."""
        k, c = len(self.windows), self.channels
        network = self.network(held[:k], held[2 * k :])
        network.bases = [Columns(each.transpose(0, 1)) for each in held[k : 2 * k]]
        network.see(place - 1, seen)
        levels: list[Tensor] = []
        for channel in range(c):
            logits = network.pixel(place).unflatten(1, (c, -1))[:, channel]
            drawn = invert(logits.float() / warm, u[:, channel])
            levels.append(torch.where(fixed[:, channel] < 0, drawn, fixed[:, channel]))
            later = [torch.zeros_like(u[:, 0])] * (c - 1 - channel)
            seen = torch.stack([*(self.model.inputs(each) for each in levels), *later], 1)
            if later:
                network.see(place, seen)
        return (torch.stack(levels, 1), seen, *(each.row for each in network.windows))

    def functions(self) -> Iterator[Entry]:
        """Yield both."""
        model, c, labels = self.model, self.channels, labels_port(self.model)
        numbers, last = uniform_port(c), model.levels - 1
        fixed = Port("fixed", ("n", c), f"levels from 0 to {last} that are known, or -1", torch.int64, (-1, last))
        yield Entry(
            "next_row",
            self.next_row,
            (self.seen, self.row, *self.windows, *self.rows, *labels),
            carried([self.seen, *self.windows, *self.rows, *self.bases]),
            lambda size, g: (
                torch.rand(size["n"], c, generator=g),
                torch.tensor(min(1, model.height - 1)),
                *some([*self.windows, *self.rows], size["n"], g),
                *some_labels(model, size["n"]),
            ),
            "Begin a row of a picture: before its first pixel.",
        )
        yield Entry(
            "next_pixel",
            self.next_pixel,
            (numbers, fixed, WARM, self.seen, self.column, *self.windows, *self.bases, *labels),
            (Port("levels", ("n", c), "what was drawn", torch.int64), *carried([self.seen, *self.windows])),
            lambda size, g: (
                torch.rand(size["n"], c, generator=g),
                torch.full((size["n"], c), -1),
                torch.tensor(1.0),
                torch.rand(size["n"], c, generator=g),
                torch.tensor(min(1, model.width - 1)),
                *some([*self.windows, *self.bases], size["n"], g),
                *some_labels(model, size["n"]),
            ),
            "Draw the next pixel of a row.",
        )


def of_pixels(model: Any) -> Iterator[Entry | LeftOut]:
    """A row, and a pixel of it."""
    network = model.indexed(2, *(some_labels(model, 2) or [None]))
    if network is None:
        yield LeftOut("next_pixel", UNROLLED)
    else:
        yield from PixelSteps(model, network).functions()


def named(name: str, like: Tensor) -> Port:
    """Return the port of a tensor `[n, ...]` that is remembered."""
    return Port(name, ("n", *like.shape[1:]), "what is remembered")


def some(ports: Sequence[Port], n: int, g: torch.Generator) -> tuple[Tensor, ...]:
    """Return what might be remembered."""
    return tuple(torch.randn([n, *map(int, port.dims[1:])], generator=g) for port in ports)


# -- music -----------------------------------------------------------------------------------------


def asked(model: Any, unknown: Sequence[int]) -> str:
    """Return what the numbers mean that tell a model what is asked of a piece."""
    said = [f"key, its tonic from C = 0 on, 12 more in minor, {unknown[0]} for any"]
    said.append(f"density, {', '.join(f'{i} {name}' for i, name in enumerate(DENSITIES))}, {unknown[1]} for any")
    if len(unknown) > 2:
        said.append(
            f"composer, {', '.join(f'{i} {name}' for i, name in enumerate(model.shape.classes))}, {unknown[2]} for any"
        )
    return "what is asked: " + "; ".join(said)


def of_composes(model: Any) -> Iterator[Entry | LeftOut]:
    """A step of music."""
    with torch.no_grad():
        hand = model.begin(2, {})
    if not hasattr(hand, "carried"):
        yield LeftOut("next_step", "it is a table of counts")
        return
    names, remembered = ("state", "sounding", "before"), hand.carried()
    ports = [
        Port(name, ("n", *each.shape[1:]), "what is remembered", each.dtype)
        for name, each in zip(names, remembered, strict=True)
    ]
    v, told = len(model.shape.voices), len(hand.told)
    unknown = [int(each[0]) for each in hand.told]

    def next_step(u: Tensor, fixed: Tensor, warm: Tensor, beat: Tensor, told: Tensor, *held: Tensor) -> Any:
        hand = model.begin(u.shape[0], {})
        hand.told = list(told.unbind(1))
        hand.carry(*held)

        def choose(voice: int, logits: Tensor) -> Tensor:
            own = picked(logits, u[:, voice], warm)  # type: ignore[arg-type]
            return torch.where(fixed[:, voice] < 0, own, fixed[:, voice])

        return (hand.step(beat, choose), *hand.carried())

    yield Entry(
        "next_step",
        next_step,
        (
            uniform_port(v),
            Port("fixed", ("n", v), "codes of voices that are given, or -1", torch.int64, (-1, model.shape.codes - 1)),
            WARM,
            Port("beat", ("n",), "the step's place in its bar, from 0", torch.int64, (0, model.shape.bar - 1)),
            Port("told", ("n", told), asked(model, unknown), torch.int64),
            *ports,
        ),
        (Port("codes", ("n", v), CODES, torch.int64), *carried(ports)),
        lambda size, g: (
            torch.rand(size["n"], v, generator=g),
            torch.full((size["n"], v), -1),
            torch.tensor(1.0),
            torch.arange(size["n"]) % model.shape.bar,
            torch.tensor(unknown).expand(size["n"], -1).clone(),
            *(torch.zeros(size["n"], *each.shape[1:], dtype=each.dtype) for each in remembered),
        ),
        "Write the next step of music in all voices.",
    )


def of_restyles(model: Any) -> Iterator[Entry]:
    """Music in the other style."""
    shape = model.shape
    steps, voices = shape.window, len(shape.voices)

    def examples(size: dict[str, int], g: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randint(2, shape.codes, (steps, voices), generator=g),)

    for to, name in enumerate(shape.classes):
        yield Entry(
            f"restyle_to_{''.join(c if c.isalnum() else '_' for c in name)}",
            lambda x, to=to: model.restyle(x, to),
            (Port("x", (steps, voices), CODES, torch.int64),),
            (Port("roll", (2, steps, shape.high - shape.low + 1), "what sounds, and what begins", torch.bool),),
            examples,
            f"Turn {steps} steps of music into {name}.",
        )
