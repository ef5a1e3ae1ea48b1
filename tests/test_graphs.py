"""Networks that a GPU plays back: which calls are played back, and that recording leaves no trace."""

import copy

import pytest
import torch
from torch import nn

from genloom.catalogue import find_model
from genloom.core.clock import Clock
from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.shapes.pictures import ImageShape
from genloom.train.graphs import Recorded, record_networks, record_one
from genloom.train.plan import Plan
from genloom.train.request import Request
from genloom.train.session import prepare


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_rounds_of_feature_matching_are_played_back(tmp_path, monkeypatch, net):
    """Every call of a round takes a recorded way; losses are those of a model that was not recorded."""
    calls = []

    def record(call, tensors):
        plain = call.forward
        plain(*tensors)  # as the GPU's recording, it moves running statistics

        def forward(*given):
            assert [each.shape for each in given] == [each.shape for each in tensors]
            calls.append(given)
            return plain(*given)

        call.forward = forward

    monkeypatch.setattr("torch.cuda.make_graphed_callables", record)
    request = Request.of("feature_matching", "digits", tmp_path / "run", preset="tiny", hyper={"net": net}, size=16)
    session = prepare(request)
    losses = []
    for recorded in (False, True):
        torch.manual_seed(0)
        model = find_model("feature_matching")(session.hyper, session.data.shape)
        data = model.study(session.data, lambda name, make: make())
        if recorded:
            before = [buffer.clone() for buffer in model.buffers()]
            record_networks(model, session.plan, session.plan.batch)
            assert all(map(torch.equal, before, model.buffers()))
        torch.manual_seed(1)
        x = data.pictures(torch.arange(session.plan.batch))
        losses.append([move.loss.detach() for move in model.train().round(iter([{"x": x}, {"x": x.flip(0)}]), Clock())])
    assert torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))
    assert len(calls) == 5  # made pictures twice; real, made and labelled at once; the real and the made of the generator
    batch = session.plan.batch
    x = x.flatten(1) if net == "dense" else x
    model.eval().generate(model.prior(batch))
    model.train().generator(model.prior(3))  # another batch goes on as before
    model.classifier(torch.cat([x, x, x]).requires_grad_(), 3)  # was not recorded with gradients of what it is given
    assert len(calls) == 5
    model.classifier(x)
    assert len(calls) == 6


def test_a_copy_of_what_was_recorded_computes_with_its_own_weights(monkeypatch):
    monkeypatch.setattr("torch.cuda.make_graphed_callables", lambda call, tensors: None)
    layer = nn.Linear(2, 1)
    layer.forward = Recorded(layer, [record_one(layer, (torch.zeros(3, 2),))])
    copied = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight.add_(1)
    x = torch.ones(3, 2)
    assert torch.allclose(layer(x) - copied(x), torch.tensor(2.0))
    assert torch.equal(layer(input=x), layer(x))  # by name, it is computed as before


def test_models_of_pixels_name_what_is_played_back(monkeypatch):
    recorded = []
    monkeypatch.setattr("torch.cuda.make_graphed_callables", lambda call, tensors: recorded.append(call(*tensors)))
    for conditional in (False, True):
        hyper = PixelCNN.Hyper.tiny().with_values({"conditional": conditional})
        model = PixelCNN(hyper, ImageShape(("a", "b"), 1, 8, 8))
        record_networks(model, Plan(examples=1, batch=4), 4)
    assert [len(each) for each in recorded] == [4, 4]
