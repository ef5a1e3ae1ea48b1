"""How far a record lies from usual operation: a score for each row, which of its tags are to blame, and when to alarm.

A row is scored by the window that ends with it, and by nothing else: the same whatever span is given. Of each window it is
asked how unlikely it is as a whole; of each tag, how far it lies in the last row from what the other tags say, and whether
it has stopped to move. Each of these is divided by the bar that held-out usual rows pass no more often than a stated rate;
the score of a row is the largest, and above 1 it is an alarm.

Rows that do not lie at even steps are moved to the nearest, counted from the first row that is given: there, and there
alone, a score may hang on where that is.
"""

# n rows, N places of the grid, T rows of a window, D columns

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genloom.api import load
from genloom.core.capabilities import Follows
from genloom.core.model import Model
from genloom.data.series.applied import read_as
from genloom.data.series.dataset import SeriesData
from genloom.data.series.record import Record
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.nn.gaps import all_known
from genloom.shapes.columns import Column, Numbers, Places
from genloom.shapes.series import SeriesShape
from genloom.train.run import Run

RATE = 0.001  # of usual rows that may pass a bar, where nobody says another
HELD_ROWS, BANK = 20_000, 2000  # held-out rows that bars are taken from, and training windows a row is compared with
SEEN = 10  # times that held-out rows pass a bar, from which on it is read off and not reckoned
LEAST_OFF, LEAST_STILL = 1.0, math.log(2)  # bars at least: a deviation, and half of the usual motion
STILLEST = 1e-3  # share of the usual motion below which none is less than another
LOUD = 0.5  # of a bar, from which on a tag can be to blame
CHUNK = 1024  # rows that are scored at once: twice as many take a tenth longer, in new memory
FARTHEST = 1e6  # deviations from the mean, beyond which one is as unusual as another, and sums would overflow
SILENT = 20  # rows at the end without a value, from which on a tag is said to have none
TOGETHER = 5  # scored rows without an alarm that do not end one


@dataclass(frozen=True)
class Bars:
    """What usual rows pass at a stated rate.

    Attributes:
        middle, bar: of the surprise.
        tags: of each column `[D]`, in deviations from what the other tags say; not-a-number where there is none.
        still: of each column `[D]`, the logarithm of how many times less than usually it moves; `motion [D]`, the usual.
        rows: held-out rows that they were taken from.
        rate: of usual rows that may be above 1; `seen`, whether there are held-out rows enough to see that.
    """

    middle: float
    bar: float
    tags: Numbers
    still: Numbers
    motion: Numbers
    rows: int
    rate: float
    seen: bool


@dataclass
class Deviation:
    """How unusual the rows of a record are.

    Attributes:
        record: the rows on a grid of even steps.
        scores: of each place `[N]`, above 1 an alarm; not-a-number where there is no whole window, or too little known.
        whole: of the window as a whole `[N]`; `off [N, D]`, of each tag against the others; `still [N, D]`, of how little
            it moves: over their bars.
        rest: how unlikely the window is without a tag, over the bar of the whole `[N, D]`: small for the one to blame.
        expected, spread: what the other tags say of each cell, and how surely `[N, D]`, in the person's units.
        simple: the distance of Mahalanobis of each row over its own bar `[N]`, which needs no model.
        nearest: the training run that is most like each alarm's window, in words.
    """

    record: Record
    columns: tuple[Column, ...]
    bars: Bars
    scores: Numbers
    whole: Numbers
    off: Numbers
    still: Numbers
    rest: Numbers
    expected: Numbers
    spread: Numbers
    simple: Numbers
    nearest: list[str] = field(default_factory=list, init=False)

    @property
    def values(self) -> Numbers:
        """The cells in the person's units `[N, D]`, not-a-number where unknown."""
        scale, mean = (np.array([getattr(c, name) for c in self.columns]) for name in ("scale", "mean"))
        return np.where(self.record.mask, self.record.codes * scale + mean, np.nan)

    def alarms(self) -> list[tuple[int, int]]:
        """Return where alarms begin and end, as places of the grid; short pauses do not end one."""
        places = np.flatnonzero(self.scores > 1)
        if not len(places):
            return []
        apart = (np.diff(places) > TOGETHER) | (np.diff(self.record.stretch[places]) != 0)
        begins, ends = places[np.append(True, apart)], places[np.append(apart, True)]
        return [(int(a), int(b) + 1) for a, b in zip(begins, ends, strict=True)]

    @property
    def tags(self) -> Numbers:
        """How far each tag is over its bars `[N, D]`."""
        return np.fmax(self.off, self.still)

    def blame(self, begin: int, end: int) -> list[tuple[int, float]]:
        """Return the tags to blame between two places, and how far on average over their bars, the worst first.

        First comes the tag without which the window is most usual. Where it is as usual as any without it, it is the only
        one: what is said of the others rests on it.
        """
        heights = np.nan_to_num(np.fmax(self.off[begin:end], self.still[begin:end]))
        rest, known = self.rest[begin:end], np.isfinite(self.rest[begin:end])
        without = np.where(known.any(0), np.where(known, rest, 0).sum(0) / known.sum(0).clip(1), np.inf)
        loud = heights.max(0, initial=0.0) > LOUD
        order = [int(d) for d in np.argsort(np.where(loud, without, np.inf), kind="stable") if loud[d]]
        if order and without[order[0]] < 1:
            order = order[:1]
        return [(d, float(heights[:, d].mean())) for d in order]

    def silent(self) -> list[tuple[int, int]]:
        """Return the tags that have no value in the last rows of the record, and since which place."""
        found, there = [], np.bincount(self.record.place, minlength=len(self.scores)) > 0
        for d in range(len(self.columns)):
            known = np.flatnonzero(self.record.mask[:, d])
            since = int(known[-1]) + 1 if len(known) else 0
            if there[since:].sum() >= SILENT:
                found.append((d, since))
        return found


class Watch:
    """A run that says what is unusual: its model, and the bars of usual rows.

    Args:
        rate: of usual rows that may alarm.
        said: of the cells of records, as `TableOptions` has them, such as `missing`.

    Raises:
        InputError: the run follows no records, or its training data is not there to take the bars from.
    """

    def __init__(
        self, run: Run, checkpoint: str = "last", rate: float = RATE, said: Mapping[str, Any] | None = None
    ) -> None:
        model = load(run, checkpoint)
        if not isinstance(model, Follows) or not isinstance(model.shape, SeriesShape):
            raise InputError(f"{type(model).__name__} does not say what is unusual: rtsgan does, of records")
        if not 0 < rate < 0.5:
            raise InputError(f"--rate takes a share of usual rows between 0 and .5, got {rate:g}")
        self.run, self.model, self.shape, self.said = run, model, model.shape, dict(said or {})
        usual = run.remember("deviation", lambda: usual_rows(run, model))
        self.usual = {name: value.double().numpy() for name, value in usual.items()}
        self.bank = usual["bank"].float()
        self.bars = bars_of(self.usual, rate, self.shape.window)

    @property
    def loaded(self) -> dict[str, object]:
        """How records are read: as that of the training, and what is said of them."""
        kept = dict(self.run.record["data"]["loaded"]) | self.said
        return {name: value for name, value in kept.items() if name not in ("window", "condition", "step")}

    def score(self, name: str) -> Deviation:
        """Score what a person names; InputError where it is no such record."""
        return self.score_record(read_as(name, self.shape, self.loaded)[1], name)

    def score_record(self, record: Record, name: str, begin: int = 0) -> Deviation:
        """Score the rows of a record, from a place of its grid on."""
        n, d = record.codes.shape
        places = scored_places(record, self.shape)
        places = places[places >= begin]
        if not len(places):
            raise InputError(
                f"{name} has no {self.shape.window} rows in a row of which half the cells are known: that is what a row is "
                "scored by"
            )
        columns = self.shape.columns
        of_rows = {name: np.full(n, np.nan) for name in ("scores", "whole", "simple")}
        of_cells = {name: np.full((n, d), np.nan) for name in ("off", "still", "rest", "expected", "spread")}
        found = Deviation(record, columns, self.bars, **of_rows, **of_cells)
        self.look(found, places, closely=False)
        self.look(found, places[found.scores[places] > 1], closely=True)
        plain_units(found)
        found.simple = self.distance(record.codes) / self.usual["simple_bar"][0]
        found.nearest = [self.most_like(found, begin, end) for begin, end in found.alarms()]
        return found

    def look(self, found: Deviation, places: Places, closely: bool) -> None:
        """Score places of a record; closely, with each tag left out of all that is said of it."""
        bars = self.bars
        for begin in range(0, len(places), CHUNK):
            part = places[begin : begin + CHUNK]
            x, mask = windows_of(found.record, part, self.shape.window)
            said, row, known = self.model.unusual(x, mask, closely), x[:, -1], mask[:, -1].numpy()
            off = ((row - said.expected).abs() / said.spread).double().numpy()
            found.off[part] = np.where(known, off / bars.tags, np.nan)
            found.still[part] = stillness(x, mask, bars.motion) / bars.still
            found.whole[part] = (said.surprise.double().numpy() - bars.middle) / (bars.bar - bars.middle)
            found.rest[part] = (said.rest.double().numpy() - bars.middle) / (bars.bar - bars.middle)
            found.expected[part], found.spread[part] = said.expected.double(), said.spread.double()
            worst = np.nan_to_num(np.fmax(found.off[part], found.still[part]), nan=-np.inf).max(1)
            found.scores[part] = np.fmax(found.whole[part], worst)

    def distance(self, codes: Numbers) -> Numbers:
        """Return the distance of Mahalanobis of rows, of columns of numbers."""
        gap = codes[:, self.usual["numbers"].astype(int)] - self.usual["mean"]
        return np.sqrt(np.einsum("nd,de,ne->n", gap, self.usual["inverse"], gap))

    def most_like(self, found: Deviation, begin: int, end: int) -> str:
        """Say which training window is most like the worst one of an alarm, and how unlike it is."""
        worst = begin + int(np.nan_to_num(found.scores[begin:end]).argmax())
        window, mask = windows_of(found.record, np.array([worst]), self.shape.window)
        known = mask & torch.tensor([not column.levels for column in self.shape.columns])
        gaps = (((self.bank - window).square_() * known).sum((1, 2)) / known.sum().clamp_min(1)).sqrt()
        seconds = float(self.usual["bank_seconds"][int(gaps.argmin())])
        return f"{self.shape.stamp(seconds)}, {float(gaps.min()):.2g} deviations a cell away"


def scored_places(record: Record, shape: SeriesShape) -> Places:
    """Return the places with a whole window of their stretch before them, of which half is known, and a known row.

    Of columns that are given nothing is scored, so that they do not count.
    """
    window, place = shape.window, np.arange(len(record.codes))
    made = np.array([column.name not in shape.conditions for column in shape.columns])
    first = np.searchsorted(record.stretch, record.stretch)  # of the stretch
    sums = np.concatenate([[0], np.cumsum(record.mask[:, made].sum(1))])  # whole numbers: the same whatever came before
    full = place - first >= window - 1
    known = np.zeros(len(place), np.int64)
    known[full] = sums[place[full] + 1] - sums[place[full] + 1 - window]
    return place[full & (2 * known >= window * made.sum()) & record.mask[:, made].any(1)]


def windows_of(record: Record, ends: Places, window: int) -> tuple[Tensor, Tensor]:
    """Return the windows `[n, T, D]` that end with places of the grid, and which of their cells are known."""
    first, last = ends[0] + 1 - window, ends[-1] + 1
    codes = np.clip(record.codes[first:last], -FARTHEST, FARTHEST)
    x, mask = torch.as_tensor(codes, dtype=torch.float32), torch.as_tensor(record.mask[first:last])
    n, d = len(x) + 1 - window, x.shape[1]
    whole, places = len(ends) == n, torch.as_tensor(ends - ends[0])
    x, mask = (each.contiguous().as_strided((n, window, d), (d, d, 1)) for each in (x, mask))  # one for each row
    return x if whole else x[places], mask if whole else mask[places]


def motion(x: Tensor, mask: Tensor) -> Numbers:
    """Return the mean change from row to row `[n, D]` in the later half of windows; not-a-number where little is known."""
    half = x.shape[1] // 2
    x, mask = x[:, -half - 1 :], mask[:, -half - 1 :]
    if all_known(mask):
        return x.diff(dim=1).abs_().mean(1).double().numpy()
    both = mask[:, 1:] & mask[:, :-1]
    sums = (x.diff(dim=1).abs() * both).sum(1)
    return torch.where(both.sum(1) > half / 2, sums / both.sum(1).clamp_min(1), torch.nan).double().numpy()


def stillness(x: Tensor, mask: Tensor, usual: Numbers) -> Numbers:
    """Return the logarithm of how many times less than usually each tag of windows moves `[n, D]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.log(np.maximum(motion(x, mask) / usual, STILLEST))


def plain_units(found: Deviation) -> None:
    """Bring what is expected into the person's units."""
    scale, mean = (np.array([getattr(c, name) for c in found.columns]) for name in ("scale", "mean"))
    low, high = (np.array([getattr(c, name) for c in found.columns]) for name in ("low", "high"))
    found.expected = np.clip(found.expected * scale + mean, low, high)  # beyond what was seen nothing can be expected
    found.spread = found.spread * scale


# -- what is usual ---------------------------------------------------------------------------------


def usual_rows(run: Run, model: Model) -> dict[str, Tensor]:
    """Return what held-out rows of the training record say, and some of its windows to compare with."""
    assert isinstance(model, Follows)
    record = run.record["data"]
    if record["source"] == "python":
        raise InputError(f"{run.folder} was trained on a Python object, from which no bars can be taken: train it on a file")
    data = find_source(record["source"], record["loaded"], kind="series").load()
    assert isinstance(data, SeriesData)
    if data.fingerprint != record["fingerprint"]:
        raise InputError(
            f"{record['source']} has changed since {run.folder} was trained on it: what is usual is taken from it once, "
            "before that; train again"
        )
    return {**held_figures(model, data), **simple_figures(data), **bank_of(data)}


def held_figures(model: Follows, data: SeriesData) -> dict[str, Tensor]:
    """Return the surprise `[m]` of held-out rows, and the deviations and the motion of their tags `[m, D]`."""
    starts = data.held[torch.linspace(0, len(data.held) - 1, min(len(data.held), HELD_ROWS)).round().long()]
    found: dict[str, list[Tensor]] = {"surprise": [], "off": [], "motion": []}
    for part in starts.split(2048):
        batch = data.windows(part)
        said = model.unusual(batch["x"], batch["mask"])
        gap = (batch["x"][:, -1] - said.expected).abs() / said.spread
        found["surprise"].append(said.surprise)
        found["off"].append(torch.where(batch["mask"][:, -1], gap, torch.nan))
        found["motion"].append(torch.as_tensor(motion(batch["x"], batch["mask"])))
    return {name: torch.cat(parts) for name, parts in found.items()}


def simple_figures(data: SeriesData) -> dict[str, Tensor]:
    """Return what the distance of Mahalanobis needs, and what it is of held-out rows."""
    numbers = torch.tensor([d for d, column in enumerate(data.shape.columns) if not column.levels], dtype=torch.long)
    last = data.shape.window - 1
    x = data.x[data.starts[:: max(1, len(data.starts) // HELD_ROWS)] + last][:, numbers].double()
    inverse = torch.linalg.pinv(torch.atleast_2d(torch.cov(x.T)) + 1e-9 * torch.eye(len(numbers)))
    held = data.x[data.held + last][:, numbers].double() - x.mean(0)
    distance = torch.einsum("nd,de,ne->n", held, inverse, held).sqrt()
    bar = torch.tensor([quantile_beyond(distance.numpy(), RATE, max(1, data.shape.window // 2))])
    return {"numbers": numbers, "mean": x.mean(0), "inverse": inverse, "simple_bar": bar}


def bank_of(data: SeriesData) -> dict[str, Tensor]:
    """Return windows from all over the training record, and when they begin."""
    starts = data.starts[torch.linspace(0, len(data.starts) - 1, min(len(data.starts), BANK)).round().long()]
    return {"bank": data.windows(starts)["x"], "bank_seconds": torch.as_tensor(data.seconds)[starts]}


def bars_of(usual: dict[str, Numbers], rate: float, window: int) -> Bars:
    """Return the bars of each figure so that no more than a share `rate` of usual rows is above any of them."""
    off, moved = usual["off"], usual["motion"]
    d = off.shape[1]
    tags = [i for i in range(d) if np.isfinite(off[:, i]).sum() > SEEN]
    each, block = rate / (1 + 2 * len(tags)), max(1, window // 2)
    bars, still, middle = (np.full(d, np.nan) for _ in range(3))
    for i in tags:
        bars[i] = max(quantile_beyond(off[np.isfinite(off[:, i]), i], each, block), LEAST_OFF)
        known = moved[np.isfinite(moved[:, i]), i]
        if len(known) and (usually := float(np.median(known))) > 0:
            middle[i] = usually
            less = -np.log(np.maximum(known / usually, STILLEST))
            still[i] = max(quantile_beyond(less, each, block), LEAST_STILL)
    surprise = usual["surprise"]
    median = float(np.median(surprise))
    bar = max(quantile_beyond(surprise, each, block), median + 0.01)
    return Bars(median, bar, bars, still, middle, len(surprise), rate, each * len(surprise) >= SEEN * block)


def quantile_beyond(values: Numbers, rate: float, block: int) -> float:
    """Return what a share `rate` of values `[n]` in the order of time passes.

    Read off where that happens often enough. Else reckoned: the largest values of blocks of rows above their median have an
    exponential tail, and a block that passes does so in half of its rows, for what is unusual lasts.
    """
    if rate * len(values) >= SEEN * block:
        return float(np.quantile(values, 1 - rate))
    whole = len(values) // block * block
    largest = values[:whole].reshape(-1, block).max(1) if whole else values
    edge = float(np.median(largest))
    above = largest[largest > edge]
    excess = float(above.mean() - edge) if len(above) else 0.0
    return max(edge + excess * math.log(0.5 / min(2 * rate, 0.5)), 1e-9)
