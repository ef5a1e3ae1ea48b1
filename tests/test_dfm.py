"""Denoising feature matching: what the denoiser learns, who is moved by it, and that without it this is DCGAN."""

import pytest
import torch

import genloom
from genloom.core.clock import Clock
from genloom.core.model import Misfit
from genloom.models.adversarial.dcgan import DCGAN
from genloom.models.adversarial.dfm import DFM, denoising_error
from genloom.nn.dense import FeatureDenoiser
from genloom.shapes.pictures import ImageShape

DIGITS = ImageShape(tuple("0123456789"), 1, 8, 8)


def built(shape=DIGITS, preset="tiny", **values):
    torch.manual_seed(0)
    return DFM(DFM.Hyper.preset(preset).with_values(values), shape)


def played(model):
    """Play a round without a step; return each player's loss and notes."""
    torch.manual_seed(1)
    x = torch.rand(16, *model.shape.dims)
    return {move.player: move for move in model.round(iter([{"x": x}]), Clock())}


def weights(net):
    return sum(p.numel() for p in net.parameters())


def test_weights_of_the_papers_nets():
    model = built(ImageShape((), 3, 32, 32), "paper")
    ups = 25 * (256 * 128 + 128 * 64 + 64 * 3) + 3
    assert weights(model.generator) == 100 * 4096 + ups + 2 * (256 + 128 + 64)
    downs = 25 * (3 * 64 + 64 * 128 + 128 * 256)
    assert weights(model.discriminator) == downs + 64 + 2 * (128 + 256) + 4096 + 1
    assert weights(model.denoiser) == 4096 * 2048 + 9 * 2048**2 + 10 * 2 * 2048 + 2048 * 4096 + 4096


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_the_denoisers_residual_is_the_score_of_a_gaussian(sigma):
    """It is -sigma^2 (Sigma + sigma^2)^-1 (h - mu): the noise's variance times the gradient of the noisy density's log."""
    torch.manual_seed(0)
    mu, mix = torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.randn(4, 4) / 2
    covariance = mix @ mix.T
    denoiser = FeatureDenoiser(4, (64, 64))
    adam = torch.optim.Adam(denoiser.parameters(), 3e-3)
    for step in range(1500):
        adam.param_groups[0]["lr"] = 3e-3 * (1 - step / 1500)
        h = mu + torch.randn(256, 4) @ mix.T
        adam.zero_grad()
        denoising_error(denoiser, h, sigma).backward()
        adam.step()
    h = mu + torch.randn(2000, 4) @ mix.T + sigma * torch.randn(2000, 4)
    score = -torch.linalg.solve(covariance + sigma**2 * torch.eye(4), (h - mu).T).T
    with torch.no_grad():
        residual = denoiser.eval()(h) - h
    assert torch.cosine_similarity(residual.flatten(), score.flatten(), 0) > 0.98
    assert (residual - sigma**2 * score).square().mean() < 0.1 * (sigma**2 * score).square().mean()


def test_the_target_is_a_constant_and_each_loss_moves_its_own_player():
    model = built(adversarial=0.0)
    torch.manual_seed(1)
    x, reached = torch.rand(16, *model.shape.dims), {}
    for move in model.round(iter([{"x": x}]), Clock()):
        model.zero_grad(set_to_none=True)
        move.loss.backward()
        nets = {"generator": model.generator, "discriminator": model.discriminator, "denoiser": model.denoiser}
        reached[move.player] = {name for name, net in nets.items() if any(p.grad is not None for p in net.parameters())}
    assert reached["denoiser"] == {"denoiser"}  # features of real pictures are constants to it
    assert reached["generator"] == {"generator", "discriminator"}  # through the features, never through r
    assert reached["discriminator"] == {"discriminator"}


def test_the_generators_gradient_is_that_of_the_distance_to_a_fixed_point():
    model = built(denoise=0.7, adversarial=0.0)
    h = torch.randn(16, model.discriminator.out.in_features, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.residual(h), h)
    with torch.no_grad():
        wanted = 2 * (h - model.denoiser(h)) / h.numel()
    assert torch.allclose(gradient, wanted, atol=1e-8)


def test_the_denoiser_sees_real_features_with_noise_and_made_ones_alone():
    """It learns from the real batch by itself, and is asked about the made batch by itself: two batches' statistics."""
    model, seen = built(sigma=2.0), []
    model.denoiser.register_forward_pre_hook(lambda net, given: seen.append(given[0].detach().clone()))
    torch.manual_seed(1)
    x = torch.rand(16, *model.shape.dims)
    features = []
    keep = model.discriminator.features
    model.discriminator.features = lambda x: features.append(keep(x)) or features[-1]
    moves = list(model.round(iter([{"x": x}]), Clock()))
    assert [move.player for move in moves] == ["discriminator", "denoiser", "generator"]
    real, _, made = features  # the discriminator's two passes, and the generator's
    learnt, asked = seen
    assert torch.equal(keep(x * 2 - 1), real) and learnt.shape == asked.shape == real.shape
    assert 1.9 < (learnt - real).std() < 2.1 and torch.equal(asked, made.detach())


def test_the_generators_loss_is_the_sum_of_the_papers_terms():
    model = built(denoise=0.7, adversarial=0.4)
    kept = {}
    inner, logit = model.residual, model.discriminator.logit
    model.residual = lambda h: kept.setdefault("residual", inner(h))
    model.discriminator.logit = lambda h: kept.update(logit=logit(h)) or kept["logit"]
    loss = played(model)["generator"].loss
    wanted = 0.7 * kept["residual"] + 0.4 * torch.nn.functional.softplus(-kept["logit"]).mean()
    assert torch.allclose(loss, wanted)


def test_without_a_denoiser_this_is_dcgan():
    values = {"denoise": 0.0, "width": 32, "kernel": 4}
    model = built(**values)
    torch.manual_seed(0)
    dcgan = DCGAN(DCGAN.Hyper.tiny().with_values({"norm": "batch"}), DIGITS)
    assert [p.name for p in model.players()] == [p.name for p in dcgan.players()]
    ours, theirs = played(model), played(dcgan)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].loss, theirs[name].loss) for name in ours)


def test_bad_input():
    assert isinstance(DFM.fits(DIGITS, DFM.Hyper(hidden=())), Misfit)
    assert isinstance(DFM.fits(genloom.load_data("digits").shape, DFM.Hyper()), ImageShape)
