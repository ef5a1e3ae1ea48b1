"""Pairs and two domains as data: what is found, what is refused, and that crops and mirrors are the same on both sides."""

import numpy as np
import pytest
import torch
from PIL import Image

from genloom import Request, load_data, prepare
from genloom.data.options import PairOptions, PictureOptions
from genloom.data.pairs.load import PairSource
from genloom.data.source import find_source, silent
from genloom.errors import InputError
from genloom.shapes.base import Shape
from genloom.shapes.pairs import PairShape
from genloom.use.translation.check import check_pairs
from genloom.use.translation.make_pairs import make_pairs


def picture(path, size=(8, 12), colour=None, seed=0):
    """Write a picture of height and width `size`, of noise or one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise if colour is None else np.full_like(noise, colour)).save(path)


@pytest.fixture
def root(tmp_path):
    """A folder of six pairs: B is A inverted."""
    for i in range(6):
        picture(tmp_path / "A" / f"{i}.png", seed=i)
        (tmp_path / "B").mkdir(exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(tmp_path / "A" / f"{i}.png"))).save(tmp_path / "B" / f"{i}.png")
    return tmp_path


def test_partners_come_together_and_are_mirrored_together(root):
    data = load_data(root, flip=True)
    assert data.shape == PairShape(height=8, width_px=12) and data.lengths == {"x": 6}
    index = torch.arange(6).repeat(8)
    batch = data.batch({"x": index}, torch.Generator().manual_seed(0))
    assert torch.allclose(batch["x"], 1 - batch["b"], atol=1e-6)
    plain = data.pictures("A", index)
    mirrored = (batch["x"] != plain).flatten(1).any(1)
    assert 10 < mirrored.sum() < 38
    assert torch.equal(batch["x"][mirrored], plain[mirrored].flip(3))


def test_other_names_are_two_domains_of_any_counts(root):
    for i in range(6):
        (root / "B" / f"{i}.png").rename(root / "B" / f"other{i}.png")
    picture(root / "B" / "more.png")
    data = load_data(root)
    assert data.lengths == {"x": 6, "b": 7} and not data.shape.paired
    assert "two domains" in data.notes[0]


def test_hidden_pairs_come_in_orders_of_their_own(root):
    data = load_data(root).unpaired()
    assert data.lengths == {"x": 6, "b": 6}
    batch = data.batch({"x": torch.tensor([0]), "b": torch.tensor([3])})
    assert torch.allclose(batch["b"], 1 - data.pictures("A", torch.tensor([3])), atol=1e-6)


def test_a_missing_partner_is_named_or_left_out(root):
    (root / "B" / "2.png").unlink()
    with pytest.raises(InputError, match=r"1 pictures of A have no partner of that name in B \(2"):
        load_data(root)
    data = load_data(root, skip_broken=True)
    assert len(data) == 5 and "without a partner" in data.notes[0]


def test_pictures_of_a_pair_that_differ_in_size_are_named(root):
    picture(root / "B" / "4.png", (16, 24))
    with pytest.raises(InputError, match=r"1 of 6 pairs .* 4.png 8x12, 4.png 16x24"):
        load_data(root)
    assert load_data(root, size="8x12").shape.size == (8, 12)  # the scale alone differs
    picture(root / "B" / "4.png", (12, 12))
    with pytest.raises(InputError, match="make them alike"):
        load_data(root, size="8x12")


def test_halves_of_pictures(tmp_path):
    for i in range(3):
        left = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (tmp_path / "sheets").mkdir(exist_ok=True)
        Image.fromarray(np.concatenate([left, 255 - left], 1)).save(tmp_path / "sheets" / f"{i}.png")
    data = load_data(tmp_path / "sheets", side_by_side=True)
    assert data.shape.size == (8, 8)
    batch = data.batch({"x": torch.arange(3)})
    assert torch.allclose(batch["x"], 1 - batch["b"], atol=1e-6)


def test_a_table_of_two_columns(root):
    (root / "pairs.csv").write_text("sketch,photo\n" + "".join(f"A/{i}.png,B/{5 - i}.png\n" for i in range(6)))
    data = load_data(root / "pairs.csv")
    batch = data.batch({"x": torch.tensor([1])})
    assert torch.allclose(1 - batch["b"], data.pictures("A", torch.tensor([4])), atol=1e-6)
    (root / "pairs.csv").write_text("A/0.png,B/nothing.png\n")
    with pytest.raises(InputError, match=r"there is no picture .*nothing.png"):
        load_data(root / "pairs.csv")


def test_two_folders_and_the_splits_of_either_layout(root):
    data = load_data(root / "A", to=str(root / "B"))
    assert data.shape.paired and len(data) == 6
    for side in "AB":
        (root / f"train{side}").mkdir()
        (root / f"test{side}").mkdir()
        for i in range(6):
            part = "train" if i < 4 else "test"
            (root / side / f"{i}.png").rename(root / f"{part}{side}" / f"{i}.png")
        (root / side).rmdir()
    assert len(load_data(root)) == 4 and len(load_data(root, split="test")) == 2


def test_palette_pngs_are_label_maps_resized_without_a_mean(root):
    classes = np.zeros((8, 12), np.uint8)
    classes[:, 6:] = 4
    for i in range(6):
        image = Image.fromarray(classes, "P")
        image.putpalette([j for k in range(5) for j in (10 * k, 0, 255 - k)])
        image.save(root / "A" / f"{i}.png")
    data = load_data(root, size="4x6")
    assert data.shape.channels == 5 and data.shape.palette[3:6] == (10, 0, 254)
    x = data.batch({"x": torch.tensor([0])})["x"]
    assert torch.equal(x.unique(), torch.tensor([0.0, 1.0])) and torch.equal(x.sum(1), torch.ones(1, 4, 6))
    assert torch.equal(x[0, 4, :, 3:], torch.ones(4, 3))
    drawn = data.shape.drawable(x, "A")
    assert torch.allclose(drawn[0, :, 0, 0] * 255, torch.tensor([0.0, 0, 255]))
    assert Shape.from_json(data.shape.to_json()) == data.shape


def test_photographs_with_a_palette_are_not_taken_for_label_maps(root):
    for i in range(6):
        Image.open(root / "A" / f"{i}.png").convert("P", palette=Image.Palette.ADAPTIVE, colors=90).save(
            root / "A" / f"{i}.png"
        )
    with pytest.raises(InputError, match="save those as RGB|Save those as RGB"):
        load_data(root)


def test_an_empty_side_and_another_kind_of_option(root, tmp_path):
    for file in (root / "B").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no pictures in .*B"):
        load_data(root)
    (tmp_path / "plain").mkdir()
    picture(tmp_path / "plain" / "0.png")
    assert not PairSource.finds(str(tmp_path / "plain"), {})
    with pytest.raises(InputError, match="no data at"):
        load_data(tmp_path / "plain", to=str(tmp_path / "nowhere"))


def test_a_range_takes_pairs(root):
    source = find_source(f"{root}[1:3]")
    assert len(source.load()) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"palette": [1, 2]},
        {"palette": [0, 0, 300] * 3},
        {"channels_b": 0},
        {"channels_b": 10**9},
        {"paired": "yes"},
        {"x": 1},
    ],
)
def test_a_damaged_description_is_one_sentence(wrong):
    with pytest.raises(InputError):
        Shape.from_json(PairShape().to_json() | wrong)


def test_pairs_do_not_come_apart_where_pictures_break_off_on_either_side(root):
    whole = load_data(root)
    for side, i in (("A", 1), ("B", 3)):
        path = root / side / f"{i}.png"
        path.write_bytes(path.read_bytes()[:-60])
    data = load_data(root, skip_broken=True)
    rest = torch.tensor([i for i in range(len(whole)) if i not in (1, 3)])
    for side in "AB":
        assert torch.equal(data.pictures(side, torch.arange(len(data))), whole.pictures(side, rest))


def test_halves_that_are_label_maps_are_two_sides(tmp_path):
    for i in range(3):
        image = Image.fromarray(np.repeat(np.array([[0] * 8 + [1] * 8], np.uint8), 8, 0))
        image.putpalette([0, 0, 0, 255, 255, 255])
        (tmp_path / "sheets").mkdir(exist_ok=True)
        image.save(tmp_path / "sheets" / f"{i}.png")
    data = load_data(tmp_path / "sheets", side_by_side=True)
    assert data.a.pixels.max() == 0 and data.b.pixels.min() == 1


def test_pictures_of_one_name_are_refused(root):
    picture(root / "A" / "2.jpg")
    with pytest.raises(InputError, match="name of another"):
        load_data(root)


def test_a_side_is_read_in_the_channels_that_a_run_knows(root):
    shape = load_data(root).shape
    for file in (root / "B").iterdir():
        Image.open(file).convert("L").save(file)
    assert load_data(root).shape.channels_b == 1
    known = PairSource(str(root), PairOptions()).load(shape)
    assert known.shape == shape and known.batch({"x": torch.arange(2)})["b"].shape == (2, 3, 8, 12)


def test_letters_of_the_alphabet_are_classes_and_a_side_alone_is_named(tmp_path):
    for letter in "ABC":
        write_pictures(tmp_path / "letters" / letter)
    assert find_source(str(tmp_path / "letters")).shape().classes == ("A", "B", "C")
    write_pictures(tmp_path / "half" / "A")
    with pytest.raises(InputError, match="has a folder A and no B"):
        find_source(str(tmp_path / "half")).shape()


def write_pictures(folder, n=2):
    folder.mkdir(parents=True)
    for i in range(n):
        Image.new("RGB", (16, 16), (100 * i, 0, 0)).save(folder / f"{i}.png")


def test_a_model_of_pairs_given_pictures_says_so_before_their_size(tmp_path):
    write_pictures(tmp_path / "p")
    Image.new("RGB", (20, 30)).save(tmp_path / "p" / "other.png")
    with pytest.raises(InputError, match="pix2pix learns from pictures of two sides"):
        prepare(Request("pix2pix", tmp_path / "p", tmp_path / "run"))
    for side in "AB":
        write_pictures(tmp_path / "ab" / side)
    with pytest.raises(InputError, match="srgan learns from pictures in one folder"):
        prepare(Request("srgan", tmp_path / "ab", tmp_path / "run"))


def test_prepared_pairs_are_all_there_or_none(tmp_path):
    write_pictures(tmp_path / "p", 3)
    (tmp_path / "p" / "1.png").write_bytes(b"nothing")
    out = tmp_path / "deep" / "pairs"
    with pytest.raises(InputError, match="--skip-broken"):
        make_pairs(str(tmp_path / "p"), str(out), "grey", PictureOptions(), silent)
    assert list((tmp_path / "deep").iterdir()) == []
    found = make_pairs(str(tmp_path / "p"), str(out), "grey", PictureOptions(skip_broken=True), silent)
    assert found == ["0.png", "", "2.png"]
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert written == ["A/0.png", "A/2.png", "B/0.png", "B/2.png"]
    assert [path.name for path in out.parent.iterdir()] == ["pairs"]


def test_pairs_of_which_a_picture_breaks_off_are_left_out_where_asked(tmp_path):
    random = np.random.default_rng(0)
    for side in "AB":
        (tmp_path / side).mkdir()
        for i in range(3):
            Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / side / f"{i}.png")
    broken = tmp_path / "B" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-900])
    data = find_source(str(tmp_path), {"skip_broken": True}).load()
    assert len(data) == 2 and data.notes == ["left out 1 pairs of which a picture cannot be read"]
    with Image.open(tmp_path / "B" / "2.png") as image:
        pixels = (data.pictures("B", torch.tensor([1]))[0] * 255).round().byte().permute(1, 2, 0)
        assert torch.equal(pixels, torch.tensor(np.array(image)))
    with pytest.raises(InputError, match="1.png"):
        find_source(str(tmp_path)).load()


def test_classes_that_no_pixel_has_are_named(tmp_path):
    for side in "AB":
        (tmp_path / side).mkdir()
        for i in range(2):
            image = Image.new("P", (16, 16)) if side == "A" else Image.new("RGB", (16, 16))
            if side == "A":
                image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
                image.putpixel((0, 0), 3 * i)
            image.save(tmp_path / side / f"{i}.png")
    lines, _ = check_pairs(str(tmp_path), PairOptions(), silent)
    assert any("no pixel is of class 1, 2" in line for line in lines)
