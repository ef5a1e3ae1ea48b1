"""Super-resolution: resizing as MATLAB does it, the networks, losses, pieces, the judge and the commands."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import genloom
from genloom.cli.app import run as genloom_command
from genloom.core.clock import Clock
from genloom.core.model import Misfit
from genloom.data.options import PictureOptions
from genloom.data.pictures.load import load_pictures
from genloom.data.pieces.load import PieceSource
from genloom.errors import InputError
from genloom.measures.resolution import luminance, resolution_figures
from genloom.models.resolution.content import loss_of, maps_loss, total_variation
from genloom.models.resolution.srgan import SRGAN, SRGANHyper, turned
from genloom.nn.imresize import cubic, grown, shrunk, taps
from genloom.nn.srresnet import Discriminator, PReLU, SRResNet
from genloom.nn.tiles import by_tiles
from genloom.nn.vgg import VGG19, read_vgg19
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape, rounded
from genloom.shapes.pieces import PieceShape
from genloom.use.check import check
from genloom.use.judging.compare import compare

SETS = Path(os.environ.get("GENLOOM_DATA", "../shared/data")) / "super_resolution"


def photographs(folder, sizes, seed=0):
    """Write smooth random pictures of these sizes (height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for i, (height, width) in enumerate(sizes):
        small = Image.fromarray(random.integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{i:02d}.png")
    return folder


def pixels_of(path):
    with Image.open(path) as image:
        return np.array(image, int)


# -- resizing --------------------------------------------------------------------------------------


def test_kernel_is_keys_with_a_half():
    assert cubic(torch.tensor([0.0, 1.0, 2.0, 2.5])).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert float(cubic(torch.tensor(0.5))) == pytest.approx(0.5625)  # 1.5/8 - 2.5/4 + 1
    assert float(cubic(torch.tensor(-1.5))) == pytest.approx(-0.0625)


def test_shrinking_a_line_gives_matlabs_numbers():
    """imresize(1:8, 1/2) with its antialiased bicubic kernel, worked out by hand for the second of four numbers."""
    line = torch.arange(1.0, 9.0).view(1, 1, 1, 8).expand(1, 1, 2, 8)
    made = shrunk(line, 2)[0, 0, 0]
    # The centre of the second lies at 3.5; the kernel is stretched to reach 4 pixels each way, and mirrored at the edge.
    places, values = np.arange(-3, 12), []
    weights = np.array([float(cubic(torch.tensor((3.5 - p) / 2))) for p in places])
    for p in places:
        values.append(1 - p if p < 1 else p if p <= 8 else 17 - p)
    assert float(made[1]) == pytest.approx(float((weights * values).sum() / weights.sum()), abs=1e-6)
    assert made.flip(0).add(made).tolist() == pytest.approx([9.0] * 4, abs=1e-5)  # it is symmetric


def test_each_row_of_taps_sums_to_one():
    for old, new, scale in ((24, 6, 0.25), (6, 24, 4.0), (5, 10, 2.0)):
        assert taps(old, new, scale).sum(1).tolist() == pytest.approx([1.0] * new, abs=1e-6)


@pytest.mark.skipif(not SETS.exists(), reason="needs GENLOOM_DATA")
@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (4, 28.42)])
def test_bicubic_of_set5_is_as_published(scale, published):
    data = PieceSource(str(SETS / "Set5"), PictureOptions()).load(PieceShape((), 3, 1, 1))
    real = [data.picture(i)[:, :, : h // scale * scale, : w // scale * scale] for i, (h, w) in enumerate(data.sizes)]
    figures = resolution_figures(((rounded(grown(rounded(shrunk(x, scale)), scale)), x) for x in real), scale)
    assert figures["PSNR-Y"].value == pytest.approx(published, abs=0.03)
    if scale == 4:
        assert figures["SSIM-Y"].value == pytest.approx(0.8104, abs=0.002)
    assert figures["PSNR-RGB"].value < figures["PSNR-Y"].value - 1


def test_luminance_is_matlabs():
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).view(3, 3, 1, 1)
    assert (luminance(colours) * 255).flatten().tolist() == pytest.approx([16.0, 235.0, 81.481], abs=1e-3)


# -- networks --------------------------------------------------------------------------------------


def test_srresnet_is_the_papers():
    """Figure 4: k9n64, 16 blocks of two k3n64 with batch norm, k3n64, two of k3n256 with shuffling, k9n3."""
    n, norm = 64, 2 * 64
    conv, block = 9 * n * n, 2 * (9 * n * n + norm) + n
    doubling = 9 * n * 4 * n + 4 * n + n
    expected = (81 * 3 * n + n + n) + 16 * block + (conv + norm) + 2 * doubling + (81 * n * 3 + 3)
    assert sum(p.numel() for p in SRResNet(3, 4).parameters()) == expected == 1_548_547


def test_discriminator_is_the_papers():
    net = Discriminator(3, (96, 96))
    convs = sum(
        9 * a * b for a, b in zip([3, 64, 64, 128, 128, 256, 256, 512], [64, 64, 128, 128, 256, 256, 512, 512], strict=True)
    )
    norms = 2 * sum([64, 128, 128, 256, 256, 512, 512])
    assert sum(p.numel() for p in net.parameters()) == convs + 64 + norms + 512 * 36 * 1024 + 1024 + 1024 + 1
    assert net(torch.rand(2, 3, 96, 96)).shape == (2,)
    assert [conv.stride[0] for conv in net.convs] == [1, 2] * 4


@pytest.mark.parametrize("enlarging", ["stepwise", "direct"])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_what_a_pixel_hangs_on_is_within_reach(scale, enlarging):
    net = SRResNet(1, scale, 4, 2, "none", enlarging, residual=True)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 0.1)  # nothing is dead, nothing cancels
    side = 2 * net.reach + 5
    x = torch.rand(1, 1, side, side, requires_grad=True)
    made, middle = net(x), side // 2 * scale
    made[0, 0, middle : middle + scale, middle : middle + scale].sum().backward()
    seen = (x.grad[0, 0] != 0).nonzero() - side // 2
    assert seen.abs().max() == net.reach


def test_icnr_and_residual_start_as_bicubic_without_a_checkerboard():
    torch.manual_seed(0)
    net, x = SRResNet(3, 4, 16, 2, "none", "direct", residual=False, icnr=True), torch.rand(1, 3, 8, 8)
    squares = net(x)[0, :, 4:-4, 4:-4].unfold(1, 4, 4).unfold(2, 4, 4)
    assert squares.flatten(3).std(3).max() < 1e-6  # every square is of one colour
    chequered = SRResNet(3, 4, 16, 2, "none", "direct")(x)[0, :, 4:-4, 4:-4].unfold(1, 4, 4).unfold(2, 4, 4)
    assert chequered.flatten(3).std(3).mean() > 1e-2
    near = SRResNet(3, 4, 16, 2, "none", "direct", residual=True, icnr=True)
    with torch.no_grad():
        near.out.weight.zero_()
    assert torch.allclose(near(x), grown(x, 4) * 2 - 1, atol=1e-6)


def test_slopes_are_those_of_prelu():
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(PReLU(3)(x), F.prelu(x, torch.full((3,), 0.25)))
    assert PReLU(3)(x.bfloat16()).dtype == torch.bfloat16


def test_parts_make_the_same_picture_as_the_whole():
    torch.manual_seed(0)
    net, x = SRResNet(3, 4, 8, 3).eval(), torch.rand(1, 3, 61, 83)
    with torch.no_grad():
        whole = net(x)
        assert (by_tiles(net, x, 20, net.reach, 4) - whole).abs().max() < 1e-4
        assert (by_tiles(net, x, 20, net.reach - 4, 4) - whole).abs().max() > 1e-3  # the reach is no more than is needed


# -- losses ----------------------------------------------------------------------------------------


def test_content_losses_by_hand():
    a, b = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.25)
    assert float(loss_of("mse", "")(a, b)) == pytest.approx(0.25)  # of pictures in [-1, 1]
    assert float(loss_of("l1", "")(a, b)) == pytest.approx(0.25)
    assert float(maps_loss([a, a], [b, a])) == pytest.approx(0.25)
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert float(total_variation(ramp)) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """Weights by the names and sizes of torchvision's vgg19, drawn at random, without its classifier."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_file({name: value.contiguous() for name, value in VGG19(5, 4).state_dict().items()}, path)
    return path


def test_vgg54_is_the_36_first_layers_of_vgg19(vgg_file):
    net = read_vgg19(str(vgg_file), 5, 4)
    assert len(net.features) == 36 and isinstance(net.features[-1], nn.ReLU)
    assert [i for i, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d)] == [4, 9, 18, 27]
    assert sum(p.numel() for p in net.parameters()) == 20_024_384  # VGG19's convolutions
    assert not any(p.requires_grad for p in net.parameters())
    early = read_vgg19(str(vgg_file), 2, 2)
    assert len(early.features) == 9 and early(torch.rand(1, 3, 32, 32)).shape == (1, 128, 16, 16)


def test_vgg_loss_by_hand(vgg_file):
    net, a, b = read_vgg19(str(vgg_file), 2, 2), torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    maps = [net.features((x - mean) / deviation) for x in (a, b)]
    wanted = ((maps[0] - maps[1]) / 12.75).square().mean()
    assert float(loss_of("vgg22", str(vgg_file))(a, b)) == pytest.approx(float(wanted), rel=1e-5)


def test_a_wrong_file_of_vgg_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"--hyper\.vgg FILE"):
        read_vgg19("", 5, 4)
    save_file({"features.0.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="holds no weights of VGG19"):
        read_vgg19(str(tmp_path / "other.safetensors"), 5, 4)


# -- the model -------------------------------------------------------------------------------------


def small_model(**hyper):
    return SRGAN(SRGANHyper.tiny().with_values({"blocks": 1, "width": 8, **hyper}), PieceShape((), 3, 32, 32))


def moves_of(model, phase):
    torch.manual_seed(0)
    batch = {"x": torch.rand(4, 3, 32, 32)}
    return list(model.phases()[phase].round(iter([batch]), Clock(length=100)))


def test_pretraining_moves_the_generator_alone_then_both_move():
    model = small_model()
    model.players()
    assert [phase.name for phase in model.phases()] == ["pre-training", "adversarial"]
    assert [move.player for move in moves_of(model, 0)] == ["generator"]
    assert [move.player for move in moves_of(model, 1)] == ["discriminator", "generator"]
    alone = small_model(adversary=0)
    assert len(alone.phases()) == 1 and not hasattr(alone, "discriminator")
    assert [phase.name for phase in small_model(pretrain=0).phases()] == ["adversarial"]


def test_the_papers_loss_is_content_and_a_thousandth_of_the_adversary():
    model = small_model(content="mse", pixels=0.0, adversary=1e-3, turn=False)
    torch.manual_seed(0)
    x = torch.rand(4, 3, 32, 32)
    loss = list(model.round(iter([{"x": x}]), Clock(length=100)))[1].loss.item()
    made = model.generator(rounded(shrunk(x, 4))) / 2 + 0.5
    fooled = F.softplus(-model.discriminator(made * 2 - 1)).mean()
    assert loss == pytest.approx((4 * F.mse_loss(made, x) + 1e-3 * fooled).item(), rel=1e-4)


def test_rates_are_the_papers_and_fall_where_asked():
    paper, modern = SRGANHyper.paper(), SRGANHyper.modern()
    assert paper.phase_rate(Clock(examples=10**6, length=16 * 10**6), False) == {"lr": 1e-4}
    assert paper.phase_rate(Clock(examples=0, length=3_200_000), True) == {"lr": 1e-4}
    assert paper.phase_rate(Clock(examples=1_600_000, length=3_200_000), True)["lr"] == pytest.approx(1e-5)
    assert modern.phase_rate(Clock(examples=8000, length=16_000), False)["lr"] == pytest.approx(5e-4 * 0.505)
    assert modern.phase_rate(Clock(examples=16_000, length=16_000), False)["lr"] == pytest.approx(5e-6)


def test_turning_gives_all_eight_ways_and_keeps_colours_together():
    torch.manual_seed(0)
    x = torch.arange(12.0).view(1, 3, 2, 2).expand(400, -1, -1, -1)
    found = {tuple(each.flatten().tolist()) for each in turned(x)}
    assert len(found) == 8
    assert all(sorted(each[:4]) == [0, 1, 2, 3] for each in found)
    assert turned(torch.rand(3, 3, 2, 4)).shape == (3, 3, 2, 4)


def test_fits_pieces_alone_and_in_sixteens():
    hyper = SRGANHyper.modern()
    with pytest.raises(InputError, match="such as --hyper.content discriminator"):
        SRGAN.settle(SRGANHyper.paper(), None)
    assert SRGAN.fits(PieceShape((), 3, 100, 90), hyper) == PieceShape((), 3, 96, 80)
    assert isinstance(SRGAN.fits(ImageShape((), 3, 96, 96), hyper), Misfit)
    assert isinstance(SRGAN.fits(PairShape(), hyper), Misfit)
    small = SRGAN.fits(PieceShape((), 3, 20, 20), hyper)
    assert isinstance(small, Misfit) and small.remedy


# -- pieces ----------------------------------------------------------------------------------------


def test_pieces_come_from_everywhere_and_none_from_small_pictures(tmp_path):
    folder = photographs(tmp_path / "p", [(40, 60), (64, 48), (20, 90)])
    data = genloom.data.find_source(str(folder), {"size": 32}, kind="pieces").load()
    assert len(data) == 1 + 2 + 0 and data.notes == ["1 of 3 pictures are smaller than 32x32 and left out"]
    batch = data.batch({"x": torch.tensor([0, 1, 2, 0])}, torch.Generator().manual_seed(1))["x"]
    assert batch.shape == (4, 3, 32, 32)
    whole = [data.picture(i) for i in range(2)]
    for piece, i in zip(batch, (0, 1, 1, 0), strict=True):
        places = whole[i].unfold(2, 32, 1).unfold(3, 32, 1)
        assert (places - piece[None, :, None, None]).abs().amax((0, 1, 4, 5)).min() == 0
    assert not torch.equal(batch[0], batch[3])
    again = data.batch({"x": torch.tensor([0, 1, 2, 0])}, torch.Generator().manual_seed(1))["x"]
    assert torch.equal(batch, again)


def test_the_pictures_of_the_cache_are_those_of_the_files(tmp_path):
    folder = photographs(tmp_path / "p", [(40, 60), (64, 48)])
    data = genloom.data.find_source(str(folder), {}, kind="pieces").load()
    for i, name in enumerate(sorted(folder.iterdir())):
        assert torch.equal(
            (data.picture(i)[0] * 255).round().byte(), torch.from_numpy(np.array(Image.open(name))).permute(2, 0, 1)
        )
    assert data.part(1, None).sizes == [(64, 48)]
    assert torch.equal(data.part(1, None).picture(0), data.picture(1))


def test_broken_pictures_are_named_or_left_out(tmp_path):
    folder = photographs(tmp_path / "p", [(40, 40), (40, 40), (48, 40)])
    broken = folder / "01.png"
    broken.write_bytes(broken.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"01\.png"):
        genloom.data.find_source(str(folder), {"size": 32}, kind="pieces").load()
    data = genloom.data.find_source(str(folder), {"size": 32, "skip_broken": True}, kind="pieces").load()
    assert data.sizes == [(40, 40), (48, 40)] and len(data.notes) == 1
    assert torch.equal(
        (data.picture(1)[0] * 255).round().byte(), torch.from_numpy(np.array(Image.open(folder / "02.png"))).permute(2, 0, 1)
    )


def test_few_small_pictures_do_not_decide_and_a_range_decides_alone(tmp_path):
    folder = photographs(tmp_path / "s{x}", [(20, 20), *[(200, 150)] * 4, (50, 50)])
    source = genloom.data.find_source(str(folder), {}, kind="pieces")
    assert source.shape().size == (96, 96)
    assert genloom.data.find_source(f"{folder}[5:]", {}, kind="pieces").shape().size == (50, 50)
    (folder / "00.png").write_bytes(b"nothing")
    assert genloom.data.find_source(f"{folder}[1:5]", {}, kind="pieces").shape().size == (96, 96)


def test_equal_pixels_in_other_shapes_are_other_data(tmp_path):
    for name, size in (("a", (40, 60)), ("b", (60, 40))):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", size, "red").save(tmp_path / name / f"{i}.png")
    a, b = (genloom.data.find_source(str(tmp_path / name), {}, kind="pieces").load() for name in "ab")
    assert a.fingerprint != b.fingerprint


def test_too_small_for_pieces_is_said(tmp_path):
    folder = photographs(tmp_path / "p{0}", [(20, 20), (24, 30)])
    with pytest.raises(InputError, match="no picture of 64x64 or more"):
        genloom.data.find_source(str(folder), {"size": 64}, kind="pieces").load()


def test_pictures_for_other_models_are_still_whole(tmp_path):
    folder = photographs(tmp_path / "p", [(40, 40), (40, 40)])
    assert load_pictures(folder).shape == ImageShape((), 3, 40, 40)


# -- training, judging, enlarging ------------------------------------------------------------------


@pytest.fixture
def command(capsys):
    """Type a command: its exit status, and what it says of what is wrong."""

    def typed(*words):
        capsys.readouterr()
        status = genloom_command([str(word) for word in words])
        return status, capsys.readouterr().err

    return typed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("sr")
    folder = photographs(base / "p", [(64, 80), (72, 64), (96, 64)])
    out = base / "run"
    hyper = {"width": 8, "blocks": 1, "pretrain": 64}
    genloom.fit("srgan", folder, out, preset="tiny", hyper=hyper, examples=96, size=32, batch=8, threads=1, seed=1)
    return out


def test_a_run_goes_through_both_phases(run):
    names = [json.loads(line)["phase"] for line in (run / "stats.jsonl").read_text().splitlines()]
    assert names[0] == "pre-training" and names[-1] == "adversarial"
    assert sorted((run / "samples").glob("*.png"))


def test_srgan_may_start_from_srresnet(run, tmp_path):
    folder = run.parent / "p"
    first, second = tmp_path / "srresnet", tmp_path / "srgan"
    hyper = {"width": 8, "blocks": 1, "pretrain": 32, "adversary": 0.0}
    genloom.fit("srgan", folder, first, preset="tiny", hyper=hyper, examples=32, size=32, batch=8, threads=1)
    more = {"pretrain": 0, "adversary": 0.02}
    genloom.fit("srgan", folder, second, start=str(first), hyper=more, examples=8, batch=8, threads=1)
    before, after = genloom.load(first), genloom.load(second)
    assert after.discriminator is not None
    # One step at the second's rate is all that lies between them; nets of two seeds differ by a hundred times as much.
    pairs = zip(before.generator.parameters(), after.generator.parameters(), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) < 1e-3
    back = tmp_path / "back"
    genloom.fit("srgan", folder, back, start=str(second), hyper=hyper, examples=8, batch=8, threads=1)
    assert not hasattr(genloom.load(back), "discriminator")


def test_the_judge_sets_a_run_beside_what_needs_no_network(run, tmp_path):
    other = photographs(tmp_path / "t", [(50, 61), (44, 44)], seed=5)
    found = genloom.judge(run, test=other)
    assert set(found.baselines) == {"nearest pixel", "bicubic", "ridge on patches"}
    assert found.measures["PSNR-Y"].protocol == "2 pictures, x4, border of 4 cut"
    assert found.baselines["bicubic"]["PSNR-Y"].value > found.baselines["nearest pixel"]["PSNR-Y"].value
    assert found.about["never_trained_on"] is True
    folder = run.parent / "p"
    assert genloom.judge(run).about["never_trained_on"] is False
    assert genloom.judge(run, test=f"{folder}[:1]").about["never_trained_on"] is False


def test_detail_is_not_ruined_by_a_flat_picture():
    torch.manual_seed(0)
    flat, rich = torch.full((1, 3, 40, 40), 0.5), torch.rand(1, 3, 40, 40)
    noisy = (flat + (torch.rand_like(flat) - 0.5) / 100).clamp(0, 1)
    assert resolution_figures([(noisy, flat), (rich, rich)], 4)["detail"].value == pytest.approx(1.0, abs=0.01)
    assert resolution_figures([(rich * 0.5, rich)], 4)["detail"].value == pytest.approx(0.25, abs=1e-4)


def test_runs_of_other_channels_are_not_compared(run, tmp_path):
    folder, grey = run.parent / "p", tmp_path / "grey"
    hyper = {"width": 8, "blocks": 1, "pretrain": 8}
    genloom.fit("srgan", folder, grey, preset="tiny", hyper=hyper, examples=8, size=32, batch=8, threads=1, channels=1)
    with pytest.raises(InputError, match="as many channels"):
        compare([run, grey])
    assert genloom.judge(grey).measures.keys() == {"PSNR-Y", "SSIM-Y", "shrunk again, L1", "detail"}


def test_pictures_with_transparency_are_enlarged_by_a_run_of_four_channels(run, command, tmp_path):
    folder = tmp_path / "clear"
    folder.mkdir()
    for i in range(2):
        Image.new("RGBA", (48, 48), (200, 30 * i, 0, 128)).save(folder / f"{i}.png")
    hyper = {"width": 8, "blocks": 1, "pretrain": 8}
    genloom.fit("srgan", folder, tmp_path / "r", preset="tiny", hyper=hyper, examples=8, size=32, batch=2, channels=4)
    assert command("upscale", tmp_path / "r", folder / "0.png", "-o", tmp_path / "big.png")[0] == 0
    with Image.open(tmp_path / "big.png") as image:
        assert image.mode == "RGBA" and image.size == (192, 192)
    seen = SRGAN.fits(PieceShape((), 4, 32, 32), SRGANHyper.tiny().with_values({"content": "lite"}))
    assert isinstance(seen, Misfit) and "--channels 3" in seen.reason
    status, error = command("upscale", run, folder / "0.png", "-o", tmp_path / "no.png")
    assert status == 2 and "with transparency" in error


def test_a_run_that_was_broken_off_goes_on_to_the_same_weights(run, tmp_path):
    folder, hyper = run.parent / "p", {"width": 8, "blocks": 1, "pretrain": 24}
    said = {"preset": "tiny", "hyper": hyper, "size": 32, "batch": 8, "threads": 1}
    genloom.fit("srgan", folder, tmp_path / "whole", examples=48, **said)
    for examples in (16, 24, 40, 48):
        genloom.fit("srgan", folder, tmp_path / "parts", examples=examples, **said)
    whole, parts = (genloom.load(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_page_has_a_slider_and_asks_for_nothing_outside(run, command):
    assert command("judge", run, "--test", run.parent / "p")[0] == 0
    page = (run / "report.html").read_text()
    assert page.count('type="range"') == 3
    assert "http" not in page.replace("http-equiv", "")


def test_upscale_writes_four_times_the_size_whole_or_by_parts(run, command, tmp_path):
    picture = run.parent / "p" / "00.png"
    for name, said in (("a.png", ()), ("b.png", ("--tile", "24"))):
        assert command("upscale", run, picture, "-o", tmp_path / name, *said)[0] == 0
    a, b = (pixels_of(tmp_path / name) for name in ("a.png", "b.png"))
    assert a.shape == (256, 320, 3) and abs(a - b).max() <= 1
    assert command("upscale", run, run.parent / "p", "-o", tmp_path / "all", "--strip")[0] == 0
    assert len(list((tmp_path / "all").iterdir())) == 3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("--tile", "8"), "too small for a network that sees"),
        (("--overlap", "1"), "seams would show"),
    ],
)
@pytest.mark.parametrize("what", ["p/00.png", "p"])
def test_parts_that_would_show_seams_are_refused(run, command, tmp_path, said, words, what):
    out = tmp_path / ("x.png" if "." in what else "x")
    status, error = command("upscale", run, run.parent / what, "-o", out, *said)
    assert status == 2 and words in error and error.count("\n") == 1 and "left out" not in error
    assert not out.exists()


def test_one_broken_picture_of_a_folder_costs_itself_alone(run, command, tmp_path):
    folder = photographs(tmp_path / "q", [(16, 16), (16, 20), (20, 16)])
    (folder / "01.png").write_bytes(b"nothing")
    status, error = command("upscale", run, folder, "-o", tmp_path / "out")
    assert status == 2 and "1 of 3 pictures were left out: 01.png cannot be read as a picture (not a picture)" in error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00.png", "02.png"]


def test_a_model_that_enlarges_nothing_says_so(command, tmp_path):
    genloom.fit("gan", "digits", tmp_path / "gan", preset="tiny", examples=64, threads=1)
    status, error = command("upscale", tmp_path / "gan", tmp_path / "x.png", "-o", tmp_path / "y.png")
    assert status == 2 and "makes no picture larger" in error


def test_reasons_are_told_once_each_with_their_number(run, command, tmp_path):
    folder = photographs(tmp_path / "q", [(16, 16), (16, 20), (20, 16)])
    for name in ("00", "02"):
        Image.new("L", (16, 16)).save(folder / f"{name}.png")
    status, error = command("upscale", run, folder, "-o", tmp_path / "out")
    assert status == 2 and "00.png and 1 more is of mode L" in error
    status, error = command("upscale", run, folder, "-o", tmp_path / "out.png")
    assert status == 2 and "is a folder" in error and not (tmp_path / "out.png").exists()


def test_check_says_what_can_be_learnt_from_pieces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = photographs(tmp_path / "p", [(100, 120), (96, 96), (40, 200)])
    assert any("fits srgan" in line and "2 of them" in line for line in check(str(folder), PictureOptions()).fits)
    assert not any("srgan" in line for line in check(str(photographs(tmp_path / "q", [(40, 40)])), PictureOptions()).fits)
