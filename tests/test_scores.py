"""Pieces of music: MIDI in and out, keys, the grid, rolls and sound."""

import io
import struct
import warnings
import wave

import numpy as np
import pytest

from genloom.errors import InputError
from genloom.scores.audio import RATE, tones, wav_of
from genloom.scores.keys import key_of, with_tonic
from genloom.scores.midi import TICKS, meta, midi_of, read_midi, track_bytes, variable
from genloom.scores.roll import COLOURS, HIGH, WIDE, roll_picture
from genloom.scores.score import MAJOR, MINOR, Key, Metre, Score, as_notes
from genloom.scores.voices import SILENT, Voices, matched, off_grid, on_grid, skyline

TUNE = [(0.0, 1.0, 67, 80, 0), (1.0, 0.5, 69, 80, 0), (1.5, 0.5, 69, 80, 0), (2.0, 2.0, 71, 80, 0), (0.0, 4.0, 43, 60, 1)]


def tune(**said):
    return Score(
        as_notes(TUNE), ("flute", "cello"), **{"tempo": 90.0, "metre": Metre(3, 4), "key": Key(1), "name": "t"} | said
    )


def midi(kind, *tracks, division=480):
    return struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division & 0xFFFF) + b"".join(tracks)


def track(body):
    return b"MTrk" + struct.pack(">I", len(body)) + body


def read(tmp_path, content):
    (tmp_path / "x.mid").write_bytes(content)
    return read_midi(tmp_path / "x.mid")


# -- MIDI ------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_and_its_bytes_are_the_same(tmp_path):
    content = midi_of(tune())
    assert content == midi_of(tune())
    (found,) = read(tmp_path, content)
    assert found.notes.tolist() == as_notes(TUNE).tolist()
    assert (found.metre, found.key, found.voices) == (Metre(3, 4), Key(1), ("flute", "cello"))
    assert found.tempo == pytest.approx(90.0, abs=1e-4)  # the file counts microseconds


def test_other_programs_read_what_is_written(tmp_path):
    mido = pytest.importorskip("mido")
    (tmp_path / "x.mid").write_bytes(midi_of(tune()))
    file = mido.MidiFile(tmp_path / "x.mid")
    begun = [message for message in file if message.type == "note_on" and message.velocity]
    assert len(begun) == len(TUNE) and abs(file.length - 4 * 60 / 90) < 1e-5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pretty = pytest.importorskip("pretty_midi").PrettyMIDI(str(tmp_path / "x.mid"))
        piece = pytest.importorskip("music21").converter.parse(tmp_path / "x.mid")
    assert sorted(note.pitch for part in pretty.instruments for note in part.notes) == sorted(row[2] for row in TUNE)
    assert sorted(note.pitch.midi for note in piece.stripTies().flatten().notes) == sorted(row[2] for row in TUNE)


def test_files_of_others_are_read_as_mido_reads_them(tmp_path):
    mido = pytest.importorskip("mido")
    random = np.random.default_rng(0)
    for kind in (0, 1):
        file = mido.MidiFile(type=kind, ticks_per_beat=96)
        for _ in range(1 if kind == 0 else 3):
            one = mido.MidiTrack()
            for _ in range(200):
                pitch, channel = int(random.integers(40, 80)), int(random.integers(0, 3))
                one.append(
                    mido.Message("note_on", note=pitch, velocity=70, channel=channel, time=int(random.integers(0, 50)))
                )
                one.append(mido.Message("note_off", note=pitch, channel=channel, time=int(random.integers(1, 200))))
            file.tracks.append(one)
        file.save(tmp_path / "y.mid")
        (found,) = read_midi(tmp_path / "y.mid")
        assert len(found.notes) == 200 * len(file.tracks)
        begun = [(round(note["start"] * 96), int(note["pitch"])) for note in found.notes]
        expected = []
        for one in file.tracks:
            now = 0
            for message in one:
                now += message.time
                if message.type == "note_on":
                    expected.append((now, message.note))
        assert sorted(begun) == sorted(expected)


def test_running_status_open_notes_and_repeated_ones(tmp_path):
    # A status that runs on; the same pitch twice before it ends; one that nobody closes; a text; an exclusive message.
    body = b"\x00\x90\x3c\x40" + b"\x60\x3e\x40" + b"\x00\x3c\x40" + b"\x60\x3c\x00" + b"\x60\x3c\x00"
    body += b"\x00\xff\x01\x03abc" + b"\x00\xf0\x02\x01\xf7" + b"\x00\xff\x2f\x00"
    (found,) = read(tmp_path, midi(0, track(body), division=96))
    rows = [(row["start"], row["length"], int(row["pitch"])) for row in found.notes]
    assert rows == [(0.0, 2.0, 60), (1.0, 2.0, 60), (1.0, 2.0, 62)]
    assert found.dropped == ["the end of 1 notes, which nobody closed: they last until their track ends"]


def test_drums_are_left_out_and_type_2_has_a_piece_a_track(tmp_path):
    note = track(b"\x00\x90\x3c\x40\x60\x80\x3c\x00\x00\xff\x2f\x00")
    drum = track(b"\x00\x99\x24\x40\x60\x89\x24\x00\x00\xff\x2f\x00")
    assert [score.name for score in read(tmp_path, midi(2, note, drum, note))] == ["x.mid #1", "x.mid #2"]
    (found,) = read(tmp_path, midi(1, note, drum))
    assert len(found.notes) == 1 and found.dropped == ["1 notes of drums"]
    with pytest.raises(InputError, match="drums alone"):
        read(tmp_path, midi(1, drum))


def test_ticks_by_the_second_stand_for_120_quarters_a_minute(tmp_path):
    body = b"\x00\x90\x3c\x40\x83\x60\x80\x3c\x00\x00\xff\x2f\x00"  # 480 ticks at 25 frames of 40 ticks: .48 s
    (found,) = read(tmp_path, midi(0, track(body), division=(-25 << 8) | 40))
    assert found.notes["length"][0] == pytest.approx(0.96)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no MIDI file"),
        (b"MThd", "is no MIDI file"),
        (midi(3, track(b"")), "no known type"),
        (midi(0, track(b"\x00\xff\x2f\x00")), "has no note"),
        (midi(1, track(b"\x00\x90\x3c\x40\x60\x80\x3c\x00"))[:-4], "is cut short"),
        (midi(0, track(b"\x00\x3c\x40")), "without a kind"),
        (struct.pack(">4sIHHH", b"MThd", 6, 1, 3, 480) + track(b"\x00\x90\x3c\x40\x60\x80\x3c\x00"), "1 of its 3 tracks"),
        (midi(0, track(b"\x00\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x00"), division=24), "quarter notes, and 50,000 are the"),
        (midi(0, track(b"\x00\x90\x3c\xff")), "is damaged"),
        (midi(0, track(b"\x00\x90\x3c")), "cut short"),
        (midi(0, track(b"\xff\xff\xff\xff\xff")), "cut short"),
        (midi(0, track(b"\x00\x90\x3c\x40"), division=0), "has no length"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, content, sentence):
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, content)


def test_any_bytes_are_pieces_or_one_sentence(tmp_path):
    whole, random = bytearray(midi_of(tune())), np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(whole[: int(random.integers(10, len(whole) + 1))])
        for place in random.integers(0, len(broken), 3):
            broken[place] = int(random.integers(256))
        try:
            read(tmp_path, bytes(broken))
        except InputError:
            continue


def test_numbers_of_variable_length():
    assert [variable(n).hex() for n in (0, 127, 128, 0x3FFF, 0x4000)] == ["00", "7f", "8100", "ff7f", "818000"]
    assert track_bytes([(5, b"\x90\x3c\x40"), (5, b"\x80\x3c\x00")])[8:] == b"\x05\x80\x3c\x00\x00\x90\x3c\x40\x00" + meta(
        0x2F, b""
    )
    assert TICKS % 48 == 0  # of the finest grid, so that nothing is rounded


# -- keys ------------------------------------------------------------------------------------------


def test_keys_by_name_and_by_notes():
    for i, name in enumerate((*MAJOR, *MINOR)):
        key = Key.of(name)
        assert str(key) == name and key.minor == (i >= 15) and -7 <= key.sharps <= 7
    assert [Key.of(name).tonic for name in ("C", "G", "Bb", "Am", "F#m", "Ebm", "g minor")] == [0, 7, 10, 9, 6, 3, 7]
    for tonic in range(12):
        for minor in (False, True):
            key = with_tonic(tonic, minor)
            assert key.tonic == tonic and key.minor == minor and abs(key.sharps) <= 6
    scale = [(float(i), 1.0 + (i in (0, 4)), 60 + step, 80, 0) for i, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    for up in range(12):
        assert key_of(as_notes((at, long, pitch + up, *rest) for at, long, pitch, *rest in scale)).tonic == up
    with pytest.raises(InputError, match="is no key"):
        Key.of("H")


# -- the grid --------------------------------------------------------------------------------------


def test_notes_on_the_grid_come_back():
    found = on_grid(tune(), 4, 2)
    assert found.pitch.shape == (16, 2) and found.left == 0
    assert found.pitch[:, 0].tolist() == [67] * 4 + [69] * 4 + [71] * 8
    assert np.flatnonzero(found.struck[:, 0]).tolist() == [0, 4, 6, 8]  # the second 69 is struck anew
    again = on_grid(off_grid(found, 4), 4, 2)
    assert (again.pitch == found.pitch).all() and (again.struck == found.struck).all()


def test_chords_keep_their_order_and_inner_notes_are_left_out_first():
    chord = [(0.0, 2.0, pitch, 80, 0) for pitch in (48, 60, 64, 67)]
    melody = [(2.0, 1.0, 72, 80, 0), (2.0, 1.0, 50, 80, 0)]
    four = on_grid(Score(as_notes(chord + melody)), 1, 4)
    assert four.pitch[0].tolist() == [67, 64, 60, 48] and four.pitch[2].tolist() == [72, SILENT, SILENT, 50]
    two = on_grid(Score(as_notes(chord)), 1, 2)
    assert two.pitch[0].tolist() == [67, 48] and two.left == 2


def test_voices_move_as_little_as_they_can():
    last = [72, 67, 60, 48]
    assert matched([66, 49], range(4), last) == [1, 3]
    assert matched([80, 60, 40], [1, 2, 3], last) == [1, 2, 3]
    assert matched([80, 70, 60], [0, 3], last) == [0, None, 3]
    assert matched([50], [0, 1], [None, 51]) == [0]  # one that has not sounded moves nowhere
    random = np.random.default_rng(0)
    for _ in range(200):
        pitches = sorted(random.integers(40, 80, 2).tolist(), reverse=True)
        own = random.integers(40, 80, 4).tolist()
        first, second = matched(pitches, range(4), own)
        costs = [abs(own[i] - pitches[0]) + abs(own[j] - pitches[1]) for i in range(4) for j in range(i + 1, 4)]
        assert first < second and abs(own[first] - pitches[0]) + abs(own[second] - pitches[1]) == min(costs)


def test_a_voice_that_never_sounds_is_no_trouble():
    pitch = np.array([[60, SILENT], [62, SILENT]])
    score = off_grid(Voices(pitch, pitch >= 0), 4)
    assert score.notes["pitch"].tolist() == [60, 62] and len(off_grid(Voices(pitch[:, 1:], pitch[:, 1:] >= 0), 4).notes) == 0


def test_the_skyline_is_the_highest_note_of_each_step():
    held, melody = [(0.0, 8.0, 48, 80, 0)], [(1.0 + i / 2, 0.5, 70 + i, 80, 0) for i in range(4)]
    found = skyline(Score(as_notes(held + melody)), 2)
    assert found.pitch[:, 0].tolist() == [48, 48, 70, 71, 72, 73, *[48] * 10] and found.left == 0
    assert np.flatnonzero(found.struck[:, 0]).tolist() == [0, 2, 3, 4, 5, 6]
    under = Score(as_notes([(0.0, 1.0, 60, 80, 0), (0.0, 1.0, 67, 80, 0)]))
    assert skyline(under, 1).left == 1


def test_what_begins_beside_the_grid_goes_to_the_nearest_step():
    off = Score(as_notes([(0.1, 0.05, 60, 80, 0), (0.4, 0.55, 62, 80, 0)]))
    found = on_grid(off, 4, 1)
    assert found.pitch[:, 0].tolist() == [60, SILENT, 62, 62]


# -- pictures and sound ----------------------------------------------------------------------------


def test_a_roll_has_a_colour_where_a_note_is():
    found = Voices(np.array([[60, 48], [60, SILENT]]), np.array([[True, True], [False, False]]))
    picture = roll_picture(found, 48, 60, 4)
    assert picture.shape == (13 * HIGH, 2 * WIDE, 3)
    assert tuple(picture[1, 2]) == COLOURS[0] and tuple(picture[1, WIDE + 1]) == COLOURS[0]
    assert tuple(picture[-1, 2]) == COLOURS[1] and tuple(picture[-1, WIDE + 1]) not in COLOURS


def test_sound_has_the_pitch_the_length_and_the_same_bytes(monkeypatch):
    monkeypatch.setattr("genloom.scores.audio.shutil.which", lambda name: None)
    content, player = wav_of(Score(as_notes([(0.0, 4.0, 69, 100, 0)]), tempo=120.0))
    assert content == wav_of(Score(as_notes([(0.0, 4.0, 69, 100, 0)]), tempo=120.0))[0] and "genloom" in player
    with wave.open(io.BytesIO(content)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        assert file.getframerate() == RATE and 2.0 < file.getnframes() / RATE < 3.0
    spectrum = np.abs(np.fft.rfft(sound[:RATE]))
    assert abs(int(spectrum.argmax()) - 440) <= 1 and np.abs(sound[int(2.4 * RATE) :]).max() == 0
    with pytest.raises(InputError, match="an hour is the most"):
        wav_of(Score(as_notes([(0.0, 1e5, 69, 100, 0)])))


def test_a_note_sounds_as_long_at_any_rate():
    tone = Score(as_notes([(0.0, 4.0, 69, 80, 0)]), tempo=60.0)
    loud = [tones(tone, rate) for rate in (22_050, 11_025)]
    ends = [np.flatnonzero(np.abs(sound) > 1e-3)[-1] / rate for sound, rate in zip(loud, (22_050, 11_025), strict=True)]
    assert ends[0] == pytest.approx(ends[1], abs=0.02) and ends[0] > 3.9
