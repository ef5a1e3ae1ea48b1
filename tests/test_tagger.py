"""Tags: the table, the data, the paper's nets, what draws vote for, and the judge beside simple baselines."""

import csv
import json
import shutil

import pytest
import torch
import torch.nn.functional as F

import genloom
from games import write_tagged
from genloom.cli.app import run
from genloom.core.clock import Clock
from genloom.core.model import Misfit
from genloom.core.random import Noise
from genloom.data.tags.table import read_tags
from genloom.data.tags.vectors import WordVectors, read_words
from genloom.errors import InputError
from genloom.measures.tags import Truth, by_frequency, by_neighbours, by_ridge, chosen, first_words, tag_figures
from genloom.models.adversarial.instances import TaggedFeatures
from genloom.models.adversarial.tagger import Tagger, TaggerHyper, energy_score
from genloom.shapes.tags import TagShape

SHAPE = TagShape(("red", "blue", "warm", "cold"), columns=4, height=32, width_px=32)


def weights(net):
    return sum(p.numel() for p in net.parameters())


def built(**values):
    torch.manual_seed(0)
    model = Tagger(TaggerHyper.tiny().with_values(values), SHAPE)
    model.vectors.copy_(torch.eye(4))
    model.counts.copy_(torch.tensor([8.0, 4, 2, 0]))
    return model.eval()


# -- the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "file,tags\na.png,dog;Ice Cream\nb.png,cat\n",
        "tags,image\ndog|ice cream,a.png\ncat,b.png\n",
        "a.png,dog,ice cream\nb.png,cat\n",
        "picture,tag\na.png,dog\na.png,ice cream\na.png,dog\nb.png,cat\n",
        'name,keywords\na.png,"dog, ice cream"\nb.png,cat\n',
        "file,tags\na.png,dog,ice cream\nb.png,cat\n",
        "file;tags\na.png;dog,ice cream\nb.png;cat\n",
        "a.png;dog;ice cream\nb.png;cat\n",
        "file\ttags\ra.png\tdog|ice cream\rb.png\tcat",
    ],
)
def test_tables_of_tags_in_many_forms(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert read_tags(tmp_path / "t.csv").tags == {"a.png": ["dog", "ice_cream"], "b.png": ["cat"]}


def test_only_one_part_of_the_table_is_taken(tmp_path):
    options = write_tagged(tmp_path)
    train, test = (genloom.load_data(tmp_path / "pictures", split=part, **options) for part in ("train", "test"))
    assert (len(train.images), len(test.images)) == (32, 16) and not set(train.names) & set(test.names)
    assert len(train) == 64 and train.fingerprint != test.fingerprint
    batch = train.batch({"x": torch.tensor([0, 1, 2])})
    assert [train.shape.classes[k] for k in batch["x"].argmax(1)] == ["red", "warm", "blue"]
    assert batch["picture"][0].mean((1, 2)).argmax() == 0 and batch["picture"][2].mean((1, 2)).argmax() == 2


def test_names_without_suffix_or_with_folders_are_found(tmp_path):
    options = write_tagged(tmp_path, n=4)
    (tmp_path / "tags.csv").write_text("000,red\nsome/where/001.png,blue\n002.png,red\nlost.png,blue\n")
    data = genloom.load_data(tmp_path / "pictures", **options)
    assert data.names == ["000.png", "001.png", "002.png"]
    assert any("1 of 4 pictures have no tags" in note for note in data.notes)
    assert any("1 names" in note and "lost.png" in note for note in data.notes)


def test_pictures_of_one_name_in_two_folders_are_told_apart(tmp_path):
    options = write_tagged(tmp_path, n=4)
    for name in ("dog", "cat"):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "a.png").write_bytes((tmp_path / "pictures" / "000.png").read_bytes())
    (tmp_path / "tags.csv").write_text("x/dog/a.png,red\n./cat/a.png,blue\ncat/a,cold\n")
    data = genloom.load_data(tmp_path / "both", **options)
    found = {name: [data.shape.classes[k] for k in row] for name, row in zip(data.names, data.tags, strict=True)}
    assert found == {"cat/a.png": ["blue", "cold"], "dog/a.png": ["red"]}
    (tmp_path / "tags.csv").write_text("a.png,red\n")
    with pytest.raises(InputError, match="write its folder too"):
        genloom.load_data(tmp_path / "both", **options)


def test_other_parts_are_left_out_and_said(tmp_path):
    options = write_tagged(tmp_path, n=4)
    (tmp_path / "tags.csv").write_text("file,tags,split\n000,red,Training\n001,blue,val\n002,red,\n003,blue,test\n")
    data = genloom.load_data(tmp_path / "pictures", **options)
    assert data.names == ["000.png", "002.png"]
    assert any("neither train nor test, left out: 1 'val'" in note for note in data.notes)


def lose_names(folder):
    (folder / "tags.csv").write_text("a.png,red\nb.png,blue\n000.png,red\n")


def lose_words(folder):
    (folder / "tags.csv").write_text("000.png,redd;blue\n001.png,blue\n")


@pytest.mark.parametrize(
    ("change", "leave", "said"),
    [
        (lambda folder: None, "--words", "--words FILE"),
        (lambda folder: None, "--tags", "--tags tags.csv"),
        (lambda folder: None, "both", "--tags tags.csv and --words"),
        (lose_names, "", "only 1 of the 3 names"),
        (lose_words, "", "redd (did you mean 'red'?)"),
        (lambda folder: (folder / "tags.csv").write_text(""), "", "holds no tags"),
        (lambda folder: (folder / "tags.csv").write_bytes(b"\xff\xfe"), "", "no text in UTF-8 (byte 0)"),
        (lambda folder: (folder / "tags.csv").write_text("tags,x\nred,1\n"), "", "call that of the pictures `file`"),
        (lambda folder: (folder / "tags.csv").write_text("file,caption\n000.png,red\n"), "", "that of the tags `tags`"),
        (lambda folder: (folder / "tags.csv").unlink(), "", "no table of tags"),
    ],
)
def test_bad_input_of_fit(tmp_path, capsys, change, leave, said):
    options = write_tagged(tmp_path, n=4)
    change(tmp_path)
    given = [text for name, value in options.items() if leave not in (f"--{name}", "both") for text in (f"--{name}", value)]
    arguments = ["fit", "tagger", str(tmp_path / "pictures"), "-o", str(tmp_path / "run"), "--preset", "tiny", *given]
    assert run(arguments) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_one_picture_and_pictures_all_alike_are_learnt_from(tmp_path):
    options = write_tagged(tmp_path, n=8)
    for i in range(8):
        (tmp_path / "pictures" / f"{i:03d}.png").write_bytes((tmp_path / "pictures" / "000.png").read_bytes())
    run = genloom.fit("tagger", str(tmp_path / "pictures"), tmp_path / "run", preset="tiny", examples=64, batch=8, **options)
    assert genloom.load(run).votes(torch.zeros(1, 1280)).isfinite().all()


def test_a_likelihood_needs_votes_that_are_shared_out():
    found = Tagger.fits(SHAPE, TaggerHyper(likelihood=1.0))
    assert isinstance(found, Misfit) and "--hyper.softness" in found.reason


def test_unknown_words_may_be_skipped(tmp_path):
    options = write_tagged(tmp_path, n=4)
    lose_words(tmp_path)
    data = genloom.load_data(tmp_path / "pictures", skip_unknown=True, **options)
    assert [[data.shape.classes[k] for k in row] for row in data.tags] == [["blue"], ["blue"]]


# -- the model -------------------------------------------------------------------------------------


def test_weights_of_the_papers_nets():
    model = Tagger(TaggerHyper(), TagShape(("a", "b"), columns=200))
    assert weights(model.generator) == 101 * 500 + 1281 * 2000 + 2501 * 200
    assert weights(model.discriminator) == 201 * 500 + 1281 * 1200 + 1701 * 3000 + 1001


def test_the_energy_score_is_least_for_the_law_itself():
    """Half of the words are one, half another: draws of both beat draws of either, and of what lies between."""
    torch.manual_seed(0)
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    x = words[torch.randint(2, (20_000,))]
    own = words[torch.randint(2, (4, 20_000))]
    between, one = torch.full_like(own, 0.5), words[0].expand_as(own)
    assert energy_score(own, x) < energy_score(between, x) - 0.1
    assert energy_score(own, x) < energy_score(one, x) - 0.1


def test_the_nearest_words_of_each_draw_are_counted(monkeypatch):
    model = built(among="words", nearest=2, prior=0.0, draws=2, softness=0.0)
    drawn = torch.tensor([[1.0, 0.5, 0, 0], [0.9, 0, 0, 0.1]])
    monkeypatch.setattr(model, "made", lambda h, noise, draws: drawn)
    assert model.votes(torch.zeros(1, 1280)).tolist() == [[2.0, 1.0, 0.0, 1.0]]
    model.hyper = TaggerHyper.tiny().with_values({"among": "tags", "nearest": 2, "prior": 1.0, "softness": 0.0, "draws": 2})
    votes = model.votes(torch.zeros(1, 1280))[0]
    assert votes[3] == 0 and votes[0] == 2 / 8  # never a word that no picture has; each by how often it is a tag


def test_shares_of_votes_are_likelihoods():
    model = built(among="words", softness=0.2)
    made, word = F.normalize(torch.randn(3, 5, 4), dim=2), torch.tensor([0, 1, 2, 3, 0])
    shares = (made @ torch.eye(4) / 0.2).softmax(2).mean(0)
    wanted = -shares[torch.arange(5), word].log().mean()
    assert torch.allclose(model.surprise(made, word), wanted, atol=1e-5)


LOSSES = {"mismatched": 0.25, "adversarial": 0.3, "energy": 0.6, "likelihood": 0.9, "softness": 0.2, "dropout": 0.0}


def test_both_losses_are_what_the_docstring_says():
    model = built(**LOSSES)
    model.mean.fill_(0.5)
    model.scale.fill_(2.0)
    batch = {"x": torch.randn(6, 4), "word": torch.tensor([0, 1, 2, 0, 1, 2]), "h": torch.randn(6, 1280)}
    batch["apart"] = torch.tensor([True, True, False, True, True, True])
    torch.manual_seed(0)
    losses = {move.player: move.loss for move in model.round(iter([batch]), Clock())}
    torch.manual_seed(0)
    x, h = F.normalize(batch["x"], dim=1), (batch["h"] - 0.5) / 2
    made = model.made(h, draws=4).view(6, 4, -1).transpose(0, 1)
    real, fake, other = model.discriminator(x, h), model.discriminator(made[0], h), model.discriminator(x, h.roll(1, 0))
    missed = F.softplus(other)[batch["apart"]].mean()
    wanted = F.softplus(-real).mean() + 0.75 * F.softplus(fake).mean() + 0.25 * missed
    assert torch.allclose(losses["discriminator"], wanted, atol=1e-5)
    wanted = 0.3 * F.softplus(-fake).mean() + 0.6 * energy_score(made, x) + 0.9 * model.surprise(made, batch["word"])
    assert torch.allclose(losses["generator"], wanted, atol=1e-5)


def test_dropout_makes_one_draw_unlike_another_in_use_too():
    model, h = built(dropout=0.5), torch.randn(1, 1280)
    with torch.no_grad():
        model.generator.z.weight.zero_()  # so that the code plays no part
        a, b = model.made(h, Noise.of(0, 1), draws=2)
    assert not torch.allclose(a, b)


def test_a_tag_of_the_other_picture_is_not_called_fake(tmp_path):
    data = genloom.load_data(tmp_path / "pictures", **write_tagged(tmp_path, n=6))
    found = TaggedFeatures(data, torch.zeros(4, 1280), data.vectors, data.pairs)
    batch = found.batch({"x": torch.tensor([0, 1, 2, 4])})  # red and warm of the first, blue of the second, red of the third
    assert batch["apart"].tolist() == [False, False, True, True]


def test_a_picture_has_the_same_tags_whatever_lies_beside_it():
    model, h = built(), torch.randn(4, 1280)
    whole = model.votes(h, Noise.of(0, 4))
    parts = [model.votes(h[i : i + 1], Noise.of(0, 1, i)) for i in range(4)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-4)


# -- the figures -----------------------------------------------------------------------------------


def test_figures_by_hand():
    truth = Truth(torch.tensor([[0, 0], [0, 1], [1, 2]]), pictures=2, words=4)
    scores = torch.tensor([[3.0, 1.0, 2.0, 0.0], [3.0, 2.0, 0.0, 0.0]])
    figures = {name: figure.value for name, figure in tag_figures(first_words(scores, 2), truth).items()}
    assert figures["P@2"] == pytest.approx(0.25) and figures["R@2"] == pytest.approx(0.25)  # first: 0 and 2; second: 0, 1
    assert figures["F1@2"] == pytest.approx((2 * 1 / 4 + 0) / 2)
    assert figures["N+"] == 1 and figures["variety"] == 3
    assert first_words(torch.tensor([[0.0, 2.0, 0.0]]), 5).tolist() == [[1, -1, -1, -1, -1]]
    part = truth.part(torch.tensor([False, True]))
    assert part.pairs.tolist() == [[0, 2]] and part.pictures == 1 and part.frequencies.tolist() == [0, 0, 1, 0]


def test_neighbours_vote_as_by_hand():
    h, truth = torch.eye(3), Truth(torch.tensor([[0, 0], [0, 3], [1, 3], [2, 1]]), 3, 4)
    other = torch.tensor([[1.0, 0.5, 0.0]])
    likeness = F.normalize(other - h.mean(0), dim=1) @ F.normalize(h - h.mean(0), dim=1).T
    wanted = [likeness[0, 0], 0.0, 0.0, likeness[0, 0] + likeness[0, 1]]
    assert torch.allclose(by_neighbours(h, truth, 2)(other)[0], torch.tensor(wanted))


def test_baselines_find_what_is_plain():
    torch.manual_seed(0)
    kind = torch.arange(60) % 3
    h = torch.randn(60, 8) * 0.1 + F.one_hot(kind, 8) * 3.0
    truth = Truth(torch.stack([torch.arange(60), kind], 1), 60, 5)
    fits = (
        lambda h, y, k: by_neighbours(h, y, int(k)),
        lambda h, y, ridge: by_ridge(h, y, torch.eye(5), ridge),
    )
    for fit in fits:
        score = chosen(h, truth, (1.0, 3.0), fit)
        assert (score(h).argmax(1) == kind).all()
    assert by_frequency(truth)(h)[0].tolist() == [20, 20, 20, 0, 0]


# -- the whole way ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagged")
    options = write_tagged(folder, n=180)
    genloom.fit("tagger", str(folder / "pictures"), folder / "run", preset="tiny", examples=20_000, **options)
    return folder


def test_it_tags_pictures_and_writes_what_fit_reads(trained, capsys):
    picture = trained / "pictures" / "178.png"
    assert run(["tag", str(trained / "run"), str(picture), "--count", "2"]) == 0
    assert set(capsys.readouterr().out.split(": ")[1].split()) == {"red", "warm"}
    assert run(["tag", str(trained / "run"), str(trained / "pictures"), "-o", str(trained / "out.csv"), "--count", "2"]) == 0
    with (trained / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 180
    right = sum(
        set(row["tags"].split(";")) == {("red", "blue")[i % 2], ("warm", "cold")[i % 2]} for i, row in enumerate(rows)
    )
    assert right > 170
    again = genloom.load_data(trained / "pictures", tags=str(trained / "out.csv"), words=str(trained / "words.safetensors"))
    assert len(again.images) == 180


def test_it_is_judged_beside_simple_baselines(trained, capsys):
    assert run(["judge", str(trained / "run"), "-o", str(trained / "judge.json")]) == 0
    found = json.loads((trained / "judge.json").read_text())
    assert found["baselines"].keys() == {"tag frequency", "neighbours' vote", "ridge regression"}
    assert found["measures"]["F1@5"]["value"] > 0.5 and found["measures"]["N+"]["value"] == 4
    page = (trained / "judge.html").read_text()
    assert "<b>red</b>" in page and "<b>blue</b>" in page
    assert "needs no generator" in " ".join(found["verdicts"])


def test_check_says_what_there_is_to_learn_from(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where it leaves its contact sheet
    options = ["--tags", str(trained / "tags.csv"), "--words", str(trained / "words.safetensors")]
    assert run(["check", str(trained / "pictures"), *options]) == 0
    said = capsys.readouterr().out
    assert "120 pictures with 4 different tags, 2.0 each" in said and "red 60" in said
    assert "60 pictures are kept for the judge" in said
    assert f"genloom fit tagger {trained / 'pictures'} --tags {trained / 'tags.csv'} --words" in said
    assert (tmp_path / "check.png").exists()


def test_nothing_is_judged_by_pictures_that_training_saw(trained, tmp_path, capsys):
    lines = (trained / "tags.csv").read_text().replace(",test", ",train")
    (tmp_path / "tags.csv").write_text(lines)
    options = {"tags": str(tmp_path / "tags.csv"), "words": str(trained / "words.safetensors")}
    genloom.fit("tagger", str(trained / "pictures"), tmp_path / "run", preset="tiny", examples=64, **options)
    assert run(["judge", str(tmp_path / "run")]) == 2
    assert "is held out" in capsys.readouterr().err
    assert run(["judge", str(tmp_path / "run"), "--test", str(trained / "pictures")]) == 2
    assert "180 of 180 pictures of" in capsys.readouterr().err
    write_tagged(tmp_path / "other", n=60, seed=9)
    shutil.copy(tmp_path / "other" / "tags.csv", tmp_path / "tags.csv")
    assert run(["judge", str(tmp_path / "run"), "--test", str(tmp_path / "other" / "pictures")]) == 2
    assert "are no longer those that" in capsys.readouterr().err  # the table of the training is another now


def test_pictures_marked_for_test_alone_are_trained_on_in_no_case(tmp_path):
    options = write_tagged(tmp_path, n=40)
    lines = (tmp_path / "tags.csv").read_text().replace(",train", ",")
    (tmp_path / "tags.csv").write_text(lines)
    trained, held = (genloom.load_data(tmp_path / "pictures", **options, split=part).names for part in ("train", "test"))
    assert held and trained and not set(held) & set(trained) and len(held) + len(trained) == 40


def test_another_file_of_words_is_refused_by_the_judge(trained, tmp_path, capsys):
    kept = (trained / "words.safetensors").read_bytes()
    other = read_words(trained / "words.safetensors")
    WordVectors(tuple(reversed(other.words)), other.vectors).write(trained / "words.safetensors")
    assert run(["judge", str(trained / "run"), "-o", str(tmp_path / "j.json")]) == 2
    assert "holds other words than those" in capsys.readouterr().err
    (trained / "words.safetensors").write_bytes(kept)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}", "nowhere.png"], "nowhere.png"),
        (["{run}", "{pictures}", "--count", "0"], "--count takes a number from 1 on"),
        (["{run}", "{pictures}", "-o", "tags.txt"], "tags.csv"),
    ],
)
def test_bad_input_of_tag(trained, arguments, said, capsys):
    places = {"run": str(trained / "run"), "pictures": str(trained / "pictures")}
    assert run(["tag", *(text.format(**places) for text in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_a_tagger_draws_no_pictures_whatever_the_file_is_called(trained, capsys):
    assert run(["sample", str(trained / "run"), "-o", "x.csv"]) == 2
    assert "Tagger draws no samples; `genloom tag` has its words" in capsys.readouterr().err


def test_a_model_that_does_not_tag_says_so(tmp_path, capsys):
    genloom.fit("gan", "digits", tmp_path / "run", preset="tiny", examples=100)
    assert run(["tag", str(tmp_path / "run"), "digits"]) == 2
    assert "GAN does not tag pictures; tagger does" in capsys.readouterr().err


def test_words_of_another_width_are_refused_when_a_run_goes_on(tmp_path):
    options = write_tagged(tmp_path, n=40)
    genloom.fit("tagger", str(tmp_path / "pictures"), tmp_path / "run", preset="tiny", examples=64, **options)
    lines = [f"{word} {i} 1" for i, word in enumerate(("red", "warm", "blue", "cold"))]
    (tmp_path / "other.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match="begun with --words = .*words.safetensors', now it is .*other.txt"):
        genloom.fit(
            "tagger", str(tmp_path / "pictures"), tmp_path / "run", preset="tiny", examples=128,
            tags=options["tags"], words=str(tmp_path / "other.txt"),
        )  # fmt: skip


def test_chances_of_noise_are_each_samples_own():
    whole, half = Noise.of(3, 400).chance(10, 0.3), Noise.of(3, 200, 200).chance(10, 0.3)
    assert torch.equal(whole[200:], half) and 0.27 < whole.float().mean() < 0.33
    assert Noise.of(0, 2).chance(3, 1.0).all() and not Noise.of(0, 2).chance(3, 0.0).any()
    assert (
        whole.float().T.corrcoef().fill_diagonal_(0).abs().max() < 0.25
    )  # four of 64 bits have nothing to do with each other
