"""Sources of data: every kind is read exactly, every defect gets one sentence."""

import gzip
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genloom.core.dataset import take
from genloom.data import PictureOptions, load
from genloom.data.cache import cache_folder
from genloom.data.pictures.decode import central_box
from genloom.errors import InputError
from genloom.use.check import check, describe


def picture(seed=0, size=(12, 10), channels=3):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def all_of(data):
    return take(data, torch.arange(len(data)))


@pytest.fixture
def folder(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(4):
            picture(i + 10 * (name == "dogs")).save(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path / "pets"


def test_a_folder_of_classes(folder):
    data = load(folder)
    assert data.shape.classes == ("cats", "dogs") and data.shape.dims == (3, 12, 10)
    batch = all_of(data)
    assert batch["y"].tolist() == [0] * 4 + [1] * 4
    with Image.open(folder / "dogs" / "2.png") as image:
        expected = np.asarray(image).transpose(2, 0, 1) / 255
    assert np.allclose(batch["x"][6].numpy(), expected)
    assert batch["x"].is_contiguous(memory_format=torch.channels_last)


def test_the_cache_is_keyed_by_content(folder):
    first = load(folder)
    entries = len(list(cache_folder().iterdir()))
    assert load(folder).fingerprint == first.fingerprint and len(list(cache_folder().iterdir())) == entries
    picture(99).save(folder / "cats" / "0.png")
    assert load(folder).fingerprint != first.fingerprint
    assert load(folder, PictureOptions(size=(8, 8))).fingerprint != load(folder).fingerprint


def test_a_zip_equals_its_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, f"inside/{path.relative_to(folder)}")
    a, b = load(folder), load(tmp_path / "pets.zip")
    assert torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels) and a.shape == b.shape


def on_white(colour, alpha):
    return 255 - (255.0 - colour) * (alpha / 255)


def of_mode(mode, seed):
    """Return a random picture of a mode, and the pixels `[6, 6, C]` that it must become."""
    g = np.random.default_rng(seed)
    v = g.integers(0, 256, (6, 6, 4), dtype=np.uint8)
    palette = g.integers(0, 256, (256, 3), dtype=np.uint8)
    deep, share = g.integers(0, 65536, (6, 6, 1)), g.random((6, 6, 1), np.float32)
    indexed = Image.frombytes("P", (6, 6), v[..., 0].tobytes())
    indexed.putpalette(palette.tobytes())
    return {
        "1": lambda: (Image.fromarray(v[..., 0] > 127), 255 * (v[..., :1] > 127)),
        "L": lambda: (Image.fromarray(v[..., 0]), v[..., :1]),
        "LA": lambda: (Image.fromarray(np.ascontiguousarray(v[..., :2])), on_white(v[..., :1], v[..., 1:2])),
        "RGB": lambda: (Image.fromarray(np.ascontiguousarray(v[..., :3])), v[..., :3]),
        "RGBA": lambda: (Image.fromarray(v), on_white(v[..., :3], v[..., 3:])),
        "P": lambda: (indexed, palette[v[..., 0]]),
        "CMYK": lambda: (Image.frombytes("CMYK", (6, 6), v.tobytes()), (255.0 - v[..., :3]) * (255.0 - v[..., 3:]) / 255),
        "I;16": lambda: (Image.fromarray(deep[..., 0].astype(np.uint16)), deep / 257),
        "I": lambda: (Image.fromarray(deep[..., 0].astype(np.int32)), deep / 257),
        "F": lambda: (Image.fromarray(share[..., 0]), share * 255),
    }[mode]()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16", "I", "F"])
def test_every_mode(mode, tmp_path):
    (tmp_path / "p").mkdir()
    suffix = "tif" if mode in ("CMYK", "I;16", "I", "F") else "png"
    made = [of_mode(mode, i) for i in range(3)]
    for i, (image, _) in enumerate(made):
        assert image.mode == mode
        image.save(tmp_path / "p" / f"{i}.{suffix}")
    data = load(tmp_path / "p")
    assert data.shape.channels == (1 if mode in ("1", "L", "LA", "I;16", "I", "F") else 3)
    off = 1 if mode in ("LA", "RGBA", "CMYK") else 0.51  # where pillow rounds on its way
    for pixels, (_, expected) in zip(data.pixels.numpy(), made, strict=True):
        assert np.abs(pixels - expected.astype(float)).max() <= off


def test_transparent_parts_become_white(tmp_path):
    (tmp_path / "p").mkdir()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "p" / "a.png")
    Image.new("RGBA", (4, 4), (255, 0, 0, 128)).save(tmp_path / "p" / "b.png")
    pixels = load(tmp_path / "p").pixels
    assert pixels[0, 0, 0].tolist() == [255, 255, 255]
    assert np.allclose(pixels[1, 0, 0].tolist(), [255, 127, 127], atol=1)
    assert load(tmp_path / "p", PictureOptions(channels=4)).pixels[0, 0, 0].tolist() == [255, 0, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_every_format(suffix, tmp_path):
    (tmp_path / "p").mkdir()
    for i in range(2):
        Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "p" / f"{i}.{suffix}")
    assert np.allclose(load(tmp_path / "p").pixels[0, 4, 4].tolist(), [10, 200, 30], atol=6)


def test_resizing_is_antialiased_and_keeps_the_middle(tmp_path):
    (tmp_path / "p").mkdir()
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, ::2] = 255
    for i in range(2):
        Image.fromarray(stripes).save(tmp_path / "p" / f"{i}.png")
    pixels = load(tmp_path / "p", PictureOptions(size=(16, 16))).pixels.float()
    assert pixels[0, :, 2:-2].sub(127.5).abs().max() < 8  # one in four columns would be all black or all white
    assert central_box(128, 64, 1.0) == (32, 0, 96, 64)


def write_idx(path, array):
    raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.fixture
def idx(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 9, 7), dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(20, dtype=np.uint8) % 10)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", images[:5])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    return tmp_path, images


def test_idx(idx):
    path, images = idx
    data = load(path)
    assert np.array_equal(data.pixels[..., 0].numpy(), images) and data.labels.tolist() == [i % 10 for i in range(20)]
    assert len(load(path, PictureOptions(split="test"))) == 5
    assert len(load(f"{path}[5:8]")) == 3 and torch.equal(load(f"{path}[5:]").pixels, data.pixels[5:])


def test_idx_files_are_told_apart_by_their_split_wherever_it_stands(idx):
    path, images = idx
    for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"):
        (path / name).rename(path / f"emnist-letters-{name.replace('t10k', 'test')}")
    assert [len(load(path, PictureOptions(split=split))) for split in ("train", "test")] == [20, 5]
    write_idx(path / "emnist-digits-train-images-idx3-ubyte.gz", images)
    with pytest.raises(InputError, match="name the one to use"):
        load(path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: p.write_bytes(gzip.compress(gzip.decompress(p.read_bytes())[:-9])), "cut short"),
        (lambda p: p.write_bytes(gzip.compress(b"hello world, no idx")), "does not begin with the header"),
        (lambda p: p.write_bytes(p.read_bytes()[:40]), "ended before the end"),
    ],
)
def test_damaged_idx(idx, damage, says):
    path, _ = idx
    damage(path / "train-images-idx3-ubyte.gz")
    with pytest.raises(InputError, match=says):
        load(path)


def test_labels_of_another_length(idx):
    path, _ = idx
    write_idx(path / "train-labels-idx1-ubyte.gz", np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="3 labels for the 20 pictures"):
        load(path)


@pytest.mark.parametrize("layout", ["nhw", "nhwc", "nchw", "float", "uint16", "bool"])
def test_numpy(layout, tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
    grey = colour[..., 0]
    array, expected = {
        "nhw": (grey, grey[..., None]),
        "nhwc": (colour, colour),
        "nchw": (colour.transpose(0, 3, 1, 2), colour),
        "float": (grey / 255, grey[..., None]),
        "uint16": (grey.astype(np.uint16) * 257, grey[..., None]),
        "bool": (grey > 127, np.where(grey > 127, 255, 0)[..., None]),
    }[layout]
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(load(tmp_path / "a.npy").pixels.numpy(), expected)
    np.savez(tmp_path / "a.npz", x=array, y=np.array(list("abcabc")))
    data = load(tmp_path / "a.npz")
    assert data.shape.classes == ("a", "b", "c") and data.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_hub_reads_a_local_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    data = load(f"hf:{folder}")
    assert len(data) == 8 and data.shape.classes == ("cats", "dogs") and data.shape.dims == (3, 12, 10)


def test_digits():
    data, test = load("digits"), load("digits", PictureOptions(split="test"))
    assert (len(data), len(test)) == (1438, 359) and data.shape.dims == (1, 8, 8) and len(data.shape.classes) == 10
    assert data.pixels.max() == 255


def test_flips_are_a_pure_function_of_the_generator(folder):
    data = load(folder, PictureOptions(flip=True))
    index = torch.arange(8)
    a, b, c = (data.batch({"x": index}, torch.Generator().manual_seed(s))["x"] for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    plain = take(load(folder), index)["x"]
    assert all(torch.equal(x, p) or torch.equal(x, p.flip(2)) for x, p in zip(a, plain, strict=True))


def truncated(folder):
    path = folder / "cats" / "1.png"
    path.write_bytes(path.read_bytes()[:150])


def test_a_truncated_picture_is_named_and_skipped_on_demand(folder):
    truncated(folder)
    with pytest.raises(InputError, match=r"1 of 8 pictures cannot be read \(cats/1.png.*--skip-broken"):
        load(folder)
    data = load(folder, PictureOptions(skip_broken=True))
    assert len(data) == 7 and data.labels.tolist() == [0, 0, 0, 1, 1, 1, 1] and "cats/1.png" in data.notes[0]
    with pytest.raises(InputError, match="cats/1.png"):
        load(folder)  # the cache must not hide it


def test_bad_sources(tmp_path, folder):
    picture(5, (20, 20)).save(folder / "cats" / "large.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "flat.npy", np.zeros((3, 4)))
    np.save(tmp_path / "range.npy", np.full((3, 4, 5), 300.0))
    np.savez(tmp_path / "two.npz", one=np.zeros((3, 4, 5)), other=np.zeros((9, 4, 5)))
    for source, says in (
        ("nowhere/at/all", "no such file or folder"),
        ("digit", "did you mean 'digits'"),
        (tmp_path / "empty", "no pictures in"),
        (folder, "2 sizes, from 12x10 to 20x20.*--size"),
        (tmp_path / "notes.txt", "is no source of pictures"),
        (tmp_path / "broken.zip", "cannot be read as a zip"),
        (tmp_path / "broken.npy", "cannot be read"),
        (tmp_path / "flat.npy", "holds no pictures"),
        (tmp_path / "range.npy", "from 300 to 300"),
        ("digits[5000:]", "is empty"),
        (tmp_path / "two.npz", "several arrays of pictures"),
    ):
        with pytest.raises(InputError, match=says):
            load(source)


def test_the_doctor_tells_what_is_wrong(folder):
    truncated(folder)
    (folder / "dogs" / "copy.png").write_bytes((folder / "dogs" / "0.png").read_bytes())
    picture(5, (20, 24), 1).save(folder / "cats" / "large.png")
    findings = check(str(folder), PictureOptions())
    text = "\n".join(describe(findings))
    for part in (
        "10 pictures",
        "12x10 (",
        "20x24 (1)",
        "2 classes: cats",
        "1 cannot be read: cats/1.png",
        "1 are copies of another: dogs/copy.png = dogs/0.png",
        "--size",
        "fits dcgan",
        "L (1)",
    ):
        assert part in text, (part, text)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.1, 10))
def test_the_central_box_lies_inside_and_has_the_aspect(width, height, aspect):
    left, top, right, bottom = central_box(width, height, aspect)
    assert left >= -1e-6 and top >= -1e-6 and right <= width + 1e-6 and bottom <= height + 1e-6
    assert (right - left) / (bottom - top) == pytest.approx(aspect)


def test_mnist(real_data):
    data = load(real_data / "mnist")
    assert len(data) == 60_000 and data.labels[:9].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.labels.bincount().tolist() == counts


def test_emoji_and_cifar(real_data):
    emoji = load(real_data / "noto_emoji" / "emoji_128.zip", PictureOptions(size=(64, 64)))
    assert len(emoji) == 3583 and emoji.shape.dims == (3, 64, 64) and emoji.pixels[:, 0, 0].float().mean() > 240
    cifar = load(real_data / "cifar10" / "cifar10_test_3000.zip")
    assert len(cifar) == 3000 and len(cifar.shape.classes) == 10 and "airplane" in cifar.shape.classes


def test_a_picture_lying_on_its_side_has_the_size_it_has_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "jpg"):
        picture(size=(40, 80)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert load(tmp_path).shape.dims == (3, 80, 40)
    picture(size=(40, 80)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="2 sizes"):
        load(tmp_path)


def test_links_wrappers_and_splits_of_a_folder(folder, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for name in ("cats", "dogs"):
        (links / name).symlink_to(folder / name)
    (links / "loop").symlink_to(links)
    assert load(links).shape.classes == ("cats", "dogs") and len(load(links)) == 8
    (tmp_path / "around").mkdir()
    (tmp_path / "pets").rename(tmp_path / "around" / "pets")
    assert load(tmp_path / "around").shape.classes == ("cats", "dogs")
    for split, n in (("train", 4), ("val", 3), ("test", 2)):
        (tmp_path / "parts" / split).mkdir(parents=True)
        for i in range(n):
            picture(i).save(tmp_path / "parts" / split / f"{i}.png")
    assert [len(load(tmp_path / "parts", PictureOptions(split=split))) for split in ("train", "test")] == [4, 2]


def test_odd_names_and_odd_arrays(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "TWICE.ZIP", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("cats/0.png", "dogs/0.png"):
            archive.write(folder / name, "same.png")
    pixels = load(tmp_path / "TWICE.ZIP").pixels
    assert len(pixels) == 2 and not torch.equal(pixels[0], pixels[1])
    (folder / "cats" / "0.png").rename(folder / "cats" / "caf\udce9.png")
    assert len(load(folder)) == check(str(folder), PictureOptions()).count == 8
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8)))
    np.save(tmp_path / "dark.npy", np.full((9, 8, 8), 200, np.uint16))
    np.savez_compressed(tmp_path / "cut.npz", x=np.random.default_rng(0).random((9, 8, 8)))
    raw = bytearray((tmp_path / "cut.npz").read_bytes())
    raw[500:900] = bytes(400)
    (tmp_path / "cut.npz").write_bytes(raw)
    for name, says in (("none.npy", "no pictures"), ("dark.npy", "save it as uint8"), ("cut.npz", "cannot be read")):
        with pytest.raises(InputError, match=says):
            load(tmp_path / name)


def test_a_cache_without_room_is_said(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    monkeypatch.setenv("GENLOOM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="free some space"):
        load(folder)
    assert not list((tmp_path / "cache").glob(".part-*"))


def test_the_doctor_takes_a_range_and_names_the_option_a_model_needs():
    findings = check("digits[:100]", PictureOptions())
    assert findings.count == 100 and any(line.startswith("fits dcgan (modern): ") for line in findings.fits)
    assert any(line.startswith("fits vae (modern): ") for line in findings.fits)
    findings = check("digits[:100]", PictureOptions(channels=4))
    assert any(line.startswith("vae: ") and "--channels 1" in line for line in findings.fits)


def test_the_doctor_looks_at_large_pictures_small_and_says_what_to_know(tmp_path):
    for part, count in (("train", 70), ("test", 5)):
        (tmp_path / "p" / part).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (90, 150), (i, 2 * i, 0)).save(tmp_path / "p" / part / f"{i}.png")
    findings = check(str(tmp_path / "p"), PictureOptions())
    assert findings.data.shape.size == (107, 64)
    said = " ".join(findings.advice)
    assert "5 for test lie beside them" in said and "70 pictures are few" in said and "--size 112x64 --minutes 30" in said


def test_what_the_headers_tell_is_the_least(folder):
    truncated(folder)
    (folder / "dogs" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="at least 1 of 8"):
        load(folder)


def test_hidden_folders_odd_entries_and_wrong_labels(folder, tmp_path):
    (folder / ".ipynb_checkpoints").mkdir()
    picture(1).save(folder / ".ipynb_checkpoints" / "a.png")
    (folder / "cats" / "z.png").mkdir()
    (folder / "cats" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert load(folder).shape.classes == ("cats", "dogs") and len(load(folder)) == 8
    np.save(tmp_path / "one.npy", np.zeros((50, 40, 3)))
    np.savez(tmp_path / "labels.npz", x=np.zeros((9, 8, 8)), y=np.eye(9))
    for name, says in (("one.npy", "one colour picture"), ("labels.npz", "labels of shape")):
        with pytest.raises(InputError, match=says):
            load(tmp_path / name)
