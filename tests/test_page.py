"""Pages: written, opened in a browser without a network, and held against the models and commands that they stand for."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.browser import until
from PIL import Image

import genloom
from browser import browsing
from genloom.cli.app import run as command
from genloom.core.capabilities import Latent
from genloom.core.random import Noise
from genloom.data.points import gaussian_line
from genloom.errors import InputError
from genloom.scores.midi import read_midi
from genloom.shapes.pairs import PairShape
from genloom.use.export.entries import Entry
from genloom.use.export.folder import beside
from genloom.use.export.functions import functions_of
from genloom.use.latent.walk import sphere
from genloom.use.page import limits, write
from genloom.use.page.axes import axes, moved
from genloom.use.page.weights import Store
from genloom.use.page.write import page, parts, told, write_page
from test_export import of, ready
from test_models import build
from untrained import small

READY = "document.querySelectorAll('#status').length && !document.getElementById('status').textContent"
LABELS = {"conditional": True}
CANVAS = """canvas => { const { width, height } = canvas
  return [height, width, ...canvas.getContext('2d').getImageData(0, 0, width, height).data] }"""


@pytest.fixture(scope="module")
def browser():
    with browsing() as context:
        yield context


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    fit = {"preset": "tiny", "threads": 1}
    return {
        "dcgan": genloom.fit("dcgan", "digits", place / "digits", hyper=LABELS, examples=512, **fit),
        "vae": genloom.fit("vae", "digits", place / "vae", examples=512, **fit),
        "pixelcnn": genloom.fit("pixelcnn", "digits", place / "pixels", examples=512, **fit),
        "line": genloom.fit("line", gaussian_line(500), place / "line", examples=512, threads=1),
    }


def opened(context, run, tmp_path, **options):
    """Return the page of a run, ready, and its record."""
    path = tmp_path / "page.html"
    record = write_page(run, path, **options)
    found = context.new_page()
    found.goto(path.as_uri())
    until(found, "performance.getEntriesByName('first picture').length > 0")
    until(found, READY)
    return found, record


def of_model(context, model, tmp_path, **more):
    """Return the page of a model that nobody trained."""
    store = Store("fp32")
    functions = [told(each, model, store) for each in functions_of(model) if isinstance(each, Entry)]
    told_of = {
        "genloom": "0",
        "model": "it",
        "preset": "tiny",
        "says": "nothing",
        "checkpoint": "1",
        "weights": "fp32",
        "judged": [],
    }
    shown = {"title": "a page", "shape": json.loads(json.dumps(model.shape.to_json())), "conditional": False, "axes": None}
    record = told_of | shown | {"functions": functions, "constants": store.told, "law": None, **beside(model), **more}
    path = tmp_path / "page.html"
    path.write_text(page(record, store), encoding="utf-8")
    found = context.new_page()
    found.goto(path.as_uri())
    until(found, "performance.getEntriesByName('loaded').length > 0")
    return found


def seen(canvas):
    """Return what a canvas shows, bytes `[H, W, 4]`."""
    height, width, *data = canvas.evaluate(CANVAS)
    return np.array(data, np.int64).reshape(height, width, 4)


def greys(found, selector=".tile canvas"):
    return np.stack([seen(each)[..., 0] for each in found.locator(selector).all()])


def as_bytes(x):
    return (x[:, 0].clamp(0, 1) * 255).round().long().numpy()


def set_seed(found, seed, which=0):
    field = found.get_by_label("Seed").nth(which)
    field.fill(str(seed))
    field.press("Tab")


# -- drawing ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_page_draws_what_sample_draws(browser, runs, tmp_path):
    run = runs["dcgan"]
    found, record = opened(browser, run, tmp_path, title="my <b>digits</b>")
    model = genloom.load(run)
    assert found.title() == "my <b>digits</b>" and found.inner_text("h1") == found.title()
    assert np.abs(greys(found) - as_bytes(model.sample(16, noise=Noise.of(0, 16)))).max() <= 2
    assert max(each["difference"] for each in record["functions"]) < 1e-3 and record["bytes"] < 100_000
    set_seed(found, 7)
    found.get_by_label("How many").select_option("25")
    found.get_by_label("Label").select_option("3")
    until(found, "document.querySelector('.bar').hidden && document.querySelectorAll('.tile').length === 25")
    wanted = model.sample(25, torch.full((25,), 3), noise=Noise.of(7, 25))
    assert np.abs(greys(found) - as_bytes(wanted)).max() <= 2
    before = greys(found)
    found.get_by_role("button", name="Another").click()
    until(found, "document.querySelector('.bar').hidden")
    assert (greys(found) != before).any()


@pytest.mark.slow
def test_sliders_and_the_walk_move_the_chosen_picture(browser, runs, tmp_path):
    run = runs["dcgan"]
    found, record = opened(browser, run, tmp_path)
    model = genloom.load(run)
    z = model.prior(16, Noise.of(0, 16))
    found.locator(".tile").nth(0).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):  # a grid of four columns: the ninth
        found.keyboard.press(key)
    assert found.locator('.tile[aria-selected="true"]').get_attribute("aria-label") == "picture 9 of 16"
    large = found.locator(".large")

    def shows(z, label):
        return np.abs(seen(large)[..., 0] - as_bytes(model.generate(z, torch.tensor([label])))[0]).max()

    assert shows(z[8:9], 8) <= 2
    slider = found.get_by_label("direction 2")
    slider.evaluate("e => { e.value = Number(e.max) / 2; e.dispatchEvent(new Event('input')) }")
    z8 = z[8:9] + float(slider.input_value()) * torch.tensor(record["axes"]["directions"][1])
    z8 = z8.maximum(torch.tensor(record["axes"]["low"])).minimum(torch.tensor(record["axes"]["high"]))
    found.wait_for_timeout(300)
    assert shows(z8, 8) <= 2 and np.abs(seen(large)[..., 0] - greys(found)[8]).max() > 0
    found.get_by_role("button", name="Walk").click()
    found.wait_for_timeout(1000)
    found.get_by_role("button", name="Stop").click()
    found.wait_for_timeout(300)
    still = seen(large)
    found.wait_for_timeout(300)
    assert (seen(large) == still).all()
    found.get_by_role("button", name="Reset").click()
    assert shows(z[8:9], 8) <= 2
    found.get_by_role("button", name="Walk").click()
    slider.evaluate("e => { e.value = Number(e.max) / 2; e.dispatchEvent(new Event('input')) }")  # which ends the walk
    assert found.get_by_role("button", name="Walk").count() == 1 and found.get_by_role("button", name="Stop").count() == 0


def test_a_walk_goes_as_walk_goes(browser, runs, tmp_path):
    found, _ = opened(browser, runs["vae"], tmp_path)
    a, b = torch.randn(2, 1, 9)
    call = "([a, b]) => [...between(Float32Array.from(a), Float32Array.from(b), 0.3)]"
    np.testing.assert_allclose(found.evaluate(call, [a[0].tolist(), b[0].tolist()]), sphere(a, b, 0.3)[0].numpy(), atol=1e-5)


@pytest.mark.slow
def test_pixels_are_those_of_sample_and_known_ones_stay(browser, runs, tmp_path):
    run = runs["pixelcnn"]
    found, _ = opened(browser, run, tmp_path)
    model = genloom.load(run)
    until(found, "document.querySelector('.bar').hidden")
    wanted = as_bytes(model.sample(4, noise=Noise.of(0, 4)))
    np.testing.assert_array_equal(greys(found), wanted)
    erased, done = found.locator(".erase"), '[aria-label="ways in which it may go on"] canvas'
    np.testing.assert_array_equal(seen(erased)[:4, :, 0], wanted[0, :4])
    assert (seen(erased)[4:, :, 2] == 0).all()  # a colour that grey pictures have not

    def completed(seed, ways=1):
        set_seed(found, seed, which=1)
        found.get_by_label("Ways", exact=True).select_option(str(ways))
        found.get_by_role("button", name="Draw what is missing").click()
        until(found, "document.getElementById('status').textContent === 'The picture is complete.'")
        return greys(found, done)

    x, mask = torch.from_numpy(wanted[:1, None] / 255).float(), torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    np.testing.assert_array_equal(completed(5, 4), as_bytes(model.complete(x.repeat(4, 1, 1, 1), mask, Noise.of(5, 4))))
    # What a pixel draws hangs on the seed and its place: drawn anew from the same seed, the rest is the picture again.
    np.testing.assert_array_equal(completed(0), wanted[:1])
    warm = found.get_by_label("Temperature").first
    warm.evaluate("e => { e.value = 0.5; e.dispatchEvent(new Event('change')) }")
    until(found, "document.querySelector('.bar').hidden")
    np.testing.assert_array_equal(greys(found), as_bytes(model.sample(4, temperature=0.5, noise=Noise.of(0, 4))))
    found.get_by_role("button", name="Erase all").click()
    box = erased.bounding_box()
    found.get_by_role("button", name="Take the chosen picture").click()
    found.get_by_label("Brush").select_option("1")
    found.mouse.move(box["x"] + 3, box["y"] + 3)  # a stroke along the first row, in one leap
    found.mouse.down()
    found.mouse.move(box["x"] + box["width"] - 3, box["y"] + 3)
    found.mouse.up()
    assert (seen(erased)[0, :, 2] == 0).all() and (seen(erased)[1:4, :, 2] == seen(erased)[1:4, :, 0]).all()
    erased.focus()
    found.keyboard.press("ArrowLeft")
    found.keyboard.press("ArrowDown")
    found.keyboard.press("Space")
    found.keyboard.press("Tab")
    assert (seen(erased)[1, 6, 2] == 0) and (seen(erased)[1, :6, 2] == seen(erased)[1, :6, 0]).all()


@pytest.mark.slow
def test_a_label_goes_with_its_picture(browser, tmp_path):
    model = ready(small("gated", 1, 6, 5, levels=4, classes=("a", "b", "c"), conditional=True))
    found = of_model(browser, model, tmp_path, conditional=True)
    until(found, "document.querySelector('.bar').hidden && document.querySelectorAll('.tile').length === 4")
    wanted = as_bytes(model.sample(4, torch.arange(4) % 3, noise=Noise.of(0, 4)))
    np.testing.assert_array_equal(greys(found), wanted)
    found.locator(".tile").nth(2).click()
    label = found.locator('section[aria-label="Complete"]').get_by_label("Label")
    assert label.input_value() == "2"
    found.get_by_role("button", name="Erase all").click()
    found.get_by_role("button", name="Draw what is missing").click()
    until(found, "document.getElementById('status').textContent === 'The picture is complete.'")
    again = as_bytes(model.sample(1, torch.tensor([2]), noise=Noise.of(0, 1)))
    np.testing.assert_array_equal(greys(found, '[aria-label="ways in which it may go on"] canvas'), again)
    x = torch.randint(4, (1, 1, 6, 5), generator=torch.Generator().manual_seed(0)) / 3
    Image.fromarray(as_bytes(x)[0].astype("uint8")).save(tmp_path / "mine.png")
    found.locator("input[type=file]").last.set_input_files(tmp_path / "mine.png")
    until(found, "document.querySelectorAll('.pictures figure').length === 1")
    bits = -float(model.log_prob(x, torch.tensor([0]))) / np.log(2) / 30
    assert f"{bits:.3f} bits" in found.locator(".pictures").inner_text()
    found.close()


@pytest.mark.slow
def test_a_picture_of_ones_own_is_read_as_the_model_reads_it(browser, runs, tmp_path):
    run = runs["vae"]
    found, record = opened(browser, run, tmp_path)
    model = genloom.load(run)
    assert record["axes"]["titles"][0].startswith("place")
    x = (torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 16).round() / 16
    Image.fromarray(as_bytes(x)[0].astype("uint8")).save(tmp_path / "mine.png")
    found.locator("input[type=file]").set_input_files(tmp_path / "mine.png")
    until(found, "document.querySelectorAll('.pictures figure').length === 2")
    wanted = as_bytes(model.decode(model.encode(x)))[0]
    assert np.abs(seen(found.locator(".pictures canvas").nth(1))[..., 0] - wanted).max() <= 2
    found.wait_for_timeout(300)
    assert np.abs(seen(found.locator(".large"))[..., 0] - wanted).max() <= 2  # the sliders start from it
    (tmp_path / "text.png").write_text("no picture")
    found.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    until(found, "document.getElementById('status').textContent.includes('no picture')")
    found.evaluate("say('')")


@pytest.mark.slow
def test_what_is_saved_is_what_is_shown(browser, runs, tmp_path):
    found, _ = opened(browser, runs["dcgan"], tmp_path, title="my <b>digits</b>")
    with found.expect_download() as download:
        found.get_by_role("button", name="Save as PNG").click()
    sheet = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("L"))
    assert download.value.suggested_filename == "my-b-digits-b-seed-0.png"
    zoom = (sheet.shape[0] + 2) // 4 - 2
    assert zoom % 8 == 0
    np.testing.assert_array_equal(sheet[: zoom : zoom // 8, : zoom : zoom // 8], greys(found)[0])


# -- other kinds -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "srgan"])
def test_a_dropped_picture_is_translated_as_the_model_does(browser, name, tmp_path):
    model = ready(build(name))
    found = of_model(browser, model, tmp_path)
    size = (8, 8) if name != "srgan" else (12, 10)
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255
    Image.fromarray((x[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "mine.png")
    found.locator("input[type=file]").last.set_input_files(tmp_path / "mine.png")
    until(found, "document.querySelectorAll('.pictures canvas').length === 2")
    wanted = model.upscale(x) if name == "srgan" else model.translate(x, "B", Noise.of(0, 1))
    shown = seen(found.locator(".pictures canvas").nth(1))[..., :3]
    assert np.abs(shown - (wanted[0].permute(1, 2, 0).clamp(0, 1) * 255).round().detach().numpy()).max() <= 2
    found.close()


@pytest.mark.slow
def test_label_maps_go_in_and_come_out_in_their_colours(browser, tmp_path):
    red, green = (255, 0, 0), (0, 255, 0)
    shape = PairShape(channels=2, channels_b=2, height=16, width_px=16, palette=(*red, *green), palette_b=(*green, *red))
    model = ready(of("cyclegan", shape))
    found = of_model(browser, model, tmp_path)
    classes = torch.randint(2, (16, 16), generator=torch.Generator().manual_seed(0))
    Image.fromarray(np.array([red, green], "uint8")[classes.numpy()]).save(tmp_path / "map.png")
    found.locator("input[type=file]").last.set_input_files(tmp_path / "map.png")
    until(found, "document.querySelectorAll('.pictures canvas').length === 2")
    x = torch.nn.functional.one_hot(classes, 2).permute(2, 0, 1)[None].float()
    wanted = model.shape.drawable(model.translate(x, "B"), "B")[0].permute(1, 2, 0) * 255
    same = (seen(found.locator(".pictures canvas").nth(1))[..., :3] == wanted.long().numpy()).mean()
    assert same > 0.98  # two classes that are even may go either way
    found.close()


@pytest.mark.slow
def test_a_row_is_filled_in(browser, tmp_path):
    model = ready(build("gain"))
    found = of_model(browser, model, tmp_path)
    found.get_by_label("a", exact=True).fill("0.5")
    found.get_by_label("b", exact=True).select_option("2")
    found.get_by_role("button", name="Fill in").click()
    until(found, "document.querySelectorAll('tbody tr').length === 6")
    rows = [each.inner_text().split("\t") for each in found.locator("tbody tr").all()]
    x, mask = torch.tensor([[0.5, 2.0, 0.0]]), torch.tensor([[True, True, False]])
    best = model.shape.decode(model.impute(x, mask))
    assert rows[0][1:3] == ["0.5", "z"] and len({row[3] for row in rows[1:]}) > 1
    seconds = np.datetime64(rows[0][3].replace(" ", "T"), "s").astype(int)
    assert abs(seconds - best["c"][0]) <= 60
    with found.expect_download() as download:
        found.get_by_role("button", name="Save as CSV").click()
    assert download.value.path().read_text().splitlines()[0] == "row,a,b,c"
    found.close()


@pytest.mark.slow
def test_music_is_that_of_the_model(browser, tmp_path):
    model = ready(build("music"))
    found = of_model(browser, model, tmp_path)
    until(found, "performance.getEntriesByName('first picture').length > 0")
    with found.expect_download() as download:
        found.get_by_role("button", name="Save as MIDI").click()
    (tmp_path / "it.mid").write_bytes(download.value.path().read_bytes())
    steps = 4 * model.shape.bar
    model.shape = replace(model.shape, window=steps)
    wanted = model.shape.decode(model.sample(1, noise=Noise.of(0, 1)))[0]
    score = read_midi(tmp_path / "it.mid")[0]

    def notes(of):
        return sorted(zip(*(of.notes[name].tolist() for name in ("start", "pitch", "length")), strict=True))

    assert notes(score) == notes(wanted) and len(notes(score)) > 3
    found.get_by_label("upper").check()
    before = found.evaluate("document.querySelector('.roll').toDataURL()")
    found.get_by_role("button", name="Write anew").click()
    until(
        found,
        f"document.querySelector('.roll').toDataURL() !== {json.dumps(before)} && document.querySelector('.bar').hidden",
    )
    with found.expect_download() as download:
        found.get_by_role("button", name="Save as MIDI").click()
    (tmp_path / "anew.mid").write_bytes(download.value.path().read_bytes())

    def voice(of, number):
        return [
            note
            for note in zip(*(of.notes[name].tolist() for name in ("voice", "start", "pitch", "length")), strict=True)
            if note[0] == number
        ]

    anew = read_midi(tmp_path / "anew.mid")[0]
    assert voice(anew, 0) == voice(score, 0) and voice(anew, 1) != voice(score, 1)
    found.get_by_role("button", name="Play").click()
    found.wait_for_timeout(300)
    found.get_by_role("button", name="Stop").click()
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timegan", "crnngan"])
def test_other_samples_are_shown(browser, name, tmp_path):
    model = ready(build(name))
    found = of_model(browser, model, tmp_path)
    until(found, "performance.getEntriesByName('first picture').length > 0")
    with found.expect_download() as download:
        found.get_by_role("button", name="Save as").click()
    if name == "timegan":
        assert found.locator(".plot").count() == 3
        lines = [line.split(",") for line in download.value.path().read_text().splitlines()]
        wanted = model.shape.rows.decode(model.sample(3, noise=Noise.of(0, 3))[1])
        np.testing.assert_allclose([float(line[4]) for line in lines[13:25]], wanted["flow"], atol=1e-4)
    else:
        (tmp_path / "it.mid").write_bytes(download.value.path().read_bytes())
        wanted = model.shape.decode(model.sample(1, noise=Noise.of(0, 1)))[0]
        assert sorted(read_midi(tmp_path / "it.mid")[0].notes["pitch"].tolist()) == sorted(wanted.notes["pitch"].tolist())
    found.close()


@pytest.mark.slow
def test_points_are_counted(browser, runs, tmp_path):
    found, _ = opened(browser, runs["line"], tmp_path)
    heights = found.locator("rect").evaluate_all("bars => bars.map(bar => Number(bar.getAttribute('height')))")
    model = genloom.load(runs["line"])
    points = model.sample(1000, noise=Noise.of(0, 1000)).flatten().numpy()
    wanted, _ = np.histogram(points, 60)
    np.testing.assert_allclose(np.array(heights) / max(heights), wanted / wanted.max(), atol=3 / wanted.max())


# -- the file --------------------------------------------------------------------------------------


def test_axes_are_of_what_is_noise():
    model = ready(build("cgan"))
    assert int(moved(model).sum()) == model.hyper.z < model.code_width
    found = axes(model)
    directions = torch.tensor(found["directions"])
    assert (directions[:, model.hyper.z :] == 0).all()
    torch.testing.assert_close(directions @ directions.T, torch.eye(len(directions)), atol=1e-3, rtol=0)
    assert found["low"][0] == 0 and found["high"][0] <= 1
    shares = [float(title.split(", ")[1].split(" ")[0]) for title in found["titles"]]
    assert shares == sorted(shares, reverse=True)
    assert axes(ready(build("gain"))) is None


def test_the_direction_of_most_change_comes_first():
    class Two(Latent):
        conditional, law, code_width = False, "gaussian", 3

        def prior(self, n, noise=None):
            return noise.normal(3)

        def generate(self, z, given=None):
            return torch.stack([3 * z[:, 1] + z[:, 2], z[:, 0] * 0.5], 1)

    found = torch.tensor(axes(Two())["directions"])
    torch.testing.assert_close(found[0], torch.tensor([0.0, 3.0, 1.0]) / 10**0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_parts_are_those_that_a_model_can_do():
    picture, table = {"height": 8}, {"columns": []}
    of_names = lambda shape, *names: parts(set(names), {"shape": shape, "model": "it"})  # noqa: E731
    assert of_names(picture, "prior", "generate") == ["pictures.js", "draw.js"]
    assert of_names(picture, "next_row", "next_pixel", "log_prob") == ["pictures.js", "draw.js", "complete.js", "given.js"]
    assert of_names(table, "impute", "draw") == ["columns.js", "rows.js"]
    assert of_names(table, "sample") == ["columns.js", "series.js"]
    assert of_names({"notes": 8}, "sample") == ["music.js"]
    with pytest.raises(InputError, match="a page can show nothing of a it's tag: export it by `--to onnx`"):
        of_names({"height": 8, "columns": 3}, "tag")


def test_bad_input_is_one_sentence_and_nothing_is_left(runs, tmp_path, monkeypatch, capsys):
    run = str(runs["line"].folder)
    (tmp_path / "there.html").write_text("mine")

    def refused(*arguments):
        status = command(["export", *map(str, arguments)])
        return status, " ".join(capsys.readouterr().err.split())

    status, said = refused(run, "-o", tmp_path / "page", "--to", "page")
    assert status == 2 and "takes a name that ends in .html" in said
    assert "--title is a page's" in refused(run, "-o", tmp_path / "new", "--title", "x", "--to", "torch")[1]
    assert "no such function" in refused(run, "-o", tmp_path / "p.html", "--to", "page", "--only", "encode")[1]
    monkeypatch.setattr(write, "LARGEST", 1000)
    status, said = refused(run, "-o", tmp_path / "there.html", "--to", "page")
    assert status == 2 and "may have 0: `--weights int8`" in said and "--to onnx" in said
    monkeypatch.undo()
    monkeypatch.setattr(limits, "operators", lambda: {"mm"})
    assert "needs the operator sym_size.int, which no page has" in refused(run, "-o", tmp_path / "p.html", "--to", "page")[1]
    monkeypatch.undo()
    assert "--only takes functions by name" in refused(run, "-o", tmp_path / "p.html", "--to", "page", "--only", ",")[1]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.Path, "write_text", full)
    status, said = refused(run, "-o", tmp_path / "there.html", "--to", "page")
    assert status == 2 and "No space left on device" in said
    monkeypatch.undo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there.html"]
    assert (tmp_path / "there.html").read_text() == "mine"


@pytest.mark.slow
def test_what_is_set_stands_in_the_address(browser, runs, tmp_path):
    run = runs["dcgan"]
    found, _ = opened(browser, run, tmp_path)
    set_seed(found, 9)
    found.get_by_label("How many").select_option("4")
    found.get_by_label("Label").select_option("2")
    until(found, "document.querySelector('.bar').hidden && document.querySelectorAll('.tile').length === 4")
    assert found.url.endswith("#seed=9&n=4&label=2")
    again = browser.new_page()
    again.goto(found.url)
    until(again, "performance.getEntriesByName('drawn').length > 0")
    np.testing.assert_array_equal(greys(again), greys(found))
    again.goto(found.url.replace("seed=9&n=4", "seed=x&n=5"))
    again.reload()
    until(again, "performance.getEntriesByName('drawn').length > 0")
    assert again.locator(".tile").count() == 16 and again.get_by_label("Seed").first.input_value() == "0"


def test_a_page_says_what_the_judge_said_of_its_checkpoint(runs, tmp_path):
    run = runs["line"]
    said = ["samples lie <near>; to try, go on with: genloom fit", "genloom fit -o runs/x", f"in {run.folder}"]
    for version, wanted in ((run.checkpoint("last").name, ["samples lie <near>"]), ("1", [])):
        (run.folder / "judge.json").write_text(json.dumps({"verdicts": said, "about": {"checkpoint": version}}))
        assert write_page(run, tmp_path / "p.html")["judged"] == wanted
        assert ("<li>samples lie &lt;near&gt;</li>" in (tmp_path / "p.html").read_text()) == bool(wanted)
    (run.folder / "judge.json").write_text("{")
    assert write_page(run, tmp_path / "p.html")["judged"] == []
    (run.folder / "judge.json").unlink()


def test_a_page_names_no_place_of_this_machine(runs, tmp_path):
    assert (
        command(["export", str(runs["line"].folder), "-o", str(tmp_path / "p.html"), "--to", "page", "--title", "A line"])
        == 0
    )
    text = (tmp_path / "p.html").read_text()
    assert "<title>A line</title>" in text and str(tmp_path) not in text and str(runs["line"].folder.parent) not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
