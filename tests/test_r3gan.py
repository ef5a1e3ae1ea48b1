"""The modern baseline: what the paper and its code fix."""

import pytest
import torch
import torch.nn.functional as F

import genloom
from genloom.core.clock import Clock
from genloom.core.model import Misfit
from genloom.models.adversarial.r3gan import R3GAN, R3GANHyper
from genloom.nn.plain_residual import GAIN, Block, enlarged, groups_of, halved, widths
from genloom.shapes.pictures import ImageShape

KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def built(side=16, **values):
    torch.manual_seed(0)
    return R3GAN(R3GANHyper.tiny().with_values(values), ImageShape((), 3, side, side))


@pytest.mark.parametrize("size", [(4, 4), (8, 6)])
def test_sizes_change_by_the_papers_filter(size):
    x = torch.randn(2, 3, *size, requires_grad=True)
    kernel = KERNEL.expand(3, 1, 4, 4)
    up = F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=3)
    down = F.conv2d(x, kernel, stride=2, padding=1, groups=3)
    assert torch.allclose(enlarged(x), up, atol=1e-6) and torch.allclose(halved(x), down, atol=1e-6)


def test_nets_begin_as_the_line_straight_through():
    torch.manual_seed(0)
    block, x = Block(64, 8), torch.randn(2, 64, 5, 5)
    assert torch.equal(block(x), x)
    first, second = block.layers[0], block.layers[2]
    assert first.weight.shape == (128, 64, 1, 1) and second.weight.shape == (128, 16, 3, 3)
    assert float(first.weight.detach().std()) == pytest.approx(GAIN * 8**-0.25 / 8, rel=0.05)
    assert float(second.weight.detach().std()) == pytest.approx(GAIN * 8**-0.25 / 12, rel=0.05)


@pytest.mark.parametrize("width", [8, 9, 44, 50])
def test_any_width_goes(width):
    assert groups_of(1536) == 96 and groups_of(100) == 5 and groups_of(18) == 1
    assert built(64, width=width).sample(1).shape == (1, 3, 64, 64)


def test_the_papers_nets_have_their_weights():
    assert widths(32, 768) == [768] * 4 and widths(256, 768) == [768, 768, 768, 768, 384, 192, 96]  # from 4x4 on
    with torch.device("meta"):
        model = R3GAN(R3GANHyper(), ImageShape((), 3, 32, 32))
    c = 768
    block = 2 * (2 * c * c) + 9 * 16 * 2 * c + 2 * 2 * c
    generator = 16 * c + 64 * c + 8 * block + 3 * c
    discriminator = 3 * c + 8 * block + 16 * c + c
    assert sum(p.numel() for p in model.generator.parameters()) == generator
    assert sum(p.numel() for p in model.discriminator.parameters()) == discriminator


def test_what_follows_half_a_cosine():
    model = built(horizon=1000)
    assert model.descent(Clock()) == {"lr": 1e-3, "betas": (0.0, 0.9)}
    middle = model.descent(Clock(examples=500))
    assert middle["lr"] == pytest.approx(1e-3 * 0.625) and middle["betas"][1] == pytest.approx(0.945)
    end = model.descent(Clock(examples=5000))
    assert end["lr"] == pytest.approx(2.5e-4) and end["betas"] == (0.0, 0.99)


def test_a_round_is_the_papers():
    model = built(gamma=2.0, every=1, augmented=0.0)
    x = torch.rand(4, 3, 16, 16)
    torch.manual_seed(1)
    z = torch.randn(4, 16)
    fake = model.generator(z).detach()
    torch.manual_seed(1)
    moves = model.round(iter([{"x": x}]), Clock())
    found = next(moves)
    values = [model.discriminator(each) for each in (x * 2 - 1, fake)]
    steep = 0.0
    for each in (x * 2 - 1, fake):
        each = each.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model.discriminator(each).sum(), each)
        steep += gradient.square().sum((1, 2, 3)).mean()
    assert found.loss.item() == pytest.approx((F.softplus(values[1] - values[0]).mean() + steep).item(), rel=1e-4)
    second = next(moves)
    torch.manual_seed(1)
    torch.randn(4, 16)
    made = model.discriminator(model.generator(torch.randn(4, 16)))
    assert second.loss.item() == pytest.approx(F.softplus(values[0] - made).mean().item(), rel=1e-4)


def test_penalties_are_of_pictures_before_they_are_augmented():
    model, x = built(gamma=2.0, augmented=1.0, every=4), torch.rand(4, 3, 16, 16)
    losses = {}
    for every in (2, 4):  # seldom, and so many times as heavy
        model.hyper = model.hyper.with_values({"every": every})
        torch.manual_seed(1)
        move = next(model.round(iter([{"x": x}]), Clock(examples=200_000)))
        losses[every] = move.loss.item()
        steep = float(move.notes["gradient"])
    assert losses[4] - losses[2] == pytest.approx(2 * 0.2 / 2 * steep, rel=1e-3)


def test_penalties_may_be_taken_seldom():
    model = built(every=4)
    notes = [next(model.round(iter([{"x": torch.rand(4, 3, 16, 16)}]), Clock(rounds=i))).notes for i in range(5)]
    assert [i for i, each in enumerate(notes) if "gradient" in each] == [0, 4]


def test_it_goes_on_to_the_same_weights(tmp_path):
    options = {"preset": "tiny", "seed": 0, "save_examples": 32}
    whole = genloom.fit("r3gan", "digits", tmp_path / "whole", examples=256, **options)
    for examples in (96, 256):
        parts = genloom.fit("r3gan", "digits", tmp_path / "parts", examples=examples, **options)
    one, two = (genloom.load(run).state_dict() for run in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_which_sizes_it_takes():
    assert R3GAN.fits(ImageShape((), 3, 70, 100), R3GANHyper()).size == (64, 64)
    assert isinstance(R3GAN.fits(ImageShape((), 3, 7, 7), R3GANHyper()), Misfit)
