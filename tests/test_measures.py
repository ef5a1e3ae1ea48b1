"""Measures against direct computation and closed forms."""

import math

import pytest
import torch

import genloom
from genloom.data import PictureOptions
from genloom.measures.features.classifier import fit_classifier
from genloom.measures.frechet import frechet_distance
from genloom.measures.kernel import kernel_distance
from genloom.measures.light import LightJudge
from genloom.measures.parzen import SIGMAS, choose_sigma, densities, log_density, parzen


def test_parzen_equals_a_direct_sum_in_float64():
    generator = torch.Generator().manual_seed(0)
    x, samples = torch.rand(7, 5, generator=generator), torch.rand(11, 5, generator=generator)
    for sigma in (0.1, 0.5):
        law = torch.distributions.Normal(samples.double()[None], sigma)
        direct = law.log_prob(x.double()[:, None]).sum(2).logsumexp(1) - math.log(11)
        assert torch.allclose(log_density(x, samples, sigma, block=3), direct, rtol=1e-6)
    both = densities(x, samples, (0.1, 0.5))
    assert torch.allclose(both[1], log_density(x, samples, 0.5))


def test_parzen_chooses_the_width_of_the_data():
    generator = torch.Generator().manual_seed(0)
    samples, validation, test = (0.3 * torch.randn(n, 1, generator=generator) for n in (4000, 1000, 1000))
    sigma, _ = choose_sigma(validation, samples)
    assert sigma in SIGMAS and sigma < 0.2
    result = parzen(samples, validation, test)
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.09)
    assert result.nats == pytest.approx(-entropy, abs=5 * result.error + 0.05)


def test_kernel_distance_equals_the_double_sum_and_vanishes_for_equal_laws():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 4, generator=generator), torch.randn(5, 4, generator=generator)
    k = lambda a, b: (float(a @ b) / 4 + 1) ** 3  # noqa: E731
    xx = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / 30
    yy = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / 20
    xy = sum(k(a, b) for a in x for b in y) / 30
    assert kernel_distance(x, y) == pytest.approx(xx + yy - 2 * xy, rel=1e-4)
    a, b = torch.randn(2, 2000, 4, generator=generator)
    assert abs(kernel_distance(a, b)) < 0.05 < kernel_distance(a, b + 0.5)


def test_the_light_judge_orders_noise_behind_data():
    data = genloom.load_data("digits")
    judge = LightJudge(data, 0)

    class Source:
        device = torch.device("cpu")

        def __init__(self, x):
            self.x = x

        def sample(self, n, given=None, temperature=1.0, noise=None):
            return self.x[(noise.uniform(1)[:, 0] * len(self.x)).long()]

    test = genloom.load_data("digits", PictureOptions(split="test"))
    x = test.pictures(torch.arange(len(test)))
    from genloom.core.capabilities import Samples

    Samples.register(Source)
    clean, noisy, noise = (judge(Source(s))[1] for s in (x, (x + 0.3 * torch.rand_like(x)).clamp(0, 1), torch.rand_like(x)))
    assert clean < 0.1 * noisy < noisy < noise


def test_the_classifier_reads_digits_and_is_deterministic():
    data, test = genloom.load_data("digits"), genloom.load_data("digits", PictureOptions(split="test"))
    net = fit_classifier(data)
    x = test.pictures(torch.arange(len(test)))
    assert net.accuracy(x, test.labels) > 0.95
    assert torch.equal(fit_classifier(data)(x), net(x))


def test_frechet_distance_has_its_closed_form():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, 2, generator=generator).double()
    y = x[:, [1, 0]] * torch.tensor([2.0, 0.5]) + torch.tensor([1.0, -2.0])
    expected = 1 + 4 + (2 - 1) ** 2 + (0.5 - 1) ** 2  # means, then standard deviations along the axes
    assert frechet_distance(x, y) == pytest.approx(expected, rel=0.01)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_equals_the_definition_for_correlated_features():
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(60, 5, generator=generator) @ torch.randn(5, 5, generator=generator) for _ in range(2))
    a, b = torch.cov(x.double().T), torch.cov(y.double().T)
    cross = torch.linalg.eigvals(a @ b).real.sqrt().sum()
    expected = (x.double().mean(0) - y.double().mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-6)
