"""Pieces in notation, MusicXML and ABC, and those that music21 brings along: read by a person's own music21.

Needs the extra `music`. Nothing is copied and nothing fetched.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from genloom.errors import InputError, nearest
from genloom.reading import content_of, refuse_large
from genloom.scores.score import Key, Metre, Score, as_notes

NOTATION = (".musicxml", ".mxl", ".abc")
CORPUS = "music21:"  # and composers, with commas between
USUAL_TEMPO, LOUD = 100.0, 80


def music21_for(what: str) -> Any:
    """Return the module; InputError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import music21
    except ImportError:
        raise InputError(f"{what} is read by music21, which is not installed: pip install 'genloom[music]'") from None
    return music21


def read_notation(path: Path) -> list[Score]:
    """Return the pieces of a file in notation; InputError where it is damaged or has no notes."""
    music21 = music21_for(str(path))
    size = path.stat().st_size
    if path.suffix.lower() == ".mxl":
        try:
            with ZipFile(path) as file:
                size = sum(each.file_size for each in file.infolist())
        except (BadZipFile, OSError):
            raise InputError(f"{path} is no MusicXML file: it is damaged or cut short") from None
    refuse_large(size, str(path))
    if path.suffix.lower() == ".abc":  # as text, for music21 leaves a file that it cannot read open
        text = content_of(path).decode("utf-8", "replace")
        return parsed(music21, lambda: music21.converter.parseData(text, format="abc"), path.stem, str(path))
    return parsed(music21, lambda: music21.converter.parse(str(path), forceSource=True), path.stem, str(path))


def read_corpus(name: str) -> list[tuple[str, list[Score]]]:
    """Return the composers of a name such as `music21:mozart,haydn`, each with their pieces; InputError for one unknown."""
    music21 = music21_for(name)
    found = []
    for composer in name.removeprefix(CORPUS).split(","):
        paths = music21.corpus.getComposer(composer.strip()) if composer.strip() else []
        if not paths:
            known = sorted({Path(path).relative_to(root_of(music21)).parts[0] for path in music21.corpus.getCorePaths()})
            near = nearest(composer, known)
            raise InputError(f"music21 brings no pieces of {composer!r}{near}")
        pieces: list[Score] = []
        for path in paths:
            try:
                label = "/".join(Path(path).relative_to(root_of(music21)).with_suffix("").parts)
                pieces += parsed(music21, lambda path=path: music21.corpus.parse(str(path)), label, str(path))
            except InputError:  # percussion, say; the others go on
                continue
        found.append((composer.strip(), pieces))
    return found


def root_of(music21: Any) -> Path:
    """Return where music21 keeps its pieces."""
    return Path(music21.__file__).parent / "corpus"


def parsed(music21: Any, read: Any, name: str, where: str) -> list[Score]:
    """Return pieces that music21 reads; InputError where it fails, or finds no notes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = read()
            streams = list(stream.scores) if isinstance(stream, music21.stream.Opus) else [stream]
            scores = [
                score_of(music21, each, name if len(streams) == 1 else f"{name} {i + 1}") for i, each in enumerate(streams)
            ]
    except InputError:
        raise
    except Exception as error:  # music21 raises what its parsers do: of many kinds
        said = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InputError(f"{where} cannot be read as music: {said}") from None
    kept = [score for score in scores if len(score.notes)]
    if not kept:
        raise InputError(f"{where} has no notes")
    return kept


def score_of(music21: Any, stream: Any, name: str) -> Score:
    """Return a piece, its parts as voices; as written, with no repeat played twice."""
    parts, rows, graces, symbols = list(stream.parts) or [stream], [], 0, 0
    for voice, part in enumerate(parts):
        for each in part.stripTies().flatten().notes:
            if isinstance(each, music21.harmony.Harmony):
                symbols += 1
            elif each.duration.isGrace or each.quarterLength <= 0:
                graces += 1
            else:
                loud = each.volume.velocity or LOUD
                begin, length = float(each.offset), float(each.quarterLength)
                rows += [
                    (begin, length, int(pitch.midi), int(loud), voice) for pitch in each.pitches if 0 <= pitch.midi <= 127
                ]
    marks = stream.recurse().getElementsByClass(music21.tempo.MetronomeMark)
    times = stream.recurse().getElementsByClass(music21.meter.TimeSignature)
    signs = stream.recurse().getElementsByClass(music21.key.KeySignature)
    tempo = next((float(mark.getQuarterBPM()) for mark in marks if mark.getQuarterBPM()), USUAL_TEMPO)
    names = tuple(str(part.partName or f"part {i + 1}") for i, part in enumerate(parts))
    score = Score(as_notes(rows), names, tempo, name=name)
    if times:
        score.metre = Metre(times[0].numerator, times[0].denominator)
    if signs and abs(signs[0].sharps) <= 7:
        score.key = Key(signs[0].sharps, getattr(signs[0], "mode", "") == "minor")
    score.dropped += [f"{graces} grace notes"] * bool(graces) + [f"{symbols} chord symbols"] * bool(symbols)
    return score
