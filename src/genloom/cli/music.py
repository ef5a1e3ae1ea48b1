"""`genloom compose`, `genloom continue` and `genloom harmonise`: music from a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from genloom.bounds import whole
from genloom.cli.console import Checkpoint, RunFolder, Threads, console

if TYPE_CHECKING:
    from genloom.core.model import Model
    from genloom.scores.score import Score

MidiOut = Annotated[str, Parameter(name=["-o", "--out"], help="the MIDI file; several are numbered: tune-1.mid")]
KeyName = Annotated[str | None, Parameter(help="the key, such as G, Bb, Am")]


@dataclass(frozen=True)
class Drawing:
    """What every command says of the pieces that it draws.

    Attributes:
        n: how many pieces
        density: how densely notes begin
        composer: of those that the run learnt from, whose sub-folders named them
        temperature: below 1 more of the usual, above 1 less
        seed: the same gives the same bytes
        wav: write the sound, too
        png: write the piano roll, too
    """

    n: Annotated[int, Parameter(name=["-n", "--n"])] = 1
    density: Literal["low", "medium", "high"] | None = None
    composer: str | None = None
    temperature: float = 1.0
    seed: int = 0
    wav: bool = False
    png: bool = False


Drawn = Annotated[Drawing | None, Parameter(name="*")]


def compose(
    run: RunFolder,
    *,
    out: MidiOut = "tune.mid",
    bars: Annotated[int, Parameter(help="bars of a piece")] = 16,
    key: KeyName = None,
    drawing: Drawn = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write new pieces in the manner of a run's music."""
    make(run, None, out, (bars, key), drawing or Drawing(), checkpoint, threads)


def go_on(
    run: RunFolder,
    start: Annotated[str, Parameter(help="a MIDI file")],
    *,
    out: MidiOut = "out.mid",
    bars: Annotated[int, Parameter(help="bars of the whole, the beginning among them")] = 16,
    key: KeyName = None,
    drawing: Drawn = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Go on from a beginning of your own, which stays as it is."""
    make(run, Path(start), out, (bars, key), drawing or Drawing(), checkpoint, threads)


def make(
    run: str,
    start: Path | None,
    out: str,
    asked: tuple[int, str | None],
    drawing: Drawing,
    checkpoint: str,
    threads: int | None,
) -> None:
    """Compose, after a beginning or without; `asked` are the bars and the key."""
    from genloom.api import load
    from genloom.core.random import on_threads
    from genloom.scores.score import Key
    from genloom.use.music import compose as music

    wish = music.Wish(asked[0], Key.of(asked[1]) if asked[1] else None, drawing.density, drawing.composer)
    with on_threads(threads):
        model = load(run, checkpoint)
        known, tempo = music.beginning(model, start) if start else (None, None)
        scores = music.compose(model, drawing.n, wish, whole("seed", drawing.seed), drawing.temperature, known)
        for score in scores:
            score.tempo = tempo or score.tempo
        write(model, scores, out, drawing)


def harmonise(
    run: RunFolder,
    melody: Annotated[str, Parameter(help="a MIDI file with the melody; of several notes at once, the highest")],
    *,
    out: MidiOut = "out.mid",
    voice: Annotated[str | None, Parameter(help="which voice the melody is; left out, the highest")] = None,
    drawing: Drawn = None,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Write the other voices around a melody of your own, which stays as it is."""
    from genloom.api import load
    from genloom.core.random import on_threads
    from genloom.use.music import compose as music

    drawing = drawing or Drawing()
    wish = music.Wish(density=drawing.density, composer=drawing.composer)
    seed = whole("seed", drawing.seed)
    with on_threads(threads):
        model = load(run, checkpoint)
        scores = music.harmonise(model, Path(melody), voice, drawing.n, wish, seed, drawing.temperature)
        write(model, scores, out, drawing)


def write(model: Model, scores: list[Score], out: str, drawing: Drawing) -> None:
    """Write pieces, and say what was written."""
    from genloom.use.music import compose as music

    for line in music.write(scores, Path(out), music.composer_of(model)[1], drawing.wav, drawing.png):
        console.print(line, soft_wrap=True)
