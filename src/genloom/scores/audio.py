"""A piece as sound: by fluidsynth where it is installed with a soundfont, else by a small additive synthesiser of our own.

A tone is its first harmonics, the higher the softer and the sooner gone, with a short rise and a decay, as a struck string
has them. The same piece gives the same bytes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from genloom.errors import InputError
from genloom.scores.midi import midi_of
from genloom.scores.score import Score

RATE = 22_050  # samples a second
HARMONICS, RISE_S, DECAY_S, RELEASE_S = 6, 0.012, 1.6, 0.12
LOUDEST = 0.9  # of what the format holds
LONGEST_S = 3600.0
SOUNDFONTS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")


def wav_of(score: Score, rate: int = RATE) -> tuple[bytes, str]:
    """Return a piece as a WAV file, mono with 16 bits, and what played it."""
    seconds = score.length * 60 / score.tempo
    if seconds > LONGEST_S:
        raise InputError(f"{score.name} would sound for {seconds / 60:.0f} minutes, and an hour is the most")
    font = next((each for folder in SOUNDFONTS for each in sorted(Path(folder).glob("*.sf[23]"))), None)
    if font is not None and (program := shutil.which("fluidsynth")):
        return by_fluidsynth(score, program, font, rate), f"fluidsynth with {font.name}"
    return as_wav(tones(score, rate), rate), "a synthesiser of genloom's own"


def by_fluidsynth(score: Score, program: str, font: Path, rate: int) -> bytes:
    """Return a piece as fluidsynth plays it; InputError where it fails."""
    with tempfile.TemporaryDirectory() as name:
        midi, wav = Path(name) / "piece.mid", Path(name) / "piece.wav"
        midi.write_bytes(midi_of(score))
        said = subprocess.run(
            [program, "-ni", "-q", "-F", str(wav), "-r", str(rate), str(font), str(midi)], capture_output=True, check=False
        )
        if said.returncode or not wav.exists():
            raise InputError(f"fluidsynth failed: {said.stderr.decode(errors='replace').strip()[:200]}")
        return wav.read_bytes()


def tones(score: Score, rate: int = RATE) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the sound of a piece `[samples]`."""
    second = rate * 60 / score.tempo  # samples of a quarter note
    sound = np.zeros(int(score.length * second + RELEASE_S * rate) + rate // 2)
    for note in score.notes:
        begin, held = int(note["start"] * second), max(int(note["length"] * second), 1)
        t = np.arange(held + int(RELEASE_S * rate)) / rate
        hertz = 440.0 * 2.0 ** ((int(note["pitch"]) - 69) / 12)
        tone = np.zeros(len(t))
        for k in range(1, HARMONICS + 1):
            if k * hertz < rate / 2:
                tone += np.sin(2 * np.pi * k * hertz * t) * np.exp(-t * k / DECAY_S) / k**1.5
        shape = np.minimum(t / RISE_S, 1.0) * np.clip(1 - (t - held / rate) / RELEASE_S, 0.0, 1.0)
        sound[begin : begin + len(t)] += tone * shape * int(note["velocity"]) / 127
    return sound


def as_wav(sound: np.ndarray[tuple[int], np.dtype[np.float64]], rate: int = RATE) -> bytes:
    """Return sound as a WAV file."""
    loud = float(np.abs(sound).max(initial=0.0)) or 1.0
    levels = np.round(sound * (LOUDEST * 32767 / loud)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(levels.tobytes())
    return file.getvalue()
