"""Compression: lossless, as short as the likelihood says, and plain words for a file that is none."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

import genloom
from genloom.cli.app import run as command
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.adversarial.gan import GAN
from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.models.likelihood.pixelrnn import PixelRNN
from genloom.shapes.pictures import ImageShape, to_picture
from genloom.use.likelihood.coding import TOTAL, Decoder, Encoder, bounds_of
from genloom.use.likelihood.compress import pack, unpack


def made(kind="gated", channels=1, levels=2, seed=0, size=8, **hyper):
    torch.manual_seed(seed)
    cls = PixelCNN if kind in ("plain", "gated") else PixelRNN
    values = {"features": 12, "layers": 2, "head": 12, "levels": levels, **hyper}
    model = cls(cls.Hyper(kind=kind, **values), ImageShape(channels=channels, height=size, width_px=size)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)  # far from uniform
    return model


@pytest.mark.parametrize("skew", [0.0, 1.0, 20.0])
def test_symbols_come_back_in_as_many_bits_as_they_are_unlikely(skew):
    generator = torch.Generator().manual_seed(0)
    logits = skew * torch.randn(5000, 7, generator=generator)
    symbols = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    bounds = bounds_of(logits)
    encoder = Encoder()
    for symbol, ends in zip(symbols.tolist(), bounds, strict=True):
        encoder.put(ends[symbol], ends[symbol + 1])
    code = encoder.finish()
    bits = -float(logits.double().log_softmax(1).gather(1, symbols[:, None]).sum()) / math.log(2)
    assert bits - 8 <= 8 * len(code) <= bits * 1.001 + 16
    decoder = Decoder(code)
    assert [decoder.take(ends) for ends in bounds] == symbols.tolist()


def test_parts_cover_everything_and_none_is_empty():
    ends = torch.tensor(bounds_of(torch.tensor([[0.0, 100.0, -1000.0], [-1e4, 0.0, 1e4]])))
    assert (ends[:, 0] == 0).all() and (ends[:, -1] == TOTAL).all() and (ends.diff(dim=1) >= 1).all()


@pytest.mark.parametrize(
    ("kind", "channels", "levels"),
    [("gated", 1, 2), ("plain", 1, 7), ("gated", 3, 256), ("diagonal", 1, 2), ("row", 3, 5)],
)
def test_pictures_come_back_bit_for_bit_in_their_own_bits(kind, channels, levels):
    model = made(kind, channels, levels)
    x = model.sample(12, noise=Noise.of(1, 12))
    packed = pack(model, x)
    assert packed.expected - 8 <= packed.payload <= 1.01 * packed.expected + 8
    assert torch.equal(unpack(model, packed.data), x)
    with torch.no_grad():
        assert packed.expected == pytest.approx(-float(model.log_prob(x).sum()) / math.log(2), rel=1e-4)


def test_files_that_are_none_are_refused():
    model = made()
    data = pack(model, model.sample(3)).data
    with pytest.raises(InputError, match="another model"):
        unpack(made(seed=1), data)
    with pytest.raises(InputError, match="no file that genloom compressed"):
        unpack(model, b"PK" + data)
    with pytest.raises(InputError, match="damaged"):
        unpack(model, data[:-4] + bytes(255 - byte for byte in data[-4:]))
    for place in range(4, len(data)):
        with pytest.raises(InputError, match="damaged"):
            unpack(model, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(InputError, match="damaged"):
        unpack(model, data + b"xyz")
    for cut in range(0, 32, 5):
        with pytest.raises(InputError, match="no file that genloom compressed" if cut < 4 else "cut short|damaged"):
            unpack(model, data[:cut])
    with pytest.raises(InputError, match="would be lost"):
        pack(made(binarise="dynamic"), torch.full((1, 1, 8, 8), 0.4))
    with pytest.raises(InputError, match="no exact likelihood"):
        pack(GAN(GAN.Hyper.tiny(), ImageShape(channels=1, height=8, width_px=8)), torch.zeros(1, 1, 8, 8))


def test_the_command_goes_both_ways(tmp_path, capsys):
    genloom.fit(
        "pixelcnn",
        "digits",
        tmp_path / "run",
        preset="tiny",
        examples=640,
        device="cpu",
        hyper={"conditional": True, "layers": 1},
    )
    run, glz, back = str(tmp_path / "run"), str(tmp_path / "x.glz"), str(tmp_path / "back.npy")
    x = genloom.load_data("digits").pictures(torch.arange(3))
    np.save(tmp_path / "x.npy", x.numpy())
    assert command(["compress", run, str(tmp_path / "x.npy"), "--label", "0", "-o", glz]) == 0
    assert command(["compress", run, glz, "-o", back]) == 0
    assert command(["compress", run, glz, "-o", str(tmp_path / "three.png")]) == 2
    assert "holds 3 pictures" in capsys.readouterr().err
    np.save(tmp_path / "off.npy", (x + 0.0012).clamp(0, 1).numpy())
    assert command(["compress", run, str(tmp_path / "off.npy"), "--label", "0", "-o", str(tmp_path / "y.glz")]) == 2
    assert "not 17 levels" in capsys.readouterr().err
    assert command(["compress", run, glz, "-o", back]) == 0
    assert "3 pictures" in capsys.readouterr().out
    assert np.array_equal((np.load(back) * 255).round(), (x.numpy() * 255).round())
    to_picture(x[0]).save(tmp_path / "x.png")
    assert command(["compress", run, str(tmp_path / "x.png"), "--label", "0", "-o", glz]) == 0
    assert command(["compress", run, glz, "-o", str(tmp_path / "back.png")]) == 0
    Image.new("RGB", (8, 8), (0, 16, 0)).save(tmp_path / "colour.png")
    Image.fromarray(np.full((8, 8), 4097, np.uint16)).save(tmp_path / "deep.png")
    before, after = (np.asarray(Image.open(tmp_path / name)) for name in ("x.png", "back.png"))
    assert np.array_equal(before, after)
    for arguments, says in (
        ([str(tmp_path / "x.png"), "-o", glz], "--label"),
        ([str(tmp_path / "x.png"), "--label", "0", "-o", "x.zip"], "x.glz"),
        ([str(tmp_path / "nowhere.glz"), "-o", back], "nowhere.glz"),
        ([glz, "-o", str(tmp_path / "back.jpg")], "lose nothing"),
        ([str(tmp_path / "colour.png"), "--label", "0", "-o", glz], "would lose something"),
        ([str(tmp_path / "deep.png"), "--label", "0", "-o", glz], "would lose something"),
        ([str(tmp_path / "run" / "run.json"), "--label", "0", "-o", glz], "is no source of pictures"),
    ):
        assert command(["compress", run, *arguments]) == 2
        assert says in capsys.readouterr().err
