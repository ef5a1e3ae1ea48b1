"""The command line: parse, call, draw. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter
from cyclopts.config import Yaml

from genloom.errors import InputError

app = App(
    name="genloom",
    help="Train, judge and use the classic generative models on your own data.",
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
    "show": ("genloom.cli.looking:show", "Show a run: where it stands, its curves and its grids."),
    "check": ("genloom.cli.looking:check", "Examine a data set: what is there, what is wrong, which models fit."),
    "certify": (
        "genloom.cli.likelihood:certify",
        "Prove what a likelihood model claims: causal, normalised, sampled as scored.",
    ),
    "compress": ("genloom.cli.likelihood:compress", "Compress pictures without loss by a model of pixels; and back."),
    "probe": ("genloom.cli.judging:probe", "Study what an encoder's codes are worth with a few labels."),
    "complete": ("genloom.cli.likelihood:complete", "Fill in the unknown part of a picture, several times."),
    "repair": ("genloom.cli.tables:repair", "Fill the holes of a table with values like its usual ones."),
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 1 our fault, 2 the person's input, 130 interrupted and saved."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    from genloom.cli.trouble import in_one_sentence

    try:
        app.config, arguments = take_config(arguments)
        result = app(arguments, exit_on_error=False, print_error=False)
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


def complain(text: str) -> int:
    """Print the one sentence that says what is wrong and what to do."""
    print(f"genloom: {text}", file=sys.stderr)
    return 2


def sentence(error: Exception) -> str:
    """Return an error's text in one line."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        command, names = " ".join(["genloom", *(error.command_chain or ())]), error.argument.names
        return f"{command} needs {names[0] if names[1:] else names[0][2:].upper()}; `{command} --help` shows how"
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{text.rstrip('.')}; `genloom --help` lists what there is"


def take_config(arguments: list[str]) -> tuple[list[Yaml], list[str]]:
    """Take `--config FILE` out of the arguments; what the command line says stands over the file."""
    arguments = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    if "--config" not in arguments:
        return [], arguments
    i = arguments.index("--config")
    if i + 1 == len(arguments):
        raise InputError("--config needs a YAML file")
    path = arguments[i + 1]
    check_yaml(path)
    config = Yaml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)
    return [config], arguments[:i] + arguments[i + 2 :]


def check_yaml(path: str) -> None:
    """Raise InputError where a file is missing or is no YAML mapping."""
    import yaml

    try:
        with open(path) as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"--config {path} holds no options; write one a line, such as `batch: 64`")
