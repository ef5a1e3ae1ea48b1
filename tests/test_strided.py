"""Convolutions as matrix products against the ordinary convolution."""

import pytest
import torch

from genloom.nn.strided import Down, Up, pays, unfold

CASES = [(Down, (3, 128, 8, 8), 256), (Down, (3, 128, 16, 16), 128), (Up, (3, 256, 4, 4), 128), (Up, (2, 128, 8, 8), 128)]


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize(("cls", "shape", "outputs"), CASES)
def test_products_equal_the_convolution(cls, shape, outputs, kernel):
    torch.manual_seed(0)
    layer = cls(shape[1], outputs, kernel, bias=True).to(memory_format=torch.channels_last)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    exact = layer(x)
    seed = torch.randn_like(exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pays(x, layer.weight, up=cls is Up)
        y = layer(x)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.autograd.grad(exact, (x, layer.weight, layer.bias), seed)
    got = torch.autograd.grad(y, (x, layer.weight, layer.bias), seed.bfloat16())
    for a, b in ((y, exact), *zip(got, wanted, strict=True)):
        assert (a.float() - b).norm() < 0.006 * b.norm()  # bf16 keeps eight bits


def test_unfold_takes_the_patches_a_convolution_sees():
    x = torch.randn(2, 3, 6, 6)
    for k in (4, 5):
        columns = unfold(x, k).view(2, 9, k, k, 3).permute(0, 4, 2, 3, 1).reshape(2, 3 * k * k, 9)
        assert torch.equal(columns, torch.nn.functional.unfold(x, k, padding=(k - 1) // 2, stride=2))


def test_a_turn_that_needs_no_weight_gradient_makes_none(monkeypatch):
    import genloom.nn.strided as strided

    calls = []
    monkeypatch.setattr(strided, "weight_gradient", lambda *a: calls.append(1) or torch.zeros(256, 128, 4, 4))
    layer, x = Down(128, 256, 4), torch.randn(2, 128, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = layer(x).float().square().mean()
    loss.backward(inputs=[x], retain_graph=True)
    assert calls == [] and x.grad is not None and layer.weight.grad is None
    loss.backward(inputs=[layer.weight])
    assert calls == [1]


@pytest.mark.parametrize("cls", [Down, Up])
def test_gradient_penalties_can_be_differentiated(cls):
    torch.manual_seed(0)
    layer = cls(128, 128, 4)
    x = torch.randn(2, 128, 8, 8, requires_grad=True)
    results = []
    for autocast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            (slope,) = torch.autograd.grad(layer(x).float().square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(slope.float().square().sum(), layer.weight)[0])
    assert (results[0] - results[1]).norm() < 0.02 * results[0].norm()
