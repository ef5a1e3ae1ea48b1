"""Music in two styles: its data, rolls, the translators over them, and what is kept and raised."""

import numpy as np
import pytest
import torch

import genloom
from games import piece, write_music
from genloom.cli.app import run as command
from genloom.core.clock import Clock
from genloom.data.source import find_source
from genloom.errors import InputError
from genloom.measures.music import kept
from genloom.models.music.music_cyclegan import MusicCycleGAN, MusicCycleGANHyper
from genloom.nn.rolls import (
    RecurrentTranslator,
    RollCritic,
    begun,
    binary,
    content_of,
    pitch_classes,
    roll_of,
    voices_in_roll,
)
from genloom.scores.midi import midi_of, read_midi
from genloom.scores.score import Score, as_notes
from genloom.scores.voices import Voices, on_grid
from genloom.shapes.base import Shape
from genloom.shapes.score import FIRST, HELD, REST
from genloom.shapes.styles import StyleShape
from genloom.use.judging.judge import judge
from genloom.use.judging.page import write_page
from genloom.use.music.restyle import restyle

SHAPE = StyleShape(("ada", "bo"), voices=("upper", "lower"), low=60, high=71, grid=2, window=8)
CODES = torch.tensor([[FIRST, REST], [HELD, FIRST + 4], [FIRST, HELD], [REST, HELD]])  # C, C again; E held below


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_music(tmp_path_factory.mktemp("music"), 30)


# -- data ------------------------------------------------------------------------------------------


def test_two_sub_folders_are_two_styles(folder):
    data = find_source(folder, {}, kind="styles").load()
    assert data.shape == Shape.from_json(data.shape.to_json()) and data.shape.classes == ("ada", "bo")
    assert data.lengths == {"x": 12 * 3, "b": 12 * 3}  # of six bars, from the first three on
    batch = data.batch({"x": torch.tensor([0, 35]), "b": torch.tensor([1, 2])})
    assert batch["x"].shape == batch["b"].shape == (2, 64, 2)
    assert all(int(data.music.beat[data.music.starts[i]]) == 0 for places in data.places for i in places)
    labels = [data.music.labels[data.music.owner[places]].unique().tolist() for places in data.places]
    assert labels == [[0], [1]]


def test_one_style_alone_is_one_sentence(tmp_path, capsys):
    write_music(tmp_path / "both", 6)
    with pytest.raises(InputError, match="is to have two sub-folders, one for each style; there are: none"):
        find_source(tmp_path / "both" / "ada", {}, kind="styles").load()
    assert command(["fit", "music_cyclegan", str(tmp_path / "both" / "ada"), "-o", str(tmp_path / "run")]) == 2
    assert "two sub-folders" in capsys.readouterr().err


def test_the_pieces_of_one_class_are_a_data_set(folder):
    whole = genloom.load_data(folder)
    one = whole.only(1)
    assert one.trained == 12 and len(one.names) == 15 and set(one.labels.tolist()) == {1}
    chosen = [i for i in range(len(whole.names)) if int(whole.labels[i]) == 1]
    for i, j in enumerate(chosen):
        assert torch.equal(one.piece(i)["x"], whole.piece(j)["x"]) and one.names[i] == whole.names[j]
    assert torch.equal(one.batch({"x": torch.tensor([0])})["x"][0], one.piece(0)["x"][0, :64])
    last = one.batch({"x": torch.tensor([len(one) - 1])})["x"][0]
    assert torch.equal(last[1:], one.piece(11)["x"][0, -63:])


# -- rolls -----------------------------------------------------------------------------------------


def test_codes_are_rolls_of_what_sounds_and_what_begins():
    sounds, begins = roll_of(CODES[None], 12)[0]
    assert sounds[:, 0].tolist() == [1, 1, 1, 0] and begins[:, 0].tolist() == [1, 0, 1, 0]
    assert sounds[:, 4].tolist() == [0, 1, 1, 1] and begins[:, 4].tolist() == [0, 1, 0, 0]
    assert sounds.sum() == 6
    assert roll_of(CODES[None], 12, up=3)[0, 0, :, 3].tolist() == [1, 1, 1, 0]
    assert roll_of(CODES[None], 12, up=-2)[0, 0].sum() == 3  # the lower pitch lies beyond


def test_rolls_come_back_as_notes():
    notes = SHAPE.of_roll(roll_of(CODES[None], 12)[0]).notes
    assert [(n["start"], n["length"], n["pitch"]) for n in notes] == [(0.0, 1.0, 60), (0.5, 1.5, 64), (1.0, 0.5, 60)]


def test_what_a_piece_is_by_hand():
    content = content_of(roll_of(CODES[None], 12), 2, 4)[0]
    assert content.shape == (4, 12 + 12 + 1 + 4)
    assert content[:, :12].argmax(1).tolist() == [0, 4, 4, 4]  # the highest of each step
    classes = content[:, 12:24]
    assert classes[0, 0] == 1 and classes[0, 4] == 0.5 and classes[3, 0] == 0.5 and classes[3, 4] == 1
    assert content[:, 24].tolist() == [1, 1, 1, 0] and content[:, 25:].argmax(1).tolist() == [0, 1, 2, 3]


def test_probabilities_have_a_content_with_a_gradient():
    p = torch.rand(1, 2, 6, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: content_of(x, 2, 4)[..., :12], p)
    hard = binary(p)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    hard.sum().backward()
    assert (p.grad == 1).all()


def test_onsets_without_their_channel_are_where_sound_comes():
    sounds = roll_of(CODES[None], 12)[:, :1]
    assert begun(sounds)[0].tolist() == [1, 1, 0, 0] and pitch_classes(sounds[:, 0], 2).shape == (1, 2, 12)


# -- the model -------------------------------------------------------------------------------------


def test_the_paper_has_its_networks():
    """Its maps: 64, 128, 256, ten blocks of 256, back; discriminators of kernels of 7 with 64, 256 and one map."""
    model = MusicCycleGAN(MusicCycleGANHyper.paper(), StyleShape(("a", "b"), voices=("v",), low=40, high=80, window=64))
    conv = lambda a, b, k: a * b * k * k + b  # noqa: E731
    generator = conv(1, 64, 7) + conv(64, 128, 3) + conv(128, 256, 3) + 20 * conv(256, 256, 3)
    generator += conv(256, 128, 3) + conv(128, 64, 3) + conv(64, 1, 7)
    assert sum(p.numel() for p in model.to_b.parameters()) == generator
    assert sum(p.numel() for p in model.judges[0].parameters()) == conv(1, 64, 7) + conv(64, 256, 7) + conv(256, 1, 7)
    assert len(model.judges) == 4 and RollCritic(1, 4)(torch.zeros(2, 1, 64, 84)).shape == (2, 16, 21)
    hyper = model.hyper
    assert (hyper.cycle, hyper.mixed, hyper.batch, hyper.rate, hyper.beta1, hyper.pool) == (10, 1, 16, 2e-4, 0.5, 50)


def test_the_papers_rolls_begin_at_c1_and_come_back_to_the_range():
    shape = StyleShape(("a", "b"), voices=("u", "l"), low=60, high=71, grid=4, window=8)
    model = MusicCycleGAN(MusicCycleGANHyper.paper().with_values({"width": 2, "blocks": 1}), shape).eval()
    model.made = lambda net, x: x  # a generator that leaves all as it is
    made = model.restyle(CODES, 1)
    assert made.shape == (2, 4, 12) and torch.equal(made[0], roll_of(CODES[None], 12)[0, 0].bool())
    assert torch.equal(made[1, :, 4], torch.tensor([False, True, False, False]))
    assert model.rolls(CODES[None])[0, 0, 0].argmax() == 60 - 24


def test_recurrent_generators_read_both_ways():
    net = RecurrentTranslator(5, 3, 2, 8, 1)
    x = torch.rand(1, 6, 5, requires_grad=True)
    sounds, begins = net(x)
    assert sounds.shape == (1, 6, 2, 4) and begins.shape == (1, 6, 2)
    for t in (0, 5):
        (gradient,) = torch.autograd.grad(sounds[0, t].sum(), x, retain_graph=True)
        assert (gradient[0].abs().sum(-1) > 0).all()


def test_each_voice_sounds_one_pitch_and_its_gradient_is_that_of_its_probability():
    sounds = torch.tensor(
        [[[[0.0, 2.0, 0.0], [0.0, 1.0, 3.0], [5.0, 0.0, 0.0]]]], requires_grad=True
    )  # one step, three voices
    begins = torch.tensor([[[1.0, -1.0, 1.0]]])
    roll = voices_in_roll(sounds, begins)
    assert roll.shape == (1, 2, 1, 2) and roll[0, :, 0].tolist() == [[1, 1], [1, 0]]  # the third rests, and begins nothing
    (gradient,) = torch.autograd.grad(roll[0, 0, 0, 1], sounds)
    p = sounds.detach().softmax(3)[0, 0, 1]
    assert not gradient[0, 0, [0, 2]].any()  # where one voice sounds, another adds nothing
    torch.testing.assert_close(gradient[0, 0, 1], p[2] * (torch.eye(3)[2] - p))


def test_examples_are_moved_whole():
    model = MusicCycleGAN(MusicCycleGANHyper.tiny().with_values({"transpose": 4}), SHAPE).train()
    torch.manual_seed(0)
    x = model.rolls(model.moved(CODES.expand(40, -1, -1)))
    lowest = {int(row.any(0).nonzero()[0, 0]) for row in x[:, 0].bool()}
    assert len(lowest) > 3 and (x[:, 1] <= x[:, 0]).all()
    assert torch.equal(model.rolls(CODES[None]), roll_of(CODES[None], 12))


def test_their_own_style_comes_first():
    model = MusicCycleGAN(MusicCycleGANHyper.tiny(), SHAPE)
    assert [(phase.name, phase.examples) for phase in model.phases()] == [("own style", 256), ("game", None)]
    eight = torch.cat([CODES, CODES]).expand(4, -1, -1)
    batch = {"x": eight, "b": eight}
    assert [move.player for move in model.own_style(iter([batch]), Clock())] == ["generator"]
    assert [move.player for move in model.round(iter([batch]), Clock())] == ["generator", "discriminator"]


# -- what is kept ----------------------------------------------------------------------------------


def test_what_is_kept_is_f1():
    a = on_grid(piece(1), 4, 2)
    assert kept(a, a, 4) == (1.0, 1.0)
    thinner = Voices(np.where([True, False], a.pitch, -1), a.struck & [True, False])
    onsets, classes = kept(a, thinner, 4)
    assert onsets == 1.0 and 0.5 < classes < 1.0  # the lower voice begins with the upper one
    moved = Voices(np.where(a.sounds, a.pitch + 1, -1), a.struck)
    assert kept(a, moved, 4)[0] == 1.0 and kept(a, moved, 4)[1] < 0.4
    assert kept(a, Voices(np.full_like(a.pitch, -1), np.zeros_like(a.struck)), 4) == (0.0, 0.0)


# -- as a person has it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Steps of scales above long notes against the same at twice the pace, an octave lower."""
    folder = tmp_path_factory.mktemp("styles")
    for i in range(12):
        for name in ("long", "short"):
            (folder / name).mkdir(exist_ok=True)
            score = piece(i, up=0 if name == "long" else -12)
            if name == "short":
                score.notes["start"] /= 2
                score.notes["length"] /= 2
            (folder / name / f"{i}.mid").write_bytes(midi_of(score))
    place = tmp_path_factory.mktemp("run") / "r"
    return genloom.fit("music_cyclegan", folder, place, preset="tiny", examples=600, steps=48, threads=1)


def test_a_piece_is_translated_and_the_same_again(trained, tmp_path, capsys):
    (tmp_path / "own.mid").write_bytes(midi_of(piece(3)))
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        assert (
            command(["translate", str(trained.folder), str(tmp_path / "own.mid"), "-o", str(tmp_path / out / "a.mid")]) == 0
        )
    assert (tmp_path / "one" / "a.mid").read_bytes() == (tmp_path / "two" / "a.mid").read_bytes()
    assert len(read_midi(tmp_path / "one" / "a.mid")[0].notes)
    capsys.readouterr()
    said = ["translate", str(trained.folder), str(tmp_path / "own.mid"), "-o", str(tmp_path / "c.mid"), "--to"]
    assert command([*said, "shrt"]) == 2 and "no style 'shrt'" in (err := capsys.readouterr().err) and "short" in err
    assert command([*said[:3], "-o", str(tmp_path / "c.png")]) == 2 and "written as MIDI" in capsys.readouterr().err
    assert command([*said[:5], "--strip"]) == 2 and "are for pictures" in capsys.readouterr().err
    assert command(["compose", str(trained.folder)]) == 2 and "`genloom translate`" in capsys.readouterr().err
    (tmp_path / "high.mid").write_bytes(midi_of(piece(3, up=40)))
    assert command(["translate", str(trained.folder), str(tmp_path / "high.mid"), "-o", str(tmp_path / "c.mid")]) == 2
    assert "transpose it" in capsys.readouterr().err and not (tmp_path / "c.mid").exists()


def test_no_note_of_a_piece_is_left_out(trained, tmp_path, monkeypatch):
    model = genloom.load(trained)
    monkeypatch.setattr(model, "made", lambda net, x: x)  # which leaves all as it is
    chord = Score(as_notes([(0.0, 2.0, 50 + i, 80, 0) for i in range(0, 20, 2)]))
    (tmp_path / "chord.mid").write_bytes(midi_of(chord))
    made = restyle(model, tmp_path / "chord.mid", None)
    assert sorted(made.notes["pitch"].tolist()) == list(range(50, 70, 2)) and made.lasts == 2


def test_a_run_of_two_styles_is_judged(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("genloom.use.judging.styles.FEW", 1)
    found = judge(trained, quick=True)
    same, voiced = (found.baselines[row] for row in ("left as they are", "re-voiced by counts"))
    assert same["raised"].value == 0 and same["onsets kept"].value == same["pitch classes kept"].value == 1
    assert same["told by the meter"].value == 1 and voiced["raised"].n == 2
    assert found.measures.keys() >= {"raised, to long", "raised, to short", "onsets kept"}
    write_page([found], tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<audio") == 8
    with pytest.raises(InputError, match="leave --test away"):
        judge(trained, test=tmp_path)
