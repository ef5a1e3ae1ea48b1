"""Measures of windows: scores that know a copy from noise, and what moves together and when."""

import math

import pytest
import torch

from genloom.measures.series import (
    autocorrelations,
    components,
    copies,
    correlations,
    discriminative_score,
    mixture_windows,
    predictive_score,
    quantiles,
    series_distances,
    spectrum,
    usual_hidden,
)


def waves(n: int, seed: int = 0, period: float = 8.0) -> torch.Tensor:
    """Windows `[n, 24, 3]` in [0, 1]: a wave, the same a step later, and noise."""
    random = torch.Generator().manual_seed(seed)
    phase = torch.rand(n, 1, generator=random) * 2 * math.pi
    t = torch.arange(24) * 2 * math.pi / period
    wave = (torch.stack([torch.sin(t + phase), torch.sin(t + phase - 2 * math.pi / period)], 2) + 1) / 2
    return torch.cat([wave, torch.rand(n, 24, 1, generator=random)], 2)


def test_the_discriminative_score_knows_what_is_alike_and_what_is_not():
    real = waves(1000)
    assert discriminative_score(real, waves(1000, 1), steps=100) < 0.06
    assert discriminative_score(real, torch.rand(1000, 24, 3), 16, steps=300) > 0.4
    assert usual_hidden(6) == 3 and usual_hidden(1) == 1
    assert discriminative_score(real, waves(100, 1), steps=100) < 0.15  # few made windows count as much as many real ones
    for bad in (real * float("nan"), real[:4]):
        with pytest.raises(ValueError, match="five windows or more"):
            discriminative_score(real, bad, steps=1)


def test_scores_are_those_of_their_seed_and_leave_the_random_numbers_alone():
    real, made = waves(200), waves(200, 1, 6.0)
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    first = discriminative_score(real, made, seed=1, steps=40), predictive_score(real, made, seed=1, steps=40)
    assert torch.equal(torch.rand(1), before)
    assert first == (discriminative_score(real, made, seed=1, steps=40), predictive_score(real, made, seed=1, steps=40))


def test_what_is_learnt_from_like_windows_predicts_real_ones_better():
    later = [0, 2, 0, 2, 0, 2, 0, 1]  # the last column follows from the first, a step later
    real, alike, other = waves(600)[..., later], waves(600, 1)[..., later], waves(600, 1)[..., later].flip(1)
    good, bad = (predictive_score(real, made, steps=900) for made in (alike, other))
    assert good < 0.12 < bad
    with pytest.raises(ValueError, match="one alone"):
        predictive_score(real[..., :1], real[..., :1])


def test_distances_by_hand():
    x = waves(4000)
    lags = autocorrelations(x)
    wanted = torch.cos(torch.arange(1, 13) * 2 * math.pi / 8)
    assert torch.allclose(lags[:, 0], wanted, atol=0.05) and lags[:, 2].abs().max() < 0.02
    together = correlations(x)
    assert torch.allclose(together.diagonal(), torch.ones(3), atol=1e-3)
    assert together[0, 1] == pytest.approx(math.cos(2 * math.pi / 8), abs=0.03) and abs(together[0, 2]) < 0.02
    assert spectrum(x)[:, 0].argmax() == 24 // 8 - 1
    assert quantiles(torch.arange(101.0), torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 50, 100]


def test_distances_see_what_rows_alone_do_not():
    real = waves(2000)
    alike, mixed = series_distances(real, waves(2000, 1)), real[:, torch.randperm(24)]
    shuffled = series_distances(real, mixed)  # the same rows in another order
    assert shuffled["autocorrelation"] > 10 * alike["autocorrelation"] and shuffled["spectrum"] > 5 * alike["spectrum"]
    assert shuffled["differences"] > 5 * alike["differences"] and shuffled["correlation"] == pytest.approx(0, abs=1e-5)


def test_copies_are_nearer_than_what_was_never_seen():
    train, unseen = waves(300), waves(300, 1)
    made, real = copies(train.flip(0), train, unseen)
    assert made == pytest.approx(0, abs=2e-3) and real > 0.5  # a distance of zero has the rounding of its square


def test_the_mixture_draws_windows_like_those_it_saw_the_same_for_a_seed():
    x = waves(1000)
    made = mixture_windows(x, 500, 1)
    assert made.shape == (500, 24, 3) and made.min() >= x.min() and made.max() <= x.max()
    assert torch.equal(made, mixture_windows(x, 500, 1)) and not torch.equal(made, mixture_windows(x, 500, 2))
    assert discriminative_score(x, made, steps=200) < 0.2
    flat = torch.randn(500, 1) @ torch.randn(1, 40) + 1e-4 * torch.randn(500, 40)
    assert components(flat.double()) == 1
