"""The mixture of Gaussians on principal components: its densities and conditions against sums written out, and its fit."""

import math

import pytest
import torch

from genloom.core.random import Noise
from genloom.nn import marginal
from genloom.nn.gaps import bridged
from genloom.nn.marginal import Marginal, Others, Regression
from genloom.nn.mixture import Mixture, choose, em

WIDTH, COMPONENTS, GAUSSIANS = 6, 4, 3


@pytest.fixture(scope="module")
def mixture():
    torch.manual_seed(0)
    centres = 4 * torch.randn(GAUSSIANS, WIDTH)
    x = centres[torch.randint(GAUSSIANS, (3000,))] + torch.randn(3000, WIDTH) @ torch.randn(WIDTH, WIDTH) * 0.4
    found = Mixture(WIDTH, COMPONENTS, GAUSSIANS)
    found.fit(x)
    return found, x


def written_out(mixture):
    """Return weights, means `[C, F]` and covariances `[C, F, F]` of the mixture of whole examples."""
    v, left = mixture.directions.double(), mixture.left.double()
    spread = v.square().sum(1) + left
    left = torch.maximum(left, 1e-4 * spread).clamp_min(1e-10)
    means = mixture.mean.double() + mixture.centres.double() @ v.T
    inner = mixture.factors.double() @ mixture.factors.double().mT
    return mixture.weights.double(), means, v @ inner @ v.T + torch.diag(left)


def log_gaussian(x, mean, covariance):
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)


@pytest.mark.parametrize("known", [[0, 1, 2, 3, 4, 5], [1, 4], [3]])
def test_densities_are_those_of_the_gaussians_written_out(mixture, known):
    found, x = mixture
    mask = torch.zeros(WIDTH, dtype=torch.bool)
    mask[known] = True
    weights, means, covariances = written_out(found)
    each = torch.stack(
        [
            log_gaussian(x[:20, known].double(), m[known], c[known][:, known])
            for m, c in zip(means, covariances, strict=True)
        ],
        1,
    )
    expected = (each + weights.log()).logsumexp(1)
    posterior = found.given(mask).posterior(x[:20, known])
    assert torch.allclose(posterior.density, expected, atol=1e-6)
    assert torch.allclose(posterior.weights, (each + weights.log()).softmax(1), atol=1e-6)


def masked(places):
    mask = torch.zeros(WIDTH, dtype=torch.bool)
    mask[places] = True
    return mask


@pytest.mark.parametrize("known", [[0, 1, 2, 3, 4, 5], [1, 4], [3], []])
@pytest.mark.parametrize("first", [2, 60])
def test_fast_densities_are_those_of_the_gaussians_written_out(mixture, known, first, monkeypatch):
    found, x = mixture
    monkeypatch.setattr(marginal, "FIRST", first)
    weights, means, covariances = written_out(found)
    pairs = zip(means, covariances, strict=True)
    each = [log_gaussian(x[:50, known].double(), m[known], c[known][:, known]) if known else 0 * x[:50, 0] for m, c in pairs]
    expected = torch.stack(each, 1) + weights.log()
    logs = Marginal(found, masked(known))(x[:50])
    near = expected > expected.amax(1, keepdim=True) - marginal.FAR
    assert torch.allclose(logs[near].double(), expected[near].double(), atol=1e-3)
    assert torch.allclose(logs.logsumexp(1).double(), expected.logsumexp(1).double(), atol=1e-3)
    ruled_out = logs.isinf()
    assert bool((expected < expected.amax(1, keepdim=True) - marginal.FAR)[ruled_out].all())
    if len(known) == WIDTH:
        assert bool(ruled_out.any())


def test_a_number_given_all_others_is_regressed_on_them(mixture):
    found, x = mixture
    _, means, covariances = written_out(found)
    own = torch.zeros(2, WIDTH, dtype=torch.bool)
    own[0, [1, 3]] = own[1, [2, 5]] = True  # what is left out with each
    for c, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        regression = Regression(Others(found, masked([0, 1, 2, 3, 5]), own), torch.tensor([3, 4]), c)
        said = regression(x[:9])
        for i, (asked, given) in enumerate(((3, [0, 2, 5]), (4, [0, 1, 3]))):
            gain = torch.linalg.solve(covariance[given][:, given], covariance[given][:, asked])
            assert torch.allclose(said[:, i].double(), mean[asked] + (x[:9, given] - mean[given]) @ gain, atol=1e-4)
            v, left = found.directions.double()[asked], found.left.double()[asked]
            whole = v @ found.factors[c].double() @ found.factors[c].double().T @ v + left
            assert math.isclose(regression.spread[i] ** 2, whole - covariance[given, asked] @ gain, rel_tol=1e-4)


def test_what_is_unknown_has_the_mean_and_spread_of_the_conditional_law(mixture):
    found, x = mixture
    known, rest = [0, 2, 5], [1, 3, 4]
    mask = torch.zeros(WIDTH, dtype=torch.bool)
    mask[known] = True
    _, means, covariances = written_out(found)
    one = x[7, known].double()
    posterior = found.given(mask).posterior(one[None])
    parts = []
    for m, c in zip(means, covariances, strict=True):
        gain = c[rest][:, known] @ torch.linalg.inv(c[known][:, known])
        parts.append((m[rest] + gain @ (one - m[known]), c[rest][:, rest] - gain @ c[known][:, rest]))
    expected = sum(w * mean for w, (mean, _) in zip(posterior.weights[0], parts, strict=True))
    assert torch.allclose(found.decode(posterior.mean())[0, rest].double(), expected, atol=1e-4)
    many = found.given(mask).posterior(one.expand(40_000, -1))
    noise = Noise.of(3, 40_000)
    drawn = (found.decode(many.draw(noise)) + found.own(noise))[:, rest].double()
    second = sum(
        w * (cov + torch.outer(mean, mean)) for w, (mean, cov) in zip(posterior.weights[0], parts, strict=True)
    ) - torch.outer(expected, expected)
    assert torch.allclose(drawn.mean(0), expected, atol=0.05)
    assert torch.allclose(torch.cov(drawn.T), second, atol=0.1 * float(second.diagonal().max()))


def test_nothing_known_leaves_the_mixture_as_it_is(mixture):
    found, _ = mixture
    given, noise = found.given(torch.zeros(WIDTH, dtype=torch.bool)), Noise.of(2, 5000)
    posterior = given.posterior(torch.zeros(5000, 0))
    assert torch.allclose(posterior.weights[0], found.weights.double(), atol=1e-6)
    assert torch.allclose(posterior.density, torch.zeros(5000, dtype=torch.float64), atol=1e-6)
    a, b = found.draw(Noise.of(1, 5000)), found.decode(posterior.draw(noise)) + found.own(noise)
    assert torch.allclose(a.mean(0), b.mean(0), atol=0.3) and torch.allclose(a.std(0), b.std(0), rtol=0.1)


def test_draws_are_like_what_was_learnt_from_and_each_is_its_own(mixture):
    found, x = mixture
    drawn = found.draw(Noise.of(0, 20_000))
    assert torch.allclose(drawn.mean(0), x.mean(0), atol=0.15) and torch.allclose(
        torch.cov(drawn.T), torch.cov(x.T), atol=0.08 * float(torch.cov(x.T).max())
    )
    assert torch.equal(found.draw(Noise.of(0, 3, start=4)), found.draw(Noise.of(0, 7))[4:])
    cold = found.draw(Noise.of(0, 500), heat=0.0)
    assert len(cold.round(decimals=3).unique(dim=0)) == GAUSSIANS


def test_em_finds_clusters_and_never_loses_likelihood():
    torch.manual_seed(1)
    true = torch.tensor([[-5.0, 0.0], [5.0, 0.0], [0.0, 6.0]])
    u = (true[torch.randint(3, (3000,))] + torch.randn(3000, 2)).double()
    weights, centres, factors = em(u, torch.ones(2, dtype=torch.float64), 3, 0)
    assert torch.cdist(true.double(), centres).amin(1).max() < 0.3
    assert (weights - 1 / 3).abs().max() < 0.05 and (factors.diagonal(dim1=1, dim2=2) - 1).abs().max() < 0.15


def test_choices_follow_their_weights():
    weights = torch.tensor([[0.2, 0.0, 0.8]]).expand(20_000, -1)
    counts = torch.bincount(choose(weights, Noise.of(5, 20_000)), minlength=3)
    assert counts[1] == 0 and math.isclose(counts[0] / 20_000, 0.2, abs_tol=0.01)


def test_gaps_are_bridged_by_lines_and_categories_stay():
    nan = torch.nan
    x = torch.tensor([[[nan, 1.0], [2.0, nan], [nan, nan], [4.0, 0.0], [nan, nan]]])
    mask = x.isfinite()
    found = bridged(x.nan_to_num(), mask, torch.tensor([False, True]))
    assert found[0, :, 0].tolist() == [2, 2, 3, 4, 4] and found[0, :, 1].tolist() == [1, 1, 1, 0, 0]
    assert bridged(torch.ones(1, 3, 1), torch.zeros(1, 3, 1, dtype=torch.bool), torch.tensor([False])).sum() == 0
