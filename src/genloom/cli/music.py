"""`genloom compose`, `genloom continue` and `genloom harmonise`: music from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from genloom.bounds import whole
from genloom.cli.console import Checkpoint, RunFolder, Threads, console

MidiOut = Annotated[str, Parameter(name=["-o", "--out"], help="the MIDI file; several are numbered: tune-1.mid")]
Count = Annotated[int, Parameter(name=["-n", "--n"], help="how many pieces")]
Bars = Annotated[int, Parameter(help="bars of a piece")]
KeyName = Annotated[str | None, Parameter(help="the key, such as G, Bb, Am")]
Density = Annotated[Literal["low", "medium", "high"] | None, Parameter(help="how densely notes begin")]
Composer = Annotated[str | None, Parameter(help="of those that the run learnt from, whose sub-folders named them")]
Wav = Annotated[bool, Parameter(help="write the sound, too")]
Png = Annotated[bool, Parameter(help="write the piano roll, too")]
Heat = Annotated[float, Parameter(help="below 1 more of the usual, above 1 less")]


def compose(
    run: RunFolder,
    *,
    out: MidiOut = "tune.mid",
    n: Count = 1,
    bars: Bars = 16,
    key: KeyName = None,
    density: Density = None,
    composer: Composer = None,
    temperature: Heat = 1.0,
    seed: int = 0,
    wav: Wav = False,
    png: Png = False,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write new pieces in the manner of a run's music."""
    from genloom.scores.score import Key
    from genloom.use.music.compose import Wish

    wish = Wish(bars, Key.of(key) if key else None, density, composer)
    make(run, None, Path(out), n, wish, (temperature, whole("seed", seed)), (wav, png), checkpoint, threads)


def go_on(
    run: RunFolder,
    start: Annotated[str, Parameter(help="a MIDI file")],
    *,
    out: MidiOut = "out.mid",
    n: Count = 1,
    bars: Annotated[int, Parameter(help="bars of the whole, the beginning among them")] = 16,
    key: KeyName = None,
    density: Density = None,
    composer: Composer = None,
    temperature: Heat = 1.0,
    seed: int = 0,
    wav: Wav = False,
    png: Png = False,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Go on from a beginning of your own, which stays as it is."""
    from genloom.scores.score import Key
    from genloom.use.music.compose import Wish

    wish = Wish(bars, Key.of(key) if key else None, density, composer)
    make(run, Path(start), Path(out), n, wish, (temperature, whole("seed", seed)), (wav, png), checkpoint, threads)


def make(
    run: str,
    start: Path | None,
    out: Path,
    n: int,
    wish: object,
    drawing: tuple[float, int],
    beside: tuple[bool, bool],
    checkpoint: str,
    threads: int | None,
) -> None:
    """Compose, write, and say what was written."""
    from genloom.api import load
    from genloom.core.random import on_threads
    from genloom.use.music.compose import Wish, beginning, compose, composer_of, write

    assert isinstance(wish, Wish)
    with on_threads(threads):
        model = load(run, checkpoint)
        known, tempo = beginning(model, start) if start else (None, None)
        scores = compose(model, n, wish, drawing[1], drawing[0], known)
        for score in scores:
            score.tempo = tempo or score.tempo
        for line in write(scores, out, composer_of(model)[1], *beside):
            console.print(line, soft_wrap=True)


def harmonise(
    run: RunFolder,
    melody: Annotated[str, Parameter(help="a MIDI file with the melody; of several notes at once, the highest")],
    *,
    out: MidiOut = "out.mid",
    n: Count = 1,
    voice: Annotated[str | None, Parameter(help="which voice the melody is; left out, the highest")] = None,
    density: Density = None,
    composer: Composer = None,
    temperature: Heat = 1.0,
    seed: int = 0,
    wav: Wav = False,
    png: Png = False,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write the other voices around a melody of your own, which stays as it is."""
    from genloom.api import load
    from genloom.core.random import on_threads
    from genloom.use.music import compose as music

    wish = music.Wish(density=density, composer=composer)
    with on_threads(threads):
        model = load(run, checkpoint)
        scores = music.harmonise(model, Path(melody), voice, n, wish, whole("seed", seed), temperature)
        for line in music.write(scores, Path(out), music.composer_of(model)[1], wav, png):
            console.print(line, soft_wrap=True)
