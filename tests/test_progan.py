"""Progressive growing: what the paper fixes, and that nothing jumps while it grows."""

import math

import pytest
import torch
import torch.nn.functional as F

import genloom
from genloom.core.clock import Clock
from genloom.core.hyper import Hyper
from genloom.core.model import Misfit
from genloom.errors import InputError
from genloom.models.adversarial.progan import ProGAN, ProGANHyper
from genloom.nn.progressive import Scaled, at_level, pixel_norm, spread_of_batch
from genloom.shapes.pictures import ImageShape
from genloom.train.phases import Phases


def built(side=32, **values):
    torch.manual_seed(0)
    return ProGAN(ProGANHyper.tiny().with_values(values), ImageShape((), 3, side, side))


def test_the_papers_nets_have_the_papers_numbers():
    with torch.device("meta"):
        model = ProGAN(ProGANHyper(), ImageShape((), 3, 1024, 1024))
    counts = [sum(p.numel() for p in net.parameters()) for net in (model.generator, model.discriminator)]
    assert counts == [23_079_115, 23_087_249]  # Table 2: 23.1 million each
    assert [conv.weight.shape[1] for conv in model.generator.colours] == [512, 512, 512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_that_begins_to_fade_in_is_the_one_before(level):
    model = built()
    z, x = torch.randn(4, 16), torch.rand(4, 3, 4 * 2**level, 4 * 2**level) * 2 - 1
    before = model.generator(z, level - 1)
    assert torch.equal(model.generator(z, level, 0.0), before.repeat_interleave(2, 2).repeat_interleave(2, 3))
    small = torch.nn.functional.avg_pool2d(x, 2)
    assert torch.equal(model.discriminator(x, level, 0.0), model.discriminator(small, level - 1))
    assert torch.allclose(at_level(x, level, 0.0), small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    half, whole = model.generator(z, level, 0.5), model.generator(z, level)
    old = before.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(half, (old + whole) / 2, atol=1e-6)


def test_weights_are_scaled_as_they_are_used():
    torch.manual_seed(0)
    conv, line = Scaled(64, 128, 3), Scaled(256, 512, gain=1.0)
    assert float(conv.weight.detach().std()) == pytest.approx(1, abs=0.02) and math.isclose(conv.scale, math.sqrt(2 / 576))
    x = torch.randn(8, 64, 10, 10)
    expected = torch.nn.functional.conv2d(x, conv.weight * math.sqrt(2 / 576), padding=1)
    assert torch.allclose(conv(x), expected, atol=1e-4)
    assert float(line(torch.randn(64, 256)).detach().std()) == pytest.approx(1, abs=0.05)


def test_pixel_norm_and_the_spread_of_a_batch():
    x = torch.randn(8, 5, 3, 3) * 7
    assert torch.allclose(pixel_norm(x).square().mean(1), torch.ones(8, 3, 3), atol=1e-5)
    seen = spread_of_batch(x)
    # Groups of four: examples 0, 2, 4, 6 and 1, 3, 5, 7.
    for first in (0, 1):
        own = x[first::2].std(0, correction=0).mean()
        assert torch.allclose(seen[first::2, 5], own.expand(4, 3, 3), atol=1e-4)
    assert torch.allclose(spread_of_batch(x[:7])[:, 5], x[:7].std(0, correction=0).mean().expand(7, 3, 3), atol=1e-4)
    assert float(spread_of_batch(x[:1].expand(4, -1, -1, -1))[:, 5].max()) < 1e-3


def test_the_phases_are_the_papers():
    model = built(stage=100)
    names = ["4x4", "8x8, fading in", "8x8", "16x16, fading in", "16x16", "32x32, fading in", "32x32"]
    phases = model.phases()
    assert [phase.name for phase in phases] == names and phases[-1].examples is None
    clock = Clock()
    walk, seen = Phases(phases, clock), []
    for clock.examples in range(0, 700, 25):
        afresh = walk.enter(clock)
        assert afresh == ({"generator", "discriminator"} if clock.examples % 100 == 0 < clock.examples else set())
        seen.append(model.growth(clock))
    assert seen[:13] == [(0, 1.0)] * 4 + [(1, k / 4) for k in range(4)] + [(1, 1.0)] * 4 + [(2, 0.0)]
    assert seen[-1] == (3, 1.0)
    assert built(grow=False).growth(Clock()) == (3, 1.0) and len(built(grow=False).phases()) == 1


def fit(shape, **values):
    return ProGAN.fits(shape, ProGANHyper.modern().with_values(values))


def test_which_sizes_it_takes():
    assert fit(ImageShape((), 3, 100, 70)).size == (64, 64)
    assert fit(ImageShape((), 1, 28, 28)).size == (16, 16)
    assert fit(ImageShape((), 3, 64, 64), stop_at=32).size == (32, 32)
    assert fit(ImageShape((), 3, 4000, 3000)).size == (1024, 1024)
    found = fit(ImageShape((), 3, 32, 32), stop_at=64)
    assert isinstance(found, Misfit) and "beyond what they show" in found.reason and found.remedy
    assert isinstance(fit(ImageShape((), 3, 64, 64), stop_at=48), Misfit)
    assert isinstance(fit(ImageShape((), 3, 7, 7)), Misfit)


@pytest.mark.parametrize("objective", ["wgan-gp", "r1"])
def test_it_grows_and_goes_on_to_the_same_weights(tmp_path, objective):
    hyper = {"stage": 256, "objective": objective}
    options = {"preset": "tiny", "hyper": hyper, "seed": 0, "save_examples": 128}
    whole = genloom.fit("progan", "digits", tmp_path / "whole", examples=1024, **options)
    for examples in (384, 1024):  # in the middle of the fade, and after it
        parts = genloom.fit("progan", "digits", tmp_path / "parts", examples=examples, **options)
        if examples == 384:
            assert genloom.load(parts).grown.tolist() == pytest.approx([1, (352 - 256) / 256])
    one, other = (genloom.load(run) for run in (whole, parts))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert one.sample(3).shape == (3, 1, 8, 8) and isinstance(one.hyper, Hyper)


def test_a_temperature_is_refused_where_directions_alone_count():
    model = built()
    assert model.sample(2).shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match="a temperature changes nothing"):
        model.sample(2, temperature=0.5)


@pytest.mark.parametrize("rounds", [1, 16])
@pytest.mark.parametrize("objective", ["wgan-gp", "r1"])
def test_a_round_is_the_papers(objective, rounds):
    model = built(objective=objective, penalty=10.0, grow=False, side=8)
    x = torch.rand(4, 3, 8, 8)
    torch.manual_seed(1)
    moves = model.round(iter([{"x": x}]), Clock(rounds=rounds))
    first, second = next(moves), next(moves)
    torch.manual_seed(1)
    fake = model.generator(torch.randn(4, 16), 1).detach()
    real, made = (model.discriminator(each, 1) for each in (x * 2 - 1, fake))
    if objective == "wgan-gp":
        share = torch.rand(4, 1, 1, 1)
        between = (share * (x * 2 - 1) + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(model.discriminator(between, 1).sum(), between)
        steep = (gradient.square().sum((1, 2, 3)).sqrt() - 1).square().mean()
        expected = made.mean() - real.mean() + 10 * steep + 1e-3 * real.square().mean()
    else:
        expected = F.softplus(-real).mean() + F.softplus(made).mean()
        if rounds == 16:
            seen = (x * 2 - 1).requires_grad_()
            (gradient,) = torch.autograd.grad(model.discriminator(seen, 1).sum(), seen)
            expected = expected + 16 * 10 / 2 * gradient.square().sum((1, 2, 3)).mean()
    assert first.loss.item() == pytest.approx(expected.item(), rel=1e-4)
    value = model.discriminator(model.generator(torch.randn(4, 16), 1), 1)
    wanted = -value.mean() if objective == "wgan-gp" else F.softplus(-value).mean()
    assert second.loss.item() == pytest.approx(wanted.item(), rel=1e-4)
