"""Windows of a record against made ones: TimeGAN's two scores, what moves together and when, copies, and a simple sampler.

Yoon, Jarrett, van der Schaar. 2019. Time-series Generative Adversarial Networks (NeurIPS), section 5 and the authors' code.
A discriminative score is 0 where a small recurrent classifier cannot tell windows apart and .5 where it always can; it is
also 0 for a plain copy of the training windows, so `copies` stands beside it.
"""

# n real and m made windows, T rows of a window, D columns, in [0, 1] where nothing else is said

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core.random import training
from genloom.measures.mixture import principal_directions

BATCH, DISCRIMINATIVE, PREDICTIVE = 128, 2000, 5000  # windows a step, and steps
TESTED = 5  # one window in so many is not learnt from
STILL = 0.01  # share of a column's deviation below which its changes are measured by that
GAUSSIANS, VARIANCE = 20, 0.9999  # of the mixture; share of the variance that its components keep


class Reader(nn.Module):
    """Windows `[n, T, D]` to numbers: of each row `[n, T]`, or of the last alone `[n]`."""

    def __init__(self, columns: int, hidden: int) -> None:
        super().__init__()
        self.cells, self.out = nn.GRU(columns, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, x: Tensor, last: bool = False) -> Tensor:
        h = self.cells(x)[0]
        said: Tensor = self.out(h[:, -1] if last else h)[..., 0]
        return said


def usual_hidden(columns: int) -> int:
    """Return the width of the authors' classifier: half as many as columns, and one at least."""
    return max(1, columns // 2)


def discriminative_score(real: Tensor, made: Tensor, hidden: int = 0, seed: int = 0, steps: int = DISCRIMINATIVE) -> float:
    """Return how far from .5 a classifier's accuracy on a fifth of the windows is, which it has not learnt from.

    Args:
        hidden: of its recurrent layer, 0 for the authors'.

    Raises:
        ValueError: there are fewer than five windows of either, or values that are no numbers.
    """
    for x in (real, made):
        if len(x) < TESTED or not x.isfinite().all():
            raise ValueError("a discriminative score takes five windows or more of either kind, and numbers alone")
    with training(seed, threads=1):
        parts = [parted(x) for x in (real, made)]
        net = Reader(real.shape[2], hidden or usual_hidden(real.shape[2]))
        adam = torch.optim.Adam(net.parameters(), 1e-3)
        for _ in range(steps):
            a, b = (train[torch.randint(len(train), (BATCH,))] for train, _ in parts)
            said = net(torch.cat([a, b]), last=True)
            loss = F.softplus(-said[: len(a)]).mean() + F.softplus(said[len(a) :]).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            right = [(net(test, last=True) > 0) == truth for (_, test), truth in zip(parts, (True, False), strict=True)]
    return abs(0.5 - float(torch.stack([each.float().mean() for each in right]).mean()))  # of either kind as much


def predictive_score(real: Tensor, made: Tensor, seed: int = 0, steps: int = PREDICTIVE) -> float:
    """Return the mean absolute error on real windows of a net that learnt from made ones: of the last column's next value.

    Raises:
        ValueError: there is one column alone, from which the authors' score predicts nothing.
    """
    if real.shape[2] < 2:
        raise ValueError("the predictive score tells one column from the others, and there is one alone")
    with training(seed, threads=1):
        net = Reader(real.shape[2] - 1, usual_hidden(real.shape[2]))
        adam = torch.optim.Adam(net.parameters(), 1e-3)
        for _ in range(steps):
            x = made[torch.randint(len(made), (BATCH,))]
            loss = (net(x[:, :-1, :-1]).sigmoid() - x[:, 1:, -1]).abs().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            return float((net(real[:, :-1, :-1]).sigmoid() - real[:, 1:, -1]).abs().mean())


def forest_score(real: Tensor, made: Tensor, seed: int = 0) -> float:
    """Return how far from .5 a random forest's accuracy on a fifth of the windows, and their changes, is."""
    from sklearn.ensemble import RandomForestClassifier

    order = torch.Generator().manual_seed(seed)
    parts = [parted(torch.cat([x, x.diff(dim=1)], 1).flatten(1), order) for x in (real, made)]
    learnt, tested = (torch.cat([part[i] for part in parts]).numpy() for i in (0, 1))
    truths = [torch.cat([torch.full((len(p[i]),), label) for p, label in zip(parts, (1, 0), strict=True)]) for i in (0, 1)]
    forest = RandomForestClassifier(200, random_state=seed, n_jobs=1).fit(learnt, truths[0].numpy())
    return abs(0.5 - float((forest.predict(tested) == truths[1].numpy()).mean()))


def parted(x: Tensor, order: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return windows to learn from and windows to test by, shuffled."""
    mixed = x[torch.randperm(len(x), generator=order)]
    cut = len(x) - len(x) // TESTED
    return mixed[:cut], mixed[cut:]


# -- what moves together and when ------------------------------------------------------------------


def autocorrelations(x: Tensor) -> Tensor:
    """Return how each column goes with itself some rows later `[T // 2, D]`, over windows about the mean of all."""
    x = (x - x.mean((0, 1))) / x.std((0, 1)).clamp_min(1e-9)
    return torch.stack([(x[:, : len(x[0]) - lag] * x[:, lag:]).mean((0, 1)) for lag in range(1, x.shape[1] // 2 + 1)])


def correlations(x: Tensor) -> Tensor:
    """Return how columns go together in a row `[D, D]`."""
    flat = x.flatten(0, 1)
    flat = (flat - flat.mean(0)) / flat.std(0).clamp_min(1e-9)
    return flat.T @ flat / len(flat)


def spectrum(x: Tensor) -> Tensor:
    """Return the mean log power `[T // 2, D]` of the frequencies of windows less their own means."""
    power = torch.fft.rfft(x - x.mean(1, keepdim=True), dim=1)[:, 1:].abs().square()
    return (power + 1e-8).log().mean(0)


def series_distances(real: Tensor, made: Tensor) -> dict[str, float]:
    """Return how far made windows are from real ones in what lies in no single row.

    `autocorrelation`, `correlation` and `spectrum` (nepers) are mean absolute differences; `differences` is the mean over
    columns of the Wasserstein distance of changes from row to row, in standard deviations of the real ones, but at least a
    hundredth of the column's own: some do not change within a window.
    """
    pairs = {"autocorrelation": autocorrelations, "correlation": correlations, "spectrum": spectrum}
    found = {name: float((measure(real) - measure(made)).abs().mean()) for name, measure in pairs.items()}
    steps = [x.diff(dim=1).flatten(0, 1) for x in (real, made)]
    levels = torch.linspace(0.5 / 200, 1 - 0.5 / 200, 200)
    a, b = (torch.stack([quantiles(each[:, d], levels) for d in range(each.shape[1])], 1) for each in steps)
    scale = torch.maximum(steps[0].std(0), STILL * real.flatten(0, 1).std(0)).clamp_min(1e-9)
    return found | {"differences": float(((a - b).abs().mean(0) / scale).mean())}


def quantiles(values: Tensor, levels: Tensor) -> Tensor:
    """Return quantiles of many values, for which torch's own takes no more than 16 million."""
    order = values.sort().values
    return order[(levels * (len(order) - 1)).round().long()]


def copies(made: Tensor, train: Tensor, unseen: Tensor) -> tuple[float, float]:
    """Return the median distance to the nearest training window: of made windows, and of real ones never trained on."""
    flat = train.flatten(1)
    near = [torch.cat([torch.cdist(part, flat).amin(1) for part in x.flatten(1).split(500)]) for x in (made, unseen)]
    return float(near[0].median()), float(near[1].median())


# -- simple samplers -------------------------------------------------------------------------------


def rejoined(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """Return windows `[n, T, D]` of two blocks each, the halves of two windows of `[m, T, D]`: a block bootstrap."""
    random, half = torch.Generator().manual_seed(seed), x.shape[1] // 2
    first, second = (torch.randint(len(x), (n,), generator=random) for _ in range(2))
    return torch.cat([x[first, :half], x[second, half:]], 1)


def mixture_windows(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """Fit principal components and a mixture of Gaussians to windows `[m, T, D]`, and draw `n` within their range."""
    from sklearn.mixture import GaussianMixture

    flat = x.flatten(1).double()
    width = components(flat)
    mean, directions = principal_directions(flat, width)
    mixture = GaussianMixture(min(GAUSSIANS, max(1, len(x) // 50)), reg_covar=1e-6, random_state=seed)
    drawn = mixture.fit(((flat - mean) @ directions).numpy()).sample(n)[0]
    made = (torch.from_numpy(drawn) @ directions.T + mean).view(n, *x.shape[1:])
    low, high = x.amin((0, 1)).double(), x.amax((0, 1)).double()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))  # drawn component by component
    return made.clamp(low, high)[order].float()


def components(flat: Tensor) -> int:
    """Return how many principal components of examples `[m, W]` keep all but a little of the variance."""
    values = torch.linalg.eigvalsh(torch.cov(flat.T)).flip(0).clamp_min(0)
    share = values.cumsum(0) / values.sum().clamp_min(1e-30)
    return min(int((share < VARIANCE).sum()) + 1, len(flat) - 1, math.prod(flat.shape[1:]))
