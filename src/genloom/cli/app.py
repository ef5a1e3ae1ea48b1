"""The command line: parse, call, draw. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnknownCommandError

from genloom.bounds import cut, short
from genloom.errors import InputError, Notice, nearest

LONGEST_SENTENCE = 2000
NARROWEST = 40  # columns of a terminal below which nothing can be laid out

app = App(
    name="genloom",
    help="Train, judge and use the classic generative models on your own data.",
    help_epilogue="Of every command: --config FILE takes options from a YAML file; --limit GB lets one file take more.",
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

COMMANDS = {  # name: where it is, imported when it is called, and what it does
    "fit": ("genloom.cli.fit:fit", "Train a model on data into a run folder; the same command goes on with it."),
    "sample": ("genloom.cli.drawing:sample", "Draw samples from a run."),
    "judge": (
        "genloom.cli.judging:judge",
        "Judge a run against real data: samples or filled cells, with intervals and baselines.",
    ),
    "compare": (
        "genloom.cli.judging:compare",
        "Judge several runs, of any family, by the same data: one table and one page.",
    ),
    "walk": (
        "genloom.cli.drawing:walk",
        "Walk through the latent space into a GIF, or look at what an encoder's codes hold.",
    ),
    "neighbours": (
        "genloom.cli.drawing:neighbours",
        "Show what icgan learnt: pictures, those most like each, and samples.",
    ),
    "show": ("genloom.cli.looking:show", "Show a run: where it stands, its curves and its grids."),
    "check": ("genloom.cli.looking:check", "Examine a data set: what is there, what is wrong, which models fit."),
    "certify": (
        "genloom.cli.likelihood:certify",
        "Prove what a likelihood model claims: causal, normalised, sampled as scored.",
    ),
    "compress": ("genloom.cli.likelihood:compress", "Compress pictures without loss by a model of pixels; and back."),
    "classify": ("genloom.cli.judging:classify", "Say of which class pictures are, as feature_matching learnt it."),
    "words": ("genloom.cli.tagging:words", "Learn the vectors of words from a text, for tagger."),
    "tag": ("genloom.cli.tagging:tag", "Say by which words pictures may be called, as tagger learnt it."),
    "probe": ("genloom.cli.judging:probe", "Study what an encoder's codes are worth with a few labels."),
    "complete": ("genloom.cli.likelihood:complete", "Fill in the unknown part of a picture, several times."),
    "prepare": ("genloom.cli.translation:prepare", "Make pairs to learn from out of any pictures."),
    "upscale": ("genloom.cli.translation:upscale", "Make pictures larger, with detail, as srgan learnt it."),
    "translate": (
        "genloom.cli.translation:translate",
        "Turn pictures into those of the other side, as pix2pix or cyclegan learnt it.",
    ),
    "compose": ("genloom.cli.music:compose", "Write new pieces of music, as MIDI, in the manner of a run's."),
    "continue": ("genloom.cli.music:go_on", "Go on from the beginning of a piece, as MIDI."),
    "harmonise": ("genloom.cli.music:harmonise", "Write the other voices around a melody, as MIDI."),
    "repair": ("genloom.cli.tables:repair", "Fill the holes of a table with values like its usual ones."),
    "deviation": (
        "genloom.cli.series:deviation",
        "Say where a record leaves usual operation, and which of its tags are to blame.",
    ),
    "export": (
        "genloom.cli.exporting:export",
        "Write a run's model as ONNX, as torch.export programs, or as one page for any browser.",
    ),
    "serve": (
        "genloom.cli.serving:serve",
        "Serve runs over HTTP: samples, translations and the like, and the Open Inference Protocol.",
    ),
    "completion": ("genloom.cli.completion:completion", "Print what completes commands and options in a shell."),
    "models": ("genloom.cli.looking:models", "List the models, or the hyper-parameters of one."),
    "lesson": ("genloom.cli.looking:lesson", "Draw a small game while it is learnt."),
    "demo": (
        "genloom.cli.demo:demo",
        "Train a GAN, a VAE and a PixelCNN on real handwritten digits, with no download; two minutes.",
    ),
    "doctor": (
        "genloom.cli.looking:doctor",
        "Examine this machine: versions, processor, precision, cache, optional packages.",
    ),
}
for name, (place, about) in COMMANDS.items():
    app.command(place, name=name, help=about)


def stop(number: int, frame: Any) -> None:
    """Stop as Ctrl-C does."""
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 1 our fault, 2 the person's input, 130 interrupted and saved."""
    signal.signal(signal.SIGTERM, stop)  # containers stop so: what is half-written goes, as after Ctrl-C
    warnings.showwarning = warn  # type: ignore[assignment]  # nothing comes before the sentence, and what we say ourselves is one
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def warn(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Print a warning of ours as a sentence; those of the libraries below are for the people who write code with them."""
    if issubclass(category, Notice):
        print(f"genloom: {message}", file=sys.stderr)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    from genloom.cli.console import console
    from genloom.cli.trouble import in_one_sentence
    from genloom.cli.words import take_config, take_limit

    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names in scripts that a terminal cannot show
    try:
        refuse_odd_bytes(arguments)
        app.config, arguments = take_config(take_limit(arguments))
        result = app(arguments, console=console, exit_on_error=False, print_error=False)
        return result if isinstance(result, int) else 0
    except (InputError, CycloptsError) as error:
        return complain(sentence(error))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except (MemoryError, RuntimeError, OSError) as error:
        said = in_one_sentence(error)
        if said is None:
            raise
        return complain(said)


def refuse_odd_bytes(arguments: list[str]) -> None:
    """Raise InputError for a name that is no text: pages, plots and logs could not hold it."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            shown = argument.encode("utf-8", "replace").decode()
            raise InputError(f"{short(shown)} is not written in UTF-8: rename it, or link to it by another name")


def complain(text: str) -> int:
    """Print the one sentence that says what is wrong and what to do."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)  # names of files can steer a terminal
    if sys.stderr is not None:  # closed: what goes nowhere must not go into a file of samples
        print(f"genloom: {shown}", file=sys.stderr)
    return 2


def sentence(error: Exception) -> str:
    """Return an error's text in one line."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        command, names = " ".join(["genloom", *(error.command_chain or ())]), error.argument.names
        name = command.removeprefix("genloom ")
        return f"{name} needs {names[0] if names[1:] else names[0][2:].upper()}; `{command} --help` shows how"
    if isinstance(error, UnknownCommandError):
        asked = error.unused_tokens[0] if error.unused_tokens else ""
        return f"no command {short(asked)}{nearest(short(asked), COMMANDS)}; there are {', '.join(COMMANDS)}"
    text = cut(" ".join(str(error).split()), LONGEST_SENTENCE)
    return text if isinstance(error, InputError) else f"{text.rstrip('.')}; `genloom --help` lists what there is"
