"""The judge's measures against torchmetrics, brute force and closed forms, on real digits: largest relative differences.

python -m benchmarks.judge_agreement
"""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from benchmarks.evidence import DATA, record
from genloom import load_data
from genloom.measures.classes import score_of
from genloom.measures.features.registry import make_features
from genloom.measures.frechet import frechet_distance
from genloom.measures.kernel import kernel_distance
from genloom.measures.manifold import manifold_figures
from genloom.measures.mixture import mixture_samples
from genloom.measures.parzen import log_density
from genloom.measures.pyramid import wasserstein_figures

N = 2000


class Flat(nn.Module):
    """Passes feature vectors through torchmetrics as if they were pictures."""

    num_features = 128

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :128]


def theirs(metric, real: Tensor | None, fake: Tensor) -> float:
    """Return torchmetrics' value for features."""
    metric.set_dtype(torch.float64)
    if real is not None:
        metric.update(real.view(len(real), -1, 1, 1), real=True)
        metric.update(fake.view(len(fake), -1, 1, 1), real=False)
    else:
        metric.update(fake.view(len(fake), -1, 1, 1))
    value = metric.compute()
    return float(value[0] if isinstance(value, tuple) else value)


def brute_force(fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Return precision, recall, density and coverage from whole matrices of distances in float64."""

    def gaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([np.linalg.norm(row - b, axis=1) for row in a])

    gap = gaps(fake, real)
    own_real, own_fake = np.sort(gaps(real, real), 1), np.sort(gaps(fake, fake), 1)
    return {
        "precision": (gap <= own_real[:, 3]).any(1).mean(),
        "recall": (gap <= own_fake[:, 3][:, None]).any(0).mean(),
        "density": (gap <= own_real[:, 5]).sum() / (5 * len(fake)),
        "coverage": (gap.min(0) <= own_real[:, 5]).mean(),
    }


def relative(mine: float, other: float) -> float:
    """Return |mine - other| / |other|."""
    return abs(mine - other) / abs(other)


def main() -> None:
    """Measure and record."""
    began = time.process_time()
    warnings.filterwarnings("ignore", message="Metric .* will save all extracted features|std")
    data = load_data(DATA / "mnist")
    test = load_data(DATA / "mnist", split="test")
    x, y = mixture_samples(data.pictures(torch.arange(10_000)), N), test.pictures(torch.arange(N))
    features = make_features("classifier", data)
    (fake, probabilities), (real, _) = features(x), features(y)
    wide, tall = fake.double(), real.double()
    figures = {
        "FID, torchmetrics": relative(
            frechet_distance(fake, real),
            theirs(FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(128, 1, 1)), tall, wide),
        ),
        "KID, torchmetrics": relative(
            kernel_distance(fake, real),
            theirs(KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=N, normalize=True), tall, wide),
        ),
        "IS, torchmetrics": relative(
            score_of(probabilities.double()), theirs(InceptionScore(feature=Flat(), splits=1), None, probabilities.log())
        ),
    }
    direct = brute_force(wide.numpy(), tall.numpy())
    for name, figure in manifold_figures(fake, real).items():
        figures[f"{name}, brute force"] = relative(figure.value, direct[name])
    law = torch.distributions.Normal(x[:500].flatten(1).double(), 0.2)
    sums = torch.stack([law.log_prob(row.double()).sum(1).logsumexp(0) - math.log(500) for row in y[:200].flatten(1)])
    figures["Parzen, float64 sum"] = relative(
        float(log_density(y[:200].flatten(1), x[:500].flatten(1), 0.2).mean()), float(sums.mean())
    )
    pictures = test.pixels[:N].permute(0, 3, 1, 2)
    figures["SWD of equal sets"] = max(f.value for f in wasserstein_figures(pictures, pictures, N).values())
    generator = torch.Generator().manual_seed(0)
    z = torch.linalg.qr(torch.randn(4000, 8, generator=generator, dtype=torch.float64))[0] * math.sqrt(3999)
    z -= z.mean(0)
    z = z @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(z.T))).T  # mean 0 and covariance 1 exactly
    scales = torch.arange(1, 9, dtype=torch.float64)
    figures["FID of Gaussians, closed form"] = relative(
        frechet_distance(z * scales + 2, z), float(4 * 8 + (scales - 1).square().sum())
    )
    record(
        "judge-agreement",
        figures,
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes=f"relative differences; {N} samples of a mixture and {N} test digits in {features.name}",
    )


if __name__ == "__main__":
    main()
