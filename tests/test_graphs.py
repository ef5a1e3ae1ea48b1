"""Networks that a GPU plays back: which calls are played back, and that recording leaves no trace."""

import pytest
import torch

from genloom.catalogue import find_model
from genloom.core.clock import Clock
from genloom.train.graphs import record_networks
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
            record_networks(model, session.plan, session.plan.batch)
        torch.manual_seed(1)
        x = data.pictures(torch.arange(session.plan.batch))
        losses.append([move.loss.detach() for move in model.train().round(iter([{"x": x}, {"x": x.flip(0)}]), Clock())])
    assert torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))
    assert len(calls) == 5  # made pictures twice; real, made and labelled at once; the real and the made of the generator
    model.eval().generate(model.prior(3))
    model.train().generator(model.prior(3))  # another batch goes on as before
    assert len(calls) == 5
