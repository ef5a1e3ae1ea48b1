"""Windows of a record as a data set, cut as they are asked for: what is held in memory is the record."""

# N places of the grid, n windows, T rows of a window, D columns

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from genloom.data.series.record import Record
from genloom.errors import InputError, nearest
from genloom.placing import has_room, there
from genloom.shapes.columns import Places
from genloom.shapes.series import SeriesShape

HELD = 5  # one run in so many is held out; of fewer, the last of so many parts of each stretch
LEAST_KNOWN = 0.5  # of a window's cells, below which it says nothing


@dataclass
class SeriesData:
    """Windows of a record. Codes are by the mean and spread of the whole record, what is held out among it.

    Attributes:
        x: codes `[N, D]` in float32, 0 where unknown; `mask [N, D]`, what is known.
        starts: where windows begin that are trained on `[n]`; `held`, those that are not. No two of them share a row.
        seconds: when each place of the record is `[N]`.
    """

    x: Tensor
    mask: Tensor
    starts: Tensor
    held: Tensor
    seconds: Tensor
    shape: SeriesShape
    source: str
    fingerprint: str
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, record: Record, window: int, source: str, conditions: Sequence[str] = ()) -> SeriesData:
        """Return windows of so many rows of a record.

        Args:
            conditions: names of columns that are given, not made.

        Raises:
            InputError: no stretch of the record is so long, nothing would be left to hold out, or a condition is no column.
        """
        refuse_conditions(conditions, record, source)
        if window < 2:
            raise InputError(f"a window has two rows or more, got {window}")
        longest = int(np.bincount(record.stretch).max())
        if window > longest:
            raise InputError(
                f"windows of {window} rows are longer than all stretches of {source} without a gap: "
                f"the longest has {longest:,}"
            )
        starts, held = split(record, window)
        if not len(starts) or not len(held):
            raise InputError(
                f"{source} is too short, or too much of it unknown, for windows of {window} rows, some of them held out: "
                f"rows without a gap are {longest:,} at most; give more of them, or a shorter --window"
            )
        x, mask = torch.as_tensor(record.codes, dtype=torch.float32), torch.as_tensor(record.mask)
        digest = hashlib.blake2b(x.numpy().tobytes() + record.mask.tobytes(), digest_size=16)
        digest.update(starts.tobytes() + held.tobytes() + str((window, record.step, tuple(conditions))).encode())
        shape = SeriesShape(
            columns=record.columns,
            window=window,
            step=record.step,
            conditions=tuple(conditions),
            time=record.index.time or "",
            group=record.index.group or "",
            begins=float(record.seconds[0]),
        )
        places = torch.as_tensor(starts), torch.as_tensor(held)
        return cls(x, mask, *places, torch.as_tensor(record.seconds), shape, source, digest.hexdigest(), list(record.notes))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.starts)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return `x [n, T, D]` and `mask [n, T, D]`."""
        return self.windows(self.starts[there(indices["x"], self.starts)])

    def windows(self, starts: Tensor) -> dict[str, Tensor]:
        """Return the windows that begin at places of the record `[n]`."""
        rows = starts[:, None] + torch.arange(self.shape.window, device=starts.device)
        return {"x": self.x[rows], "mask": self.mask[rows]}

    def to(self, device: torch.device) -> SeriesData:
        """Return the record on a GPU that has room for it; elsewhere it stays."""
        if not has_room(device, 2 * self.x.nbytes):
            return self
        moved = {name: getattr(self, name).to(device) for name in ("x", "mask", "starts", "held")}
        return replace(self, **moved)


def refuse_conditions(conditions: Sequence[str], record: Record, source: str) -> None:
    """Raise InputError where conditions are no columns that vary, or all of them."""
    names = [column.name for column in record.columns]
    for name in conditions:
        if name not in names:
            why = next((f": {each.why}" for each in record.layout.fields if each.name == name), nearest(name, names))
            raise InputError(f"--condition {name} is no tag of {source}{why}")
    if set(conditions) >= set(names):
        raise InputError(f"all tags of {source} are conditions: nothing would be left to make")


def split(record: Record, window: int) -> tuple[Places, Places]:
    """Return where windows begin that are trained on, and those that are not: of whole runs, or the end of each stretch.

    With windows of every row those of one part overlap, so parts are cut by time and no window lies across a cut.
    """
    whole = len(record.index.runs) >= HELD
    edges = np.flatnonzero(np.diff(np.concatenate([[-1], record.stretch, [-2]])))
    stretches = [(int(a), int(b)) for a, b in pairwise(edges) if b - a >= window]
    trained, held = [], []
    order = {run: i for i, run in enumerate(sorted({int(record.run[begin]) for begin, _ in stretches}))}
    whole = whole and len(order) >= HELD  # of the runs that a window fits into
    for begin, end in stretches:
        last = order[int(record.run[begin])] % HELD == HELD - 1
        cut = (begin if last else end) if whole else end - (end - begin) // HELD
        trained.append(np.arange(begin, cut - window + 1))
        held.append(np.arange(cut, end - window + 1))
    sums = np.concatenate([[0], np.cumsum(record.mask.sum(1))])

    def known(starts: Places) -> Places:
        """Leave out windows of which most is unknown."""
        return starts[sums[starts + window] - sums[starts] >= LEAST_KNOWN * window * record.mask.shape[1]]

    return known(np.concatenate(trained)), known(np.concatenate(held))
