"""Music as data, the recurrent model of voices, and pieces that are asked for."""

import dataclasses
import gzip
import json

import numpy as np
import pytest
import torch

import genloom
from games import piece, write_music
from genloom.cli.app import run as command
from genloom.core.clock import Clock
from genloom.core.random import Noise
from genloom.errors import InputError
from genloom.models.music.music import Music, MusicHyper
from genloom.models.music.stepwise import picked
from genloom.nn.voices import Rules, StepByStep, VoiceNet
from genloom.scores.keys import key_of
from genloom.scores.midi import midi_of, read_midi
from genloom.scores.score import Key, Score, as_notes
from genloom.scores.voices import Voices
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, HELD, REST, ScoreShape, sounding
from genloom.use.music.compose import Wish, beginning, compose


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten pieces of two composers."""
    return write_music(tmp_path_factory.mktemp("music"), 10)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    run = genloom.fit("music", folder, tmp_path_factory.mktemp("run") / "r", preset="tiny", examples=1600, threads=1)
    return run, genloom.load(run)


# -- data ------------------------------------------------------------------------------------------


def test_a_folder_of_midi_is_read_onto_a_grid(folder):
    data = genloom.load_data(folder)
    assert data.shape == Shape.from_json(data.shape.to_json()) and data.shape.classes == ("ada", "bo")
    assert (data.shape.voices, data.shape.grid, data.shape.window, data.shape.bar) == (("upper", "lower"), 4, 64, 16)
    assert data.trained == 8 and len(data.names) == 10 and data.notes[0].startswith("8 pieces to learn from, 2 held out")
    batch = data.batch({"x": torch.tensor([0, 5, len(data) - 1])})
    assert batch["x"].shape == (3, 64, 2) and (batch["x"][:, 0] != HELD).all()
    assert batch["beat"][1, :3].tolist() == [5, 6, 7] and batch["mask"].all() and batch["bar"].tolist() == [16] * 3
    whole = data.piece(0)
    assert torch.equal(data.shape.encode(data.shape.decode(whole["x"])[0]), whole["x"][0])


def test_held_notes_begin_at_the_beginning_of_an_example():
    codes = torch.tensor([[5, REST], [HELD, 9], [HELD, HELD], [REST, HELD]])
    assert sounding(codes).tolist() == [[5, REST], [5, 9], [5, 9], [REST, 9]]


def test_examples_longer_than_a_piece_are_followed_by_rests_that_do_not_count(folder):
    data = genloom.load_data(folder, steps=200)
    batch = data.batch({"x": torch.tensor([0])})
    assert batch["mask"][0].sum() == 96 and (batch["x"][0, 96:] == REST).all()


def test_steps_in_json_are_read_as_published(tmp_path):
    separate = [[60, 55, 52, 48], [60, 55, 52, 48], [62, -1, 53, 47]]
    chords = [[48, 52, 60], [60], [55, 64, 67]]
    for name, step_lists in (("Jsb16thSeparated.json.gz", separate), ("chorales-quarter.json.gz", chords)):
        (tmp_path / name).write_bytes(
            gzip.compress(json.dumps({k: [step_lists] * 2 for k in ("train", "valid", "test")}).encode())
        )
    data = genloom.load_data(tmp_path / "Jsb16thSeparated.json.gz")
    assert data.shape.voices == ("soprano", "alto", "tenor", "bass") and not data.shape.repeats and data.trained == 2
    assert [row.count(HELD) for row in data.piece(0)["x"][0].tolist()] == [0, 4, 0] and data.piece(0)["x"][0, 2, 1] == REST
    data = genloom.load_data(tmp_path / "chorales-quarter.json.gz", steps=2)
    assert data.shape.chords and data.shape.grid == 1
    low = data.shape.low - FIRST
    assert (data.piece(0)["x"][0, [0, 2]] + low).tolist() == [[60, 52, 48], [67, 64, 55]]
    assert data.piece(0)["x"][0, 1].tolist() == [60 - low, REST, REST]
    test = genloom.load_data(tmp_path / "chorales-quarter.json.gz", split="test", steps=2)
    assert test.trained == len(test.names) == 2


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"metre": "3/4"}, "no piece of .* is in 3/4: there are 10 in 4/4"),
        ({"metre": "waltz"}, "--metre takes beats"),
        ({"grid": 0}, "--grid takes a number from 1 on"),
        ({"size": 64}, "holds pieces of music: --size"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(folder, said, sentence):
    with pytest.raises(InputError, match=sentence):
        genloom.load_data(folder, **said)


def test_broken_files_are_named_and_left_out_on_request(folder, tmp_path):
    (tmp_path / "good.mid").write_bytes(midi_of(piece(1)))
    (tmp_path / "bad.mid").write_bytes(b"MThd and no more")
    with pytest.raises(InputError, match=r"of the files 1 cannot be read: .*bad.mid .*--skip-broken"):
        genloom.load_data(tmp_path)
    assert len(genloom.load_data(tmp_path, skip_broken=True).names) == 1
    (tmp_path / "good.mid").unlink()
    with pytest.raises(InputError, match="no piece of"):
        genloom.load_data(tmp_path, skip_broken=True)


# -- the model -------------------------------------------------------------------------------------


def small(chords=False, repeats=True, voices=2, pitches=3):
    torch.manual_seed(0)
    return VoiceNet(voices, Rules(pitches, chords, repeats), [3], 8, 1, 4, 0.0).eval()


def told(n):
    return torch.zeros(n, dtype=torch.long), torch.full((n,), 4), [torch.zeros(n, dtype=torch.long)]


@pytest.mark.parametrize(("chords", "repeats"), [(False, True), (False, False), (True, False)])
def test_probabilities_of_all_steps_sum_to_one(chords, repeats):
    net = small(chords, repeats)
    first = torch.tensor([[FIRST + 1, REST]])
    every = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    codes = torch.stack([first.expand(25, -1), every], 1)
    _, bar, whole = told(25)
    logits = net(codes, torch.arange(2).expand(25, -1), bar, whole).detach()
    nats = torch.nn.functional.cross_entropy(logits[:, 1].flatten(0, 1), every.flatten(), reduction="none")
    p = (-nats.view(25, 2).sum(1).double()).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    allowed = [tuple(row) for row, share in zip(every.tolist(), p.tolist(), strict=True) if share > 1e-9]
    if chords:
        sets = [(REST, REST), *((a, REST) for a in (2, 3, 4)), (3, 2), (4, 2), (4, 3)]
        assert sorted(allowed) == sorted(sets)
    else:
        assert all(pair[1] != HELD for pair in allowed)  # nothing sounds there that could be held
        assert ((FIRST + 1 in {pair[0] for pair in allowed}) == repeats) and HELD in {pair[0] for pair in allowed}


def test_no_voice_sees_itself_or_what_comes_later():
    net = small(voices=3)
    codes = torch.randint(0, 5, (1, 6, 3), generator=torch.Generator().manual_seed(1))
    codes[:, 0] = FIRST
    _, bar, whole = told(1)
    beat = torch.arange(6)[None]
    base = net(codes, beat, bar, whole)
    for t in range(6):
        for v in range(3):
            other = codes.clone()
            other[0, t, v] = FIRST + 2 if codes[0, t, v] != FIRST + 2 else FIRST
            changed = (net(other, beat, bar, whole) - base).abs().amax(-1)[0] > 0
            seen = torch.zeros(6, 3, dtype=torch.bool)
            seen[t, v + 1 :] = True
            seen[t + 1 :] = True
            assert not bool((changed & ~seen).any()) and bool((changed == seen)[t].all())


@pytest.mark.parametrize("chords", [False, True])
def test_step_by_step_is_the_whole_net(chords):
    net = small(chords, voices=3, pitches=6)
    player = StepByStep(net, 2, told(2)[1], told(2)[2])
    noise, chosen, seen = Noise.of(3, 2), [], []
    for t in range(10):
        drawn = noise.uniform(3)

        def choose(v, logits, drawn=drawn):
            seen.append(logits)
            return picked(logits, drawn[:, v])

        chosen.append(player.step(torch.full((2,), t % 4), choose))
    codes = torch.stack(chosen, 1)
    logits = net(codes, torch.arange(10).expand(2, -1) % 4, *told(2)[1:])
    assert torch.allclose(torch.stack(seen, 1).view(2, 10, 3, -1), logits, atol=1e-5)


def test_nothing_that_cannot_be_is_picked():
    logits = torch.tensor([[-1e9, 0.0, -1e9, 0.0]]).expand(4, -1)
    assert picked(logits, torch.tensor([0.0, 0.499, 0.5, 1 - 2**-24])).tolist() == [1, 1, 3, 3]


def test_examples_are_moved_with_their_key_and_within_the_range():
    shape = ScoreShape(voices=("a", "b"), low=50, high=70, window=4)
    model = Music(MusicHyper.tiny().with_values({"open": 0.0, "transpose": 12}), shape)
    seen = {}
    model.nats = lambda x, beat, bar, told: (seen.update(x=x, told=told), torch.ones(x.shape, requires_grad=True))[1]
    x = torch.tensor([[[FIRST + 3, FIRST], [HELD, HELD], [REST, FIRST + 2], [REST, HELD]]]).expand(300, -1, -1)
    whole = torch.zeros(300, dtype=torch.long)
    batch = {
        "x": x,
        "beat": torch.zeros(300, 4).long(),
        "bar": whole + 16,
        "key": whole + 23,
        "mask": torch.ones(300, 4) > 0,
    }
    next(iter(model.round(iter([batch]), Clock(examples=0, rounds=0))))
    shift = seen["x"][:, 0, 1] - FIRST
    assert shift.min() == 0 and shift.max() == 12 and torch.equal(seen["told"][0], 12 + (11 + shift) % 12)
    assert torch.equal(seen["x"][:, 1:, 0], x[:, 1:, 0])


def test_training_learns_what_the_notes_do(trained):
    run, model = trained
    data = genloom.load_data(run.record["data"]["source"])
    held = [float(model.step_nats(data.piece(i)).mean()) for i in range(data.trained, len(data.names))]
    fresh = Music(model.hyper, model.shape).eval()
    assert max(held) < 0.6 * float(fresh.step_nats(data.piece(data.trained)).mean())


# -- pieces ----------------------------------------------------------------------------------------


def test_what_is_asked_for_holds_exactly(trained):
    _, model = trained
    for key in ("G", "Bb"):
        for score in compose(model, 3, Wish(bars=4, key=Key.of(key)), seed=5):
            assert key_of(score.notes).tonic == Key.of(key).tonic and not key_of(score.notes).minor
            assert score.length <= 16.0 and str(score.key) == key
    codes = [model.shape.encode(score) for score in compose(model, 2, Wish(bars=4, density="low"), seed=1)]
    assert {model.density_of_piece(each) for each in codes} == {"low"}
    alone, beside = compose(model, 1, Wish(bars=3), seed=9), compose(model, 4, Wish(bars=3), seed=9)
    assert alone[0].notes.tolist() == beside[0].notes.tolist()
    assert midi_of(alone[0]) == midi_of(compose(model, 1, Wish(bars=3), seed=9)[0])


def test_what_comes_later_does_not_hang_on_how_many_are_asked_for(trained):
    _, model = trained
    wish = Wish(bars=2, key=Key.of("Am"), density="low")  # for which some are drawn anew
    one, three = compose(model, 1, wish, seed=4), compose(model, 3, wish, seed=4)
    assert one[0].notes.tolist() == three[0].notes.tolist()


def test_a_beginning_stays_as_it_is_and_its_notes_end(trained, tmp_path):
    _, model = trained
    (tmp_path / "start.mid").write_bytes(midi_of(piece(2, bars=2)))
    known, tempo = beginning(model, tmp_path / "start.mid")
    assert tempo == pytest.approx(100.0)
    told = piece(2, bars=2).notes
    for seed in range(3):
        (score,) = compose(model, 1, Wish(bars=5), seed=seed, known=known)
        kept = score.notes[score.notes["start"] < 8.0]
        assert kept[["start", "length", "pitch"]].tolist() == told[["start", "length", "pitch"]].tolist()
    crowd = Score(as_notes([(0.0, 1.0, 60 + i, 80, 0) for i in range(3)]))
    (tmp_path / "crowd.mid").write_bytes(midi_of(crowd))
    with pytest.raises(InputError, match="more notes at once than the run's 2 voices: 1 would be left out"):
        beginning(model, tmp_path / "crowd.mid")
    (tmp_path / "low.mid").write_bytes(midi_of(piece(20, bars=2, up=-30)))
    with pytest.raises(InputError, match="transpose it"):
        beginning(model, tmp_path / "low.mid")


def test_repeated_notes_are_held_for_a_run_that_knows_no_repeats():
    shape = ScoreShape(voices=("a",), low=60, high=70, window=4, repeats=False)
    codes = torch.tensor([[5], [5], [HELD], [6], [REST], [6]])
    assert shape.held(codes)[:, 0].tolist() == [5, HELD, HELD, 6, REST, 6]
    assert torch.equal(dataclasses.replace(shape, repeats=True).held(codes), codes)


def test_chords_are_coded_the_highest_first_whatever_the_columns():
    shape = ScoreShape(voices=("a", "b", "c"), low=40, high=80, window=4, chords=True)
    pitch = np.array([[-1, 50, 60], [70, 60, 50]])
    assert (shape.encode(Voices(pitch, pitch >= 0)) - FIRST + 40).tolist() == [[60, 50, 38], [70, 60, 50]]


def test_no_temperature_draws_what_is_ruled_out():
    logits = torch.tensor([[-1e9, 0.0, 5.0]]).expand(2000, -1)
    for temperature in (0.05, 20.0, 1e12):
        drawn = picked(logits, torch.linspace(0, 0.9999, 2000), temperature)
        assert (drawn > 0).all()
    assert (picked(logits, torch.linspace(0.001, 0.999, 2000), 0.05) == 2).all()


def test_other_voices_are_drawn_given_all_of_the_melody():
    shape = ScoreShape(voices=("a", "b"), low=60, high=62, window=4)
    torch.manual_seed(3)
    model = Music(MusicHyper.tiny().with_values({"width": 12, "embedding": 6}), shape).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # so that what comes later says something of what came before
    melody = torch.tensor([FIRST + 1, HELD, FIRST])
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    pieces = torch.stack([melody.expand(125, -1), every], 2)
    batch = {"x": pieces, "beat": torch.arange(3).expand(125, -1), "bar": torch.full((125,), 16)}
    exact = (-model.step_nats(batch).double().sum(1)).softmax(0)
    greedy = model.compose(3000, 3, known=torch.stack([melody, torch.full((3,), -1)], 1)[None].expand(3000, -1, -1))
    drawn = model.harmonise(torch.stack([melody, torch.full((3,), -1)], 1), 1500, noise=Noise.of(0, 1500))
    assert (drawn[..., 0] == melody).all()

    def shares(x):
        return torch.bincount((x[..., 1] * torch.tensor([25, 5, 1])).sum(1), minlength=125).double() / len(x)

    far, near = ((shares(x) - exact).abs().sum() / 2 for x in (greedy, drawn))
    assert near < 0.12 and far > 0.2  # drawn without looking ahead they follow another law


def test_compose_and_continue_from_the_command_line(trained, tmp_path, monkeypatch, capsys):
    run, _ = trained
    monkeypatch.chdir(tmp_path)
    where = str(run.folder)
    assert (
        command(["compose", where, "-o", "tune.mid", "-n", "2", "--bars", "4", "--composer", "ada", "--wav", "--png"]) == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"tune-{i}.{end}" for i in (1, 2) for end in ("mid", "png", "wav")
    ]
    content = (tmp_path / "tune-1.mid").read_bytes()
    assert command(["compose", where, "-o", "tune.mid", "-n", "2", "--bars", "4", "--composer", "ada"]) == 0
    assert (tmp_path / "tune-1.mid").read_bytes() == content
    assert command(["continue", where, "tune-1.mid", "-o", "out.mid", "--bars", "6"]) == 0
    assert len(read_midi(tmp_path / "out.mid")[0].notes) > len(read_midi(tmp_path / "tune-1.mid")[0].notes)
    assert (
        command(["sample", where, "-n", "2", "-o", "two.mid"]) == 0
        and command(["sample", where, "-n", "2", "-o", "a/"]) == 0
    )
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert command(["harmonise", where, "tune-1.mid", "-o", "both.mid"]) == 0
    melody, both = (read_midi(tmp_path / name)[0].notes for name in ("tune-1.mid", "both.mid"))
    upper = [each[each["voice"] == 0][["start", "pitch"]].tolist() for each in (melody, both)]
    assert upper[0] == upper[1]
    capsys.readouterr()
    for arguments, sentence in (
        (["harmonise", where, "tune-1.mid", "--voice", "alto"], "no voice 'alto'"),
        (["compose", where, "-o", "tune.wav"], "ends with .mid"),
        (["compose", where, "--key", "H"], "is no key"),
        (["compose", where, "--bars", "0"], "--bars takes from 1"),
        (["compose", where, "--temperature", "0"], "--temperature takes from 0.05 to 20"),
        (["harmonise", where, "tune-1.mid", "--temperature", "1e-30"], "--temperature takes from 0.05 to 20"),
        (["compose", where, "--composer", "eve"], "no label 'eve'"),
        (["continue", where, "tune-1.mid", "--bars", "2"], "the beginning has 4 bars"),
        (["continue", where, "none.mid"], "none.mid"),
        (["fit", "music", "nowhere", "-o", "r"], "there is no nowhere"),
    ):
        assert command(arguments) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "tune.mid").exists()


def test_check_counts_what_there_is_and_draws_rolls(trained, tmp_path, monkeypatch, capsys):
    run, _ = trained
    monkeypatch.chdir(tmp_path)
    assert command(["check", run.record["data"]["source"], "-o", "rolls.png"]) == 0
    said = capsys.readouterr().out
    for sentence in ("10 pieces, 300 notes", "metres: 4/4 10", "upper: C4 to E5", "by sub-folders: ", "are few"):
        assert sentence in said
    assert (tmp_path / "rolls.png").stat().st_size > 500


def test_checkpoints_are_scored_by_held_out_pieces(trained):
    run, model = trained
    found = json.loads((run.folder / "best.json").read_text())
    data = genloom.load_data(run.record["data"]["source"])
    nats = torch.cat([model.step_nats(data.piece(i)).flatten() for i in range(data.trained, len(data.names))]).mean()
    assert found["measure"] == "nats a step[held out]" and found["value"] == pytest.approx(float(nats), abs=1e-3)
