"""What is usual in windows of a record: a mixture of Gaussians, moved by conditions, and a network that refines it."""

# n windows, B batch, T rows of a window, D columns, W numbers of a row that are made, G numbers of a row that are given

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genloom.core import objectives
from genloom.core.clock import Clock
from genloom.core.dataset import Batch, Dataset, size, take
from genloom.core.model import Move, Player, Remember
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.nn.cells import Cells
from genloom.nn.gaps import bridged
from genloom.nn.mixture import Given, Mixture, Posterior, principal
from genloom.nn.temporal import Refiner, TemporalCritic
from genloom.shapes.series import SeriesShape

if TYPE_CHECKING:
    from genloom.models.series.rtsgan import RTSGANHyper

STUDIED, MEASURED = 20_000, 4000  # windows that the mixture is fitted to, and that its width is taken from
VARIANCE, MOST_COMPONENTS = 0.9999, 160
WIDEST = 8192  # numbers of a window, beyond which their covariances take gigabytes
BANK = 1024  # conditions of training windows that are kept
RIDGE = 1.0  # windows' worth of pull of the conditions' slopes towards zero
SHARP = 6.0  # of the softmax by which categories have a gradient
KEPT = 64  # masks for which what was worked out is kept
NEAR, FIRM = 64, 1000.0  # training windows whose conditions may follow, and weight of a mode in the last row


class UsualNets(nn.Module):
    """The mixture, what conditions do to it, the generator that refines it, and its critic."""

    slope: Tensor
    middle: Tensor
    scale: Tensor
    bank: Tensor
    loud: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, hyper: RTSGANHyper, shape: SeriesShape) -> None:
        super().__init__()
        self.hyper, self.shape, self.window = hyper, shape, shape.window
        self.given = [d for d, column in enumerate(shape.columns) if column.name in shape.conditions]
        self.made = [d for d in range(len(shape.columns)) if d not in self.given]
        self.cells = Cells([shape.columns[d] for d in self.made])
        self.told = Cells([shape.columns[d] for d in self.given])
        t, w, g = shape.window, self.cells.width, self.told.width
        if t * (w + g) > WIDEST:
            raise InputError(
                f"windows of {t} rows of {w + g} numbers are too large for rtsgan: {WIDEST:,} numbers are the most; say a "
                "smaller --window, or a larger --step"
            )
        self.mixture = Mixture(t * (w + g), max(hyper.components, 1), hyper.gaussians)
        dims = {"slope": (t * g, t * w), "middle": (t * g,), "scale": (g,), "bank": (BANK, t, len(self.given))}
        self.learnt = {**dims, "loud": (w,), "low": (w,), "high": (w,)}
        for name, each in self.learnt.items():
            self.register_buffer(name, torch.zeros(each))
        self.low -= 10.0  # deviations; before anything is learnt, anything may come
        self.high += 10.0
        self.known: dict[tuple[bytes, int, int], Given] = {}  # what was worked out of masks
        self.generator = Refiner(2 * w + g + hyper.z, w, hyper.width)
        self.critic = TemporalCritic(w, 2 * w + g, hyper.width)

    # -- the mixture -------------------------------------------------------------------------------

    def study(self, data: Dataset, remember: Remember) -> None:
        """Fit the mixture and what conditions do to it."""
        learnt = remember("usual", lambda: self.learn(*sampled(data, STUDIED)))
        own = {name.removeprefix("mixture_"): value for name, value in learnt.items() if name.startswith("mixture_")}
        self.mixture.take(own)
        for name in self.learnt:
            getattr(self, name).copy_(learnt[name])

    def learn(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return all that is learnt of windows `[n, T, D]` without a network."""
        told_of_all = mask.any(1).all(1)  # of a column that is unknown all along nothing can be learnt
        if told_of_all.sum() > len(x) / 2:
            x, mask = x[told_of_all], mask[told_of_all]
        w, g, c = self.entered(x, mask)
        slope, middle, scale, joined = regressed(w, g)
        mixture = self.mixture.fit(joined)
        rows = torch.linspace(0, len(x) - 1, BANK).long()
        learnt = {
            "slope": slope.float(),
            "middle": middle.float(),
            "scale": scale.float(),
            "bank": c[rows],
            "loud": w.diff(dim=1).std((0, 1)).clamp_min(1e-3) if w.shape[1] > 1 else w.std((0, 1)),
            "low": w.amin((0, 1)),
            "high": w.amax((0, 1)),
        }
        return learnt | {f"mixture_{name}": value for name, value in mixture.items()}

    def entered(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is made `[n, T, W]` and given `[n, T, G]` of windows, and given cells `[n, T, G']`; gaps bridged."""
        steps = torch.tensor([column.levels > 0 for column in self.shape.columns], device=x.device)
        whole = bridged(x, mask, steps)
        made = whole[..., self.made] if self.given else whole
        return self.spread(self.cells, made), *self.told_of(whole[..., self.given])

    def told_of(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of given cells `[n, T, G']`, and these."""
        return self.spread(self.told, c), c

    @staticmethod
    def spread(cells: Cells, x: Tensor) -> Tensor:
        """Return the numbers of cells of windows."""
        return cells.spread(x.flatten(0, 1)).view(*x.shape[:2], -1)

    def shift(self, g: Tensor) -> Tensor:
        """Return by how much conditions `[n, T, G]` move windows `[n, T W]`, in double precision."""
        return (g.flatten(1).double() - self.middle.double()) @ self.slope.double()

    def numbers(self, mask: Tensor) -> Tensor:
        """Return which numbers `[n, T, W]` are known, of a mask of cells `[n, T, D]`."""
        return mask[..., self.made][..., self.cells.owner]

    # -- training ----------------------------------------------------------------------------------

    def players(self) -> Sequence[Player]:
        """Return generator and critic."""
        hyper = self.hyper

        def adam(weights: object) -> torch.optim.Optimizer:
            return torch.optim.Adam(weights, hyper.rate, betas=(0.0, 0.99), fused=True)  # type: ignore[arg-type]

        return [
            Player("generator", (self.generator,), adam, ema=hyper.ema),
            Player("critic", (self.critic,), adam),
        ]

    def round(self, batches: Iterator[Batch], clock: Clock) -> Iterator[Move]:
        """Let the critic tell windows from made ones, of which a part may be known, then let the generator learn."""
        hyper = self.hyper
        batch = next(batches)
        w, g, _ = self.entered(batch["x"], batch["mask"])
        there = self.numbers(batch["mask"]).to(w)
        with torch.no_grad():
            base, known = self.begun(w, g)
        beside = torch.cat([there, known.expand_as(w), g], 2)
        with torch.no_grad():
            fake = self.refined(base, w, known, g) * there
        real = w * there
        above = self.critic(real, beside) - self.critic(fake, beside)
        loss, notes = objectives.non_saturating(above), {"d_real": (above > 0).float().mean()}
        if hyper.penalty and clock.rounds % hyper.every == 0:
            steep = sum(objectives.gradient_penalty(lambda x: self.critic(x, beside), each) for each in (real, fake))
            loss, notes = loss + hyper.every * hyper.penalty / 2 * steep, notes | {"gradient": steep.detach()}  # type: ignore[union-attr]
        yield Move("critic", loss, notes)
        change = self.change(base, w, known, g)
        made = self.critic(self.whole(base, change, w, known) * there, beside)
        with torch.no_grad():
            target = self.critic(real, beside)
        yield Move("generator", objectives.non_saturating(made - target) + hyper.stay * change.square().mean())

    def begun(self, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows of the mixture `[B, T, W]`, and which numbers `[1, T, W]` of `w` they go on from, if any."""
        known = torch.zeros(1, *w.shape[1:], dtype=torch.bool, device=w.device)
        kind = float(torch.rand(()))
        if kind < 0.25:
            known[:, : self.window // 2] = True
        elif kind < 0.5:  # a gap in some columns
            begin, length = int(torch.randint(self.window, ())), int(torch.randint(1, max(self.window // 2, 2), ()))
            known[:] = True
            hidden = torch.rand(len(self.made), device=w.device) < 0.5
            known[:, begin : begin + length, hidden[self.cells.owner]] = False
        return self.drawn(w, known[0], g, Noise.fresh(len(w))), known

    def refined(self, base: Tensor, w: Tensor, known: Tensor, g: Tensor, noise: Noise | None = None) -> Tensor:
        """Return windows `[B, T, W]` of the mixture, refined; known numbers are those of `w`, categories one-hots."""
        return self.whole(base, self.change(base, w, known, g, noise), w, known)

    def change(self, base: Tensor, w: Tensor, known: Tensor, g: Tensor, noise: Noise | None = None) -> Tensor:
        """Return what the generator adds, in units of the usual change from row to row."""
        dims = (*base.shape[1:2], self.hyper.z)
        z = torch.randn(len(base), *dims, device=base.device) if noise is None else noise.normal(*dims, device=base.device)
        change: Tensor = self.generator(torch.cat([torch.where(known, w, base), known.expand_as(base).to(base), g, z], 2))
        return change

    def whole(self, base: Tensor, change: Tensor, w: Tensor, known: Tensor) -> Tensor:
        """Return windows with what is added, within the range that was seen, and with the known numbers of `w`."""
        made = (base + change * self.loud).clamp(self.low, self.high)
        return torch.where(known, w, self.sharpened(made))

    def sharpened(self, w: Tensor) -> Tensor:
        """Return numbers with each category's as a one-hot of the largest; the gradient is that of a softmax."""
        n, parts = len(self.cells.numbers), []
        for part in w[..., n:].split(self.cells.levels, -1) if self.cells.levels else ():
            soft = (SHARP * part).softmax(-1)
            hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
            parts.append(hard + soft - soft.detach())
        return torch.cat([w[..., :n], *parts], -1)

    # -- drawing -----------------------------------------------------------------------------------

    def drawn(self, w: Tensor, known: Tensor, g: Tensor, noise: Noise, heat: float = 1.0) -> Tensor:
        """Draw windows `[n, T, W]` of the mixture given conditions `[n, T, G]` and the numbers of a mask `[T, W]` of `w`."""
        return self.moved(self.posterior(w, known, g).draw(noise, heat), g, noise, heat)

    def posterior(self, w: Tensor, known: Tensor, g: Tensor) -> Posterior:
        """Return the mixture given conditions and the numbers of a mask."""
        given = self.given_of(known)
        return given.posterior(self.centred(w, g)[:, given.known])

    def centred(self, w: Tensor, g: Tensor) -> Tensor:
        """Return the numbers that the mixture is of `[n, F]`: what conditions do not account for, and these themselves."""
        if not self.given:
            return w.flatten(1)
        return torch.cat([w.flatten(1).double() - self.shift(g), (g * self.scale).flatten(1).double()], 1)

    def given_of(self, known: Tensor) -> Given:
        """Return the mixture given conditions and the numbers of a mask `[T, W]`, before these are seen."""
        learnt = self.mixture.factors
        key = (known.cpu().numpy().tobytes(), learnt.data_ptr(), learnt._version)  # other weights may be read into it
        if key not in self.known:
            if len(self.known) >= KEPT:
                self.known.clear()
            told = torch.ones(self.window * self.told.width, dtype=torch.bool, device=known.device)
            self.known[key] = self.mixture.given(torch.cat([known.flatten(), told]))
        return self.known[key]

    def moved(self, u: Tensor, g: Tensor, noise: Noise | None = None, heat: float = 1.0) -> Tensor:
        """Return the windows `[n, T, W]` of u `[n, K]` under conditions; with the numbers' own part where there is noise."""
        flat = self.mixture.decode(u) + (0 if noise is None else heat * self.mixture.own(noise))
        made = flat[:, : self.window * self.cells.width].double() + self.shift(g)
        return made.float().view(len(u), self.window, -1)

    def sample(self, n: int, heat: float, noise: Noise) -> Tensor:
        """Draw windows `[n, T, D]`, under conditions as training windows have them."""
        return self.run(n, self.window, {}, heat, noise)

    def run(self, n: int, rows: int, given: Mapping[int, float], heat: float, noise: Noise) -> Tensor:
        """Draw records `[n, rows, D]` window by window, each half of one known; `given` are codes of given columns."""
        c = self.bank[choose_rows(noise, len(self.bank)).to(self.bank.device)]
        c = self.stated(c, given)
        nothing = torch.zeros(self.window, self.cells.width, dtype=torch.bool, device=c.device)
        g, empty = self.told_of(c)[0], torch.zeros(n, self.window, self.cells.width, device=c.device)
        w = self.refined(self.drawn(empty, nothing, g, noise, heat), empty, nothing, g, noise)
        keep = self.window // 2
        first = nothing.clone()
        first[:keep] = True
        parts, made = [(w, c)], self.window
        while made < rows:
            c = self.stated(self.continued(c, noise), given)
            g = self.told_of(c)[0]
            old = torch.cat([w[:, self.window - keep :], empty[:, keep:]], 1)
            w = self.refined(self.drawn(old, first, g, noise, heat), old, first, g, noise)
            parts.append((w[:, keep:], c[:, keep:]))
            made += self.window - keep
        whole, told = (torch.cat([pair[i] for pair in parts], 1)[:, :rows] for i in (0, 1))
        return self.joined(whole, told)

    def stated(self, c: Tensor, given: Mapping[int, float]) -> Tensor:
        """Return conditions `[n, T, G']` with those that are stated in every row."""
        c = c.clone()
        for d, code in given.items():
            c[..., self.given.index(d)] = code
        return c

    def continued(self, c: Tensor, noise: Noise) -> Tensor:
        """Return conditions of the next windows: of a training window that begins as these end; numbers that stay, stay."""
        if not c.shape[2]:
            return c
        keep = self.window // 2
        last, sets = c[:, self.window - keep :], []
        for told in (last, self.bank[:, :keep]):
            g = self.told_of(told)[0]
            modes = g[:, -1, len(self.told.numbers) :]  # of the last row: those must go on
            sets.append(torch.cat([g.flatten(1), FIRM * modes], 1))
        ends, begins = sets
        # Neither distances nor their order may hang on the records beside one: no matrix product, and ties by place.
        gaps = torch.cdist(ends, begins, compute_mode="donot_use_mm_for_euclid_dist")
        near = gaps.argsort(dim=1, stable=True)[:, :NEAR]
        chosen = near.gather(1, choose_rows(noise, NEAR).to(near)[:, None])[:, 0]
        following = self.bank[chosen][:, keep:]
        numbers = torch.tensor([not self.shape.columns[d].levels for d in self.given], device=c.device)
        stays = numbers & (last == last[:, :1]).all(1, keepdim=True)
        return torch.cat([last, torch.where(stays, last[:, -1:], following)], 1)

    def joined(self, w: Tensor, c: Tensor) -> Tensor:
        """Return the cells of windows `[n, R, D]`, of what was made and what was given."""
        x = w.new_empty(*w.shape[:2], len(self.shape.columns))
        x[..., self.made] = self.cells.read(w.flatten(0, 1)).view(*w.shape[:2], -1)
        x[..., self.given] = c
        return x


def sampled(data: Dataset, most: int) -> tuple[Tensor, Tensor]:
    """Return windows from all over the data `[n, T, D]`, and which of their cells are known."""
    rows = torch.linspace(0, size(data) - 1, min(size(data), most)).round().long()
    parts = [take(data, part) for part in rows.split(1000)]
    return torch.cat([part["x"].cpu() for part in parts]), torch.cat([part["mask"].cpu() for part in parts])


def regressed(w: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what conditions `[n, T, G]` do to windows `[n, T, W]`: slope, middle, loudness, and what is left to be fitted.

    What it is fitted to is what the conditions leave, and they themselves as far as they move; all else in double precision.
    """
    flat, told = w.flatten(1).double(), g.flatten(1).double()
    middle = told.mean(0)
    centred = told - middle
    pull = RIDGE * torch.eye(told.shape[1], dtype=torch.float64)
    slope = torch.linalg.solve(centred.T @ centred + pull, centred.T @ flat)
    rest = flat.addmm_(centred, slope, alpha=-1).float()  # in place: windows of a large record are hundreds of megabytes
    scale = loudness(g, rest)
    return slope, middle, scale, torch.cat([rest, (g.double() * scale).flatten(1).float()], 1)


def loudness(g: Tensor, rest: Tensor) -> Tensor:
    """Return by what numbers of conditions `[n, T, G]` are multiplied so as to weigh in the mixture as much as all else.

    Nothing for those that never change within a window: between their values nothing was seen, and a line goes further.
    """
    if not g.shape[2]:
        return torch.zeros(0, dtype=torch.float64)
    spread = g.double().var(1, correction=0).mean(0)
    moves = spread > 1e-6 * g.double().var((0, 1)).clamp_min(1e-12)
    whole = g.double().flatten(0, 1).var(0).mul(moves).sum() * g.shape[1]
    return moves * (rest.var(0).double().sum() / whole.clamp_min(1e-12)).sqrt()


def choose_rows(noise: Noise, count: int) -> Tensor:
    """Draw a place `[n]` of so many."""
    return (noise.uniform(1)[:, 0] * count).long().clamp_max(count - 1)


def components_of(data: Dataset, shape: SeriesShape) -> int:
    """Return how many principal components keep all but a little of the variance of what the mixture is fitted to."""
    x, mask = sampled(data, MEASURED)
    steps = torch.tensor([column.levels > 0 for column in shape.columns])
    whole, sets = bridged(x, mask, steps), []
    for wanted in (False, True):
        chosen = [d for d, column in enumerate(shape.columns) if (column.name in shape.conditions) == wanted]
        sets.append(UsualNets.spread(Cells([shape.columns[d] for d in chosen]), whole[..., chosen]))
    if shape.window * (sets[0].shape[2] + sets[1].shape[2]) > WIDEST:  # which the nets refuse
        return 1
    joined = regressed(*sets)[3]
    values = principal(joined)[1].clamp_min(0)
    share = values.cumsum(0) / values.sum().clamp_min(1e-30)
    return max(1, min(int((share < VARIANCE).sum()) + 1, len(x) - 1, joined.shape[1], MOST_COMPONENTS))
