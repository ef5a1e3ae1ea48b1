"""pix2pix: counts of the published nets, what a patch sees, that every row of the ablation learns, and translating files."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import genloom
from genloom.cli.app import run
from genloom.core.clock import Clock
from genloom.core.model import Misfit
from genloom.core.random import Noise
from genloom.models.translation.cyclegan import CycleGAN, CycleGANHyper
from genloom.models.translation.jitter import enlarged
from genloom.models.translation.pix2pix import Pix2Pix, Pix2PixHyper
from genloom.models.translation.pool import ImagePool
from genloom.nn import tiles
from genloom.nn.conv import by_copies, instance_norm, reflected
from genloom.nn.patches import PatchDiscriminator
from genloom.nn.resnet import MARGIN, ResidualGenerator
from genloom.nn.tiles import normalise, own_moments
from genloom.nn.unet import UNet, pad_to
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape

SMALL = PairShape(height=16, width_px=16)


def size_of(path):
    with Image.open(path) as image:
        return image.size


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_paper_has_the_weights_of_the_authors_nets():
    with torch.device("meta"):
        model = Pix2Pix(Pix2PixHyper(), PairShape())
    assert count(model.generator) == 54_414_531  # published: 54.414 million
    assert count(model.discriminator) == 2_768_705  # published: 2.769 million


@pytest.mark.parametrize("patch", [1, 16, 70, 286])
def test_a_patch_sees_a_square_of_its_size(patch):
    torch.manual_seed(0)
    net = PatchDiscriminator(1, 4, patch)
    net.norms = nn.ModuleList(nn.Identity() for _ in net.norms)  # which see the whole map
    assert net.receptive_field() == patch
    x = torch.zeros(1, 1, 400, 400, requires_grad=True)
    answers = net(x)
    middle = answers.shape[2] // 2
    answers[0, 0, middle, middle].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == patch


def test_seventy_pixels_give_a_map_of_thirty():
    assert PatchDiscriminator(6, 4, 70)(torch.zeros(1, 6, 256, 256)).shape == (1, 1, 30, 30)


@pytest.mark.parametrize("size", [(256, 256), (100, 77), (33, 250), (3, 5)])
def test_any_size_is_padded_and_cropped_back(size):
    net = UNet(3, 2, 4, depth=6).eval()
    assert net(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


def test_padding_reflects():
    x = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    assert pad_to(x, 8)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert pad_to(torch.ones(1, 1, 1, 1), 4).shape == (1, 1, 4, 4)


def test_skips_carry_what_the_innermost_map_does_not_hold():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 32, 32)
    for skips in (True, False):
        net = UNet(3, 3, 4, depth=4, skips=skips, norm="instance", dropout=0.0).eval()
        torch.nn.init.zeros_(net.down[-1].weight)  # nothing comes through the innermost map
        assert torch.equal(net(x), net(x.flip(3))) == (not skips)


ABLATION = [
    *itertools.product(("unet", "encoder-decoder"), (("none", 100.0), ("conditional", 0.0), ("conditional", 100.0))),
    ("unet", ("unconditional", 0.0)),
    ("unet", ("unconditional", 100.0)),
]


@pytest.mark.parametrize(("generator", "loss"), ABLATION)
def test_every_row_of_the_ablation_has_its_players_and_moves(generator, loss):
    adversarial, l1 = loss
    hyper = dataclasses.replace(Pix2PixHyper.tiny(), generator=generator, adversarial=adversarial, l1=l1)
    torch.manual_seed(0)
    model = Pix2Pix(hyper, SMALL)
    batch = {"x": torch.rand(4, 3, 16, 16), "b": torch.rand(4, 3, 16, 16)}
    moves = list(model.round(iter([batch]), Clock()))
    assert [move.player for move in moves] == (["generator"] if adversarial == "none" else ["discriminator", "generator"])
    assert {player.name for player in model.players()} == {move.player for move in moves}
    for move in moves:
        player = next(player for player in model.players() if player.name == move.player)
        gradients = torch.autograd.grad(move.loss, player.parameters(), retain_graph=True, allow_unused=True)
        assert all(g is not None and g.isfinite().all() for g in gradients)


def test_the_loss_is_that_of_the_paper():
    model = Pix2Pix(dataclasses.replace(Pix2PixHyper.tiny(), jitter=1.0, mirror=False), SMALL)
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    first, second = model.round(iter([{"x": a, "b": b}]), Clock())
    a, b = 2 * a - 1, 2 * b - 1
    made = model.generator(a)
    real, fake = (model.discriminator(torch.cat([a, x], 1)).sigmoid() for x in (b, made))
    assert first.loss.item() == pytest.approx(-(real.log().mean() + (1 - fake).log().mean()).item() / 2, rel=1e-4)
    assert second.loss.item() == pytest.approx(-fake.log().mean().item() + 100 * (made - b).abs().mean().item(), rel=1e-4)


def test_jitter_and_mirrors_are_the_same_on_both_sides():
    model = Pix2Pix(Pix2PixHyper.tiny(), PairShape(height=32, width_px=24))
    x = torch.rand(16, 3, 32, 24)
    torch.manual_seed(0)
    a, b = model.changed(x, 1 - x)
    assert torch.allclose(a, -b, atol=1e-5) and a.shape == x.shape
    large = enlarged(x, (round(32 * 286 / 256), round(24 * 286 / 256)), False) * 2 - 1
    windows = large.unfold(2, 32, 1).unfold(3, 24, 1)  # [16, 3, 5, 4, 32, 24]: every part that may be cut out
    found = set()
    for i in range(16):
        for flipped in (False, True):
            wanted = (a[i].flip(2) if flipped else a[i])[:, None, None]
            hits = (windows[i] - wanted).abs().amax((0, 3, 4)) < 1e-5
            found |= {(int(t), int(s), flipped) for t, s in hits.nonzero()}
    assert len({place[:2] for place in found}) > 4 and {place[2] for place in found} == {False, True}


def test_planes_of_classes_stay_zero_or_one():
    shape = PairShape(channels=4, palette=tuple(range(12)), height=32, width_px=32)
    model = Pix2Pix(Pix2PixHyper.tiny(), shape)
    classes = torch.nn.functional.one_hot(torch.randint(4, (2, 32, 32)), 4).permute(0, 3, 1, 2).float()
    a, _ = model.changed(classes, torch.rand(2, 3, 32, 32))
    assert set(a.unique().tolist()) == {-1.0, 1.0} and torch.equal(a.sum(1), torch.full((2, 32, 32), -2.0))


@pytest.mark.parametrize("preset", ["paper", "modern"])
def test_a_picture_does_not_hang_on_those_beside_it(preset):
    hyper = dataclasses.replace(Pix2PixHyper.preset(preset), width=4)
    torch.manual_seed(0)
    model = Pix2Pix(hyper, PairShape(height=64, width_px=64)).eval()
    x = torch.rand(3, 3, 64, 64)
    together = model.translate(x, noise=Noise.of(5, 3))
    alone = model.translate(x[1:2], noise=Noise.of(5, 1, start=1))
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    again = model.translate(x, noise=Noise.of(6, 3))
    assert torch.equal(together, again) == (preset == "modern")  # the paper's dropout is its randomness


# -- cyclegan --------------------------------------------------------------------------------------


def test_the_unpaired_paper_has_the_weights_of_the_authors_nets():
    with torch.device("meta"):
        model = CycleGAN(CycleGANHyper(), PairShape())
    assert count(model.to_b) == count(model.to_a) == 11_378_179  # published: 11.378 million
    assert count(model.judge_a) == 2_764_737  # published: 2.765 million
    with torch.device("meta"):
        assert len(CycleGAN(CycleGANHyper(), PairShape(height=128, width_px=128)).to_b.blocks) == 6


def test_the_pool_fills_then_gives_an_old_picture_half_of_the_time():
    pool = ImagePool(50, (1,))
    first = torch.arange(50.0)[:, None]
    assert torch.equal(pool(first), first) and int(pool.count) == 50
    torch.manual_seed(0)
    new = torch.full((400, 1), 1000.0) + torch.arange(400.0)[:, None]
    given = pool(new)
    old = (given != new)[:, 0]
    assert 160 < old.sum() < 240
    assert len(set(pool.kept.flatten().tolist())) == 50  # nothing is kept twice, and what is given is gone
    assert set(given[old].flatten().tolist()).isdisjoint(pool.kept.flatten().tolist())
    assert torch.equal(ImagePool(0, (1,))(new), new)


def test_the_loss_is_that_of_the_unpaired_paper():
    hyper = dataclasses.replace(CycleGANHyper.tiny(), jitter=1.0, mirror=False, identity=0.5)
    torch.manual_seed(0)
    model = CycleGAN(hyper, SMALL)
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    first, second = model.round(iter([{"x": a, "b": b}]), Clock())
    assert (first.player, second.player) == ("generator", "discriminator")
    a, b = 2 * a - 1, 2 * b - 1
    fake_b, fake_a = model.to_b(a), model.to_a(b)
    adversarial = (model.judge_b(fake_b) - 1).square().mean() + (model.judge_a(fake_a) - 1).square().mean()
    cycle = (model.to_a(fake_b) - a).abs().mean() + (model.to_b(fake_a) - b).abs().mean()
    identity = (model.to_b(b) - b).abs().mean() + (model.to_a(a) - a).abs().mean()
    assert first.loss.item() == pytest.approx((adversarial + 10 * cycle + 5 * identity).item(), rel=1e-4)
    told = [(net(x) - 1).square().mean() + net(y).square().mean() for net, x, y in
            ((model.judge_a, a, fake_a), (model.judge_b, b, fake_b))]  # fmt: skip
    assert second.loss.item() == pytest.approx((sum(told) / 2).item(), rel=1e-4)  # the pool was empty


@pytest.mark.parametrize("up", ["transposed", "even", "resized"])
def test_a_generator_takes_any_size(up):
    net = ResidualGenerator(3, 2, 4, 2, up).eval()
    for size in ((64, 64), (37, 50), (8, 9)):
        assert net(torch.rand(1, 3, *size)).shape == (1, 2, *size)


def test_reflection_by_copies_is_torchs_own():
    for size, pad in (((5, 7), (1, 2, 3, 4)), ((4, 3), (2, 0, 0, 3)), ((2, 2), (1, 1, 1, 1))):
        ours, torchs = (torch.rand(2, 3, *size).requires_grad_() for _ in range(2))
        torchs.data.copy_(ours.data)
        made, expected = by_copies(ours, pad), torch.nn.functional.pad(torchs, pad, "reflect")
        assert torch.equal(made, expected) and torch.equal(made, reflected(ours, pad))
        weight = torch.rand_like(made)
        (made * weight).sum().backward()
        (expected * weight).sum().backward()
        assert torch.allclose(ours.grad, torchs.grad)


def test_a_generator_is_padded_by_reflection():
    conv = ResidualGenerator(3, 2, 4, 2).first
    x = torch.rand(1, 3, 8, 9)
    padded = torch.nn.functional.pad(x, (3, 3, 3, 3), "reflect")
    assert torch.allclose(conv(x), torch.nn.functional.conv2d(padded, conv.weight, conv.bias), atol=1e-6)


def test_the_paper_counts_its_epochs_by_the_data(trained):
    hyper = CycleGAN.settle(CycleGANHyper(), genloom.load_data(trained))
    assert (hyper.hold, hyper.fall) == (4000, 4000)
    rates = [hyper.schedule(Clock(n))["lr"] for n in (0, 4000, 6000, 8000)]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 0])
    assert CycleGAN.settle(CycleGANHyper.modern(), genloom.load_data(trained)).fall == 0


def test_partners_are_hidden_from_it(trained):
    data = genloom.load_data(trained)
    model = CycleGAN(CycleGANHyper.tiny(), data.shape)
    assert model.study(data, lambda name, make: make()).lengths == {"x": 40, "b": 40}


def test_the_pool_lies_in_the_checkpoint_and_a_broken_training_goes_on_alike(trained, tmp_path):
    options = {"preset": "tiny", "seed": 3, "threads": 1, "save_examples": 48, "report_examples": 48}
    genloom.fit("cyclegan", trained, tmp_path / "whole", examples=144, **options)
    genloom.fit("cyclegan", trained, tmp_path / "broken", examples=48, **options)
    genloom.fit("cyclegan", trained, tmp_path / "broken", examples=144, **options)
    whole, broken = (genloom.load(tmp_path / name) for name in ("whole", "broken"))
    assert int(whole.pool_a.count) == 16 and whole.pool_a.kept.abs().sum() > 0
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), broken.state_dict().values(), strict=True))


def test_sides_of_other_channels_cannot_keep_their_colours():
    misfit = CycleGAN.fits(PairShape(channels=1), dataclasses.replace(CycleGANHyper.modern(), identity=0.5))
    assert isinstance(misfit, Misfit) and "--hyper.identity 0" in misfit.reason
    assert not isinstance(CycleGAN.fits(PairShape(channels=1, paired=False), CycleGANHyper()), Misfit)


def test_other_data_is_told_what_to_do():
    assert isinstance(Pix2Pix.fits(ImageShape(), Pix2PixHyper()), Misfit)
    domains = Pix2Pix.fits(PairShape(paired=False), Pix2PixHyper())
    assert isinstance(domains, Misfit) and "same names" in domains.reason
    small = Pix2Pix.fits(SMALL, Pix2PixHyper())
    assert isinstance(small, Misfit) and "--size 24" in small.reason
    nothing = Pix2Pix.fits(PairShape(), dataclasses.replace(Pix2PixHyper(), adversarial="none", l1=0.0))
    assert isinstance(nothing, Misfit)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that has learnt to invert squares of colour."""
    root = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for i in range(40):
        a = np.zeros((16, 16, 3), np.uint8) + random.integers(0, 256, 3, dtype=np.uint8)
        a[4:12, 4:12] = random.integers(0, 256, 3, dtype=np.uint8)
        for side, pixels in (("A", a), ("B", 255 - a)):
            (root / side).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / side / f"{i:02d}.png")
    genloom.fit("pix2pix", root, root / "run", preset="tiny", examples=2400, seed=0, threads=1)
    return root


def test_it_learns_and_is_drawn(trained):
    model = genloom.load(trained / "run")
    data = genloom.load_data(trained)
    batch = data.batch({"x": torch.arange(40)})
    away = (model.translate(batch["x"]) - batch["b"]).abs().mean().item()
    assert away < 0.4 * (batch["x"] - batch["b"]).abs().mean().item()
    assert list((trained / "run" / "samples").glob("*.png"))


def test_files_and_folders_are_translated(trained, tmp_path):
    assert run(["translate", str(trained / "run"), str(trained / "A" / "00.png"), "-o", str(tmp_path / "b.png")]) == 0
    assert size_of(tmp_path / "b.png") == (16, 16)
    assert run(["translate", str(trained / "run"), str(trained / "A"), "-o", str(tmp_path / "out"), "--strip"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 40
    assert size_of(tmp_path / "out" / "00.png") == (36, 16)
    Image.new("RGB", (50, 21)).save(tmp_path / "odd.png")
    assert run(["translate", str(trained / "run"), str(tmp_path / "odd.png"), "-o", str(tmp_path / "odd.jpg")]) == 0
    assert size_of(tmp_path / "odd.jpg") == (50, 21)


@pytest.mark.parametrize(
    ("picture", "arguments", "sentence"),
    [
        ("nothing.png", [], "no picture at"),
        ("grey.png", [], "of mode L, and the model takes colour pictures: say --convert"),
        ("clear.png", [], "with transparency"),
        ("cut.png", [], "cannot be read as a picture"),
        ("A", ["--to", "A"], "makes B alone"),
        ("empty", [], "no pictures in"),
    ],
)
def test_what_cannot_be_translated_is_one_sentence(trained, tmp_path, capsys, picture, arguments, sentence):
    Image.new("L", (16, 16)).save(trained / "grey.png")
    Image.new("RGBA", (16, 16)).save(trained / "clear.png")
    (trained / "cut.png").write_bytes((trained / "A" / "00.png").read_bytes()[:60])
    (trained / "empty").mkdir(exist_ok=True)
    out = tmp_path / "o"
    assert run(["translate", str(trained / "run"), str(trained / picture), "-o", f"{out}.png", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and sentence in said[0] and not list(tmp_path.iterdir())
    if picture in ("grey.png", "clear.png"):
        assert run(["translate", str(trained / "run"), str(trained / picture), "-o", f"{out}.png", "--convert"]) == 0


def test_the_pictures_themselves_are_never_written_over(trained, capsys):
    before = {path: path.read_bytes() for path in (trained / "A").iterdir()}
    one = str(trained / "A" / "00.png")
    for source, out in ((str(trained / "A"), str(trained / "A")), (one, one), (one, str(trained / "A") + "/")):
        assert run(["translate", str(trained / "run"), source, "-o", out]) == 2
    assert before == {path: path.read_bytes() for path in (trained / "A").iterdir()}
    assert all("genloom: " in line for line in capsys.readouterr().err.strip().splitlines())


def test_the_same_seed_trains_the_same_weights_after_a_break(trained, tmp_path):
    options = {"preset": "tiny", "seed": 3, "threads": 1, "save_examples": 80, "report_examples": 80}
    genloom.fit("pix2pix", trained, tmp_path / "whole", examples=240, **options)
    genloom.fit("pix2pix", trained, tmp_path / "broken", examples=80, **options)
    genloom.fit("pix2pix", trained, tmp_path / "broken", examples=240, **options)
    whole, broken = (genloom.load(tmp_path / name).state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.parametrize("up", ["transposed", "even", "resized"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_residual_generator_by_parts_makes_the_same_picture(up, skip):
    same_by_parts(drawn_at_random(ResidualGenerator(3, 3, 16, 2, up, skip)), MARGIN)


def test_a_margin_that_is_too_narrow_shows():
    net, x = drawn_at_random(ResidualGenerator(3, 3, 16, 2)), torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        assert (net.in_tiles(x, 32, 4) - net(x * 2 - 1)).abs().max() > 2 / 255


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("skips", [False, True])
def test_a_unet_by_parts_makes_the_same_picture(norm, skips):
    same_by_parts(drawn_at_random(UNet(3, 3, 16, 5, skips, norm)), 4)


def same_by_parts(net, margin):
    """Sizes that tiles divide and that they do not, and pictures that the net changes a good deal."""
    for size in ((150, 203), (64, 64), (97, 300)):
        x = torch.rand(1, 3, *size)
        with torch.no_grad():
            whole = net(x * 2 - 1)
            assert (net.in_tiles(x, 32, margin) - whole).abs().max() < 2 / 255 / 100
        assert whole.std() > 0.1 and (whole - (x * 2 - 1)).abs().mean() > 0.1


def drawn_at_random(net):
    """A net in use, whose weights are large enough for its output to vary."""
    torch.manual_seed(0)
    for weight in net.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, 0, 0.05)
    return net.eval()


def test_moments_of_parts_are_those_of_the_whole(monkeypatch):
    monkeypatch.setattr(tiles, "BAND", 500)  # so that there are many
    x = torch.randn(1, 5, 37, 53) * 3 + 2
    mean, variance = own_moments(x)
    assert torch.allclose(mean, x.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(variance, x.var((0, 2, 3), unbiased=False), rtol=1e-5)
    assert torch.allclose(normalise(x.clone(), own_moments(x)), F.instance_norm(x), atol=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_instance_norm_is_torchs_in_either_layout(n):
    x = torch.randn(n, 4, 6, 5, requires_grad=True)
    weights = torch.randn(n, 4, 6, 5)
    (wanted,) = torch.autograd.grad((F.instance_norm(x) * weights).sum(), x)
    for each in (x, x.contiguous(memory_format=torch.channels_last)):
        made = instance_norm(each)
        (gradient,) = torch.autograd.grad((made * weights).sum(), x)
        assert torch.allclose(made, F.instance_norm(x), atol=1e-6) and torch.allclose(gradient, wanted, atol=1e-6)


def test_a_change_is_added_to_the_picture_and_bounded_in_use_alone():
    net, x = ResidualGenerator(3, 3, 8, 1, skip=True), torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        net.out.weight.zero_()
        net.out.bias.fill_(0.5)
        assert torch.allclose(net(x), x + 0.5) and torch.allclose(net.eval()(x), (x + 0.5).clamp(-1, 1))
    assert CycleGAN(CycleGANHyper.tiny().with_values({"skip": True}), SMALL).to_b.skip
    for other in (PairShape(channels=1), PairShape(palette=(0, 0, 0, 9, 9, 9, 99, 99, 99))):
        with torch.device("meta"):
            assert not CycleGAN(CycleGANHyper.modern(), other).to_b.skip
