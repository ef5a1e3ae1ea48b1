"""`genloom words` and `genloom tag`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from genloom.cli.console import Checkpoint, RunFolder, Threads, console, named_so, progress_on, threads_of
from genloom.errors import InputError
from genloom.files import check_writable

SHOWN, FARTHEST = 5, 100  # frequent words whose nearest are shown, and how many words away one may be near


def words(
    *corpus: Annotated[str, Parameter(help="texts, plain or .gz, a sentence a line; tables of tags, .csv")],
    out: Annotated[str, Parameter(name=["-o", "--out"], help="a .safetensors")] = "words.safetensors",
    width: Annotated[int, Parameter(help="numbers of a word's vector")] = 100,
    window: Annotated[int, Parameter(help="how many words to either side are near")] = 5,
    least: Annotated[int, Parameter(help="times that a word must come")] = 5,
    epochs: Annotated[int, Parameter(help="times that the text is read")] = 10,
    near: Annotated[str | None, Parameter(help="words whose nearest to show, with commas")] = None,
    seed: int = 0,
    threads: Threads = None,
) -> None:
    """Learn the vectors of words from a text, by skip-gram with negative sampling."""
    from genloom.bounds import whole
    from genloom.use.words import learn_words, neighbourhoods, read_text

    if not corpus:
        raise InputError("words needs a text to learn from: genloom words corpus.txt -o words.safetensors")
    named_so(out, (".safetensors",), "vectors are written as tensors", "words")
    check_writable(out)
    said = {"width": width, "window": window, "least": least, "epochs": epochs, "seed": seed}
    for name, value in said.items():
        whole(name, value)
    if window > FARTHEST:
        raise InputError(f"--window takes a number of at most {FARTHEST} words, got {window}")
    text = read_text([Path(path) for path in corpus], least)
    asked = ["_".join(word.lower().split()) for word in (near or "").split(",")]
    shown = [word for word in asked if word] or list(text.words[10 : 10 + SHOWN])
    if unknown := [word for word in shown if word not in text.words]:
        raise InputError(f"--near {unknown[0]}: the text has no such word, or too seldom")
    console.print(f"{len(text.words):,} words that come {least} times or more, {len(text.tokens):,} in all", soft_wrap=True)
    bar = progress_on(console)
    found = learn_words(
        text, width, window, epochs, seed, threads or 1, lambda rows: bar(rows, total=epochs, what="learning")
    )
    found.write(Path(out))
    for word, others in neighbourhoods(found, shown):
        console.print(f"  {word}: {' '.join(others)}", soft_wrap=True)
    console.print(f"vectors of {len(found.words):,} words in {out}", soft_wrap=True)


def tag(
    run: RunFolder,
    pictures: Annotated[str, Parameter(help="a picture, a folder of them, a .zip, .npy or idx file")],
    *,
    out: Annotated[str | None, Parameter(name=["-o", "--out"], help="a .csv with a row for each picture")] = None,
    count: Annotated[int, Parameter(help="tags for each")] = 10,
    split: Annotated[Literal["train", "test"], Parameter(help="which part, where there are two")] = "train",
    skip_broken: Annotated[bool, Parameter(help="leave out pictures that cannot be read")] = False,
    seed: int = 0,
    checkpoint: Checkpoint = "last",
    threads: Threads = None,
) -> None:
    """Say by which words pictures may be called, the likeliest first."""
    from genloom.api import load
    from genloom.bounds import whole
    from genloom.use.tagging import check_tags
    from genloom.use.tagging import tag as tell

    if out:
        named_so(out, (".csv",), "this is a table", "tags")
        check_writable(out)
    whole("count", count), whole("seed", seed)
    model = load(run, checkpoint)
    check_tags(model)
    with threads_of(threads):
        found = tell(model, pictures, count, seed, split, skip_broken)
    shown = list(zip(found.names, found.tags, strict=True))[: None if not out else SHOWN]
    for name, tags in shown:
        console.print(f"{name}: {' '.join(word for word, _ in tags) or '(none)'}", soft_wrap=True)
    if out:
        found.write(Path(out))
        console.print(f"tags of {len(found.names):,} pictures in {out}", soft_wrap=True)
