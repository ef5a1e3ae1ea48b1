"""Steps of pieces as a data set: examples are cut as they are asked for."""

# P pieces, N steps of all pieces, n examples, T steps of an example, V voices

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from genloom.placing import has_room, there
from genloom.scores.keys import key_of
from genloom.scores.score import Score
from genloom.scores.voices import Voices
from genloom.shapes.score import REST, ScoreShape, sounding, steps_of

UNKNOWN = 24  # where a key is asked for: none; else the tonic from C on, and 12 more for a minor one


@dataclass
class ScoreData:
    """Pieces on a grid.

    Attributes:
        x: codes `[N, V]` of all pieces, one after the other; `sounding`, the same with each held note as one that begins.
        beat: the step in the bar `[N]`; `bar [P]`, the steps of a bar; `key [P]`, 0 to 23.
        begins: where pieces begin `[P + 1]`; `trained`, how many of them are trained on: the last are held out.
        starts: where examples begin `[n]`; `owner`, of which piece they are.
    """

    x: Tensor
    sounding: Tensor
    beat: Tensor
    bar: Tensor
    key: Tensor
    labels: Tensor
    begins: Tensor
    trained: int
    starts: Tensor
    owner: Tensor
    shape: ScoreShape
    source: str
    fingerprint: str
    names: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        scores: Sequence[Score],
        laid: Sequence[Voices],
        shape: ScoreShape,
        labels: Sequence[int],
        held: int,
        source: str,
    ) -> ScoreData:
        """Return pieces, as notes and on the grid of a shape, of which the last `held` are not trained on."""
        codes = [shape.encode(each) for each in laid]
        parts = [sounding(each) for each in codes]
        bars = [steps_of(score.metre or shape.metre, shape.grid) for score in scores]
        keys = [key_of(score.notes) for score in scores]
        begins = np.cumsum([0, *map(len, codes)])
        trained, t = len(scores) - held, shape.window
        counts = [max(len(codes[i]) - t, 0) + 1 for i in range(trained)]
        x = torch.cat(codes)
        digest = hashlib.blake2b(x.numpy().tobytes() + begins.tobytes() + str((shape, held)).encode(), digest_size=16)
        return cls(
            x,
            torch.cat(parts),
            torch.cat([torch.arange(len(each)) % bar for each, bar in zip(codes, bars, strict=True)]),
            torch.tensor(bars),
            torch.tensor([key.tonic + 12 * key.minor for key in keys]),
            torch.as_tensor(labels),
            torch.as_tensor(begins),
            trained,
            torch.cat([begins[i] + torch.arange(count) for i, count in enumerate(counts)]),
            torch.arange(trained).repeat_interleave(torch.tensor(counts)),
            shape,
            source,
            digest.hexdigest(),
            [score.name for score in scores],
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> dict[str, int]:
        return {"x": len(self.starts)}

    def batch(self, indices: Mapping[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Return examples: `x [n, T, V]`, `beat [n, T]`, `bar [n]`, `key [n]`, which steps there are `mask [n, T]`, `y [n]`.

        A piece that is shorter than an example is followed by rests.
        """
        chosen = there(indices["x"], self.starts)
        begin, piece = self.starts[chosen], self.owner[chosen]
        places = begin[:, None] + torch.arange(self.shape.window, device=begin.device)
        mask = places < self.begins[piece + 1][:, None]
        places = places.clamp_max(len(self.x) - 1)
        x = torch.where(mask[..., None], self.x[places], REST)
        x[:, 0] = self.sounding[begin]  # what goes on there begins here
        found = {"x": x, "beat": self.beat[places], "bar": self.bar[piece], "key": self.key[piece], "mask": mask}
        return found | ({"y": self.labels[piece]} if self.shape.classes else {})

    def piece(self, i: int) -> dict[str, Tensor]:
        """Return one whole piece as `batch` does examples: `[1, T, V]`."""
        rows = slice(int(self.begins[i]), int(self.begins[i + 1]))
        found = {"x": self.x[rows], "beat": self.beat[rows], "bar": self.bar[i], "key": self.key[i]}
        found |= {"mask": torch.ones(rows.stop - rows.start, dtype=torch.bool)}
        return {name: each[None] for name, each in (found | ({"y": self.labels[i]} if self.shape.classes else {})).items()}

    def only(self, label: int) -> ScoreData:
        """Return the pieces of one class, in the same order."""
        chosen = torch.nonzero(self.labels == label)[:, 0]
        rows = torch.cat([torch.arange(int(self.begins[i]), int(self.begins[i + 1])) for i in chosen])
        lengths = self.begins.diff()[chosen]
        begins = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        place = torch.full((len(self.labels),), -1).scatter(0, chosen, torch.arange(len(chosen)))
        mine = place[self.owner] >= 0
        owner = place[self.owner[mine]]
        return replace(
            self,
            x=self.x[rows],
            sounding=self.sounding[rows],
            beat=self.beat[rows],
            bar=self.bar[chosen],
            key=self.key[chosen],
            labels=self.labels[chosen],
            begins=begins,
            trained=int((chosen < self.trained).sum()),
            starts=self.starts[mine] - self.begins[self.owner[mine]] + begins[owner],
            owner=owner,
            names=[self.names[i] for i in chosen],
        )

    def to(self, device: torch.device) -> ScoreData:
        """Return the pieces on a GPU that has room for them; elsewhere they stay."""
        if not has_room(device, 2 * self.x.nbytes):
            return self
        names = ("x", "sounding", "beat", "bar", "key", "labels", "begins", "starts", "owner")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})
