"""Pieces in notation and music21's own, read by music21."""

import sys
from pathlib import Path

import numpy as np
import pytest

import genloom
from games import piece
from genloom.cli.app import run as command
from genloom.data.music.files import holds_music, read_pieces
from genloom.errors import InputError
from genloom.scores.midi import midi_of

pytest.importorskip("music21")

TUNES = """X:1
T:First
M:3/4
L:1/4
Q:1/4=90
K:Gm
"Gm"G A B | c2 d |

X:2
T:Second
M:4/4
L:1/8
K:D
d2 [fa]2 {g}a4 |
"""


def test_tunes_of_abc_are_pieces(tmp_path):
    (tmp_path / "tunes.abc").write_text(TUNES)
    assert holds_music(str(tmp_path)) and holds_music(str(tmp_path / "tunes.abc"))
    first, second = read_pieces(str(tmp_path), "train").scores
    assert first.notes["pitch"].tolist() == [67, 69, 70, 72, 74] and first.notes["length"].tolist() == [1, 1, 1, 2, 1]
    assert (str(first.metre), str(first.key), first.tempo) == ("3/4", "Gm", 90.0)
    assert first.dropped == ["1 chord symbols"] and second.dropped == ["1 grace notes"]
    assert second.notes["start"].tolist() == [0, 1, 1, 2] and second.notes["pitch"].tolist() == [74, 78, 81, 81]


def test_musicxml_is_what_the_midi_file_was(tmp_path):
    import music21

    own = piece(4)
    (tmp_path / "own.mid").write_bytes(midi_of(own))
    for suffix in ("mxl", "musicxml"):  # music21 removes the one in making the other
        music21.converter.parse(str(tmp_path / "own.mid")).write(suffix, fp=str(tmp_path / f"own.{suffix}"))
        (found,) = read_pieces(str(tmp_path / f"own.{suffix}"), "train").scores
        for name in ("start", "length", "pitch"):
            assert np.allclose(np.sort(found.notes[name]), np.sort(own.notes[name])), (suffix, name)
        assert str(found.metre) == "4/4"
    assert genloom.load_data(tmp_path / "own.musicxml").shape.low == own.notes["pitch"].min() - 6


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"<score-partwise>"])
@pytest.mark.parametrize("suffix", ["mxl", "musicxml", "abc"])
def test_damaged_files_are_one_sentence(tmp_path, capsys, suffix, content):
    (tmp_path / f"bad.{suffix}").write_bytes(content)
    assert command(["fit", "music", str(tmp_path / f"bad.{suffix}"), "-o", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert f"bad.{suffix}" in said and "Traceback" not in said and not (tmp_path / "run").exists()


def test_composers_are_music21s_own():
    found = read_pieces("music21:webern,joplin", "train")
    assert {"webern", "joplin"} <= set(found.labels) and all(len(score.notes) for score in found.scores)
    with pytest.raises(InputError, match=r"music21 brings no pieces of 'jopln' \(did you mean 'joplin'"):
        read_pieces("music21:jopln", "train")
    with pytest.raises(InputError, match=r"brings no pieces of 'zzz' \(known: .*mozart"):
        read_pieces("music21:zzz", "train")


def test_without_music21_it_is_said_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    (tmp_path / "a.abc").write_text(TUNES)
    for name in (str(tmp_path / "a.abc"), "music21:mozart"):
        with pytest.raises(InputError, match=r"pip install 'genloom\[music\]'"):
            genloom.load_data(name)


def test_a_folder_of_pictures_with_xml_beside_them_is_no_music(tmp_path):
    for name in ("a.png", "a.xml"):
        Path(tmp_path / name).write_bytes(b"")
    assert not holds_music(str(tmp_path))
