"""Randomness: named streams of numbers from one seed, and noise that belongs to one sample whatever batch it is in."""

# n samples

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genloom.bounds import whole

MASK = (1 << 64) - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of splitmix64, Steele et al. 2014

# A number for each use of a seed. Never change one: every figure under a seed follows from them.
STREAMS = {
    "order": 0,  # of examples
    "batch": 1,  # what is drawn while a batch is made, such as which pictures are mirrored
    "start": 2,  # what is drawn before the first round
    "round": 3,
    "health": 4,  # examples that the referee compares with
    "light": 5,  # examples that the light judge compares with
    "light samples": 7,
    "random features": 8,
    "classifier": 9,
    "classifier order": 10,
    "halves": 11,
    "patches": 12,
    "projections": 13,
    "pairs": 14,
    "probe pool": 30,
    "probe labels": 31,
    "probe untrained": 32,
    "probe tuning": 33,
    "probe axes": 34,
    "patches of pairs": 35,
    "label reader": 36,
    "label reader order": 37,
    "noise of cycles": 38,
    "labelled": 39,  # pictures whose labels are used
    "weight norm": 40,  # pictures that gains and biases start from
    "words": 41,
    "export": 42,  # inputs that graphs are held against the model by
}


def mix(*numbers: int) -> int:
    """Mix integers into one 63-bit seed (splitmix64), so that neighbouring seeds give unrelated streams."""
    state = GOLDEN
    for number in numbers:
        state = (state ^ (number & MASK)) * FIRST & MASK
        state = (state ^ state >> 30) * SECOND & MASK
        state ^= state >> 31
    return state >> 1


def stream(name: str, *numbers: int, seed: int | None = None) -> int:
    """Return the seed of a named stream: of a run's seed, where there is one, and of further numbers."""
    return mix(*([] if seed is None else [seed]), STREAMS[name], *numbers)


def generator(name: str, *numbers: int, seed: int | None = None) -> torch.Generator:
    """Return a generator on the CPU for a named stream."""
    return torch.Generator().manual_seed(stream(name, *numbers, seed=seed))


def seed_device(seed: int, device: torch.device) -> None:
    """Seed the generators of the CPU and of one device, and no others: seeding all takes a tenth of a millisecond."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextlib.contextmanager
def training(seed: int, threads: int | None = None) -> Iterator[None]:
    """Train here reproducibly: seed torch, set its threads, and put both back afterwards. For what trains, and only that."""
    with undisturbed(), on_threads(threads):
        torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads here, and as many as before afterwards; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(whole("threads", threads) if threads else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Leave torch's generator as it was: for what draws numbers that are thrown away, such as building a net to fill."""
    state = torch.default_generator.get_state()
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


@contextlib.contextmanager
def building(device: str) -> Iterator[None]:
    """Build a net on a device whose starting weights do not matter; on `meta` it takes no memory, and little time."""
    with undisturbed(), torch.device(device), Undrawn() if device == "meta" else contextlib.nullcontext():
        yield


class Undrawn(TorchFunctionMode):
    """Leaves starting weights as they are: on `meta`, torch would import its compiler to draw none, which takes a second."""

    COSTLY = (nn.init.normal_, F.normalize)  # each returns its first argument's like

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return [*args, *kwargs.values()][0] if func in self.COSTLY else func(*args, **kwargs)


class Noise:
    """Random numbers of samples: those of a sample are a pure function of its key, so that no batch, order, thread or
    device changes them.

    They come from a counter through splitmix64, so nothing is shared and nothing has to be seeded. Each call goes on where
    the one before ended.

    Args:
        keys: a number for each sample `[n]`, int64.

    Example:
        >>> whole, half = Noise.of(7, 4).uniform(3), Noise.of(7, 2, start=2).uniform(3)
        >>> bool((whole[2:] == half).all())
        True
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = scramble(keys)
        self.used = 0

    @classmethod
    def of(cls, seed: int, n: int, start: int = 0) -> Noise:
        """Return the noise of `n` samples, from the one numbered `start` on, of a seed."""
        return cls(torch.arange(start, start + n) + signed(mix(seed)))

    @classmethod
    def fresh(cls, n: int) -> Noise:
        """Return noise that nobody has seen, from torch's own generator."""
        return cls.of(int(torch.randint(2**62, ())), n)

    @classmethod
    def joined(cls, parts: Sequence[Noise]) -> Noise:
        """Return the noise of the samples of several, one after the other, from its beginning."""
        chosen = cls.__new__(cls)
        chosen.keys, chosen.used = torch.cat([part.keys for part in parts]), 0
        return chosen

    def of_rows(self, rows: Any) -> Noise:
        """Return the noise of some of the samples, by their places, from its beginning."""
        chosen = Noise.__new__(Noise)
        chosen.keys, chosen.used = self.keys[rows], 0
        return chosen

    def __len__(self) -> int:
        return len(self.keys)

    def bits(self, count: int, device: torch.device | None) -> Tensor:
        """Return 64 random bits `[n, count]` each."""
        places = torch.arange(self.used + 1, self.used + count + 1, device=device) * signed(GOLDEN)
        self.used += count
        return scramble(self.keys.to(device)[:, None] + places)

    def uniform(self, *dims: int, device: torch.device | None = None) -> Tensor:
        """Return numbers `[n, *dims]` in [0, 1), in fp32."""
        count = torch.Size(dims).numel()
        return ((self.bits(count, device) >> 40 & 0xFFFFFF).float() / (1 << 24)).view(len(self), *dims)

    def chance(self, count: int, share: float, device: torch.device | None = None) -> Tensor:
        """Return booleans `[n, count]`, each true with a chance of `share`, to 1 / 65536: cheaper than whole numbers."""
        bits = self.bits(-(-count // 4), device).view(torch.int16)[:, :count]  # four numbers from -32768 on of each 64 bits
        bound = round(share * (1 << 16)) - (1 << 15)
        return bits < bound if bound < 1 << 15 else torch.ones_like(bits, dtype=torch.bool)  # which 16 bits do not hold

    def normal(self, *dims: int, device: torch.device | None = None) -> Tensor:
        """Return numbers `[n, *dims]` of a standard Gaussian, in fp32, by Box and Muller's transform."""
        count = torch.Size(dims).numel()
        radius = (-2 * torch.log1p(-self.uniform(count, device=device))).sqrt()
        return (radius * torch.cos(2 * torch.pi * self.uniform(count, device=device))).view(len(self), *dims)


def signed(number: int) -> int:
    """Return the int64 whose bits are those of an unsigned number."""
    number &= MASK
    return number - (1 << 64) if number >> 63 else number


def scramble(state: Tensor) -> Tensor:
    """Mix the bits of each int64 (splitmix64's last steps); shifts leave the sign behind."""
    state = (state ^ (state >> 30 & (1 << 34) - 1)) * signed(FIRST)
    state = (state ^ (state >> 27 & (1 << 37) - 1)) * signed(SECOND)
    return state ^ (state >> 31 & (1 << 33) - 1)
