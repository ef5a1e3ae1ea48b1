"""One contract for every model, and what each paper fixes."""

import dataclasses
import math

import pytest
import torch

import genloom
from games import record
from genloom.catalogue import MODELS, find_model
from genloom.core import objectives
from genloom.core.capabilities import Encodes, Imputes, Latent, Restyles, Samples, Tags, Translates, Upscales
from genloom.core.clock import Clock
from genloom.core.dataset import take
from genloom.core.hyper import Hyper, hp
from genloom.core.model import Misfit
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.adversarial import cgan, dcgan, gan
from genloom.nn.conv import SpectralNorm
from genloom.nn.dcgan import StridedDiscriminator, StridedGenerator
from genloom.nn.dense import Maxout
from genloom.shapes.columns import Column
from genloom.shapes.events import EventShape
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape
from genloom.shapes.pieces import PieceShape
from genloom.shapes.points import PointShape
from genloom.shapes.score import ScoreShape
from genloom.shapes.series import SeriesShape
from genloom.shapes.styles import StyleShape
from genloom.shapes.table import TableShape
from genloom.shapes.tags import TagShape
from genloom.tensors import read_tensors
from genloom.train.checkpoint import plain, read_weights
from genloom.train.learner import Learner
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.ranks import Ranks
from genloom.train.run import Run

DIGITS = ImageShape(classes=tuple("0123456789"), channels=1, height=8, width_px=8)
ROWS = TableShape(
    columns=(
        Column("a", low=-3.0, high=3.0),
        Column("b", "categorical", categories=("x", "y", "z")),
        Column("c", "date", scale=1e7, high=1e8),
    )
)
MNIST = ImageShape(classes=tuple("0123456789"), channels=1, height=28, width_px=28)


SHAPES = (
    DIGITS,
    ROWS,
    PointShape(columns=1),
    PairShape(height=8, width_px=8),
    PieceShape(channels=3, height=32, width_px=32),
    TagShape(("red", "blue", "warm"), columns=4, height=32, width_px=32),
    SeriesShape(
        columns=(
            Column("level", low=0.0, high=3.0),
            Column("mode", "categorical", categories=("on", "off", "idle")),
            Column("flow", low=0.0, high=3.0),
        ),
        window=12,
        conditions=("mode",),
    ),
    ScoreShape(voices=("upper", "lower"), low=50, high=70, window=8),
    EventShape(notes=8, low=40, high=90),
    StyleShape(("a", "b"), voices=("upper", "lower"), low=50, high=70, window=8),
)


def build(name, preset="tiny"):
    torch.manual_seed(0)
    cls = find_model(name)
    hyper = cls.Hyper.preset(preset)
    return cls(hyper, next(shape for shape in SHAPES if cls.fits(shape, hyper) == shape))


def at_once(name, make):
    """Remember nothing."""
    return make()


class Random:
    """A data set of noise in a model's shape."""

    source, fingerprint, notes, lengths = "noise", "noise", (), {"x": 64}

    def __init__(self, shape):
        self.shape = shape

    @property
    def images(self):
        return Random(ImageShape((), *self.shape.pictures))

    @property
    def pairs(self):
        return torch.stack([torch.arange(64), torch.arange(64) % 3], 1)

    @property
    def vectors(self):
        return torch.eye(3, 4)

    def to(self, device):
        return self

    def batch(self, indices, generator=None):
        index = indices["x"]
        generator = torch.Generator().manual_seed(int(index[0]))
        x = torch.rand(len(index), *self.shape.dims, generator=generator)
        if isinstance(self.shape, TableShape | SeriesShape):
            x = (x * 3).floor()  # whole numbers, which name categories too
            return {"x": x, "mask": torch.rand(x.shape, generator=generator) < 0.8}
        if isinstance(self.shape, ScoreShape):
            notes, rows = (x * self.shape.codes).long(), torch.zeros(len(index), dtype=torch.long)
            notes[:, 0] = notes[:, 0].clamp_min(2)
            mask = torch.ones(x.shape[:2], dtype=torch.bool)
            if isinstance(self.shape, StyleShape):
                return {"x": notes, "b": notes.flip(0)}
            return {"x": notes, "beat": rows[:, None].expand(mask.shape), "bar": rows + 16, "key": rows, "mask": mask}
        if isinstance(self.shape, PairShape):
            return {"x": x, "b": 1 - x}
        if isinstance(self.shape, TagShape):
            return {"x": x, "picture": torch.rand(len(index), *self.shape.pictures, generator=generator)}
        return {"x": x, **({"y": index % len(self.shape.classes)} if self.shape.classes else {})}


@pytest.mark.parametrize("name", [n for n in MODELS if not find_model(n).at_once])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_contract(name, precision):
    model = build(name)
    data = Random(model.shape)
    data, known = model.study(data, at_once), data.lengths
    assert known.items() <= data.lengths.items()  # a second order of the examples may come beside
    learners = {p.name: Learner(p, Ranks()) for p in model.players()}
    assert sorted(id(p) for s in learners.values() for p in s.parameters) == sorted(id(p) for p in model.parameters())
    moved, trained = set(), set()
    for i, phase in enumerate(model.phases()):
        clock = Clock(examples=8, rounds=0, phase=i, length=16)  # in the middle of each
        batches = (take(data, torch.arange(16) + i) for i in range(100))
        play_a_round(phase.round(batches, clock), model, learners, precision, moved, trained)
    assert moved == learners.keys()
    assert trained == {id(p) for p in model.parameters()}, "a weight that nobody trains"


def play_a_round(rounds, model, learners, precision, moved, trained):
    """Play one round, in which nobody moves but who moves."""
    while True:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            move = next(rounds, None)
        if move is None:
            break
        assert move.loss.shape == () and move.loss.isfinite() and move.notes.keys() <= model.notes.keys()
        before = {n: [p.detach().clone() for p in s.parameters] for n, s in learners.items()}
        learners[move.player].descend(move.loss, 1)
        trained |= {id(p) for p in learners[move.player].parameters if p.grad is not None}
        learners[move.player].step(Clock(), watch=False)
        for other, learner in learners.items():
            same = all(torch.equal(a, b) for a, b in zip(before[other], learner.parameters, strict=True))
            assert same == (other != move.player)
        moved.add(move.player)


@pytest.mark.parametrize("name", [n for n in MODELS if issubclass(find_model(n), Samples)])
def test_samples_have_shape_range_and_seed(name):
    model = build(name).eval()
    given = torch.arange(5) if model.conditional else None
    a, b, c = (model.sample(5, given, noise=Noise.of(s, 5)) for s in (1, 1, 2))
    assert a.shape == (5, *model.shape.dims) and torch.equal(a, b) and not torch.equal(a, c)
    parts = [
        model.sample(n, given if given is None else given[start : start + n], noise=Noise.of(1, n, start))
        for start, n in ((0, 2), (2, 3))
    ]
    assert torch.allclose(torch.cat(parts), a, atol=1e-5)  # a sample is its own, whatever is drawn beside it
    if isinstance(model.shape, ImageShape):
        assert a.min() >= 0 and a.max() <= 1


@pytest.mark.parametrize("name", [n for n in MODELS if issubclass(find_model(n), Latent)])
def test_the_same_code_gives_the_same_example(name):
    model = build(name).eval()
    z = model.prior(3, Noise.of(0, 3))
    assert torch.equal(model.generate(z), model.generate(z))


@pytest.mark.parametrize("name", MODELS)
def test_saved_weights_give_the_same_samples(name):
    a, b = build(name).eval(), build(name).eval()
    with torch.no_grad():
        for p in b.parameters():
            p.add_(1)
    read_weights(b, {key: plain(value) for key, value in a.state_dict().items()}, "here")
    if isinstance(a, Samples):
        x, y = (m.sample(3, noise=Noise.of(0, 3)) for m in (a, b))
    elif isinstance(a, Imputes):
        rows = take(Random(a.shape), torch.arange(5))
        x, y = (m.impute(rows["x"], rows["mask"]) for m in (a, b))
    elif isinstance(a, Tags):
        h = torch.randn(3, 1280, generator=torch.Generator().manual_seed(0))
        x, y = (m.made(h, Noise.of(0, 3)) for m in (a, b))
    elif isinstance(a, Upscales):
        x, y = (m.upscale(take(Random(a.shape), torch.arange(5))["x"]) for m in (a, b))
    elif isinstance(a, Restyles):
        x, y = (m.restyle(take(Random(a.shape), torch.arange(5))["x"][0], 1) for m in (a, b))
    elif isinstance(a, Translates):
        rows = take(Random(a.shape), torch.arange(5))
        x, y = (m.translate(rows["x"], noise=Noise.of(0, 5)) for m in (a, b))
    else:
        x, y = (m.encode(torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))) for m in (a, b))
    assert torch.equal(x, y)


@pytest.mark.parametrize("name", [n for n in MODELS if issubclass(find_model(n), Encodes)])
def test_codes_go_back_to_pictures_in_range(name):
    model = build(name).eval()
    x = (torch.randint(0, 17, (5, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 16).float()
    z = model.encode(x)
    back = model.decode(z)
    assert z.shape == (5, model.hyper.z) and back.shape == x.shape and back.min() >= 0 and back.max() <= 1
    assert torch.allclose(model.encode(x[2:3]), z[2:3], atol=1e-5)  # of each picture by itself


@pytest.mark.parametrize("name", MODELS)
def test_every_hyper_parameter_is_explained(name):
    for preset in (presets := find_model(name).Hyper).presets():
        assert presets.from_json(presets.preset(preset).to_json()) == presets.preset(preset)
    assert all(field.metadata["help"] for field in presets.__dataclass_fields__.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "examples"), [("gan", 60_000), ("cgan", 60_000), ("dcgan", 10_000)])
def test_tiny_learns_digits(name, examples, tmp_path):
    import genloom
    from genloom.measures.light import LightJudge

    data = genloom.load_data("digits")
    run = genloom.fit(name, data, tmp_path / "run", preset="tiny", examples=examples, report_every=1e9, device="cpu")
    judge = LightJudge(data, 0)
    trained, fresh = judge(genloom.load(run))[1], judge(build_for(name, data).eval())[1]
    assert trained < 0.5 * fresh


def build_for(name, data):
    torch.manual_seed(0)
    cls = find_model(name)
    model = cls(cls.Hyper.tiny(), data.shape)
    model.study(data, at_once)
    return model


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_golden_sizes_of_gan():
    model = gan.GAN(gan.GANHyper(), MNIST)
    assert count(model.generator) == 101 * 1200 + 1201 * 1200 + 1201 * 784
    assert count(model.discriminator) == 785 * 240 * 5 + 241 * 240 * 5 + 241
    assert model.generator.h0.weight.abs().max() <= 0.05 and model.discriminator.h0.linear.weight.abs().max() <= 0.005
    z = model.prior(10_000)
    assert z.var().item() == pytest.approx(1, abs=0.02) and z.abs().max() <= 3**0.5


def test_golden_sizes_of_cgan():
    model = cgan.CGAN(cgan.CGANHyper(), MNIST)
    assert count(model.generator) == 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    assert count(model.discriminator) == 785 * 240 * 5 + 11 * 50 * 5 + 291 * 240 * 4 + 241


def test_golden_sizes_of_dcgan():
    colour = ImageShape(channels=3, height=64, width_px=64)
    model = dcgan.DCGAN(dcgan.DCGANHyper(), colour)
    maps = [1024, 512, 256, 128]
    convs = sum(a * b * 25 for a, b in zip(maps, [*maps[1:], 3], strict=True))
    assert count(model.generator) == 100 * 16 * 1024 + convs + 3 + 2 * sum(maps)
    convs = sum(a * b * 25 for a, b in zip([3, 128, 256, 512], maps[::-1], strict=True))
    assert count(model.discriminator) == convs + 128 + 2 * (256 + 512 + 1024) + 16 * 1024 + 1
    plain_port = StridedDiscriminator(3, (64, 64), 64, 4, spectrally=False)
    assert count(plain_port) == 2_765_568 + 64 + 1  # the widely used port, and the two biases it leaves out


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("kernel", [4, 5])
def test_dcgan_at_every_size(size, kernel):
    makers = [StridedGenerator(100, 1, (size, size), 2, kernel, resized=resized) for resized in (False, True)]
    for maker in makers:
        x = maker(torch.randn(2, 100))
        assert x.shape == (2, 1, size, size) and StridedDiscriminator(1, (size, size), 2, kernel)(x).shape == (2,)


@pytest.mark.parametrize(
    ("asked", "made"),
    [((60, 90), (64, 96)), ((90, 60), (96, 64)), ((28, 28), (32, 32)), ((8, 100), (8, 32)), ((1, 1), (8, 8))],
)
def test_dcgan_makes_rectangles(asked, made):
    shape = dcgan.DCGAN.fits(ImageShape(channels=3, height=asked[0], width_px=asked[1]), dcgan.DCGANHyper())
    assert shape.size == made
    model = dcgan.DCGAN(dcgan.DCGANHyper(width=2), shape)
    x = model.sample(2)
    assert x.shape == (2, 3, *made) and model.discriminator(x).shape == (2,)


def test_conditional_dcgan_has_eleven_planes():
    model = dcgan.DCGAN(dcgan.DCGANHyper(conditional=True, width=4), ImageShape(MNIST.classes, 1, 64, 64))
    assert model.discriminator.first.in_channels == 11 and model.generator.project.in_features == 110
    planes = dcgan.beside_picture(torch.zeros(2, 1, 64, 64), torch.eye(10)[[3, 7]])
    assert planes.shape == (2, 11, 64, 64)
    assert planes[0, 1 + 3].min() == 1 and planes[0].sum() == 64 * 64


def test_dcgan_keeps_real_and_fake_statistics_apart():
    model = build("dcgan", "paper").train()
    seen = []
    norm = StridedDiscriminator(1, (16, 16), 4, 5, spectrally=False).norms[0]
    model.discriminator.register_forward_pre_hook(lambda m, x: seen.append(len(x[0])))
    list(model.round(iter([take(Random(DIGITS), torch.arange(16))]), Clock()))
    assert seen == [16, 16, 16] and isinstance(norm, torch.nn.BatchNorm2d)


def test_what_fits_and_what_does_not():
    hyper = dcgan.DCGANHyper()
    assert dcgan.DCGAN.fits(MNIST, hyper) == dataclasses.replace(MNIST, height=32, width_px=32)
    wide = ImageShape(channels=3, height=100, width_px=60)
    assert dcgan.DCGAN.fits(wide, hyper).size == (112, 64)
    for found, says in (
        (cgan.CGAN.fits(ImageShape(), cgan.CGANHyper()), "learns from labels"),
        (dcgan.DCGAN.fits(ImageShape((), 1, 64, 64), dcgan.DCGANHyper(conditional=True)), "needs labels"),
    ):
        assert isinstance(found, Misfit) and says in found.reason and found.remedy


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_one_kind_of_data_and_says_why_not_others(name):
    cls = find_model(name)
    hyper = cls.Hyper.tiny()
    taken = [shape.kind for shape in SHAPES if not isinstance(cls.fits(shape, hyper), Misfit)]
    assert len(taken) == 1
    for shape in SHAPES:
        if shape.kind not in taken:
            assert shape.describe() in cls.fits(shape, hyper).reason


# -- the mathematics -------------------------------------------------------------------------------


def test_objectives_equal_their_definitions():
    real, fake = torch.randn(50), torch.randn(50)
    d = torch.sigmoid
    expected = -(d(real).log().mean() + (1 - d(fake)).log().mean())
    assert objectives.discriminate(real, fake).item() == pytest.approx(expected.item(), 1e-5)
    assert objectives.minimax(fake).item() == pytest.approx((1 - d(fake)).log().mean().item(), 1e-5)
    assert objectives.non_saturating(fake).item() == pytest.approx(-d(fake).log().mean().item(), 1e-5)
    assert objectives.discriminate(torch.tensor([1e4]), torch.tensor([1e4])).isfinite()


@pytest.mark.parametrize(
    ("name", "preset", "weight"), [("gan", "paper", 0.5), ("gan", "modern", 0.5), ("cgan", "paper", 1.0)]
)
def test_the_discriminator_descends_what_its_authors_had(name, preset, weight):
    cls = find_model(name)
    model = cls(cls.Hyper.preset(preset), DIGITS).eval()  # without dropout, so that the sum can be made anew
    x, y = torch.rand(6, 1, 8, 8), torch.arange(6) % 10
    torch.manual_seed(0)
    move = next(model.round(iter([{"x": x, "y": y}]), None))
    torch.manual_seed(0)
    labels = (torch.eye(10)[y],) if name == "cgan" else ()
    fake = model.generator(model.prior(6), *labels)
    real, fake = (model.discriminator(part.flatten(1), *labels).double().sigmoid() for part in (x, fake))
    expected = -weight * (real.log().mean() + (1 - fake).log().mean())  # eq. (1), and half of it in the GAN's own code
    assert float(move.loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_averaging_leaves_the_training_alone(tmp_path):
    trained = []
    for ema in ("none", 500.0):  # so a run of gan's `modern` holds the plain weights of `paper` beside its averages
        hyper = {"ema": ema}
        run = genloom.fit("gan", "digits", tmp_path / str(ema), preset="tiny", hyper=hyper, examples=900, device="cpu")
        trained.append(read_tensors(run.checkpoint("last") / "model.safetensors"))
        averaged = read_tensors(run.weights())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    assert not torch.equal(averaged["generator.y.weight"], trained[1]["generator.y.weight"])


@pytest.mark.parametrize("name", ["gan", "cgan"])
def test_generators_begin_at_the_mean_of_all_examples(name):
    data = Random(DIGITS)
    data.lengths = {"x": 10_400}
    x = torch.zeros(10_400, *DIGITS.dims)
    x[10_000:, 0, 0, 0] = 1.0  # lit in the last examples alone
    x[:5, 0, 0, 1], x[:, 0, 0, 2] = 0.5, 1.0  # hardly ever lit, always; the others never
    data.batch = lambda indices, generator=None: {"x": x[indices["x"]]}
    cls = find_model(name)
    model = cls(cls.Hyper(), DIGITS)
    model.study(data, at_once)
    bias = (model.generator.y if name == "gan" else model.generator.x).bias.detach().tolist()
    odds = [400 / 10_000, 2.5 / 10_397.5, 1e7 - 1, 1 / (1e7 - 1)]
    assert bias[:4] == pytest.approx([math.log(each) for each in odds], rel=1e-4)


def test_gradient_penalty_against_finite_differences():
    critic = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    x = torch.randn(4, 3).double()
    step = 1e-5 * torch.eye(3).double()
    slopes = torch.stack([(critic(x + s) - critic(x - s))[:, 0] / 2e-5 for s in step], 1)
    assert objectives.gradient_penalty(critic, x).item() == pytest.approx(slopes.square().sum(1).mean().item(), 1e-5)
    expected = (slopes.norm(dim=1) - 1).square().mean().item()
    assert objectives.gradient_penalty(critic, x, target=1.0).item() == pytest.approx(expected, 1e-5)


def test_schedules():
    hyper = gan.GANHyper()
    start, end = hyper.schedule(Clock(0)), hyper.schedule(Clock(10**12))
    assert start == {"lr": 0.1, "momentum": 0.5} and end == {"lr": 1e-6, "momentum": 0.7}
    halfway = hyper.schedule(Clock(6_250_000))
    assert halfway["momentum"] == pytest.approx(0.6)
    assert halfway["lr"] == pytest.approx(0.1 / 1.000004**62_500)


def test_maxout_is_the_largest_of_its_pieces():
    layer = Maxout(4, 3, 5, 0.5)
    x = torch.randn(2, 4)
    every = torch.nn.functional.linear(x, layer.linear.weight, layer.linear.bias).view(2, 5, 3)
    assert torch.equal(layer(x), every.max(1).values)


def test_spectral_norm_finds_the_largest_singular_value():
    norm = SpectralNorm(weight := torch.randn(6, 4, 2, 2))
    for _ in range(200):
        scaled = norm(weight)
    assert torch.linalg.matrix_norm(scaled.flatten(1), 2).item() == pytest.approx(1, abs=1e-4)
    norm.eval()
    assert torch.equal(norm(weight), norm(weight))


def test_the_line_comes_to_rest(tmp_path):
    from genloom.data.points import gaussian_line
    from genloom.models.adversarial.line import Line
    from genloom.use.lesson import verdict

    data = gaussian_line()
    torch.manual_seed(0)
    model = Line(Line.Hyper(), data.shape)
    before = verdict(model)
    plan = Plan(examples=400_000, batch=256, report_every=1e9, save_every=1e9)
    for _ in play(model, data, Run.begin(tmp_path / "line", record("line")), plan):
        pass
    after = verdict(model)
    assert abs(after["mean"]) < 0.2 and 0.7 < after["deviation"] < 1.3 < 4 * after["deviation"]
    assert before["deviation"] < 0.7 and after["gap"] < 0.2


# -- hyper-parameters ------------------------------------------------------------------------------


def test_hyper_reads_text_and_refuses_nonsense():
    hyper = gan.GANHyper().with_values({"z": "64", "rate": "1e-3", "ema": "none", "objective": "minimax"})
    assert (hyper.z, hyper.rate, hyper.ema, hyper.objective) == (64, 1e-3, None, "minimax")
    for values, says in (
        ({"latent": 3}, "no hyper-parameter 'latent'"),
        ({"z": "many"}, "takes int, got 'many'"),
        ({"z": "0"}, "at least 1"),
        ({"objective": "minmax"}, "did you mean 'minimax'"),
        ({"keep_input": "1.5"}, "between 0.01 and 1"),
        ({"z": "1.5"}, "takes int"),
    ):
        with pytest.raises(InputError, match=says):
            gan.GANHyper().with_values(values)
    assert dcgan.DCGANHyper().with_values({"conditional": "true", "kernel": "4"}).kernel == 4
    with pytest.raises(InputError, match="takes bool"):
        dcgan.DCGANHyper().with_values({"conditional": "maybe"})


def test_hp_is_frozen():
    from dataclasses import FrozenInstanceError, dataclass

    @dataclass(frozen=True)
    class Small(Hyper):
        width: int = hp(3, "w", low=1)

    with pytest.raises(FrozenInstanceError):
        Small().width = 4


def test_a_batch_given_reaches_the_schedule(tmp_path):
    import genloom

    session = genloom.prepare(genloom.Request("gan", "digits", tmp_path / "a", batch=10, examples=100, device="cpu"))
    assert session.hyper.schedule(Clock(10))["lr"] == pytest.approx(0.1 / 1.000004)


def test_spectral_norm_iterates_once_a_forward():
    net = StridedDiscriminator(1, (16, 16), 4, 5).train()
    calls = []
    net.convs[0].parametrizations.weight[0].register_forward_hook(lambda *a: calls.append(1))
    net(torch.randn(2, 1, 16, 16))
    assert calls == [1]


def test_temperature_scales_the_noise_of_cgan_and_not_its_masks():
    model = build("cgan").eval()
    code = model.prior(50)
    z, masks = code[:, : model.hyper.z], code[:, model.hyper.z :]
    cold = model.scaled(code, 0.0)
    assert torch.all(cold[:, : model.hyper.z] == 0.5) and torch.equal(cold[:, model.hyper.z :], masks)
    assert torch.allclose(model.scaled(code, 1.0)[:, : model.hyper.z], z)
