"""Models of pixels: causal, normalised, and sampled as they are scored."""

import itertools

import numpy as np
import pytest
import torch

import genloom
from genloom.core.random import Noise
from genloom.data import PictureOptions
from genloom.errors import InputError
from genloom.models.likelihood.autoregressive import invert
from genloom.models.likelihood.levels import least_levels, level_log_prob, values_of
from genloom.models.likelihood.pixelcnn import Gated, PixelCNN
from genloom.models.likelihood.pixelrnn import PixelRNN
from genloom.nn.causal import Causal, Places, group_mask
from genloom.nn.recurrent import by_diagonals, by_rows, cell, gates_, scan
from genloom.shapes.pictures import ImageShape
from untrained import KINDS, small


def influence(model):
    """Return `[N, N]`: whether the logits of the i-th value move with the j-th, in raster order."""
    channels, height, width = model.shape.dims
    x = torch.rand(1, channels, height, width, dtype=torch.float64) * 2 - 1
    model = model.double()
    jacobian = torch.autograd.functional.jacobian(lambda x: model.logits(x).sum(2), x)[0][:, :, :, 0]
    n = channels * height * width
    return jacobian.permute(1, 2, 0, 4, 5, 3).reshape(n, n) != 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "levels", "features"), [(1, 2, 24), (1, 5, 24), (3, 3, 24), (3, 3, 16), (3, 2, 23)])
def test_no_value_sees_itself_or_a_later_one(kind, channels, levels, features):
    seen = influence(small(kind, channels, levels=levels, features=features, head=32))  # widths three need not divide
    assert not seen.triu().any()
    assert seen.any(1)[1:].all()  # every value but the first sees something


def test_a_planted_leak_is_seen():
    model = small("gated")
    model.network.layers[1].first = model.network.layers[0].first = False  # the first layer's shift is lost
    with pytest.raises(RuntimeError):  # rows and columns no longer fit
        influence(model)
    model = small("plain")
    forward = model.network.first.forward
    model.network.first.forward = lambda x: forward(torch.nn.functional.pad(x, (0, 1))[..., 1:])  # one pixel too far
    assert influence(model).triu().any()


def test_the_blind_spot_is_the_plain_kinds_alone():
    options = {"height": 5, "width": 9, "layers": 4}
    earlier = torch.ones(45, 45).tril(-1).bool()
    plain, gated = (influence(small(kind, **options)) for kind in ("plain", "gated"))
    assert (earlier & ~plain).sum() > (earlier & ~gated).sum()
    assert gated[40][:36].all()  # the rows above are seen whole where the kernels reach


def test_cropped_kernels_equal_masked_ones():
    torch.manual_seed(0)
    layer = Causal(6, 9, 2, 3, itself=True)
    above, own = layer.above, layer.own
    x = torch.randn(2, 6, 7, 8)
    weight = torch.zeros(9, 6, 5, 5)
    weight[:, :, :2] = above.weight.detach()
    weight[:, :, 2, :3] = own.weight.detach()[:, :, 0]
    weight[:, :, 2, 2] *= group_mask(9, 6, 3, True)
    expected = torch.nn.functional.conv2d(x, weight, own.bias, padding=2)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_channel_groups_follow_red_green_blue():
    assert group_mask(3, 3, 3, itself=False).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert group_mask(6, 3, 3, itself=True, gates=2).tolist() == 2 * [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert group_mask(3, 6, 3, itself=True, maps=2).tolist() == [2 * [1, 0, 0], 2 * [1, 1, 0], 2 * [1, 1, 1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "height", "width", "levels"), [(1, 3, 3, 2), (1, 2, 2, 4), (3, 1, 2, 2)])
def test_probabilities_of_all_pictures_sum_to_one(kind, channels, height, width, levels):
    model = small(kind, channels, height, width, levels)
    values = list(itertools.product(range(levels), repeat=channels * height * width))
    pictures = torch.tensor(values).view(-1, channels, height, width)
    with torch.no_grad():
        total = model.log_prob(model.pictures(pictures)).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_samples_follow_the_enumerated_distribution():
    model = small("gated", height=2, width=3)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # far from uniform
        pictures = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).view(-1, 1, 2, 3)
        expected = model.log_prob(pictures).exp() * 4000
    drawn = model.sample(4000, noise=Noise.of(0, 4000)).flatten(1) @ 2.0 ** torch.arange(5, -1, -1)
    counts = torch.bincount(drawn.long(), minlength=64)
    common = expected > 5
    chi = ((counts - expected) ** 2 / expected)[common].sum()
    assert float(chi) < int(common.sum()) + 4 * (2 * int(common.sum())) ** 0.5


def both_ways(model, n, given=None):
    """Return samples of the same noise by both methods."""
    drawn = []
    for model.method in ("cached", "naive"):
        drawn.append(model.sample(n, given, noise=Noise.of(1, n)))
    return drawn


def sampled_as_scored(model):
    """Assert that both methods draw the same, from the logits by which it is scored; return the levels drawn."""
    a, b = both_ways(model, 4)
    assert torch.equal(a, b)
    code = model.code(a)
    step = model.cached(code, None)
    channels, height, width = model.shape.dims
    with torch.no_grad():
        whole = model.logits(model.inputs(code))
        for row, column, channel in itertools.product(range(height), range(width), range(channels)):
            found = step(row, column, channel, True)
            assert torch.allclose(found, whole[:, channel, :, row, column], atol=1e-5)
    return code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 7), (3, 4)])
@pytest.mark.parametrize("end", [{}, {"head_layers": 1, "skips": False}, {"head_layers": 3, "skips": False}])
def test_cached_sampling_equals_naive_and_what_is_scored(kind, channels, levels, end):
    model = small(kind, channels, height=5, width=7, levels=levels, **end)
    sampled_as_scored(model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_places_are_told_when_scored_and_when_sampled(kind, channels):
    model = small(kind, channels, height=5, width=7, waves=3, features=24, head=24)
    assert not influence(model).triu().any()
    model = small(kind, channels, height=5, width=7, waves=3, features=24, head=24)
    code = sampled_as_scored(model)
    with torch.no_grad():
        before = model.logits(model.inputs(code))
        for module in model.modules():
            if isinstance(module, Places):
                module.weight.zero_()
        assert (model.logits(model.inputs(code)) - before).abs().amax((0, 1, 2)).min() > 0  # every place is told


def test_places_are_cosines_that_do_not_overlap():
    places = Places((6, 9), 4, 5)
    assert not places().any()
    flat = places.waves.flatten(0, 1)
    gram = flat.T @ flat
    assert torch.allclose(gram, gram.diag().diag(), atol=1e-4)  # orthogonal, as cosines of half periods are
    assert places.waves[0, 0, 1] == pytest.approx(np.cos(np.pi / 18)) and torch.equal(places.waves[..., 0], torch.ones(6, 9))
    torch.nn.init.normal_(places.weight)
    assert torch.allclose(places()[2, 4, 7], places.waves[4, 7] @ places.weight[2])


def test_the_vertical_stack_carries_the_picture_down():
    model = small("gated", layers=10, features=32, height=12, width=12)
    x = torch.randn(2, 1, 12, 12)
    v = h = x
    with torch.no_grad():
        for layer in model.network.layers:
            v, h = layer(v, h, None)
    varying = v - v.mean((0, 2, 3), keepdim=True)
    assert 0.05 < float(varying.std()) < 1


def test_dilated_kernels_see_further_and_are_sampled_as_they_are_scored():
    options = {"height": 12, "width": 9, "layers": 3, "head": 24}
    near, far = (influence(small("gated", dilations=d, **options)) for d in ((1,), (1, 2, 4)))
    assert not far.triu().any()
    first = 4  # a pixel of the first row
    deepest = [int(seen[:, first].nonzero().max()) // 9 for seen in (near, far)]
    assert deepest[0] == 3 + 3 and deepest[1] == min(11, 3 + 1 + 2 + 4)  # the first kernel's three rows, then the layers'
    model = small("gated", dilations=(1, 2, 4), **options)
    sampled_as_scored(model)


def test_labels_reach_both_methods():
    model = small("gated", classes=("a", "b", "c"), conditional=True)
    given = torch.tensor([0, 1, 2, 2])
    a, b = both_ways(model, 4, given)
    assert torch.equal(a, b)
    x = a[:2]
    with torch.no_grad():
        assert not torch.equal(model.log_prob(x, given[:2]), model.log_prob(x, given[2:]))
    with pytest.raises(InputError, match="label of each picture"):
        model.log_prob(x)


def test_level_log_prob_has_its_closed_forms():
    levels = torch.tensor([[[[0, 1]]]])
    assert torch.allclose(level_log_prob(torch.zeros(1, 1, 1, 1, 2), levels), torch.full((1, 1, 1, 2), -np.log(2)).float())
    assert torch.allclose(level_log_prob(torch.zeros(1, 1, 8, 1, 2), levels), torch.full((1, 1, 1, 2), -np.log(8)).float())
    one, two = torch.randn(1, 1, 1, 1, 2), torch.zeros(1, 1, 2, 1, 2)
    two[:, :, 1] = one[:, :, 0]
    assert torch.allclose(level_log_prob(one, levels), level_log_prob(two, levels), atol=1e-6)


def test_inversion_follows_the_probabilities():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    u = torch.linspace(0, 0.999999, 1000)
    counts = torch.bincount(invert(logits.expand(1000, 3), u), minlength=3)
    assert counts.tolist() == pytest.approx([200, 500, 300], abs=1)


def test_levels_are_counted_from_the_data(tmp_path):
    def count(source):
        return least_levels(values_of(genloom.load_data(source)))

    assert count("digits") == 17
    black_and_white = np.array([[[0, 255], [255, 0]]] * 20_001, np.uint8)
    np.save(tmp_path / "x.npy", black_and_white)
    assert count(tmp_path / "x.npy") == 2
    black_and_white[7, 0, 1] = 100
    np.save(tmp_path / "rare.npy", black_and_white)
    assert count(tmp_path / "rare.npy") > 2
    np.save(tmp_path / "g.npy", np.arange(256, dtype=np.uint8).reshape(4, 8, 8))
    assert count(tmp_path / "g.npy") == 256


def test_a_binarised_model_has_two_levels_however_it_is_built():
    model = PixelCNN(
        PixelCNN.Hyper(binarise="threshold", features=4, layers=1), ImageShape(channels=1, height=4, width_px=4)
    )
    assert model.levels == 2 and model.coding == "binary, threshold 0.5"


@pytest.mark.parametrize("features", [16, 20, 36])
def test_the_gradient_of_a_dilated_kernel_is_right_in_bf16(features):
    torch.manual_seed(0)
    layer = Gated(features, features, 1, 1, 0, first=False, dilation=2).to(memory_format=torch.channels_last)
    v = torch.randn(16, features, 32, 32).contiguous(memory_format=torch.channels_last)
    over, found = torch.randn(16, 2 * features, 32, 32), []
    for on in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            out = layer.down(v)
        (out.float() * over).sum().backward()
        found.append(layer.vertical.weight.grad.clone())
    assert (found[1] - found[0]).norm() < 0.02 * found[0].norm()


def test_dilations_are_the_gated_kinds_alone():
    with pytest.raises(InputError, match="--hyper.kind gated"):
        small("plain", dilations=(1, 2))


def test_pictures_between_the_levels_are_refused_with_the_option_that_helps():
    grey = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="--hyper.binarise dynamic"):
        small().log_prob(grey)
    assert small(binarise="dynamic").log_prob(grey).shape == (2,)
    assert small(binarise="dynamic").coding == "binary, drawn with seed 1"
    with pytest.raises(InputError, match="takes pictures as a tensor"):
        small().log_prob(torch.zeros(2, 1, 5, 6))
    for value in (2.0, -0.5, float("nan")):
        with pytest.raises(InputError, match=r"no floats in \[0, 1\]"):
            small(binarise="dynamic").log_prob(torch.full((1, 1, 6, 6), value))


def test_labels_are_for_the_gated_kind_and_labelled_data():
    with pytest.raises(InputError, match="--conditional"):
        small("plain", conditional=True, classes=("a", "b"))


def test_the_diagonal_sees_the_last_pixel_of_the_row_above_only_when_whole():
    options = {"height": 5, "width": 9, "head": 24}
    earlier = torch.ones(45, 45).tril(-1).bool()
    paper, whole = (earlier & ~influence(small("diagonal", whole=w, **options)) for w in (False, True))
    assert not whole.any()
    rows, columns = [i // 9 for i in range(45)], [i % 9 for i in range(45)]
    blind = [(rows[i], columns[i]) for i in range(45) for j in range(45) if paper[i, j]]
    assert len(blind) == 4 * 5 and all(column < 9 - 4 for _, column in blind)
    assert all(columns[j] == 8 and rows[j] == rows[i] - 1 for i, j in paper.nonzero().tolist())


@pytest.mark.parametrize("route", [by_rows(3, 4), by_rows(1, 1), by_diagonals(3, 4), by_diagonals(4, 2), by_diagonals(3, 1)])
def test_a_scan_has_the_gradient_of_its_recurrence(route):
    torch.manual_seed(0)
    cells = sum(front.high - front.low for front in route.fronts)
    shapes = [(2, cells, 2, 8), (2, len(route.taps) * 2, 8), (2, 2), (2, 2)]
    values = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda wide, weight, h, c: scan(wide, weight, (h, c), route), values)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_scan_is_the_recurrence_cell_by_cell(diagonal):
    torch.manual_seed(0)
    route = by_diagonals(3, 4) if diagonal else by_rows(3, 4)
    near = [(0, -1), (-1, 0)] if diagonal else [(-1, 0), (-1, -1), (-1, 1)]
    wide, weight = torch.randn(1, 12, 2, 20), torch.randn(1, 5 * len(near), 20)
    h0, c0 = torch.randn(1, 5), torch.randn(1, 5)
    found = scan(wide, weight, (h0, c0), route)[0].view(3, 4, 2, 5)
    states, memory = {}, {}
    for r, c in itertools.product(range(3), range(4)):
        before = torch.cat([states.get((r + a, c + b), h0.expand(2, 5)) for a, b in near], 1)
        old = memory.get((r + near[0][0], c + near[0][1]), c0.expand(2, 5))
        memory[r, c], states[r, c] = cell(gates_(wide[0, 4 * r + c] + before @ weight[0]), old)
        assert torch.allclose(found[r, c], states[r, c], atol=1e-5)


def weights(cls, **hyper):
    """Return how many weights a model of digits has."""
    model = cls(cls.Hyper(levels=2, **hyper), ImageShape(channels=1, height=28, width_px=28))
    return sum(p.numel() for p in model.parameters())


OLD_END = {"head_layers": 1, "skips": False}


def test_golden_counts_of_the_papers_nets():
    first = 128 * (3 * 7 + 3) + 128
    block = (128 * 64 + 64) + (64 * 64 * (3 + 2) + 64) + (64 * 128 + 128)
    end = (15 * 128 * 32 + 32) + (32 * 32 + 32) + (32 * 1 + 1)  # all maps to 32, 32 to 32, 32 to one logit
    assert weights(PixelCNN) == first + 15 * block + end == 622_561
    assert weights(PixelCNN, **OLD_END) == first + 15 * block + (128 * 32 + 32) + (32 * 1 + 1)
    first = 32 * (3 * 7 + 3) + 32
    layer = 2 * ((32 * 64 + 64) + 2 * 16 * 64 + 2 * 16) + (16 * 32 + 32)
    end = (7 * 32 * 32 + 32) + (32 * 32 + 32) + (32 + 1)
    assert weights(PixelRNN) == first + 7 * layer + end == 71_585
    assert weights(PixelRNN, **OLD_END) == first + 7 * layer + (32 * 32 + 32) + (32 + 1) == 64_385


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layers_see_the_maps_of_all_layers(kind):
    model = small(kind, layers=3)
    net, layers = model.network, getattr(model.network, "blocks", getattr(model.network, "layers", None))
    maps = []
    for layer in layers[-3:]:
        layer.register_forward_hook(lambda _, __, out: maps.append(out[1] if isinstance(out, tuple) else out))
    x = torch.rand(2, 1, 6, 6)
    found = model.logits(x)[:, 0]
    if isinstance(model, PixelRNN):
        maps = [m.permute(2, 3, 0, 1) for m in maps]
    parts = zip(net.head.weight.chunk(3, 1), maps, strict=True)
    h = sum(torch.nn.functional.conv2d(m.relu(), w) for w, m in parts) + net.head.bias[:, None, None]
    for layer in (*net.deeper, net.out):
        h = torch.nn.functional.conv2d(h.relu(), layer.weight, layer.bias)
    assert len(net.deeper) == 1 and torch.allclose(found, h, atol=1e-5)


@pytest.mark.parametrize("cls", [PixelCNN, PixelRNN])
def test_a_run_from_before_the_last_layers_changed_has_its_old_ones(cls):
    record = cls.Hyper.modern().to_json()
    del record["head_layers"], record["skips"]
    assert cls.Hyper.from_json(record) == cls.Hyper.modern()
    assert not cls.Hyper.from_json({}).skips and cls.Hyper.from_json({}).head_layers == 1


def test_packed_bits_are_a_source(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (20, 16, 16), dtype=np.uint8)
    packed = {name: np.packbits(x.reshape(len(x), -1), axis=1) for name, x in (("train", bits[:15]), ("test", bits[15:]))}
    np.savez(tmp_path / "b.npz", **packed)
    train, test = (genloom.load_data(tmp_path / "b.npz", PictureOptions(split=split)) for split in ("train", "test"))
    assert (len(train), len(test)) == (15, 5)
    assert torch.equal(train.pixels[..., 0], torch.from_numpy(bits[:15] * np.uint8(255)))
