"""Standard MIDI files, read and written: types 0, 1 and 2, running status, notes that nobody closes.

The format is that of the MIDI Manufacturers Association, "Standard MIDI Files 1.0", 1988. What sounds is kept: notes, the
first tempo, metre and key. Drums and further tempi are left out, and said to be; pedals and programs are not looked at.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genloom.errors import InputError
from genloom.reading import content_of
from genloom.scores.score import Key, Metre, Score, as_notes

DRUMS = 9  # the channel of percussion, counted from 0
TICKS = 480  # a quarter note, in files that are written
LOUD = 80
LONGEST_QUARTERS = 50_000  # of a piece: some seven hours
LARGEST = 50_000_000  # bytes; the longest symphonies take less than one
PIANO = 0  # the program of a grand piano
META, TEMPO, METRE, KEY, NAME, END = 0xFF, 0x51, 0x58, 0x59, 0x03, 0x2F
END_OF_TRACK = bytes((END,))


@dataclass
class Track:
    """What was read of one track: notes as (tick, ticks, pitch, velocity, channel)."""

    notes: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    tempi: list[tuple[int, float]] = field(default_factory=list)
    metres: list[tuple[int, Metre]] = field(default_factory=list)
    keys: list[tuple[int, Key]] = field(default_factory=list)
    name: str = ""
    drums: int = 0
    unclosed: int = 0


def read_midi(path: Path) -> list[Score]:
    """Return the pieces of a MIDI file: one, or of a file of type 2 one for each track that has notes.

    Raises:
        InputError: it is none, is cut short, or has no note that is not a drum's.
    """
    data = content_of(path, "MIDI file", LARGEST)
    kind, ticks, tracks = parse(data, str(path))
    seconds = data[12:13] >= b"\x80"
    groups = [[track] for track in tracks if track.notes] if kind == 2 else [tracks]
    scores = [gathered(group, ticks, str(path)) for group in groups if any(track.notes for track in group)]
    if not scores:
        drums = sum(track.drums for track in tracks)
        raise InputError(f"{path} has {'drums alone' if drums else 'no note'}: nothing can be learnt from it")
    for i, score in enumerate(scores):
        score.tempo = 120.0 if seconds else score.tempo  # ticks that count seconds were taken for such quarter notes
        score.name = path.name if len(scores) == 1 else f"{path.name} #{i + 1}"
    return scores


def parse(data: bytes, name: str) -> tuple[int, float, list[Track]]:
    """Return the type, the ticks of a quarter note, and the tracks of a MIDI file's bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":  # Windows' wrapper
        data = data[data.find(b"MThd") :]
    if data[:4] != b"MThd" or len(data) < 14:
        raise InputError(f"{name} is no MIDI file: it does not begin as one")
    length, kind, count, division = struct.unpack(">IHHh", data[4:14])
    if kind > 2 or length < 6:
        raise InputError(f"{name} is a MIDI file of no known type")
    # Below zero it is frames a second and ticks a frame: as if there were 120 quarter notes a minute.
    ticks = -(division >> 8) * (division & 0xFF) / 2 if division < 0 else float(division)
    if ticks < 1:
        raise InputError(f"{name} is no MIDI file: a quarter note of it has no length")
    place, tracks = 8 + length, []
    while place + 8 <= len(data):
        chunk, size = data[place : place + 4], struct.unpack(">I", data[place + 4 : place + 8])[0]
        body = data[place + 8 : place + 8 + size]
        if chunk == b"MTrk":
            if len(body) < size:
                raise InputError(f"{name} is cut short: a track of {size:,} bytes ends after {len(body):,}")
            tracks.append(read_track(body, name))
        place += 8 + size
    if len(tracks) < count:
        raise InputError(f"{name} is cut short: it has {len(tracks)} of its {count} tracks")
    return kind, ticks, tracks


def read_track(body: bytes, name: str) -> Track:
    """Return what one track holds."""
    track = Track()
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # by channel and pitch: begun, velocity
    now = 0
    for now, status, content in events(body, name):
        channel = status & 0x0F
        if status == META:
            note_meta(track, now, content)
        elif channel == DRUMS and status < 0xF0:
            track.drums += status >> 4 == 9 and content[1] > 0
        elif status >> 4 == 9 and content[1]:
            sounding[channel, content[0]].append((now, content[1]))
        elif status >> 4 in (8, 9) and sounding[channel, content[0]]:
            begun, velocity = sounding[channel, content[0]].pop(0)
            track.notes.append((begun, now - begun, content[0], velocity, channel))
    for (channel, pitch), left in sounding.items():
        track.unclosed += len(left)
        track.notes += [(tick, now - tick, pitch, velocity, channel) for tick, velocity in left]
    track.notes = [note for note in track.notes if note[1] > 0]
    return track


def events(body: bytes, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield the ticks since the beginning, the status and the data of each event; of a meta event, its type comes first."""
    place, now, status = 0, 0, 0
    try:
        while place < len(body):
            wait, place = number(body, place)
            now += wait
            if body[place] >= 0x80:
                status, place = body[place], place + 1
            content, place = content_of_event(body, place, status, name)
            if status < 0xF0 or status == META:
                yield now, status, content
            if status == META and content[:1] == END_OF_TRACK:
                return
            status = status if status < 0xF0 else 0  # such an event ends the running one
    except IndexError:
        raise InputError(f"{name} is damaged: an event at the end of a track is cut short") from None


def content_of_event(body: bytes, place: int, status: int, name: str) -> tuple[bytes, int]:
    """Return the data of an event of a status, and where it ends."""
    if status == META:
        size, begin = number(body, place + 1)
        if begin + size > len(body):
            raise IndexError
        return body[place : place + 1] + body[begin : begin + size], begin + size
    if status in (0xF0, 0xF7):
        size, place = number(body, place)
        return b"", place + size
    if not 0x80 <= status < 0xF0:
        raise InputError(f"{name} is damaged: an event without a kind at byte {place:,} of a track")
    size = 1 if status >> 4 in (0xC, 0xD) else 2
    content = body[place : place + size]
    if len(content) < size:
        raise IndexError
    if max(content) > 0x7F:
        raise InputError(f"{name} is damaged at byte {place:,} of a track")
    return content, place + size


def number(body: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for i in range(4):
        byte = body[place + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + i + 1
    raise IndexError


def note_meta(track: Track, now: int, content: bytes) -> None:
    """Put down what a meta event says, where it says anything that is kept."""
    kind, said = content[0], content[1:]
    if kind == TEMPO and len(said) == 3 and any(said):
        track.tempi.append((now, 60e6 / int.from_bytes(said, "big")))
    elif kind == METRE and len(said) >= 2 and said[0] and said[1] <= 6:
        track.metres.append((now, Metre(said[0], 1 << said[1])))
    elif kind == KEY and len(said) == 2 and -7 <= (sharps := int.from_bytes(said[:1], "big", signed=True)) <= 7:
        track.keys.append((now, Key(sharps, said[1] == 1)))
    elif kind == NAME and not track.name:
        track.name = said.decode("latin-1").strip()


def gathered(tracks: list[Track], ticks: float, name: str) -> Score:
    """Return the piece that tracks make together: each channel of each track is a voice."""
    parts = [(i, channel) for i, track in enumerate(tracks) for channel in sorted({note[4] for note in track.notes})]
    voices = {part: place for place, part in enumerate(parts)}
    last = max((tick + length for track in tracks for tick, length, *_ in track.notes), default=0)
    if last / ticks > LONGEST_QUARTERS:
        raise InputError(
            f"{name} lasts {last / ticks:,.0f} quarter notes, and {LONGEST_QUARTERS:,} are the most: is it damaged?"
        )
    notes = as_notes(
        (tick / ticks, length / ticks, pitch, velocity, voices[i, channel])
        for i, track in enumerate(tracks)
        for tick, length, pitch, velocity, channel in track.notes
    )
    tempi, metres, keys = (
        sorted((each for track in tracks for each in getattr(track, kind)), key=lambda each: each[0])
        for kind in ("tempi", "metres", "keys")
    )
    drums, unclosed = sum(track.drums for track in tracks), sum(track.unclosed for track in tracks)
    changes = len({metre for _, metre in metres}) - 1
    said = (
        (drums, f"{drums:,} notes of drums"),
        (unclosed, f"the end of {unclosed:,} notes, which nobody closed: they last until their track ends"),
        (len({tempo for _, tempo in tempi}) > 1, "changes of the tempo"),
        (changes > 0, "changes of the metre"),
    )
    return Score(
        notes,
        tuple(tracks[i].name or f"voice {place + 1}" for place, (i, _) in enumerate(parts)),
        tempi[0][1] if tempi else 120.0,
        metres[0][1] if metres else None,
        keys[0][1] if keys else None,
        name,
        dropped=[text for there, text in said if there],
    )


# -- writing ---------------------------------------------------------------------------------------


def midi_of(score: Score) -> bytes:
    """Return a piece as a MIDI file of type 1, a track for each voice: the same piece, the same bytes."""
    metre, key = score.metre or Metre(), score.key
    head = [(0, meta(NAME, score.name.encode("latin-1", "replace"))), (0, meta(TEMPO, tempo_bytes(score.tempo)))]
    head.append((0, meta(METRE, bytes((metre.beats, metre.part.bit_length() - 1, 24, 8)))))
    if key is not None:
        head.append((0, meta(KEY, struct.pack(">bB", key.sharps, key.minor))))
    until = round(TICKS * score.lasts)
    tracks = [track_bytes(head, until)]
    for voice in range(max(len(score.voices), int(score.notes["voice"].max(initial=-1)) + 1)):
        channel = [c for c in range(16) if c != DRUMS][voice % 15]
        called = score.voices[voice] if voice < len(score.voices) else f"voice {voice + 1}"
        lines = [
            (0, meta(NAME, called.encode("latin-1", "replace"))),
            (0, bytes((0xC0 | channel, PIANO))),
        ]
        for note in score.notes[score.notes["voice"] == voice]:
            begin, end = (round(TICKS * float(at)) for at in (note["start"], note["start"] + note["length"]))
            lines.append((begin, bytes((0x90 | channel, int(note["pitch"]), int(note["velocity"])))))
            lines.append((max(end, begin + 1), bytes((0x80 | channel, int(note["pitch"]), 0))))
        tracks.append(track_bytes(lines, until))
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS) + b"".join(tracks)


def tempo_bytes(tempo: float) -> bytes:
    """Return quarter notes a minute as the format has them: microseconds each."""
    return min(max(round(60e6 / tempo), 1), 0xFFFFFF).to_bytes(3, "big")


def meta(kind: int, content: bytes) -> bytes:
    """Return a meta event."""
    return bytes((META, kind)) + variable(len(content)) + content


def variable(value: int) -> bytes:
    """Return a number in the format's variable length."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def track_bytes(lines: list[tuple[int, bytes]], until: int = 0) -> bytes:
    """Return a track of events at ticks, that lasts until one at least.

    Where two events come at once, what ends a note comes before what begins one.
    """
    ordered = sorted(lines, key=lambda line: (line[0], line[1][0] >> 4 == 9))
    body, now = b"", 0
    for tick, event in [*ordered, (max(ordered[-1][0] if ordered else 0, until), meta(END, b""))]:
        body += variable(tick - now) + event
        now = tick
    return b"MTrk" + struct.pack(">I", len(body)) + body
