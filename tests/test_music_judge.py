"""What is measured of music: overlaps, runs that are shared, voice leading, style; and the judge's panel around it."""

import itertools
import json

import numpy as np
import pytest
import torch

import genloom
from games import piece, write_music
from genloom.cli.app import run as command
from genloom.errors import InputError
from genloom.measures.music import distributions, faults, overlap, overlaps, rate, shuffled
from genloom.measures.shared_runs import longest_shared, melodies, passages
from genloom.measures.style import StyleMeter
from genloom.scores.midi import midi_of
from genloom.scores.score import Score, as_notes
from genloom.scores.voices import Voices, on_grid
from genloom.use.judging.judge import judge
from genloom.use.judging.page import write_page


def steps(*rows):
    """Return a piece in which a voice is struck wherever its pitch changes."""
    pitch = np.array(rows)
    struck = (pitch >= 0) & (np.diff(pitch, axis=0, prepend=-2) != 0)
    return Voices(pitch, struck)


def test_what_is_counted_of_a_piece_is_what_is_in_it():
    """C, C, E in quarters over a C of a half and a rest, in 4/4 with two steps a quarter."""
    notes = [(0.0, 1.0, 72, 80, 0), (1.0, 1.0, 72, 80, 0), (2.0, 1.0, 76, 80, 0), (0.0, 2.0, 48, 80, 1)]
    found = distributions(on_grid(Score(as_notes(notes), ("a", "b")), 2, 2), 2, 8)
    assert found["intervals"][13] == 1 and found["intervals"][17] == 1 and found["intervals"].sum() == 2
    assert found["onsets"].tolist() == [2, 0, 1, 0, 1, 0, 0, 0]
    assert found["lengths"][[2, 4]].tolist() == [3, 1] and found["lengths"].sum() == 4
    assert found["notes at once"].tolist() == [0, 2, 4]
    assert found["intervals at once"].tolist() == [4] + [0] * 11
    assert sorted(found["pitch classes"].tolist())[-2:] == [2, 8]


def test_pitch_classes_are_counted_from_the_tonic_on():
    a, b = (distributions(on_grid(piece(0, up=up), 4, 2), 4, 16) for up in (0, 3))
    assert all((a[name] == b[name]).all() for name in a) and a["pitch classes"].argmax() in (0, 4, 7)


def test_overlap_is_the_share_in_common():
    assert overlap(np.array([2, 2]), np.array([1, 3])) == pytest.approx(0.75)
    assert overlap(np.array([1, 0]), np.array([0, 1])) == overlap(np.array([0, 0]), np.array([1, 1])) == 0.0


def test_overlaps_have_intervals_about_them():
    real = [distributions(on_grid(piece(i), 4, 2), 4, 16) for i in range(12)]
    found = overlaps(real[:6], real[6:], 0)
    assert next(iter(found)) == "overlap" and all(each.low <= each.value <= each.high for each in found.values())
    each = [figure.value for name, figure in found.items() if name != "overlap"]
    assert found["overlap"].value == pytest.approx(np.mean(each))
    amount = rate(np.array([2.0, 4.0]), np.array([10.0, 20.0]), "", "nearer", 0)
    assert amount.value == amount.low == amount.high == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([(67, 60), (69, 62)], (1, 0)),  # fifths, both up
        ([(72, 60), (74, 62), (76, 64)], (2, 0)),  # octaves, twice
        ([(79, 60), (81, 62)], (1, 0)),  # a fifth and an octave between
        ([(67, 60), (67, 60)], (0, 0)),  # nobody moves
        ([(67, 60), (69, 60)], (0, 0)),  # one does
        ([(72, 60), (67, 67)], (0, 0)),  # against each other, into a unison
        ([(67, 60), (69, 61)], (0, 0)),  # a fifth, then a minor sixth
        ([(67, 60), (-1, -1), (69, 62)], (0, 0)),  # a rest between
        ([(67, 60), (60, 62), (59, 64), (67, 60), (60, 62)], (0, 2)),  # crossed, and so twice
    ],
)
def test_faults_of_voice_leading(rows, found):
    assert faults(steps(*rows)) == found


def test_faults_are_looked_at_where_something_begins():
    held = steps(*[row for row in ((67, 60), (69, 62)) for _ in range(4)])
    assert faults(held) == (1, 0)


def longest_by_trying(a, known):
    runs = {tuple(b[i:j]) for b in known for i, j in itertools.combinations(range(len(b) + 1), 2)}
    return max((j - i for i, j in itertools.combinations(range(len(a) + 1), 2) if tuple(a[i:j]) in runs), default=0)


def test_the_longest_shared_run_is_exact():
    random = np.random.default_rng(0)
    for _ in range(30):
        made, known = ([random.integers(0, 3, random.integers(0, 14)).tolist() for _ in range(3)] for _ in range(2))
        assert longest_shared(made, known) == [longest_by_trying(line, known) for line in made]
    assert longest_shared([], [[1]]) == [] and longest_shared([[1, 2]], []) == [0]


def test_runs_are_shared_in_any_key_and_only_where_lengths_agree():
    a, moved, other = (on_grid(each, 4, 2) for each in (piece(1), piece(1, up=5), piece(2)))
    for part in (melodies, passages):
        whole = max(len(line) for line in part(a))
        assert max(longest_shared(part(moved), part(a))) == whole > max(longest_shared(part(other), part(a)))
    slower = Voices(a.pitch.repeat(2, 0), np.stack([a.struck, np.zeros_like(a.struck)], 1).reshape(-1, 2))
    assert max(longest_shared(melodies(slower)[:1], melodies(a)[:1])) == 0


def test_shuffled_bars_are_the_same_bars():
    codes = torch.arange(70)[:, None]
    mixed = shuffled(codes, 16, 0)
    assert not torch.equal(mixed, codes) and torch.equal(mixed[64:], codes[64:])
    assert sorted(mixed[::16, 0].tolist()[:4]) == [0, 16, 32, 48]
    assert torch.equal(shuffled(codes[:10], 16, 0), codes[:10])  # shorter than a bar


def test_the_style_meter_tells_apart_what_differs():
    low = [on_grid(piece(i), 4, 2) for i in range(20)]
    quick = [Voices(each.pitch[::2], each.struck[::2]) for each in low]
    quick = [Voices(np.concatenate([each.pitch] * 2), np.concatenate([each.struck] * 2)) for each in quick]
    meter = StyleMeter(low[:15] + quick[:15], [0] * 15 + [1] * 15, 2, 4, 16)
    told = meter(low[15:] + quick[15:])
    assert np.allclose(told.sum(1), 1) and (told.argmax(1) == [0] * 5 + [1] * 5).all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_music(tmp_path_factory.mktemp("music"), 15)
    place = tmp_path_factory.mktemp("run") / "r"
    return genloom.fit("music", folder, place, preset="tiny", examples=1600, threads=1), folder


def test_a_run_is_judged_beside_counts_and_real_pieces(trained, tmp_path):
    run, _ = trained
    found = judge(run, n=8)
    assert 0.5 < found.measures["overlap"].value < 1 and found.measures["nats a step"].n == 3
    assert found.baselines["counts"].keys() >= {"nats a step", "overlap"}
    whole = found.baselines["training pieces"]["longest melody shared"]
    assert whole.value == 23 and found.measures["longest melody shared"].value < 23  # notes from one to the next
    assert found.measures["told as its composer's"].n == 8 and 0 <= found.measures["told as its composer's"].value <= 1
    assert found.baselines["held-out pieces"].keys() >= {"longest passage shared", "crossings a bar"}
    assert 0 <= found.baselines["held-out pieces"]["told as its composer's"].value <= 1
    assert found.about["compared"]["pieces"] == 3 and found.about["bars"] == 6
    write_page([found], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<audio controls") == 6 and "http" not in page
    again = judge(run, n=8)
    assert again.measures == found.measures and json.dumps(again.to_json())


def test_pieces_of_another_folder_may_be_what_is_compared_with(trained, tmp_path):
    run, _ = trained
    (tmp_path / "other").mkdir()
    for i in range(4):
        (tmp_path / "other" / f"{i}.mid").write_bytes(midi_of(piece(50 + i)))
    found = judge(run, n=4, test=tmp_path / "other")
    assert found.about["compared"]["pieces"] == 4
    with pytest.raises(InputError, match="no music at"):
        judge(run, n=4, test=tmp_path / "nothing")
    again = write_music(tmp_path / "again", 5)  # pieces that every fifth of is held out, and these are not among them
    with pytest.raises(InputError, match="every piece is one that the run learnt from"):
        judge(run, n=4, test=again)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [({"features": "pixels"}, "--features and --weights are for pictures"), ({"n": 1}, "-n takes from 2 to 1,000 pieces")],
)
def test_what_music_has_not_is_refused(trained, said, sentence):
    with pytest.raises(InputError, match=sentence):
        judge(trained[0], **said)


def test_too_few_pieces_to_hold_any_out_is_one_sentence(tmp_path, capsys):
    folder = write_music(tmp_path / "few", 4)
    genloom.fit("counts", folder, tmp_path / "run", threads=1)
    assert command(["judge", str(tmp_path / "run")]) == 2
    assert "too few to judge by; name pieces that the run never learnt from with --test" in capsys.readouterr().err
