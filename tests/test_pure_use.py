"""Use is pure: no batch, order, thread or global seed changes a sample or a score."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import genloom
from genloom.catalogue import find_model
from genloom.core.random import Noise
from genloom.data.source import load
from genloom.shapes.pictures import ImageShape
from genloom.use.sampling.draw import draw

SHAPE = ImageShape(channels=1, height=8, width_px=8, classes=("a", "b"))


def untrained(name, **hyper):
    kind = find_model(name)
    torch.manual_seed(0)
    model = kind(kind.Hyper.tiny().with_values(hyper), SHAPE).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    return model


@pytest.mark.parametrize("name", ["gan", "cgan", "dcgan", "pixelcnn", "pixelrnn", "vae"])
def test_a_sample_hangs_on_its_number_alone(name):
    model = untrained(name)
    labels = torch.arange(6) % 2 if model.conditional else None
    whole = model.sample(6, labels, noise=Noise.of(3, 6))
    last = model.sample(2, None if labels is None else labels[4:], noise=Noise.of(3, 2, start=4))
    assert torch.allclose(whole[4:], last, atol=1e-6) and not torch.allclose(whole[3:5], last, atol=1e-3)
    torch.manual_seed(99)
    assert torch.equal(draw(model, 3, seed=1), draw(model, 3, seed=1)) and torch.initial_seed() == 99


def test_four_threads_get_the_scores_of_one():
    model, x = untrained("vae"), torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    alone = [model.log_prob(part) for part in x.split(3)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(model.log_prob, x.split(3)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert torch.allclose(torch.cat(alone), model.log_prob(x), atol=1e-3)  # nor does the batch change a picture's draws
    assert torch.cat(alone).std() > 1e-2


def test_use_leaves_the_generator_and_the_threads_as_they_were(tmp_path):
    run = genloom.fit("vae", "digits", tmp_path / "r", preset="tiny", examples=256, device="cpu")
    state, threads = torch.default_generator.get_state(), torch.get_num_threads()
    model = genloom.load(run)
    draw(model, 4)
    model.log_prob(load("digits").pictures(torch.arange(2)))
    genloom.judge(run, n=100)
    assert torch.equal(state, torch.default_generator.get_state()) and torch.get_num_threads() == threads


def test_noise_is_uniform_normal_and_of_one_key():
    noise = Noise.of(1, 4000)
    u, z = noise.uniform(5), noise.normal(5)
    assert u.min() >= 0 and u.max() < 1 and u.mean() == pytest.approx(0.5, abs=0.01)
    assert z.mean() == pytest.approx(0, abs=0.02) and z.std() == pytest.approx(1, abs=0.02)
    both = torch.cat([u, z], 1)
    assert (torch.corrcoef(both.T) - torch.eye(10)).abs().max() < 0.06  # four deviations of chance
    assert (torch.corrcoef(torch.stack([u[:-1, 0], u[1:, 0]]))[0, 1]).abs() < 0.06
    assert not torch.equal(Noise.of(1, 4).uniform(2), Noise.of(2, 4).uniform(2))
