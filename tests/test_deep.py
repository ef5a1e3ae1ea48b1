"""Pairs of 16 bits or of many channels: read as they are, stored as they are, written as they are."""

import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import genloom
from genloom.data.options import PairOptions
from genloom.data.pairs.load import PairSource
from genloom.data.pictures import deep
from genloom.data.pictures.deep import Depth, depth_of, fitted, read_array
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape
from genloom.use.translation.translate import Wishes, translate_files

tifffile = pytest.importorskip("tifffile")
N = 12


def picture(shape, kind, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(
            path, pixels, photometric="rgb" if pixels.shape[2:] == (3,) else "minisblack", planarconfig="contig"
        )
    else:
        Image.fromarray(pixels).save(path)


def pairs_in(folder, a=(".tif", (16, 20, 3), np.uint16), b=(".npy", (16, 20, 5), np.uint16)):
    for i in range(N):
        for side, (suffix, shape, kind) in (("A", a), ("B", b)):
            write(folder / side / f"{i:02d}{suffix}", picture(shape, kind, i))
    return folder


@pytest.mark.parametrize(
    ("suffix", "shape", "kind"),
    [
        (".npy", (7, 9), np.uint16), (".npy", (7, 9, 12), np.uint8), (".npy", (7, 30, 16), np.uint16),
        (".tif", (7, 9), np.uint16), (".tif", (7, 9, 3), np.uint16), (".tif", (7, 9, 12), np.uint8),
        (".tif", (7, 9, 5), np.uint16), (".png", (7, 9), np.uint16),
    ],
)  # fmt: skip
def test_a_file_is_read_as_it_is(tmp_path, suffix, shape, kind):
    pixels = picture(shape, kind)
    write(tmp_path / f"x{suffix}", pixels)
    whole = pixels if pixels.ndim == 3 else pixels[..., None]
    assert depth_of(tmp_path / f"x{suffix}") == Depth(*whole.shape, 8 * pixels.itemsize)
    found = read_array(tmp_path / f"x{suffix}")
    assert found.dtype == kind and np.array_equal(found, whole)


def test_channels_may_stand_first_and_floats_become_16_bits(tmp_path):
    values = np.random.default_rng(0).random((5, 20, 30)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    found = read_array(tmp_path / "x.npy")
    assert found.shape == (20, 30, 5) and found.dtype == np.uint16
    assert np.abs(found.transpose(2, 0, 1) / 65535 - values).max() <= 0.5 / 65535 + 1e-7


def test_numbers_are_stored_exactly_and_given_in_0_to_1(tmp_path):
    data = genloom.load_data(pairs_in(tmp_path))
    assert data.a.pixels.dtype == data.b.pixels.dtype == torch.uint16
    assert (data.shape.channels, data.shape.channels_b, data.shape.bits, data.shape.bits_b) == (3, 5, 16, 16)
    batch = data.batch({"x": torch.arange(N)})
    for i in range(N):
        expected = torch.from_numpy(picture((16, 20, 5), np.uint16, i).astype(np.float32) / 65535).permute(2, 0, 1)
        assert torch.equal(batch["b"][i], expected)
    assert PairShape.from_json(data.shape.to_json()) == data.shape == Shape.from_json(data.shape.to_json())
    old = {name: value for name, value in data.shape.to_json().items() if not name.startswith("bits")}
    assert Shape.from_json(old).bits == 8  # of runs from before


def test_one_picture_of_16_bits_makes_its_side_so_and_another_side_stays(tmp_path):
    pairs_in(tmp_path, a=(".png", (16, 20), np.uint8), b=(".png", (16, 20, 3), np.uint8))
    write(tmp_path / "A" / "03.png", picture((16, 20), np.uint16))
    data = genloom.load_data(tmp_path)
    assert (data.a.pixels.dtype, data.b.pixels.dtype) == (torch.uint16, torch.uint8)
    grey = picture((16, 20), np.uint8, 5).astype(np.float32) / 255
    assert torch.allclose(data.pictures("A", torch.tensor([5]))[0, 0], torch.from_numpy(grey), atol=1e-7)


def test_pictures_are_resized_channel_by_channel():
    pixels = picture((20, 30, 5), np.uint16)
    small = fitted(pixels, (10, 15), None)
    assert small.shape == (10, 15, 5) and small.dtype == np.uint16
    alone = np.asarray(Image.fromarray(pixels[..., 2].astype(np.float32)).resize((15, 10), Image.Resampling.BICUBIC))
    assert np.abs(small[..., 2] - alone.clip(0, 65535)).max() <= 0.5
    assert np.array_equal(fitted(np.full((9, 9, 1), 4321, np.uint16), (4, 4), (0, 0, 9, 9)), np.full((4, 4, 1), 4321))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    data = pairs_in(folder / "pairs")
    return data, genloom.fit("pix2pix", data, folder / "run", preset="tiny", examples=16, seed=0)


def test_a_translation_is_written_in_its_own_bits(trained, tmp_path):
    data, run = trained
    model = genloom.load(run)
    made = list(translate_files(model, str(data / "A"), str(tmp_path / "out")))
    assert [path.suffix for path in made] == [".tif"] * N
    found = read_array(made[0])
    assert found.shape == (16, 20, 5) and found.dtype == np.uint16 and len(np.unique(found)) > 256
    (single,) = translate_files(model, str(data / "A" / "00.tif"), str(tmp_path / "x.npy"))
    assert np.array_equal(read_array(single), found)
    (strip,) = translate_files(model, str(data / "A" / "00.tif"), str(tmp_path / "x.png"), wishes=Wishes(strip=True))
    with Image.open(strip) as image:
        assert image.mode == "RGB"
    with pytest.raises(InputError, match=r"written as .npy, .tif, .tiff, not as"):
        list(translate_files(model, str(data / "A" / "00.tif"), str(tmp_path / "y.png")))


def test_a_picture_of_other_channels_is_refused(trained, tmp_path):
    data, run = trained
    with pytest.raises(InputError, match="has 5 channels, and the model takes 3"):
        list(translate_files(genloom.load(run), str(data / "B" / "00.npy"), str(tmp_path / "x.npy")))


def test_the_judge_takes_them(trained):
    _, run = trained
    found = genloom.judge(run)
    assert found.measures["L1"].value > 0 and "mean partner" in found.baselines


def test_bad_files_are_named(tmp_path):
    folder = pairs_in(tmp_path / "cut")
    path = folder / "A" / "03.tif"
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(InputError, match=r"1 of 12 pictures cannot be read \(03.tif"):
        genloom.load_data(folder)
    assert len(genloom.load_data(folder, skip_broken=True)) == N - 1
    folder = pairs_in(tmp_path / "mixed")
    write(folder / "B" / "03.npy", picture((16, 20, 7), np.uint16))
    with pytest.raises(InputError, match=r"11 of 5 and 1 of 7 \(03.npy\)"):
        genloom.load_data(folder)
    folder = pairs_in(tmp_path / "objects")
    np.save(folder / "B" / "03.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        genloom.load_data(folder)
    folder = pairs_in(tmp_path / "range", b=(".npy", (16, 20, 5), np.uint8))
    np.save(folder / "B" / "03.npy", np.full((16, 20, 5), -1.0))
    with pytest.raises(InputError, match="from -1 to -1"):
        genloom.load_data(folder)
    folder = pairs_in(tmp_path / "channels")
    with pytest.raises(InputError, match="B have 5 channels, not 3"):
        PairSource(str(folder), PairOptions(channels=3)).shape()


def test_too_many_channels_are_said_and_nothing_is_taken_for_8_bits(tmp_path):
    for suffix in (".npy", ".tif"):
        folder = pairs_in(tmp_path / suffix[1:], a=(suffix, (18, 30, 17), np.uint16), b=(".png", (18, 30), np.uint8))
        with pytest.raises(InputError, match="it has 17 channels, and 16 are the most"):
            genloom.load_data(folder)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_width(tmp_path, kind):
    np.save(tmp_path / "x.npy", np.array([[1.0, 0.5], [0.25, 0.0]], kind))
    assert read_array(tmp_path / "x.npy")[..., 0].tolist() == [[65535, 32768], [16384, 0]]
    np.save(tmp_path / "y.npy", np.array([[255.0, 51.0]], kind))
    assert read_array(tmp_path / "y.npy")[..., 0].tolist() == [[65535, 51 * 257]]


def test_whole_numbers_of_other_kinds_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[0, 255]]))
    tifffile.imwrite(tmp_path / "y.tif", np.full((5, 5, 3), -1, np.int16), photometric="rgb")
    for name in ("x.npy", "y.tif"):
        with pytest.raises(InputError, match=f"{name} holds int"):
            read_array(tmp_path / name)


def test_a_tiff_says_itself_which_axis_is_which(tmp_path):
    pixels = picture((3, 20, 16), np.uint16)
    tifffile.imwrite(tmp_path / "planar.tif", pixels, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "pages.tif", picture((5, 20, 10), np.uint16), photometric="minisblack")
    assert depth_of(tmp_path / "planar.tif") == Depth(20, 16, 3, 16)
    assert np.array_equal(read_array(tmp_path / "planar.tif"), pixels.transpose(1, 2, 0))
    assert depth_of(tmp_path / "pages.tif") == Depth(20, 10, 5, 16)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("channels", [1, 5])
def test_pictures_are_upright(tmp_path, turned, channels):
    stored = picture((6, 9, channels), np.uint16)
    if channels == 1:  # by pillow
        exif = Image.Exif()
        exif[274] = turned
        Image.fromarray(stored[..., 0]).save(tmp_path / "x.png", exif=exif)
        path = tmp_path / "x.png"
    else:  # by tifffile
        path, tag = tmp_path / "x.tif", (274, "H", 1, turned, True)
        tifffile.imwrite(path, stored, photometric="minisblack", planarconfig="contig", extratags=[tag])
    expected = Image.fromarray(stored[..., 0])
    method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(turned)
    expected = expected if method is None else expected.transpose(Image.Transpose(method))
    found = read_array(path)
    assert np.array_equal(found[..., 0], np.asarray(expected))
    assert depth_of(path) == Depth(*found.shape, 16)


def test_a_set_of_files_is_read_one_by_one(tmp_path):
    tifffile.imwrite(tmp_path / "0.ome.tif", picture((2, 20, 30), np.uint16), ome=True, metadata={"axes": "CYX"})
    assert read_array(tmp_path / "0.ome.tif").shape == (20, 30, 2)


def test_a_bomb_is_refused(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, picture((64, 64, 3), np.uint16), photometric="rgb", compression="zlib", rowsperstrip=64)
    assert read_array(path).shape == (64, 64, 3)
    with tifffile.TiffFile(path) as file:
        place, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    bomb = zlib.compress(bytes(40_000_000), 9)[:count]
    content = path.read_bytes()
    path.write_bytes(content[:place] + bomb + content[place + len(bomb) :])
    with pytest.raises(InputError, match="unpacks to more"):
        read_array(path)


def test_arrays_count_as_pictures_only_where_there_are_no_others(tmp_path):
    folder = pairs_in(tmp_path, a=(".png", (16, 20, 3), np.uint8), b=(".png", (16, 20, 3), np.uint8))
    np.save(folder / "A" / "mean.npy", np.zeros(3))
    assert len(genloom.load_data(folder)) == N


def test_a_run_of_arrays_of_8_bits_takes_such(tmp_path):
    data = pairs_in(tmp_path / "pairs", a=(".npy", (16, 20, 3), np.uint8), b=(".npy", (16, 20, 3), np.uint8))
    model = genloom.load(genloom.fit("pix2pix", data, tmp_path / "run", preset="tiny", examples=8, seed=0))
    made = list(translate_files(model, str(data / "A"), str(tmp_path / "out")))
    assert [path.suffix for path in made] == [".png"] * N
    np.save(tmp_path / "wide.npy", picture((16, 20, 17), np.uint8).transpose(2, 0, 1)[:, :, :17])
    with pytest.raises(InputError, match=r"wide.npy: it has 17 channels"):
        list(translate_files(model, str(tmp_path / "wide.npy"), str(tmp_path / "x.png")))


def test_what_pngs_lose_is_said(tmp_path):
    folder = pairs_in(tmp_path, a=(".png", (16, 20, 3), np.uint8), b=(".png", (16, 20, 3), np.uint8))
    path = folder / "A" / "00.png"
    content = bytearray(path.read_bytes())
    assert deep.loses_bits(PairSource(str(folder), PairOptions()).sides.a) is False
    content[24] = 16
    path.write_bytes(content)
    assert deep.loses_bits(PairSource(str(folder), PairOptions(skip_broken=False)).sides.a)


def test_without_tifffile_what_pillow_cannot_read_is_said(tmp_path, monkeypatch):
    folder = pairs_in(tmp_path, a=(".tif", (16, 20, 5), np.uint16), b=(".png", (16, 20, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(InputError, match=r"needs tifffile to be read: pip install 'genloom\[tiff\]'"):
        genloom.load_data(folder)
    pillows = pairs_in(tmp_path / "grey", a=(".tif", (16, 20), np.uint16), b=(".png", (16, 20, 3), np.uint8))
    assert genloom.load_data(pillows).a.pixels.dtype == torch.uint16
    assert not deep.by_tifffile(pillows / "A" / "00.tif")
