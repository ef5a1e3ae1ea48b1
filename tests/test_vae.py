"""The VAE: its bound against closed forms and integrals, its decoders against enumeration."""

import math

import pytest
import torch

import genloom
from genloom.core.clock import Clock
from genloom.data import PictureOptions
from genloom.errors import InputError
from genloom.models.likelihood.vae import VAE, dequantised_gaussian, divergence, logistic_levels, path_divergence
from genloom.nn.coder import ConvDecoder, ConvEncoder, gaussian
from genloom.shapes.pictures import ImageShape

GREY = ImageShape(channels=1, height=8, width_px=8)


def small(levels=2, shape=GREY, **hyper):
    torch.manual_seed(0)
    values = {"hidden": (16,), "z": 2, "levels": levels, "deviation": 0.3, **hyper}
    return VAE(VAE.Hyper(**values), shape).eval()


def test_divergence_equals_torch():
    mu, logvar = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    q = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    p = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    assert torch.allclose(divergence(mu, logvar), torch.distributions.kl_divergence(q, p).sum(1), atol=1e-5)
    extreme = divergence(*gaussian(torch.tensor([[0.0, 0.0, 30.0, -30.0]])))
    assert extreme.isfinite().all()


def test_path_divergence_is_the_divergence_and_silent_at_the_posterior():
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for shift in (0.0, 0.3):  # p(x|z) is N(z, 1), so that the posterior is N(x/2, 1/2)
        mu = (x / 2 + shift).requires_grad_()
        logvar = torch.full_like(mu, -math.log(2)).requires_grad_()
        noise = torch.randn(20_000, 7, 3, generator=torch.Generator().manual_seed(1))
        z = mu + (0.5 * logvar).exp() * noise
        cost = path_divergence(mu, logvar, z).mean(0)
        if shift:
            exact = torch.autograd.grad(divergence(mu, logvar).sum(), (mu, logvar))
            found = torch.autograd.grad(cost.sum(), (mu, logvar))
            assert torch.allclose(cost, divergence(mu, logvar), atol=0.05)
            assert all(torch.allclose(a, b, atol=0.03) for a, b in zip(exact, found, strict=True))
        else:
            bound = -0.5 * (x - z[0]).square().sum(1) - path_divergence(mu, logvar, z[0])
            assert all(g.abs().max() < 1e-6 for g in torch.autograd.grad(bound.sum(), (mu, logvar)))  # of a single draw


def test_the_path_gradient_is_for_one_draw_and_another_loss():
    with pytest.raises(InputError, match="one draw"):
        small(path=True, draws=5)
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    losses = []
    for path in (False, True):
        model = small(path=path)
        torch.manual_seed(3)
        losses.append(float(next(model.round(iter([{"x": x}]), Clock())).loss.detach()))
    assert losses[0] != losses[1]


@pytest.mark.parametrize("scale", [-7.0, -2.0, 5.0])
@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.3, 1.0, 1.7])
def test_logistic_levels_sum_to_one(scale, mean):
    levels = torch.arange(17).view(17, 1, 1, 1)
    each = logistic_levels(levels, torch.full((17, 1, 1, 1), mean), torch.tensor(scale), 17)
    assert float(each.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert each.isfinite().all() or scale == -7.0


def test_logistic_levels_have_finite_gradients_at_the_edges():
    mean = torch.tensor([0.0, 1.0, 0.5, 0.0]).view(4, 1, 1, 1).requires_grad_()
    scale = torch.full((1, 1, 1), -7.0, requires_grad=True)
    logistic_levels(torch.tensor([0, 255, 128, 255]).view(4, 1, 1, 1), mean, scale, 256).sum().backward()
    assert mean.grad.isfinite().all() and scale.grad.isfinite().all()


def test_dequantised_gaussian_is_a_bound_on_the_bin():
    torch.manual_seed(0)
    mean, scale = torch.full((20_000, 1, 1, 1), 0.4), torch.tensor(math.log(0.2))
    levels = torch.full((20_000, 1, 1, 1), 3)
    law = torch.distributions.Normal(0.4, 0.2)
    exact = math.log(float(law.cdf(torch.tensor(0.5)) - law.cdf(torch.tensor(3 / 8))))
    found = float(dequantised_gaussian(levels, mean, scale, 8).mean())
    assert exact - 0.05 < found < exact + 1e-3


def test_bounds_are_ordered_and_reach_the_exact_likelihood():
    model = small(deviation=0.2)
    x = (torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    levels = model.code(x)
    side = torch.linspace(-6, 6, 241)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():  # the integral over the two-dimensional code, by the rectangle rule
        prior = -0.5 * grid.square().sum(1) - math.log(2 * math.pi)
        exact = torch.stack(
            [(model.likelihood(one.expand(len(grid), 1, 8, 8), grid) + prior).logsumexp(0) for one in levels]
        ) + 2 * math.log(12 / 240)
        torch.manual_seed(0)
        elbo = torch.stack([model.elbo(x) for _ in range(400)]).mean(0)
        few, many = model.importance(x, 64), model.importance(x, 4000)
    assert (elbo < exact).all() and float(elbo.mean()) < float(few.mean()) < float(exact.mean()) + 0.02
    assert torch.allclose(many, exact, atol=0.05)


def test_one_draw_is_the_elbo_and_scoring_repeats():
    model = small()
    x = (torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    levels = model.code(x)
    with torch.no_grad():
        mu, logvar = model.posterior(levels)
        torch.manual_seed(0)
        ones = torch.stack([model.weighted(levels, mu, logvar, 1) for _ in range(3000)]).mean(0)
        elbos = torch.stack([model.elbo(x) for _ in range(3000)]).mean(0)
    assert torch.allclose(ones, elbos, atol=0.3)
    assert torch.equal(model.log_prob(x), model.log_prob(x)) and model.bound == "iw-64"


def test_every_picture_is_scored_by_draws_of_its_own():
    model = small(decoder="gaussian")
    with torch.no_grad():
        for layer in (model.encoder[-1], model.decoder[-1]):
            layer.weight.zero_()
        model.encoder[-1].bias.fill_(1.0)  # a posterior other than the prior
        model.decoder[-1].bias.zero_()
        model.log_scale.fill_(9.0)  # every picture is as likely: what is left is the draws
    scores = model.log_prob(torch.eye(64).view(64, 1, 8, 8))
    assert scores.unique().numel() > 32 and torch.equal(scores, model.log_prob(torch.eye(64).view(64, 1, 8, 8)))


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "logistic"])
def test_the_most_likely_decoding_is_the_picture_itself(decoder):
    model = small(decoder=decoder)
    x = torch.eye(8).view(1, 1, 8, 8)
    out = torch.zeros(1, 1, 8, 8, requires_grad=True)
    model.raw = lambda z: out
    adam = torch.optim.Adam([out], 0.1)
    for _ in range(150):
        adam.zero_grad()
        (-model.likelihood(model.code(x), torch.zeros(1, 2))).sum().backward()
        adam.step()
    assert (model.generate(torch.zeros(1, 2)) - x).abs().max() < 0.15


def test_the_prior_on_the_weights_is_shared_among_the_examples():
    data = genloom.load_data("digits")
    model = small(levels=17, decoder="logistic", decay=2.0)
    model.study(data, lambda name, make: make())
    square = sum(float(p.detach().square().sum()) for p in model.decoder.parameters())  # of the encoder's none
    assert float(model.prior_on_weights().detach()) == pytest.approx(square / len(data), rel=1e-5)


def test_beta_is_not_ignored_in_silence():
    with pytest.raises(InputError, match="--hyper.beta"):
        small(draws=5, beta=4.0)


def test_the_objective_is_minus_the_bound_in_nats_a_picture():
    model = small()
    x = (torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    for hyper in ({"decay": 0.0}, {"decay": 0.0, "beta": 3.0}):
        model.hyper = model.hyper.with_values(hyper)
        torch.manual_seed(0)
        move = next(model.round(iter([{"x": x}]), None))
        likelihood, kl = (move.notes[name].detach() for name in ("likelihood", "kl"))
        assert float(move.loss.detach()) == pytest.approx(float(model.hyper.beta * kl - likelihood), rel=1e-5)
    torch.manual_seed(0)
    twice = next(model.round(iter([{"x": x.repeat(500, 1, 1, 1)}]), None))
    assert float(twice.loss.detach()) == pytest.approx(float(move.loss.detach()), rel=0.02)  # no hidden sum over the batch


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (7, 11)])
def test_convolutional_coders_take_any_size(size):
    encoder, decoder = ConvEncoder(3, size, 8, 10), ConvDecoder(5, size, 8, 3)
    x = torch.rand(2, 3, *size)
    assert encoder(x).shape == (2, 10) and decoder(torch.randn(2, 5)).shape == (2, 3, *size)


def test_the_papers_net_has_its_count():
    paper = VAE(VAE.Hyper(levels=2), ImageShape(channels=1, height=28, width_px=28))
    encoder = (784 * 500 + 500) + (500 * 40 + 40)
    decoder = (20 * 500 + 500) + (500 * 784 + 784)
    assert sum(p.numel() for p in paper.parameters()) == encoder + decoder


def test_grey_pictures_need_a_choice():
    misfit = VAE.fits(GREY, VAE.Hyper(levels=256))
    assert misfit.remedy and "256 levels: say --hyper.binarise dynamic, or --hyper.decoder logistic" in misfit.reason
    for hyper in ({"levels": 2}, {"levels": None}, {"binarise": "dynamic"}, {"levels": 256, "decoder": "logistic"}):
        assert VAE.fits(GREY, VAE.Hyper(**hyper)) is GREY
    for decoder in ("logistic", "gaussian"):
        model = small(17, decoder=decoder)
        assert model.log_prob(torch.zeros(2, 1, 8, 8)).shape == (2,)
    assert "dequantisation" in model.coding


def test_tiny_learns_the_digits_and_encodes_them(tmp_path):
    run = genloom.fit("vae", "digits", tmp_path / "run", preset="tiny", examples=15_000, device="cpu", precision="fp32")
    model = genloom.load(run)
    test = genloom.load_data("digits", PictureOptions(split="test"))
    x = test.pictures(torch.arange(len(test)))
    with torch.no_grad():
        assert -model.log_prob(x).mean() < 115  # a code that is never looked at: 121.3
        again = model.decode(model.encode(x))
    assert (again - x).square().mean() < 0.6 * (x - x.mean(0)).square().mean()


def test_the_convolutional_net_learns_too(tmp_path):
    hyper = {"features": 8, "z": 8, "decoder": "logistic", "ema": 3000, "rate": 4e-3}
    run = genloom.fit(
        "vae",
        "digits",
        tmp_path / "run",
        preset="modern",
        hyper=hyper,
        examples=15_000,
        device="cpu",
        precision="fp32",
        batch=64,
    )
    model = genloom.load(run)
    test = genloom.load_data("digits", PictureOptions(split="test"))
    x = test.pictures(torch.arange(len(test)))
    with torch.no_grad():
        assert -model.log_prob(x).mean() < 115  # a code that is never looked at: 121.3
        assert (model.decode(model.encode(x)) - x).square().mean() < 0.6 * (x - x.mean(0)).square().mean()


def test_the_decoder_may_begin_at_the_mean_picture():
    data = genloom.load_data("digits")
    mean = data.pictures(torch.arange(len(data))).mean(0)
    for centred in (True, False):
        model = VAE(VAE.Hyper.tiny().with_values({"centred": centred, "levels": 17}), data.shape)
        model.study(data, lambda name, make: make())
        with torch.no_grad():
            model.decoder[-1].weight.zero_()  # what is left is where the decoder begins
            begins = model.generate(torch.zeros(1, 8))[0]
        assert torch.allclose(begins, mean.clamp(0.001, 0.999) if centred else torch.full_like(mean, 0.5), atol=1e-4)


def test_weights_begin_as_glorot_has_them_unless_a_deviation_is_given():
    shape = ImageShape(channels=1, height=28, width_px=28)
    for deviation in (None, 0.01):
        model = VAE(VAE.Hyper(levels=2, hidden=(200,), deviation=deviation), shape)
        expected = deviation or (2 / (784 + 200)) ** 0.5
        assert float(model.encoder[0].weight.detach().std()) == pytest.approx(expected, rel=0.02)
        biases = torch.cat([layer.bias.detach() for layer in (model.encoder[0], model.encoder[-1], model.decoder[-1])])
        assert float(biases.std()) == pytest.approx(deviation or 0.0, rel=0.1)


def test_descent_warms_up_and_falls_by_a_cosine():
    hyper = VAE.Hyper(rate=2.0, warmup=100, anneal=1000)
    rates = [hyper.schedule(Clock(examples))["lr"] for examples in (49, 100, 500, 1000, 5000)]
    assert rates[0] == pytest.approx(1.0, rel=0.02) and rates[2] == pytest.approx(1.01)
    assert rates[1] > rates[2] > rates[3] == rates[4] == pytest.approx(0.02)
    assert VAE.Hyper(rate=2.0).schedule(Clock(10**9)) == {"lr": 2.0}


@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_a_picture_scores_the_same_in_any_batch(binarise):
    model = small(binarise=binarise)
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    x = x if binarise == "dynamic" else x.round()
    with torch.no_grad():
        whole = model.log_prob(x)
        assert torch.allclose(whole[4:5], model.log_prob(x[4:5]), atol=1e-4)
        assert torch.allclose(whole, model.log_prob(x.flip(0)).flip(0), atol=1e-4)
    with pytest.raises(InputError, match="without"):
        model.log_prob(x, torch.zeros(6))
